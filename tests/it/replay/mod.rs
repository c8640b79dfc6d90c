//! Every decision can be made again from the log alone, with the same result; changes of the constitution show.
//!
//! `ACGS_REPLAY_DECISIONS` changes how many decisions are made, `100000` for the full size.

mod archive;
mod changed;
mod digested;
mod everything;
mod large;
mod outages;
mod shared;
mod summary;
mod tampered;
pub mod world;
