//! `acgs client …`: the services that call by themselves.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{Ask, list, print_json};
use super::{EXIT_IO, fail, print_line};
use crate::daemon::Source;
use crate::domain::percent_encode;

/// Client commands.
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a client, and print its id and its secret.
    Add {
        /// The client's label.
        name: String,
        /// A role: `admin`, `operator`, `policy_author`, `ratifier`, `auditor`, `agent`. May be given several times.
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
        /// A file with its public keys (a JWK set), in place of a secret.
        #[arg(long, value_name = "FILE")]
        jwks: Option<PathBuf>,
        /// Answer with one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the clients.
    List {
        /// Answer with one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Keep a client out, and end its tokens.
    Disable {
        /// The client's id.
        id: String,
    },
    /// Let a client in again.
    Enable {
        /// The client's id.
        id: String,
    },
    /// Give a client a new secret, and end its tokens.
    Secret {
        /// The client's id.
        id: String,
        /// Answer with one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Remove a client.
    Remove {
        /// The client's id.
        id: String,
    },
}

/// Exits with 0, or 1 where the daemon refuses.
pub fn run(command: &Command, source: &Source) -> ExitCode {
    match &command.action {
        Action::Add { name, roles, jwks, json } => {
            let mut body = json!({"name": name, "roles": roles});
            if let Some(file) = jwks {
                let keys = fs::read_to_string(file).map_err(|error| error.to_string());
                let keys = keys.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
                match (keys, body.as_object_mut()) {
                    (Ok::<Value, _>(keys), Some(members)) => drop(members.insert("jwks".to_owned(), keys)),
                    (Err(error), _) => return fail(&format!("cannot read `{}`: {error}", file.display()), EXIT_IO),
                    (Ok(_), None) => {}
                }
            }
            let json = *json;
            Ask::post("/v1/clients", body).run(source, move |client| show(client, json))
        }
        Action::List { json } => list(source, "/v1/clients", &["client_id", "name", "roles", "disabled"], *json),
        Action::Disable { id } => change(source, id, json!({"disabled": true}), false),
        Action::Enable { id } => change(source, id, json!({"disabled": false}), false),
        Action::Secret { id, json } => change(source, id, json!({"new_secret": true}), *json),
        Action::Remove { id } => Ask::delete(format!("/v1/clients/{}", percent_encode(id))).run(source, |_| ()),
    }
}

fn change(source: &Source, id: &str, body: Value, json: bool) -> ExitCode {
    Ask::patch(format!("/v1/clients/{}", percent_encode(id)), body).run(source, move |client| show(client, json))
}

fn show(client: &Value, json: bool) {
    if json {
        return print_json(client);
    }
    let text = |member: &str| client.get(member).and_then(Value::as_str);
    if let Some(secret) = text("client_secret") {
        print_line(&format!("client_id     {}", text("client_id").unwrap_or_default()));
        print_line(&format!("client_secret {secret}"));
    } else if let Some(id) = text("client_id") {
        print_line(&format!("client_id     {id}"));
    }
}
