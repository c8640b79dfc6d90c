//! What a measured daemon stores in, with entities in it.

use std::error::Error;
use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use acgs::domain::Entity;
use acgs::store::{Store, StoreOptions, Target};
use tempfile::TempDir;

use crate::daemon::{Daemon, scratch};
use crate::harness::postgres::Postgres;
use crate::harness::redis::Redis;

/// Entities stored at once.
const BATCH: u64 = 10_000;

/// What there is to store in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file of the daemon's own.
    Sqlite,
    /// A server.
    Postgres,
    /// The same, and Redis for verdicts.
    PostgresRedis,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::PostgresRedis];

    /// How it is called in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::PostgresRedis => "PostgreSQL and Redis",
        }
    }
}

/// The servers of one daemon, with their own defaults; they sync to disk.
pub struct Backing {
    /// Where entities are, unless it is in a file.
    pub postgres: Option<Postgres>,
    /// Where verdicts are shared.
    pub redis: Option<Redis>,
    database: Option<String>,
}

impl Backing {
    /// Starts the servers.
    pub fn start(kind: Kind) -> Self {
        let postgres = (kind != Kind::Sqlite).then(Postgres::start);
        let redis = (kind == Kind::PostgresRedis).then(|| Redis::options().start());
        let database = postgres.as_ref().map(|server| server.url(&server.create_database()));
        Self { postgres, redis, database }
    }

    /// Stores entities, and starts a daemon over them.
    pub fn daemon(
        &self,
        count: u64,
        entity: impl Fn(u64) -> Entity,
        constitution: &Path,
    ) -> Result<Daemon, Box<dyn Error>> {
        let data = TempDir::new_in(scratch())?;
        fs::create_dir(data.path().join("data"))?;
        let target = match &self.database {
            Some(url) => Target::from(&**url),
            None => data.path().join("data/acgs.db").into(),
        };
        let store = Store::open(&StoreOptions {
            target,
            size: NonZeroU32::MIN,
            max_overflow: 0,
            min_idle: 1,
            pre_ping: false,
            recycle: Duration::from_hours(1),
            health_check: Duration::from_secs(30),
            acquire_timeout: Duration::from_secs(10),
        })?;
        for first in (0..count).step_by(usize::try_from(BATCH)?) {
            let batch: Vec<Entity> = (first..count.min(first + BATCH)).map(&entity).collect();
            store.put_many(&batch, |_| Ok(()))?;
        }
        drop(store);
        Ok(self.daemon_on(data, constitution)?)
    }

    /// Starts a daemon on a data folder that was used with these servers before.
    pub fn daemon_on(&self, data: TempDir, constitution: &Path) -> io::Result<Daemon> {
        let redis = self.redis.as_ref().map(Redis::url);
        let database = self.database.as_ref().map(|url| ("ACGS_DATABASE__URL", url.as_str()));
        let redis = redis.as_ref().map(|url| ("ACGS_CACHE__L2__URL", url.as_str()));
        let variables: Vec<(&str, &str)> = database.into_iter().chain(redis).collect();
        Daemon::start_with(data, constitution, &variables)
    }
}
