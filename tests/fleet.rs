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

mod harness;

#[expect(dead_code, reason = "it is for others too")]
#[path = "equals_uncached/archive.rs"]
mod archive;
#[path = "fleet/cache_outages.rs"]
mod cache_outages;
#[path = "fleet/callers.rs"]
mod callers;
#[path = "fleet/cells.rs"]
mod cells;
#[path = "fleet/checker.rs"]
mod checker;
#[path = "fleet/clock.rs"]
mod clock;
#[path = "fleet/consistency.rs"]
mod consistency;
#[path = "fleet/database_outages.rs"]
mod database_outages;
#[path = "fleet/differential.rs"]
mod differential;
#[path = "fleet/history.rs"]
mod history;
#[path = "fleet/late_database.rs"]
mod late_database;
#[path = "fleet/lost_changes.rs"]
mod lost_changes;
#[path = "fleet/nodes.rs"]
mod nodes;
#[path = "fleet/plan.rs"]
mod plan;
#[path = "fleet/pool.rs"]
mod pool;
#[path = "fleet/pooler.rs"]
mod pooler;
#[path = "fleet/table_lock.rs"]
mod table_lock;
#[path = "fleet/world.rs"]
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
