//! A run: one daemon, one population, one name under which all of its decisions are recorded.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use time::OffsetDateTime;

use super::api::{Api, Credential, credential_line};
use super::decisions::{Answered, DecisionRequests, Order, mark};
use super::endpoint::Endpoint;
use super::error::BenchError;
use super::live::Live;
use super::open_loop::{Load, Run, run};
use super::plan::{Kind, Plan, QUICK};
use super::population::{Population, Wanted};
use super::progress::Progress;
use crate::domain::BenchRun;

/// How often each question is asked before a test, so that the caches of all workers have had a chance to see it.
const WARM_UP_PASSES: u64 = 4;

/// The time in which that is done, unless the test's rate is higher.
const WARM_UP: Duration = Duration::from_secs(10);

/// The wish for a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Requests a second, unless each test has its own rate.
    pub rate: Option<NonZeroU32>,
    /// How long each test lasts, unless each has its own duration.
    pub duration: Option<Duration>,
    /// Whether each test lasts half a minute.
    pub quick: bool,
    /// The questions.
    pub wanted: Wanted,
    /// Connections among which requests are spread.
    pub connections: usize,
    /// The baseline of `regression`.
    pub baseline: Option<PathBuf>,
    /// Where a new baseline is written.
    pub save_baseline: Option<PathBuf>,
    /// The folder of the report, in which the floor is measured, too.
    pub folder: PathBuf,
    /// Ends the run early once it is set.
    pub stop: Arc<AtomicBool>,
}

impl Options {
    /// A test as it is to be run.
    #[must_use]
    pub fn plan(&self, kind: Kind) -> Plan {
        let own = if self.quick { QUICK } else { kind.duration() };
        Plan { kind, rate: self.rate.unwrap_or(kind.rate()), duration: self.duration.unwrap_or(own) }
    }
}

/// A run against a daemon.
pub struct Session {
    /// For everything but the load.
    pub api: Api,
    /// Where the load is sent.
    pub endpoint: Endpoint,
    /// Header lines of decisions: credential, constitution, and the mark of the run.
    headers: String,
    /// Header lines of questions without a record.
    pub claim: String,
    /// The header line that marks decisions.
    mark: String,
    /// The questions.
    pub population: Population,
    /// The name of the run.
    pub name: String,
    /// The wish for it.
    pub options: Options,
}

/// A name for a run of a test: it contains the time, in UTC.
#[must_use]
pub fn new_name(test: &str) -> String {
    let now = OffsetDateTime::now_utc();
    let (date, time) = (now.date(), now.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{test}-{year}{month:02}{day:02}T{hour:02}{minute:02}{second:02}-{:04x}", rand::random::<u16>())
}

impl Session {
    /// Prepares a run: finds questions that fit the constitution in force, and asks one of them for a decision.
    pub fn prepare(
        name: &str,
        mut api: Api,
        endpoint: Endpoint,
        credential: Option<&Credential>,
        options: Options,
    ) -> Result<Self, BenchError> {
        let alive = api.get("/livez")?;
        let claim = alive
            .header("x-constitutional-hash")
            .map_or_else(String::new, |hash| format!("X-Constitutional-Hash: {hash}\r\n"));
        let mut progress = Progress::new("population", Duration::from_secs(1));
        let keys = options.wanted.keys;
        let population = Population::find(&mut api, &claim, options.wanted, |found| {
            progress.show_text(&format!("{found} of {keys} questions"));
        })?;
        let mix = &population.mix;
        progress
            .end(&format!("{} questions that are permitted, {} that are denied", mix.permitted_keys, mix.denied_keys));
        let run = BenchRun::new(name).map_err(|error| BenchError::Failed(error.to_string()))?;
        let mark = mark(run);
        let headers = format!("{}{claim}{mark}", credential_line(credential));
        let session = Self { api, endpoint, headers, claim, mark, population, name: name.to_owned(), options };
        session.try_one(credential)?;
        Ok(session)
    }

    /// Asks for one decision where the load will be sent, so that a refusal is explained before anything begins.
    fn try_one(&self, credential: Option<&Credential>) -> Result<(), BenchError> {
        let mut api = Api::new(self.endpoint.clone(), credential);
        let question = self.population.questions().first().map(|question| question.body.clone()).unwrap_or_default();
        let headers = format!("{}{}", self.claim, self.mark);
        api.post_json("/access/v1/evaluation", &headers, &question).map(drop)
    }

    /// Requests for decisions of this run.
    #[must_use]
    pub fn requests(&self, order: Order, answers: Option<std::sync::mpsc::Sender<Answered>>) -> DecisionRequests<'_> {
        DecisionRequests::new(&self.endpoint, &self.headers, &self.population, order, answers)
    }

    /// A load on the daemon of this run.
    #[must_use]
    pub fn load(&self, rate: NonZeroU32, duration: Duration) -> Load<'_> {
        Load {
            endpoint: &self.endpoint,
            rate,
            duration,
            connections: self.options.connections,
            stop: &self.options.stop,
        }
    }

    /// Asks each question several times, so that the caches of all workers know most of them.
    pub fn warm_up(
        &self,
        rate: NonZeroU32,
        answers: Option<std::sync::mpsc::Sender<Answered>>,
    ) -> Result<Run, BenchError> {
        let count = self.population.questions().len() as u64 * WARM_UP_PASSES;
        let needed = u32::try_from(count.div_ceil(WARM_UP.as_secs())).unwrap_or(u32::MAX);
        let rate = NonZeroU32::new(needed).map_or(rate, |needed| needed.max(rate));
        let duration = Duration::from_micros(count * 1_000_000 / u64::from(rate.get()));
        let mut requests = self.requests(Order::Each, answers);
        self.run(&self.load(rate, duration), &mut requests, &Live::default())
    }

    /// Sends a load.
    pub fn run(&self, load: &Load<'_>, requests: &mut DecisionRequests<'_>, live: &Live) -> Result<Run, BenchError> {
        run(load, requests, live)
            .map_err(|error| BenchError::Failed(format!("the load on `{}` cannot be sent: {error}", self.endpoint)))
    }

    /// Whether the run is to end early.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed)
    }
}
