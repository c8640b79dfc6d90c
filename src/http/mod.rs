//! The front: parses, asks, answers. The only place that knows status codes.

mod audit;
mod audit_search;
mod authzen;
mod body;
mod constitution;
mod decide;
pub mod door;
mod entities;
mod entity_body;
mod front;
mod health;
mod page;
mod problem;
mod problem_pages;
mod recording;
mod server;
mod validate;

pub use front::Shared;
pub use server::{Bound, bind};
