//! Several daemons on one PostgreSQL and one Redis stay consistent: acknowledged writes are stored, and visible
//! elsewhere in time, while servers are killed and stopped, the database is restored to an older state, clocks jump,
//! and folders are removed. Skipped if the servers are not installed.
//!
//! The default numbers are for everyday runs. Variables ask for more; each test prints its results:
//!
//! ```sh
//! ACGS_FLEET_OPERATIONS=1000000 cargo test --test fleet -- --nocapture
//! ACGS_FLEET_SEED=7 cargo test --test fleet -- --nocapture
//! ```
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../harness/mod.rs"]
mod harness;

#[expect(dead_code, reason = "it is for others too")]
#[path = "../it/equals_uncached/archive.rs"]
mod archive;
mod cache_outages;
mod callers;
mod cells;
mod checker;
mod clock;
mod consistency;
mod database_outages;
mod differential;
mod history;
mod late_database;
mod lost_changes;
mod nodes;
mod plan;
mod pool;
mod pooler;
mod table_lock;
mod world;

/// How many operations a test makes, unless the variable says so.
fn operations(usual: u64) -> u64 {
    number("ACGS_FLEET_OPERATIONS").unwrap_or(usual)
}

/// What all chance of a run begins with.
fn seed() -> u64 {
    number("ACGS_FLEET_SEED").unwrap_or(1)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().unwrap())
}
