//! `acgs user …`: users who may log in.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{Ask, list, print_json};
use super::{EXIT_IO, fail, print_line};
use crate::auth::secret;
use crate::daemon::Source;
use crate::domain::percent_encode;

/// User commands.
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a user. Without a file its password is made up, and printed.
    Add {
        /// The name to log in with.
        name: String,
        /// A role: `admin`, `operator`, `policy_author`, `ratifier`, `auditor`, `agent`. May be given several times.
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
        /// A file with the password.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Answer with one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the users.
    List {
        /// Answer with one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Keep a user out, and end its sessions.
    Disable {
        /// The user's name.
        name: String,
    },
    /// Let a user in again.
    Enable {
        /// The user's name.
        name: String,
    },
    /// Give a user another password, and end its sessions. Without a file it is made up, and printed.
    Password {
        /// The user's name.
        name: String,
        /// A file with the password.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Remove a user.
    Remove {
        /// The user's name.
        name: String,
    },
}

/// Exits with 0, or 1 where the daemon refuses.
pub fn run(command: &Command, source: &Source) -> ExitCode {
    match &command.action {
        Action::Add { name, roles, password_file, json } => {
            let (password, made_up) = match password(password_file.as_ref()) {
                Ok(password) => password,
                Err(code) => return code,
            };
            let body = json!({"name": name, "password": password, "roles": roles});
            let json = *json;
            Ask::post("/v1/users", body).run(source, move |user| show(user, &password, made_up, json))
        }
        Action::List { json } => list(source, "/v1/users", &["name", "roles", "disabled"], *json),
        Action::Disable { name } => change(source, name, json!({"disabled": true})),
        Action::Enable { name } => change(source, name, json!({"disabled": false})),
        Action::Password { name, password_file } => {
            let (password, made_up) = match password(password_file.as_ref()) {
                Ok(password) => password,
                Err(code) => return code,
            };
            let ask = Ask::patch(format!("/v1/users/{}", percent_encode(name)), json!({"password": password}));
            ask.run(source, move |_| {
                if made_up {
                    print_line(&password);
                }
            })
        }
        Action::Remove { name } => Ask::delete(format!("/v1/users/{}", percent_encode(name))).run(source, |_| ()),
    }
}

fn change(source: &Source, name: &str, body: Value) -> ExitCode {
    Ask::patch(format!("/v1/users/{}", percent_encode(name)), body).run(source, |_| ())
}

/// The password of a file, or a new one.
fn password(file: Option<&PathBuf>) -> Result<(String, bool), ExitCode> {
    let Some(file) = file else { return Ok((secret::password(), true)) };
    let text = fs::read_to_string(file);
    let text = text.map_err(|error| fail(&format!("cannot read `{}`: {error}", file.display()), EXIT_IO))?;
    Ok((text.trim_end_matches(['\r', '\n']).to_owned(), false))
}

fn show(user: &Value, password: &str, made_up: bool, json: bool) {
    if json {
        let mut user = user.clone();
        if let (true, Some(members)) = (made_up, user.as_object_mut()) {
            members.insert("password".to_owned(), password.into());
        }
        print_json(&user);
    } else if made_up {
        print_line(password);
    }
}
