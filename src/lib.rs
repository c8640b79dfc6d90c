//! ACGS-2: may this be done under our constitution?
//!
//! The layers, top to bottom; imports point down only, and `tests/layers.rs` holds that:
//! `cli` → `daemon` → `http` → `actors`, `replay` → `constitution`, `auth`, `ledger`, `store`, `logging` → `settings` → `domain`.

pub mod actors;
pub mod auth;
pub mod cli;
pub mod constitution;
pub mod daemon;
pub mod domain;
pub mod http;
pub mod ledger;
pub mod logging;
pub mod replay;
pub mod settings;
pub mod store;
