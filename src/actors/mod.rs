//! Actors: they own state and its order. The work itself is in the layers below.

pub mod active;
pub mod application_cache;
pub mod audit_logger;
pub mod audit_queue;
pub mod authenticator;
mod background;
pub mod change_recorder;
pub mod committer;
pub mod database;
pub mod denied;
pub mod directory;
pub mod entity_recorder;
pub mod fair_queue;
pub mod file_monitor;
pub mod follower;
pub mod hasher;
pub mod hit_rates;
pub mod journal;
pub mod key_fetcher;
pub mod key_rates;
pub mod large_requests;
pub mod lockouts;
pub mod log_health;
pub mod log_reader;
pub mod log_rollback;
mod mailbox;
pub mod pace;
pub mod pool_keeper;
mod progress;
pub mod recollection;
pub mod registry;
pub mod replica_watch;
pub mod request_cache;
pub mod retention;
mod seal_error;
pub mod sealer;
pub mod seals;
pub mod searcher;
pub mod service_cache;
mod shipped_batch;
mod shipped_entry;
pub mod shipper;
pub mod shipping;
#[cfg(test)]
mod testing;
pub mod tiers;
pub mod trust;
pub mod validator;
pub mod wall_clock;
pub mod watchdog;
pub mod witnesses;
pub mod write_ticket;

pub use mailbox::{Mailbox, Outcome};

/// The capacity of an actor's mailbox, above the in-flight limit of requests, which is the effective bound.
const MAILBOX: usize = 1 << 20;
