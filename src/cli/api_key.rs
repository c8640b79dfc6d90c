//! `acgs api-key …`: keys that are sent with each request.

use std::num::NonZeroU32;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{Ask, list, print_json};
use super::print_line;
use crate::daemon::Source;
use crate::domain::percent_encode;

/// API key commands.
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key, and print it. It is not shown again.
    Add {
        /// The key's label.
        name: String,
        /// A scope: decide, read, entities:read, entities:write, constitution:write, audit:read, auth:write, ops. May
        /// be given several times.
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
        /// A network it may be used from, such as 10.0.0.0/8. May be given several times.
        #[arg(long = "network")]
        networks: Vec<String>,
        /// How often a second it may be used.
        #[arg(long, value_name = "N")]
        rate_per_s: Option<NonZeroU32>,
        /// When it is no longer good, such as 2030-01-31T12:00:00Z.
        #[arg(long)]
        expires_at: Option<String>,
        /// Answer with one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the keys.
    List {
        /// Answer with one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Withdraw a key.
    Revoke {
        /// The key's id.
        id: String,
    },
}

/// Exits with 0, or 1 where the daemon refuses.
pub fn run(command: &Command, source: &Source) -> ExitCode {
    match &command.action {
        Action::Add { name, scopes, networks, rate_per_s, expires_at, json } => {
            let body = json!({"name": name, "scopes": scopes, "networks": networks, "rate_per_s": rate_per_s,
                "expires_at": expires_at});
            let json = *json;
            Ask::post("/v1/api-keys", body).run(source, move |key| match key.get("key").and_then(Value::as_str) {
                Some(text) if !json => print_line(text),
                _ => print_json(key),
            })
        }
        Action::List { json } => {
            let columns = &["id", "name", "scopes", "networks", "last_used_at", "expires_at", "revoked_at"];
            list(source, "/v1/api-keys", columns, *json)
        }
        Action::Revoke { id } => Ask::delete(format!("/v1/api-keys/{}", percent_encode(id))).run(source, |_| ()),
    }
}
