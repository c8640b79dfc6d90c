//! What callers feel of it when a server is away.

use std::error::Error;
use std::thread;
use std::time::Duration;

use crate::backing::{Backing, Kind};
use crate::daemon::Daemon;
use crate::harness::postgres::Postgres;
use crate::harness::redis::Redis;
use crate::stored::{hot_questions, user};
use crate::{Effort, Outcome, bundles};

/// Questions a second, each asked once, about stored users that are in the cache of the process.
const RATE: u32 = 1_000;

/// Latency while Redis or PostgreSQL does not answer, is not there, or starts again.
pub fn outages(effort: Effort) -> Outcome {
    let bundle = bundles::write(3, 0)?;
    let backing = Backing::start(Kind::PostgresRedis);
    let daemon = backing.daemon(1_000, user, bundle.path())?;
    let (postgres, redis) = backing.postgres.as_ref().zip(backing.redis.as_ref()).ok_or("no servers")?;
    hot_questions(&daemon, 0, RATE, Duration::from_secs(2))?;
    let mut round = 0;
    let length = effort.open_loop();
    for _ in 0..effort.rounds {
        for outage in [
            Outage::None,
            Outage::RedisStopped,
            Outage::RedisKilled,
            Outage::PostgresRestarts,
            Outage::PostgresStopped,
            Outage::PostgresKilled,
            Outage::None,
        ] {
            round += 1;
            outage.measure(&daemon, (postgres, redis), round, length)?;
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    None,
    RedisStopped,
    RedisKilled,
    PostgresRestarts,
    PostgresStopped,
    PostgresKilled,
}

impl Outage {
    /// The outage begins after a quarter of the time, and ends after three quarters of it.
    fn measure(self, daemon: &Daemon, servers: (&Postgres, &Redis), round: usize, length: Duration) -> Outcome {
        let (postgres, redis) = servers;
        let run = thread::scope(|scope| -> Result<_, Box<dyn Error>> {
            let outage = scope.spawn(|| {
                thread::sleep(length / 4);
                self.begin(postgres, redis);
                thread::sleep(length / 2);
                self.end(postgres, redis);
            });
            let run = hot_questions(daemon, round, RATE, length);
            outage.join().map_err(|_| "the outage ended by itself")?;
            run
        })?;
        println!("{}: {}; {} unavailable", self.name(), run.latencies, run.unavailable);
        Ok(())
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "all is there",
            Self::RedisStopped => "Redis is stopped for half of the time",
            Self::RedisKilled => "Redis is killed, and away for half of the time",
            Self::PostgresRestarts => "PostgreSQL restarts",
            Self::PostgresStopped => "PostgreSQL is stopped for half of the time",
            Self::PostgresKilled => "PostgreSQL is killed, and away for half of the time",
        }
    }

    fn begin(self, postgres: &Postgres, redis: &Redis) {
        match self {
            Self::None => {}
            Self::RedisStopped => redis.stop(),
            Self::RedisKilled => redis.kill(),
            Self::PostgresRestarts => postgres.restart(),
            Self::PostgresStopped => postgres.stop(),
            Self::PostgresKilled => postgres.kill(),
        }
    }

    fn end(self, postgres: &Postgres, redis: &Redis) {
        match self {
            Self::None | Self::PostgresRestarts => {}
            Self::RedisStopped => redis.cont(),
            Self::RedisKilled => redis.restart(),
            Self::PostgresStopped => postgres.cont(),
            Self::PostgresKilled => postgres.start_again(),
        }
    }
}
