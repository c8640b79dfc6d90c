//! Tests of the real binary, which they start in temporary folders and on free ports.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../audit/mod.rs"]
mod audit;
#[path = "../harness/mod.rs"]
mod harness;

mod auth;
mod authzen;
mod bad_input;
mod bench;
mod bind;
mod cli;
mod corrupt;
mod dependencies;
mod documents;
mod equals_uncached;
mod events;
mod faults;
mod http;
mod issuers;
mod kill;
mod layers;
mod monitor;
mod monitoring;
mod oauth_library;
mod openapi;
mod reload;
mod replay;
mod replicas;
mod search;
mod servers;
mod systemd;
mod tampering;
mod token_keys;
mod traces;
mod verifiable;
mod warming;
mod wycheproof;
