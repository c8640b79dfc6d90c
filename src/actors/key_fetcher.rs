//! Fetches the public keys of foreign issuers, when a token names one that is not known, and not too often.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Handler, MailboxError, Message, SyncArbiter, SyncContext};
use ureq::Agent;

use super::trust::{KeySource, Trust};
use crate::auth::jwk::Jwks;

/// Threads that fetch.
const THREADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// An issuer is not asked again before so long.
const INTERVAL: Duration = Duration::from_mins(1);

/// Keys that are in use are fetched anew after so long.
const LIFETIME: Duration = Duration::from_mins(10);

/// How long an issuer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of a key set.
const MAX_BYTES: u64 = 256 << 10;

/// Why keys were not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The issuer does not answer as it should.
    #[error("`{url}` does not give keys: {cause}")]
    Issuer {
        /// The URL.
        url: String,
        /// What was wrong.
        cause: String,
    },
    /// No answer in time, or never.
    #[error("the keys were not fetched in time")]
    Late,
}

impl From<MailboxError> for FetchError {
    fn from(_: MailboxError) -> Self {
        Self::Late
    }
}

/// Fetches keys. One that is being fetched for somebody is not fetched once more meanwhile.
#[derive(Debug, Clone)]
pub struct KeyFetcher {
    trust: Trust,
    agent: Agent,
}

/// When an issuer was last asked.
#[derive(Debug, Default)]
pub struct Asked {
    /// Held by who asks.
    turn: Mutex<()>,
    /// Held by nobody for long.
    last: Mutex<Option<Instant>>,
}

impl Asked {
    /// Whether keys that were fetched then should be fetched anew, so that those which the issuer withdrew go.
    #[must_use]
    pub fn is_long_ago(&self) -> bool {
        self.within(LIFETIME) == Some(false)
    }

    /// Whether that was within such a time; `None` where it never was.
    fn within(&self, time: Duration) -> Option<bool> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|last| last.elapsed() < time)
    }
}

impl KeyFetcher {
    /// Starts the actor.
    ///
    /// # Panics
    /// Where no actix system runs, or the system has no more threads to give.
    #[must_use]
    pub fn start(trust: Trust) -> Addr<Self> {
        let agent: Agent = Agent::config_builder().timeout_global(Some(TIMEOUT)).max_redirects(0).build().into();
        let fetcher = Self { trust, agent };
        let thread = || thread::Builder::new().name("acgs-issuers".to_owned());
        SyncArbiter::start_with_thread_builder(THREADS.get(), thread, move || fetcher.clone())
    }

    fn fetch(&self, url: &str) -> Result<Jwks, FetchError> {
        let failed = |cause: String| FetchError::Issuer { url: url.to_owned(), cause };
        let mut answer = self.agent.get(url).call().map_err(|error| failed(error.to_string()))?;
        let text = answer.body_mut().with_config().limit(MAX_BYTES).read_to_string();
        let text = text.map_err(|error| failed(error.to_string()))?;
        Jwks::parse(&text).map_err(|error| failed(error.to_string()))
    }
}

impl Actor for KeyFetcher {
    type Context = SyncContext<Self>;
}

/// Fetches the keys of an issuer, where it has a URL and was not asked just now.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), FetchError>")]
pub struct FetchKeys(pub Box<str>);

impl Handler<FetchKeys> for KeyFetcher {
    type Result = Result<(), FetchError>;

    fn handle(&mut self, FetchKeys(issuer): FetchKeys, _: &mut Self::Context) -> Self::Result {
        let Some(foreign) = self.trust.foreign(&issuer) else { return Ok(()) };
        let KeySource::Url { url, asked } = &foreign.source else { return Ok(()) };
        // Others who want these keys wait here, and then find them.
        let _turn = asked.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.within(INTERVAL) == Some(true) {
            return Ok(());
        }
        *asked.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        foreign.keys.store(Arc::new(self.fetch(url)?));
        Ok(())
    }
}
