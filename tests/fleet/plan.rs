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
    NodeKilled,
}

impl Episode {
    pub const ALL: [Self; 8] = [
        Self::RedisKilled,
        Self::RedisStopped,
        Self::RedisRestarted,
        Self::RedisFlushed,
        Self::DatabaseKilled,
        Self::DatabaseStopped,
        Self::DatabaseRestarted,
        Self::NodeKilled,
    ];

    fn begin(self, fleet: &Fleet, node: usize) {
        match self {
            Self::RedisKilled => fleet.redis.kill(),
            Self::RedisStopped => fleet.redis.stop(),
            Self::RedisRestarted => fleet.redis.restart(),
            Self::RedisFlushed => fleet.redis.flush(),
            Self::DatabaseKilled => fleet.postgres.kill(),
            Self::DatabaseStopped => fleet.postgres.stop(),
            Self::DatabaseRestarted => fleet.postgres.restart(),
            Self::NodeKilled => fleet.kill(node),
        }
    }

    fn end(self, fleet: &Fleet, node: usize) {
        match self {
            Self::RedisKilled => fleet.redis.restart(),
            Self::RedisStopped => fleet.redis.cont(),
            Self::RedisRestarted | Self::RedisFlushed | Self::DatabaseRestarted => {}
            Self::DatabaseKilled => fleet.postgres.start_again(),
            Self::DatabaseStopped => fleet.postgres.cont(),
            Self::NodeKilled => fleet.start_again(node),
        }
    }

    fn is_of_the_database(self) -> bool {
        matches!(self, Self::DatabaseKilled | Self::DatabaseStopped | Self::DatabaseRestarted)
    }
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

/// Runs `rounds` times through all episodes, in an order that chance makes, evenly over so many operations; answers when the
/// database was away.
pub fn run(
    fleet: &Fleet,
    progress: &Progress,
    chance: &mut StdRng,
    (rounds, operations): (u64, u64),
    now: impl Fn() -> Moment,
) -> Vec<Range<Moment>> {
    let mut episodes = Vec::new();
    for _ in 0..rounds {
        let mut round = Episode::ALL;
        round.shuffle(chance);
        episodes.extend(round);
    }
    let mut outages = Vec::new();
    let each = operations / (episodes.len() as u64 + 1);
    for (nth, episode) in (1..).zip(episodes) {
        progress.wait_for(nth * each);
        let node = chance.random_range(0..fleet.count());
        let begun = now();
        episode.begin(fleet, node);
        // Nothing goes fast while the database is away.
        let lasts = if episode.is_of_the_database() { (each / 10).min(AWAY) } else { each / 2 };
        progress.wait_for(nth * each + lasts);
        episode.end(fleet, node);
        if episode.is_of_the_database() {
            outages.push(begun..now());
        }
    }
    outages
}
