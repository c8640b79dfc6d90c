//! Which database the tests of the store run on: SQLite files, or the PostgreSQL server that `ACGS_TEST_POSTGRES` names.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use diesel::{Connection as _, PgConnection};

use crate::store::Target;

/// The file, or an empty database of the server.
pub fn target(path: &Path) -> Target {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let Some(server) = url() else { return Target::from(path) };
    let name = format!("unit_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let (place, options) = server.split_once('?').unwrap_or((&server, ""));
    let mut conn = PgConnection::establish(&format!("{place}/postgres?{options}")).unwrap();
    conn.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    Target::Postgres(format!("{place}/{name}?{options}"))
}

/// Whether the test is about SQLite files only, and others are used now.
pub fn is_elsewhere() -> bool {
    let elsewhere = url().is_some();
    if elsewhere {
        eprintln!("skipped: it is about SQLite files");
    }
    elsewhere
}

fn url() -> Option<String> {
    std::env::var("ACGS_TEST_POSTGRES").ok()
}
