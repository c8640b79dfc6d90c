//! The front: parses, asks, answers. The only place that knows status codes.

mod api_keys;
mod audit;
mod audit_search;
mod authzen;
mod body;
mod clients;
mod consistency;
mod constitution;
mod decide;
pub mod door;
mod entities;
mod entity_body;
mod front;
mod gate;
mod health;
mod limits;
mod listener;
mod local_admin;
mod login;
mod oauth;
mod oauth_client;
mod page;
mod pool;
mod problem;
mod problem_pages;
mod recording;
mod refusals;
mod routes;
mod second_factor;
mod token_keys;
mod users;
mod validate;

pub use front::Shared;
pub use limits::Limits;
pub use listener::{Bound, Listeners, bind, bind_admin};
pub use refusals::Refusals;
