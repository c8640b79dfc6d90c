//! Which database the tests of the store run on: SQLite files, or a PostgreSQL server of their own where
//! `ACGS_TEST_TIERS` names one.

use std::path::Path;

use crate::store::Target;

/// The server, as the tests of the whole daemon start it.
#[path = "../../../tests/harness"]
#[allow(
    dead_code,
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the part that is needed is used, and a test ends where its harness fails"
)]
pub(super) mod harness {
    pub mod authority;
    pub mod postgres;
    mod server;

    pub const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);
}

/// The file, or an empty database of the server.
pub fn target(path: &Path) -> Target {
    if !is_server() {
        return Target::from(path);
    }
    let server = harness::postgres::Postgres::shared();
    Target::from(&*server.url(&server.create_database()))
}

/// Whether the test is about SQLite files only, and others are used now.
pub fn is_elsewhere() -> bool {
    let elsewhere = is_server();
    if elsewhere {
        println!("skipped: this is about the files of SQLite");
    }
    elsewhere
}

fn is_server() -> bool {
    std::env::var("ACGS_TEST_TIERS").is_ok_and(|tiers| tiers.starts_with("postgresql"))
}
