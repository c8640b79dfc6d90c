//! ACGS-2: may this be done under our constitution?
//!
//! The layers, top to bottom; imports point down only, and `tests/layers.rs` holds that:
//! `cli` → `daemon` → `http` → `actors` → `constitution`, `ledger`, `store` → `settings` → `domain`.

pub mod actors;
pub mod constitution;
pub mod domain;
pub mod ledger;
pub mod settings;
pub mod store;
