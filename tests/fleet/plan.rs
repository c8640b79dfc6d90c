//! What goes wrong with servers during a run, by a plan that chance makes of a seed.

use std::ops::Range;
use std::sync::{Condvar, Mutex};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::history::Moment;
use crate::nodes::Fleet;

/// The most operations that are waited for while the database is away.
const AWAY: u64 = 300;

/// The size of clock jumps in seconds: more than verdicts are cached, and less than the tests' tokens are valid.
const STEP: i64 = 1_200;

/// Something that goes wrong, and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Episode {
    RedisKilled,
    RedisStopped,
    RedisRestarted,
    RedisFlushed,
    DatabaseKilled,
    DatabaseStopped,
    DatabaseRestarted,
    /// The server dies, and its successor lacks the newest changes: as after a failover to a standby that was behind,
    /// or a restore from a backup.
    DatabaseFailedOver,
    /// The tables are restored to an older state by a transaction, while all daemons stay connected.
    DatabaseRestored,
    ClockStepped,
    LogTakenAway,
    NodeKilled,
}

/// The tables that are saved and restored.
const TABLES: [&str; 4] = ["entities", "entity_versions", "changes", "was"];

/// The lock that excludes other writers, as daemons take it.
const WRITER: &str = "SELECT pg_advisory_xact_lock(1094928211)";

impl Episode {
    pub const ALL: [Self; 12] = [
        Self::RedisKilled,
        Self::RedisStopped,
        Self::RedisRestarted,
        Self::RedisFlushed,
        Self::DatabaseKilled,
        Self::DatabaseStopped,
        Self::DatabaseRestarted,
        Self::DatabaseFailedOver,
        Self::DatabaseRestored,
        Self::ClockStepped,
        Self::LogTakenAway,
        Self::NodeKilled,
    ];

    /// If the episode loses data: the time from which on commits will be lost.
    fn begin(self, fleet: &Fleet, node: usize, now: &impl Fn() -> Moment) -> Option<Moment> {
        match self {
            Self::RedisKilled => fleet.redis.kill(),
            Self::RedisStopped => fleet.redis.stop(),
            Self::RedisRestarted => fleet.redis.restart(),
            Self::RedisFlushed => fleet.redis.flush(),
            Self::DatabaseKilled => fleet.postgres.kill(),
            Self::DatabaseStopped => fleet.postgres.stop(),
            Self::DatabaseRestarted => fleet.postgres.restart(),
            Self::DatabaseFailedOver => {
                fleet.postgres.kill();
                fleet.postgres.back_up();
                let since = now();
                fleet.postgres.start_again();
                return Some(since);
            }
            Self::DatabaseRestored => {
                // Writes acknowledged before this are in the copy.
                let since = now();
                let copy =
                    |table| format!("DROP TABLE IF EXISTS saved_{table}; CREATE TABLE saved_{table} AS TABLE {table};");
                fleet.sql(&format!("BEGIN; {WRITER}; {} COMMIT;", TABLES.map(copy).concat()));
                return Some(since);
            }
            Self::ClockStepped => fleet.step_clock(node, STEP),
            Self::LogTakenAway => fleet.take_log_away(node),
            Self::NodeKilled => fleet.kill(node),
        }
        None
    }

    fn end(self, fleet: &Fleet, node: usize) {
        match self {
            Self::RedisKilled => fleet.redis.restart(),
            Self::RedisStopped => fleet.redis.cont(),
            Self::RedisRestarted | Self::RedisFlushed | Self::DatabaseRestarted => {}
            Self::DatabaseKilled => fleet.postgres.start_again(),
            Self::DatabaseStopped => fleet.postgres.cont(),
            Self::DatabaseFailedOver => {
                fleet.postgres.kill();
                fleet.postgres.restore();
                fleet.postgres.start_again();
            }
            Self::DatabaseRestored => {
                let put_back = |table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM saved_{table};");
                // The trigger of `changes` would write into `was` again.
                let quiet = "SET LOCAL session_replication_role = replica";
                fleet.sql(&format!("BEGIN; {WRITER}; {quiet}; {} COMMIT;", TABLES.map(put_back).concat()));
            }
            Self::ClockStepped => fleet.step_clock(node, 0),
            Self::LogTakenAway => {
                fleet.kill(node);
                fleet.put_log_back(node);
                fleet.start_again(node);
            }
            Self::NodeKilled => fleet.start_again(node),
        }
    }

    /// Whether the database does not answer during the episode.
    fn is_outage(self) -> bool {
        matches!(self, Self::DatabaseKilled | Self::DatabaseStopped | Self::DatabaseRestarted)
    }
}

/// Faults of the database.
#[derive(Debug, Default)]
pub struct Outages {
    /// Periods without an answer.
    pub away: Vec<Range<Moment>>,
    /// Losses of data.
    pub losses: Vec<Range<Moment>>,
}

/// How far the clients are.
#[derive(Debug, Default)]
pub struct Progress {
    done: Mutex<u64>,
    more: Condvar,
}

impl Progress {
    /// So many operations more are done; how many these are now.
    pub fn add(&self, count: u64) -> u64 {
        let mut done = self.done.lock().unwrap();
        *done += count;
        self.more.notify_all();
        *done
    }

    /// How many are done.
    pub fn done(&self) -> u64 {
        *self.done.lock().unwrap()
    }

    fn wait_for(&self, count: u64) {
        drop(self.more.wait_while(self.done.lock().unwrap(), |done| *done < count).unwrap());
    }
}

/// Runs all episodes `rounds` times in a random order, evenly distributed over the operations. Returns the faults of
/// the database.
pub fn run(
    fleet: &Fleet,
    progress: &Progress,
    chance: &mut StdRng,
    (rounds, operations): (u64, u64),
    now: impl Fn() -> Moment,
) -> Outages {
    let mut episodes = Vec::new();
    for _ in 0..rounds {
        let mut round = Episode::ALL;
        round.shuffle(chance);
        episodes.extend(round);
    }
    let mut outages = Outages::default();
    let each = operations / (episodes.len() as u64 + 1);
    for (nth, episode) in (1..).zip(episodes) {
        progress.wait_for(nth * each);
        let node = chance.random_range(0..fleet.count());
        let before = now();
        let loses = episode.begin(fleet, node, &now);
        let began = now();
        // Nothing goes fast while the database is away.
        let lasts = if episode.is_outage() { (each / 10).min(AWAY) } else { each / 2 };
        progress.wait_for(nth * each + lasts);
        let ending = now();
        episode.end(fleet, node);
        let ended = now();
        if episode.is_outage() {
            outages.away.push(before..ended);
        } else if episode == Episode::DatabaseFailedOver {
            outages.away.extend([before..began, ending..ended]);
        }
        outages.losses.extend(loses.map(|since| since..ended));
    }
    outages
}
