//! ACGS-2: a governance daemon, which decides under a constitution what AI systems may do.
//!
//! The layers, top to bottom; imports point down only, which `tests/it/layers` checks:
//! `cli` → `daemon` → `http` → `actors`, `replay`, `bench` → `constitution`, `auth`, `ledger`, `store`, `logging`, `metrics`,
//! `trace` → `settings` → `domain`.

pub mod actors;
pub mod auth;
pub mod bench;
pub mod cli;
pub mod constitution;
pub mod daemon;
pub mod domain;
pub mod http;
pub mod ledger;
pub mod logging;
pub mod metrics;
pub mod replay;
pub mod settings;
pub mod store;
pub mod trace;
