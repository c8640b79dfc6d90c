//! Searches of the audit log find what a naive filter finds in all of it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod audit;
mod harness;

#[path = "search/combinations.rs"]
mod combinations;
#[path = "search/corpus.rs"]
mod corpus;
#[path = "search/parameters.rs"]
mod parameters;
#[path = "replay/world.rs"]
mod world;
