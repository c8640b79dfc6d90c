//! Read replicas, which may answer in the primary's place.
//!
//! A replica lags behind. It is used only if that makes no difference: its snapshot has everything up to the version
//! that this process knows of, including its own writes. So a value read from a replica is never older than what was
//! read or written here before, and may be cached as if it came from the primary.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::connection::{self, DbSession};
use super::database_spec::ENTITIES;
use super::error::StoreError;
use super::pool::{Pool, StoreOptions, WatchedPool};
use super::revisions::{self, HistoryRelation};
use super::target::Target;
use super::versions::Versions;
use crate::domain::Revision;

/// A replica whose probe takes longer is not used.
const TIMEOUT: Duration = Duration::from_millis(500);
/// For how many changes it is remembered which version there was when.
const REMEMBERED: usize = 256;

/// All replicas of a database; shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct Replicas {
    all: Arc<[Replica]>,
    next: Arc<AtomicUsize>,
    max_lag: Duration,
}

/// One replica.
struct Replica {
    target: Target,
    pool: Pool,
    state: Mutex<State>,
}

/// The result of the last probe.
#[derive(Debug)]
struct State {
    /// Which versions were known here, and when: the oldest first.
    known: VecDeque<(i64, Instant)>,
    lag: Option<Duration>,
    fault: Option<String>,
    /// Since when a probe has been running.
    looking: Option<Instant>,
}

/// The present state of a replica.
#[derive(Debug, Clone)]
pub struct ReplicaStatus {
    /// Its place, without credentials.
    pub name: String,
    /// Its lag, as far as is known; zero means less than the time since the last probe.
    pub lag: Option<Duration>,
    /// Whether it is asked.
    pub is_healthy: bool,
    /// Why it is not healthy, if it does not answer.
    pub fault: Option<String>,
    /// Its connections.
    pub pool: WatchedPool,
}

impl Replicas {
    /// Opens the pools, with the size of the primary's. An unavailable replica is not waited for.
    pub fn open(targets: Vec<Target>, options: &StoreOptions, max_lag: Duration) -> Result<Self, StoreError> {
        let replica = |target: Target| {
            let options = StoreOptions { target: target.clone(), min_idle: 0, ..options.clone() };
            let pool = Pool::open(&ENTITIES, &options).map_err(|error| error.at(&target))?;
            // It is not used before its first probe.
            let state = State { known: VecDeque::new(), lag: None, fault: None, looking: None };
            Ok(Replica { target, pool, state: Mutex::new(state) })
        };
        let all = targets.into_iter().map(replica).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Self { all: all.into(), next: Arc::default(), max_lag })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Probes one of them: whether it answers, and how far it is behind this process. Blocks.
    pub fn look(&self, nth: usize, versions: &Versions) {
        let Some(replica) = self.all.get(nth) else { return };
        let (known, began) = (versions.known(), Instant::now());
        replica.state().looking = Some(began);
        let found = replica.pool.run(|conn| Ok(revisions::newest(conn)?.version));
        replica.state().note(found, known, began);
    }

    /// The state of all replicas.
    #[must_use]
    pub fn status(&self) -> Vec<ReplicaStatus> {
        let status = |replica: &Replica| {
            let state = replica.state();
            ReplicaStatus {
                name: replica.target.to_string(),
                lag: state.lag,
                is_healthy: state.is_within(self.max_lag),
                fault: state.fault.clone(),
                pool: replica.pool.watched(),
            }
        };
        self.all.iter().map(status).collect()
    }

    /// Runs queries on one snapshot of a replica; with `known`, only if the snapshot has every change that this process
    /// knows. `None` if no replica can. A replica of a primary with another history cannot, whatever its version.
    pub(super) fn read<T>(
        &self,
        known: Option<&Versions>,
        job: &impl Fn(&mut DbSession) -> Result<T, StoreError>,
    ) -> Option<Result<T, StoreError>> {
        let known = known.map(|versions| (versions.known(), versions.applied()));
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let turns = (0..self.all.len()).filter_map(|turn| self.all.get((first + turn) % self.all.len()));
        for replica in turns.filter(|replica| replica.state().is_within(self.max_lag)) {
            let read = replica.pool.run(|conn| {
                connection::read(conn, |conn| {
                    let has_all = match known {
                        Some((floor, applied)) => has_all(conn, floor, &applied)?,
                        None => true,
                    };
                    if has_all { job(conn).map(Some) } else { Ok(None) }
                })
            });
            match read {
                Ok(Some(done)) => return Some(Ok(done)),
                Ok(None) => {}
                // The next one may do it, or the primary.
                Err(error) => {
                    let error = error.at(&replica.target);
                    tracing::warn!(%error, "a replica is not asked until it answers again");
                    replica.state().fault = Some(error.to_string());
                }
            }
        }
        None
    }
}

/// Whether a connection's database has all changes up to the version `floor`, and the history of the revision
/// `applied`.
fn has_all(conn: &mut DbSession, floor: i64, applied: &Revision) -> Result<bool, StoreError> {
    let newest = revisions::newest(conn)?;
    Ok(newest.version >= floor
        && newest.incarnation == applied.incarnation
        && revisions::compare(conn, newest, applied)? == HistoryRelation::Contains)
}

impl Replica {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Stores the result of a probe that began at `began`, when `known` was the newest version known here.
    fn note(&mut self, found: Result<i64, StoreError>, known: i64, began: Instant) {
        if self.known.back().is_none_or(|(version, _)| *version < known) {
            self.known.push_back((known, began));
            if self.known.len() > REMEMBERED {
                self.known.pop_front();
            }
        }
        self.looking = None;
        match found {
            Ok(newest) => {
                // Since when there has been something that it does not have.
                let since = self.known.iter().find(|(version, _)| *version > newest).map(|(_, since)| *since);
                self.lag = Some(since.map_or(Duration::ZERO, |since| since.elapsed()));
                self.fault = None;
            }
            Err(error) => {
                self.lag = None;
                self.fault = Some(error.to_string());
            }
        }
    }

    fn is_within(&self, max_lag: Duration) -> bool {
        let hangs = self.looking.is_some_and(|since| since.elapsed() > TIMEOUT);
        self.fault.is_none() && !hangs && self.lag.is_some_and(|lag| lag <= max_lag)
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("target", &self.target).field("state", &*self.state()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State { known: VecDeque::new(), lag: None, fault: None, looking: None }
    }

    #[test]
    fn a_replica_is_behind_since_the_first_version_that_it_lacks() {
        let mut state = state();
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        assert!(!state.is_within(Duration::from_mins(1)), "nobody has looked");
        state.note(Ok(5), 5, ago(30));
        assert_eq!(state.lag, Some(Duration::ZERO));
        state.note(Ok(5), 7, ago(20));
        state.note(Ok(5), 9, ago(10));
        let lag = state.lag.unwrap();
        assert!(lag >= Duration::from_secs(20) && lag < Duration::from_secs(29), "{lag:?}");
        assert!(state.is_within(Duration::from_secs(29)) && !state.is_within(Duration::from_secs(19)));
        state.note(Ok(8), 9, ago(0));
        assert!(state.lag.unwrap() < Duration::from_secs(19));
        state.note(Ok(12), 9, ago(0));
        assert_eq!(state.lag, Some(Duration::ZERO), "it may be ahead of what is known here");
    }

    #[test]
    fn a_replica_that_does_not_answer_is_not_asked_until_it_does() {
        let mut state = state();
        state.note(Err(StoreError::unavailable("it is gone")), 1, Instant::now());
        assert!(!state.is_within(Duration::from_mins(1)));
        state.note(Ok(1), 1, Instant::now());
        assert!(state.is_within(Duration::ZERO));
    }
}
