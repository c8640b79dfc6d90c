//! Fetches the public keys of foreign issuers, when a token names one that is not known, and not too often.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Handler, MailboxError, Message, SyncArbiter, SyncContext};
use nonzero_ext::nonzero;
use ureq::Agent;
use ureq::http::Uri;
use ureq::http::uri::Scheme;

use crate::actors::identity::trust::{KeySource, Trust};
use crate::auth::jwks::Jwks;

/// Threads that fetch.
const THREADS: NonZeroUsize = nonzero!(2_usize);

/// How long an issuer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 3;

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
        /// The cause, in words.
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

/// Fetches the keys of foreign issuers. Concurrent requests for the same issuer share one fetch.
#[derive(Debug, Clone)]
pub struct KeyFetcher {
    trust: Trust,
    agent: Agent,
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
        let text = self.read(url).map_err(&failed)?;
        Jwks::parse(&text).map_err(|error| failed(error.to_string()))
    }

    /// Fetches the text at a URL, following redirects on the same host.
    fn read(&self, url: &str) -> Result<String, String> {
        let until = Instant::now() + TIMEOUT;
        let mut at = url.parse::<Uri>().map_err(|error| error.to_string())?;
        for _ in 0..=MAX_REDIRECTS {
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let request = self.agent.get(&*at.to_string()).config().timeout_global(Some(left)).build();
            let mut answer = request.call().map_err(|error| error.to_string())?;
            if !answer.status().is_redirection() {
                let text = answer.body_mut().with_config().limit(MAX_BYTES).read_to_string();
                return text.map_err(|error| error.to_string());
            }
            let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| format!("it answered {} without a `Location`", answer.status()))?;
            at = redirected(&at, location).ok_or("it redirects to another host")?;
        }
        Err(format!("it redirects more than {MAX_REDIRECTS} times"))
    }
}

/// Logs which keys of an issuer are skipped, and why.
pub fn tell_skipped(issuer: &str, keys: &Jwks) {
    for skipped in keys.skipped() {
        let (place, cause) = (skipped.place, &skipped.cause);
        tracing::warn!(issuer, place, %cause, "a key of an issuer is not used; its other keys still are");
    }
}

/// The target of a redirect, if it is on the same host and port. A redirect from `http` to `https` is followed if
/// neither URL names a port; one from `https` to `http` never.
fn redirected(from: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    let text = match location {
        "" => return None,
        text if text.starts_with("//") => format!("{scheme}:{text}"),
        text if text.starts_with('/') => format!("{scheme}://{authority}{text}"),
        text if text.starts_with('?') => format!("{scheme}://{authority}{}{text}", from.path()),
        text if text.split(['/', '?']).next().is_some_and(|first| first.contains(':')) => text.to_owned(),
        text => {
            let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{scheme}://{authority}{folder}/{text}")
        }
    };
    let to: Uri = text.parse().ok()?;
    let is_same_host = from.host()?.eq_ignore_ascii_case(to.host()?) && !to.authority()?.as_str().contains('@');
    let port = |uri: &Uri| uri.port_u16().or(if uri.scheme() == Some(&Scheme::HTTPS) { Some(443) } else { Some(80) });
    let is_upgraded = from.scheme() == Some(&Scheme::HTTP) && to.scheme() == Some(&Scheme::HTTPS);
    let is_near = if is_upgraded {
        port(from) == Some(80) && port(&to) == Some(443)
    } else {
        from.scheme() == to.scheme() && port(from) == port(&to)
    };
    (is_same_host && is_near).then_some(to)
}

impl Actor for KeyFetcher {
    type Context = SyncContext<Self>;
}

/// Fetches the keys of an issuer, if it has a URL and was not asked recently.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), FetchError>")]
pub struct FetchKeys(pub Box<str>);

impl Handler<FetchKeys> for KeyFetcher {
    type Result = Result<(), FetchError>;

    fn handle(&mut self, FetchKeys(issuer): FetchKeys, _: &mut Self::Context) -> Self::Result {
        let Some(foreign) = self.trust.foreign(&issuer) else { return Ok(()) };
        let KeySource::Url { url, asked } = &foreign.source else { return Ok(()) };
        asked.fetch(|| {
            let keys = self.fetch(url)?;
            tell_skipped(&foreign.issuer, &keys);
            foreign.keys.store(Arc::new(keys));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_followed_on_the_same_host_alone() {
        for (from, location, expected) in [
            ("http://id.example/jwks", "/keys", Some("http://id.example/keys")),
            ("http://id.example/a/jwks?x=1", "keys?y=2#z", Some("http://id.example/a/keys?y=2")),
            ("http://id.example/a/jwks", "?y", Some("http://id.example/a/jwks?y")),
            ("http://id.example/jwks", "//id.example/keys", Some("http://id.example/keys")),
            ("https://id.example/jwks", "https://ID.example:443/keys", Some("https://ID.example:443/keys")),
            ("http://id.example/jwks", "https://id.example/jwks", Some("https://id.example/jwks")),
            ("http://127.0.0.1:80/jwks", "http://127.0.0.1/keys", Some("http://127.0.0.1/keys")),
            ("http://id.example:8080/jwks", "http://id.example:8080/keys", Some("http://id.example:8080/keys")),
            ("https://id.example/jwks", "http://id.example/jwks", None),
            ("http://id.example:8080/jwks", "https://id.example/jwks", None),
            ("http://id.example/jwks", "https://id.example:8443/jwks", None),
            ("http://id.example:8080/jwks", "http://id.example/jwks", None),
            ("http://id.example/jwks", "http://evil.example/jwks", None),
            ("http://id.example/jwks", "//evil.example/jwks", None),
            ("http://id.example/jwks", "http://id.example@evil.example/jwks", None),
            ("http://id.example/jwks", "http://evil.example@id.example/jwks", None),
            ("http://id.example/jwks", "http://id.example.evil.example/jwks", None),
            ("http://id.example/jwks", "file:///etc/passwd", None),
            ("http://id.example/jwks", "data:text/plain,x", None),
            ("http://id.example/jwks", "", None),
            ("http://id.example/jwks", "#keys", None),
        ] {
            let found = redirected(&from.parse().unwrap(), location).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{from} {location}");
        }
    }
}
