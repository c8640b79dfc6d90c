//! The store over a real SQLite file.

mod callers;
mod cycles;
mod entities;
mod following;
mod logins;
mod opening;
mod rollback;
pub(super) mod server;
mod switchover;
mod tokens;
mod upgrade;
mod writers;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel_migrations::MigrationHarness as _;
use tempfile::TempDir;

use super::database_spec::DatabaseSpec;
use super::*;

/// A store in a folder of its own, which goes when this is dropped.
struct Stored {
    store: Store,
    options: StoreOptions,
    _folder: TempDir,
}

impl Stored {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { target: server::target(&folder.path().join("acgs.db")), ..options(folder.path()) };
        Self { store: Store::open(&options).unwrap(), options, _folder: folder }
    }

    /// A connection beside the pool.
    fn connection(&self) -> DbSession {
        open(&self.options.target, self.options.acquire_timeout).unwrap()
    }
}

/// Reverts all migrations of a database whose versions, which are dates, are not before `since`.
pub(super) fn downgrade(conn: &mut Connection, spec: &DatabaseSpec, since: &str) {
    loop {
        let (sqlite, postgres) = ((spec.migrations.sqlite)(), (spec.migrations.postgres)());
        let newest = match conn {
            Connection::Sqlite(conn) => conn.applied_migrations().unwrap().into_iter().max().map(|it| it.to_string()),
            Connection::Postgres(conn) => conn.applied_migrations().unwrap().into_iter().max().map(|it| it.to_string()),
        };
        if newest.is_none_or(|newest| newest.as_str() < since) {
            return;
        }
        match conn {
            Connection::Sqlite(conn) => drop(conn.revert_last_migration(sqlite).unwrap()),
            Connection::Postgres(conn) => drop(conn.revert_last_migration(postgres).unwrap()),
        }
    }
}

fn options(path: &Path) -> StoreOptions {
    StoreOptions {
        target: path.into(),
        size: NonZeroU32::new(4).unwrap(),
        max_overflow: 0,
        min_idle: 1,
        pre_ping: true,
        recycle: Duration::from_hours(1),
        health_check: Duration::from_secs(30),
        acquire_timeout: Duration::from_secs(10),
    }
}

/// A closed database with some entities, in a folder of its own.
fn closed_database() -> (TempDir, PathBuf, Vec<Entity>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acgs.db");
    let entities = (0..40).map(|n| user(&format!("user-{n:02}"), n)).collect::<Vec<_>>();
    let mut conn = open(&Target::from(&*path), Duration::from_secs(10)).unwrap();
    super::entities::put_many(&mut conn, &entities, |_| Ok(())).unwrap();
    (folder, path, entities)
}

fn uid(id: &str) -> EntityUid {
    EntityUid::new("User", id)
}

/// A user with attributes, parents and tags that depend on `n`.
fn user(id: &str, n: i64) -> Entity {
    let text = format!(
        r#"{{"uid":{{"type":"User","id":""}},"attrs":{{"n":{n},"name":"Zoë \"Z\"","deep":{{"list":[1,true,null]}}}},
            "parents":[{{"type":"Team","id":"t{n}"}}],"tags":{{"t":"{n}"}}}}"#
    );
    let entity = serde_json::from_str::<Entity>(&text).unwrap();
    Entity { uid: uid(id), ..entity }
}
