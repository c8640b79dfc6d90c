//! The real binary in a throwaway folder, and a small client for it.
//!
//! Nothing here sleeps or polls: the daemon says `READY=1` on a `NOTIFY_SOCKET` as it does under systemd, and a thread
//! that waits for its process says there that it is gone. Its standard error is a file, so what it wrote before it said
//! something is there when that is heard.
//!
//! ```ignore
//! let daemon = Setup::new().set("http.max_in_flight", 1).start();
//! assert_eq!(daemon.get("/livez").status, 200);
//! assert!(daemon.stop().success());
//! ```
#![allow(
    dead_code,
    unused_imports,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "each test binary uses the part it needs, and a test ends where its harness fails"
)]

pub mod authority;
pub mod collector;
mod daemon;
mod http;
pub mod issuer;
pub mod pgbouncer;
pub mod postgres;
pub mod preload;
pub mod redis;
pub mod server;
mod setup;
mod small_disk;
pub mod tiers;

use std::path::Path;
use std::time::Duration;

pub use daemon::{Refused, TestDaemon};
pub use http::{Answer, Connection, Request};
pub use rustix::process::Signal;
pub use server::until;
pub use setup::Setup;
pub use small_disk::SmallDisk;
pub use tiers::{Backup, Tiers};

/// No event is waited for longer than this; reaching it is a failure, never a way to wait.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Says why a test is skipped. If the environment variable `ACGS_TEST_REQUIRE` is set, as in CI, the test fails
/// instead.
#[track_caller]
pub fn skip(why: &str) {
    assert!(std::env::var_os("ACGS_TEST_REQUIRE").is_none(), "not skipped, since `ACGS_TEST_REQUIRE` is set: {why}");
    println!("skipped: {why}");
}

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
