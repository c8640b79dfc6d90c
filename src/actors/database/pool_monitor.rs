//! Monitors the connection pools: tests idle connections, raises alerts when connections run out, and reports the
//! pools' state.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, Addr, Arbiter, AsyncContext, Context, Handler, MailboxError, Message};
use time::OffsetDateTime;
use tokio::sync::oneshot;

use crate::store::{Alert, PoolLoad, PoolStats, ProbeResult, StoreError, WINDOW, WatchedPool};

/// How often it is looked how many connections are in use. Between two looks the pool itself remembers the most.
const INTERVAL: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// It did not come in time, or can never come.
    #[error("the pools' state was not available in time")]
    Late,
}

impl From<MailboxError> for MonitorError {
    fn from(_: MailboxError) -> Self {
        Self::Late
    }
}

/// A pool and its name.
#[derive(Debug, Clone)]
pub struct NamedPool {
    /// The pool's name in messages.
    pub name: Arc<str>,
    /// The pool.
    pub pool: WatchedPool,
}

/// How pools are looked after.
#[derive(Debug, Clone, Copy)]
pub struct PoolMonitorOptions {
    /// How often an idle connection is tested.
    pub health_check: Duration,
    /// How much in use is high, in percent of all connections that there can be.
    pub high: f64,
}

/// The present state of a pool.
#[derive(Debug, Clone)]
pub struct PoolReport {
    /// The pool's name.
    pub name: Arc<str>,
    /// The pool's counters.
    pub stats: PoolStats,
    /// How much is in use.
    pub load: PoolLoad,
    /// Since when.
    pub since: OffsetDateTime,
    /// Why its database is unavailable, if it is.
    pub fault: Option<String>,
}

/// Looks after pools.
#[derive(Debug)]
pub struct PoolMonitor {
    pools: Vec<PoolEntry>,
    options: PoolMonitorOptions,
    window_began: Instant,
}

struct PoolEntry {
    name: Arc<str>,
    pool: WatchedPool,
    alert: Alert,
    /// Since when a test waits for its answer.
    tested_since: Option<Instant>,
    /// The fault found by the last test.
    fault: Option<String>,
}

impl PoolMonitor {
    /// Starts the actor on a thread of its own.
    #[must_use]
    pub fn start(pools: Vec<NamedPool>, options: PoolMonitorOptions) -> Addr<Self> {
        let now = OffsetDateTime::now_utc();
        let pools = pools.into_iter().map(|NamedPool { name, pool }| {
            let alert = Alert::new(options.high, now);
            PoolEntry { name, pool, alert, tested_since: None, fault: None }
        });
        let monitor = Self { pools: pools.collect(), options, window_began: Instant::now() };
        Self::start_in_arbiter(&Arbiter::new().handle(), |_| monitor)
    }

    fn look(&mut self) {
        self.pools.iter_mut().for_each(PoolEntry::look);
        if self.window_began.elapsed() >= WINDOW {
            self.window_began = Instant::now();
            self.pools.iter().for_each(|monitored| monitored.pool.turn_window());
        }
    }

    fn test(&mut self, ctx: &mut Context<Self>) {
        for (at, monitored) in self.pools.iter_mut().enumerate() {
            let Some(answer) = monitored.begin_test() else { continue };
            ctx.spawn(wrap_future::<_, Self>(answer).map(move |result, monitor, _| {
                let monitored = monitor.pools.get_mut(at);
                // Without an answer the thread could not be started.
                if let (Some(monitored), Ok(result)) = (monitored, result) {
                    monitored.end_test(result);
                }
            }));
        }
    }
}

impl Actor for PoolMonitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(INTERVAL, |monitor, _| monitor.look());
        ctx.run_interval(self.options.health_check, Self::test);
    }
}

impl PoolEntry {
    fn look(&mut self) {
        let stats = self.pool.stats();
        let (busy, capacity) = (self.pool.take_peak(), stats.capacity());
        let Some(change) = self.alert.look(busy, capacity, OffsetDateTime::now_utc()) else { return };
        let pool = &*self.name;
        match change.to {
            PoolLoad::Ok => tracing::info!(pool, "enough database connections are free again"),
            PoolLoad::High => tracing::warn!(pool, busy, capacity, "most database connections are in use"),
            PoolLoad::Exhausted => {
                tracing::warn!(pool, busy, capacity, waiting = stats.waiting, "all database connections are in use");
            }
        }
    }

    /// Tests on a thread that ends with the test: a database that hangs must not keep the figures from being shown.
    fn begin_test(&mut self) -> Option<oneshot::Receiver<Result<ProbeResult, StoreError>>> {
        if let Some(since) = self.tested_since {
            self.is_faulty(format!("it has not answered a test for {} s", since.elapsed().as_secs()));
            return None;
        }
        let (tell, answer) = oneshot::channel();
        let pool = self.pool.clone();
        let test = move || {
            let _ = tell.send(pool.test());
        };
        match thread::Builder::new().name("acgs-pool-test".to_owned()).spawn(test) {
            Ok(_) => {
                self.tested_since = Some(Instant::now());
                Some(answer)
            }
            Err(error) => {
                self.cannot_test(&error);
                None
            }
        }
    }

    fn end_test(&mut self, result: Result<ProbeResult, StoreError>) {
        self.tested_since = None;
        match result {
            Ok(ProbeResult::Answers) => {
                if self.fault.take().is_some() {
                    tracing::info!(pool = &*self.name, "the database answers again");
                }
            }
            // Users of the connections will notice a fault themselves.
            Ok(ProbeResult::Busy) => {}
            Err(error) => self.is_faulty(error.to_string()),
        }
    }

    fn is_faulty(&mut self, fault: String) {
        if self.fault.is_none() {
            tracing::warn!(pool = &*self.name, fault, "the database does not answer");
        }
        self.fault = Some(fault);
    }

    fn cannot_test(&self, error: &io::Error) {
        tracing::warn!(pool = &*self.name, %error, "the database connections cannot be tested");
    }

    fn report(&self) -> PoolReport {
        let stats = self.pool.stats();
        // An outage noticed since the last test is newer than its result.
        let fault = stats.outage.as_deref().map(str::to_owned).or_else(|| self.fault.clone());
        PoolReport { name: Arc::clone(&self.name), stats, load: self.alert.load(), since: self.alert.since(), fault }
    }
}

impl fmt::Debug for PoolEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Shows all pools, in the order in which the monitor got them.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<Vec<PoolReport>, MonitorError>")]
pub struct PoolStatus;

impl Handler<PoolStatus> for PoolMonitor {
    type Result = Result<Vec<PoolReport>, MonitorError>;

    fn handle(&mut self, PoolStatus: PoolStatus, _: &mut Self::Context) -> Self::Result {
        Ok(self.pools.iter().map(PoolEntry::report).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::actors::Mailbox;
    use crate::store::{MonitoredPool, TierStats, WaitStats};

    /// Answers its tests as it is told.
    #[derive(Debug)]
    struct Pool {
        peak: AtomicU32,
        outage: Mutex<Option<Arc<str>>>,
        begun: (Sender<()>, Mutex<Receiver<()>>),
        answers: Mutex<Receiver<Result<ProbeResult, StoreError>>>,
    }

    impl MonitoredPool for Pool {
        fn stats(&self) -> PoolStats {
            PoolStats {
                size: 2,
                max_overflow: 8,
                min_idle: 1,
                base: TierStats::default(),
                overflow: TierStats::default(),
                waiting: 0,
                waits: WaitStats::default(),
                late: 0,
                refused: 0,
                outage: self.outage.lock().unwrap().clone(),
                last_error: None,
            }
        }

        fn take_peak(&self) -> u32 {
            self.peak.load(Ordering::Relaxed)
        }

        fn turn_window(&self) {}

        fn test(&self) -> Result<ProbeResult, StoreError> {
            self.begun.0.send(()).unwrap();
            self.answers.lock().unwrap().recv().unwrap_or_else(|_| Err(gone()))
        }
    }

    fn pool() -> (Sender<Result<ProbeResult, StoreError>>, Arc<Pool>) {
        let ((answer, answers), (tell, told)) = (channel(), channel());
        let pool = Pool {
            peak: AtomicU32::new(0),
            outage: Mutex::new(None),
            begun: (tell, Mutex::new(told)),
            answers: Mutex::new(answers),
        };
        (answer, Arc::new(pool))
    }

    fn state(pool: &Arc<Pool>) -> PoolEntry {
        let pool = WatchedPool::new(Arc::<Pool>::clone(pool));
        let alert = Alert::new(90.0, OffsetDateTime::UNIX_EPOCH);
        PoolEntry { name: "primary".into(), pool, alert, tested_since: None, fault: None }
    }

    fn gone() -> StoreError {
        StoreError::Unavailable { place: None, cause: "it is gone".into() }
    }

    #[test]
    fn a_database_that_does_not_answer_is_faulty_until_it_does() {
        let (answer, pool) = pool();
        let mut state = state(&pool);
        let fault = |state: &PoolEntry| state.report().fault;
        let first = state.begin_test().unwrap();
        assert_eq!(fault(&state), None);
        assert!(state.begin_test().is_none());
        assert_eq!(fault(&state).unwrap(), "it has not answered a test for 0 s");
        answer.send(Ok(ProbeResult::Answers)).unwrap();
        state.end_test(first.blocking_recv().unwrap());
        assert_eq!(fault(&state), None);
        for (sent, expected) in [
            (Err(gone()), Some("the database is unavailable: it is gone")),
            (Ok(ProbeResult::Busy), Some("the database is unavailable: it is gone")),
            (Ok(ProbeResult::Answers), None),
        ] {
            let pending = state.begin_test().unwrap();
            answer.send(sent).unwrap();
            state.end_test(pending.blocking_recv().unwrap());
            assert_eq!(fault(&state).as_deref(), expected);
        }
        *pool.outage.lock().unwrap() = Some("connection refused".into());
        assert_eq!(fault(&state).unwrap(), "connection refused");
    }

    #[test]
    fn the_most_connections_that_were_in_use_raise_the_alert() {
        let (_answer, pool) = pool();
        let mut state = state(&pool);
        let loads = [8, 9, 10].map(|peak| {
            pool.peak.store(peak, Ordering::Relaxed);
            state.look();
            state.report().load
        });
        assert_eq!(loads, [PoolLoad::Ok, PoolLoad::High, PoolLoad::Exhausted]);
        assert!(state.report().since > OffsetDateTime::UNIX_EPOCH);
    }

    #[actix::test]
    async fn idle_connections_are_tested_again_and_again_and_all_pools_are_shown_meanwhile() {
        let ((answer, primary), (_hangs, replica)) = (pool(), pool());
        let pools = [("primary", Arc::clone(&primary)), ("replica", replica)];
        let pools = pools.map(|(name, pool)| NamedPool { name: name.into(), pool: WatchedPool::new(pool) });
        let monitor =
            PoolMonitor::start(pools.into(), PoolMonitorOptions { health_check: Duration::from_millis(1), high: 90.0 });
        let monitor = Mailbox::new(monitor, Duration::from_mins(1));
        for _ in 0..3 {
            primary.begun.1.lock().unwrap().recv().unwrap();
            let reports = monitor.ask(PoolStatus).await.unwrap();
            assert_eq!(reports.iter().map(|report| &*report.name).collect::<Vec<_>>(), ["primary", "replica"]);
            answer.send(Ok(ProbeResult::Answers)).unwrap();
        }
    }
}
