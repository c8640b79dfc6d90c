//! Every decision can be made again from the log alone, with the same result; changes of the constitution show.
//!
//! `ACGS_REPLAY_DECISIONS` changes how many decisions are made, `100000` for the full size.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod audit;
mod harness;

#[path = "replay/archive.rs"]
mod archive;
#[path = "replay/changed.rs"]
mod changed;
#[path = "replay/digested.rs"]
mod digested;
#[path = "faults/disk.rs"]
#[expect(dead_code, reason = "no full disk is needed here")]
mod disk;
#[path = "replay/everything.rs"]
mod everything;
#[path = "replay/large.rs"]
mod large;
#[path = "replay/outages.rs"]
mod outages;
#[path = "replay/shared.rs"]
mod shared;
#[path = "replay/summary.rs"]
mod summary;
#[path = "replay/tampered.rs"]
mod tampered;
#[path = "replay/world.rs"]
mod world;
