//! Where daemons of the tests keep what they store: in files of their own, or in servers that the tests start.
//!
//! The variable `ACGS_TEST_TIERS` says so, for all daemons of a test process: `sqlite` (as without it), `postgresql`,
//! or `postgresql+redis`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::postgres::Postgres;
use super::redis::Redis;

/// What daemons use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tiers {
    /// Files in the data folder.
    Sqlite,
    /// A database of one PostgreSQL server.
    Postgresql,
    /// The same, and a Redis server.
    PostgresqlRedis,
}

impl Tiers {
    /// What `ACGS_TEST_TIERS` says.
    #[track_caller]
    pub fn current() -> Self {
        match std::env::var("ACGS_TEST_TIERS").as_deref() {
            Err(_) | Ok("" | "sqlite") => Self::Sqlite,
            Ok("postgresql") => Self::Postgresql,
            Ok("postgresql+redis") => Self::PostgresqlRedis,
            Ok(other) => panic!("`ACGS_TEST_TIERS` is `{other}`, not `sqlite`, `postgresql` or `postgresql+redis`"),
        }
    }

    /// Whether a test has nothing to do, since it is about files that are there with SQLite only; it says so.
    #[must_use]
    pub fn have_no_files() -> bool {
        let skipped = Self::current() != Self::Sqlite;
        if skipped {
            println!("not tested: this is about the files of SQLite");
        }
        skipped
    }
}

/// What SQLite keeps in a data folder.
const FILES: [&str; 3] = ["acgs.db", "acgs.db-wal", "acgs.db-shm"];

/// The same of the search index of the audit log.
const AUDIT_FILES: [&str; 3] = ["acgs-audit.db", "acgs-audit.db-wal", "acgs-audit.db-shm"];

/// The tables of that copy, where one database has all.
const AUDIT_TABLES: &str = "public.audit_*";

/// Empties them.
const EMPTY_AUDIT_TABLES: &str = "DO $$ DECLARE name TEXT; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE tablename LIKE 'audit\\_%' LOOP
        EXECUTE 'TRUNCATE ' || name || ' CASCADE';
    END LOOP;
END $$";

/// What the daemons of one data folder store in: shared with no other.
#[derive(Debug)]
pub struct Stores {
    database: Option<String>,
    redis: Option<Redis>,
}

impl Stores {
    /// New and empty.
    #[track_caller]
    pub fn of(tiers: Tiers) -> Self {
        let database = (tiers != Tiers::Sqlite).then(|| Postgres::shared().create_database());
        // A server of its own takes 10 ms, and its figures, its messages and its end are nobody else's.
        let redis = (tiers == Tiers::PostgresqlRedis).then(Redis::start);
        Self { database, redis }
    }

    /// What a daemon must be told to use them.
    pub fn environment(&self) -> BTreeMap<&'static str, String> {
        let database = self.database.as_deref().map(|name| ("ACGS_DATABASE__URL", Postgres::shared().url(name)));
        let redis = self.redis.as_ref().map(|redis| ("ACGS_CACHE__L2__URL", redis.url()));
        database.into_iter().chain(redis).collect()
    }

    /// The URL of the database of a data folder.
    pub fn database_url(&self, data: &Path) -> String {
        match &self.database {
            Some(name) => Postgres::shared().url(name),
            None => format!("sqlite:{}", data.join("acgs.db").display()),
        }
    }

    /// The Redis server, where there is one.
    pub fn redis(&self) -> Option<&Redis> {
        self.redis.as_ref()
    }

    /// All that is stored, with the search index of the audit log where there is one database.
    pub fn dump(&self, data: &Path) -> Vec<u8> {
        match &self.database {
            Some(name) => Postgres::shared().dump(name, "public.*").into_bytes(),
            None => FILES.iter().flat_map(|file| fs::read(data.join(file)).unwrap_or_default()).collect(),
        }
    }

    /// All that is in the search index of the audit log.
    pub fn dump_audit(&self, data: &Path) -> Vec<u8> {
        match &self.database {
            Some(name) => Postgres::shared().dump(name, AUDIT_TABLES).into_bytes(),
            None => AUDIT_FILES.iter().flat_map(|file| fs::read(data.join(file)).unwrap_or_default()).collect(),
        }
    }

    /// Takes the search index of the audit log away, while no daemon runs.
    pub fn lose_audit(&self, data: &Path) {
        match &self.database {
            Some(name) => drop(Postgres::shared().sql(name, EMPTY_AUDIT_TABLES)),
            // All but the first are there only after a crash.
            None => AUDIT_FILES.iter().for_each(|file| drop(fs::remove_file(data.join(file)))),
        }
    }

    /// Copies what is stored, while no daemon runs; and the search index of the audit log where there is one database.
    pub fn back_up(&self, data: &Path) -> Backup {
        if let Some(name) = &self.database {
            let copy = Postgres::shared().create_database();
            replace(&copy, name);
            return Backup::Database(copy);
        }
        let folder = tempfile::tempdir().unwrap();
        copy_files(data, folder.path());
        Backup::Folder(folder)
    }

    /// Puts it back, while no daemon runs.
    pub fn restore(&self, data: &Path, backup: &Backup) {
        match (backup, &self.database) {
            (Backup::Folder(folder), None) => copy_files(folder.path(), data),
            (Backup::Database(copy), Some(name)) => replace(name, copy),
            _ => panic!("the backup is of another kind"),
        }
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        if let Some(name) = self.database.as_deref().filter(|_| !std::thread::panicking()) {
            Postgres::shared().drop_database(name);
        }
    }
}

/// What was in a database.
#[derive(Debug)]
pub enum Backup {
    /// Its files.
    Folder(tempfile::TempDir),
    /// A database of the same server.
    Database(String),
}

/// Makes a database be as another is.
fn replace(name: &str, like: &str) {
    let server = Postgres::shared();
    server.drop_database(name);
    server.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {like} OWNER {}", super::postgres::ROLE));
}

/// Copies the database's files, and removes those that are not to be copied.
fn copy_files(from: &Path, to: &Path) {
    for file in FILES {
        let (from, to): (PathBuf, PathBuf) = (from.join(file), to.join(file));
        match fs::copy(from, &to) {
            Err(_) if to.exists() => fs::remove_file(to).unwrap(),
            _ => {}
        }
    }
}
