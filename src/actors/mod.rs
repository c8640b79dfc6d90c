//! Actors: they own state and its order. The work itself is in the layers below.

pub mod active;
pub mod audit;
mod background;
pub mod cache;
pub mod database;
pub mod decision;
pub mod fair_queue;
mod file_identity;
pub mod health;
pub mod identity;
mod mailbox;
pub mod monitor;
mod progress;
pub mod write_ticket;

pub use mailbox::{Mailbox, Outcome};

/// The capacity of an actor's mailbox, above the in-flight limit of requests, which is the effective bound.
const MAILBOX_CAPACITY: usize = 1 << 20;
