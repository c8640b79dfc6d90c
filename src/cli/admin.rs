//! Requests to the daemon from its host's administrator: over the admin socket, or, if no daemon runs, to its parts run
//! for the command.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::{fail, finish, print_fault, print_line};
use crate::actors::decision::registry::OnObjections;
use crate::daemon::{self, DaemonError, Source};

/// How long the daemon may take.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The status of a change or withdrawal that is accepted but not completed.
const ACCEPTED: u16 = 202;

/// A request to the daemon.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    method: &'static str,
    path: String,
    body: Option<Value>,
}

/// The daemon's answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// The whole head.
    head: String,
    /// The body.
    pub(super) body: String,
}

impl Ask {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), body: None }
    }

    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: "POST", path: path.into(), body: Some(body) }
    }

    pub(super) fn put(path: impl Into<String>, body: Value) -> Self {
        Self { method: "PUT", path: path.into(), body: Some(body) }
    }

    pub(super) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { method: "PATCH", path: path.into(), body: Some(body) }
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self { method: "DELETE", path: path.into(), body: None }
    }

    /// Sends the request to the daemon of these settings, and prints its answer with `show`. Exits with 0, or 1 if the
    /// daemon refuses.
    pub(super) fn run(self, source: &Source, show: impl FnOnce(&Value) + Send + 'static) -> ExitCode {
        at_daemon(source, move |socket| match self.ask(socket) {
            Ok(answer) if answer.is_delayed() => {
                print_fault(&answer.refusal());
                ExitCode::SUCCESS
            }
            Ok(answer) if answer.is_done() => {
                show(&answer.json());
                ExitCode::SUCCESS
            }
            Ok(answer) => fail(&answer.refusal(), 1),
            Err(error) => not_answering(socket, &error),
        })
    }

    /// Asks, with the constitution in force named: it may be demanded.
    pub(super) fn ask(&self, socket: &Path) -> io::Result<Answer> {
        let alive = send(socket, "GET", "/livez", "", None)?;
        let hash = alive.header("x-constitutional-hash").unwrap_or_default();
        let named = format!("X-Constitutional-Hash: {hash}\r\n");
        send(socket, self.method, &self.path, &named, self.body.as_ref())
    }
}

/// Prints a list of the daemon, with all of its pages: as one JSON object, or these members of each item as columns.
/// Exits with 0, or 1 if the daemon refuses.
pub(super) fn list(source: &Source, path: &'static str, columns: &'static [&'static str], json: bool) -> ExitCode {
    at_daemon(source, move |socket| {
        let mut items = Vec::new();
        let mut page = format!("{path}?limit=1000");
        loop {
            let answer = match Ask::get(page).ask(socket) {
                Ok(answer) if answer.is_done() => answer.json(),
                Ok(answer) => return fail(&answer.refusal(), 1),
                Err(error) => return not_answering(socket, &error),
            };
            items.extend(answer.get("items").and_then(Value::as_array).into_iter().flatten().cloned());
            let Some(cursor) = answer.get("next_cursor").and_then(Value::as_str) else { break };
            page = format!("{path}?limit=1000&cursor={cursor}");
        }
        if json {
            print_json(&json!({"items": items, "next_cursor": null}));
        } else {
            print_table(&items, columns);
        }
        ExitCode::SUCCESS
    })
}

/// Runs a job with the admin socket of the daemon of these settings, or of its parts if none runs.
fn at_daemon(source: &Source, job: impl FnOnce(&Path) -> ExitCode + Send + 'static) -> ExitCode {
    let settings = match source.load() {
        Ok(loaded) => loaded.settings,
        Err(faults) => return finish(Err(DaemonError::Settings(faults))),
    };
    let socket = daemon::admin_socket(&settings.data_dir);
    match UnixStream::connect(&socket) {
        Ok(_) => job(&socket),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            daemon::run_embedded(source, job).unwrap_or_else(|error| finish(Err(error)))
        }
        Err(error) => fail(&format!("cannot reach the daemon at `{}`: {error}", socket.display()), 1),
    }
}

fn not_answering(socket: &Path, error: &io::Error) -> ExitCode {
    fail(&format!("the daemon does not answer at `{}`: {error}", socket.display()), 1)
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Whether the change has ended successfully; an answer with 202 tells the outcome later.
    fn is_done(&self) -> bool {
        self.status < 300 && self.status != ACCEPTED
    }

    /// Whether access was withdrawn, but the withdrawal is not recorded yet.
    fn is_delayed(&self) -> bool {
        self.status == ACCEPTED && self.json().get("recorded") == Some(&Value::Bool(false))
    }

    /// The reason for a refusal, or what remains to be done, for an administrator.
    pub(super) fn refusal(&self) -> String {
        match self.json().get("detail").and_then(Value::as_str) {
            Some(detail) => detail.to_owned(),
            None => format!("the daemon answers with status {}", self.status),
        }
    }
}

/// One request on a connection of its own, which ends with the answer.
fn send(socket: &Path, method: &str, path: &str, headers: &str, body: Option<&Value>) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}{kind}Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let malformed = || io::Error::other("its answer is not HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// Shows a JSON object on one line.
pub(super) fn print_json(value: &Value) {
    print_line(&value.to_string());
}

/// Shows members of each item as columns, below their names. A true member shows as its name.
fn print_table(items: &[Value], columns: &[&str]) {
    print_line(&columns.join("\t"));
    for item in items {
        let cells = columns.iter().map(|column| match item.get(*column) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(texts)) if !texts.is_empty() => {
                texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
            }
            Some(Value::Bool(true)) => (*column).to_owned(),
            Some(Value::Null | Value::Bool(false) | Value::Array(_)) | None => "-".to_owned(),
            Some(other) => other.to_string(),
        });
        print_line(&cells.collect::<Vec<_>>().join("\t"));
    }
}

/// Makes the running daemon reload settings and constitution. Exits with 0, or 1 if it refuses or no daemon runs.
pub(super) fn reload(source: &Source, on_objections: OnObjections) -> ExitCode {
    let path = match on_objections {
        OnObjections::Refuse => "/v1/constitution/reload",
        OnObjections::Override => "/v1/constitution/reload?force=true",
    };
    running(source, &Ask { method: "POST", path: path.to_owned(), body: None }, reload_refused, |answer| {
        let told = answer.json();
        let digest = told.pointer("/new/digest").and_then(Value::as_str).unwrap_or_default();
        print_line(&format!("in force: {digest}"));
        for key in told.get("restart_required").and_then(Value::as_array).into_iter().flatten() {
            let key = key.as_str().unwrap_or_default();
            print_line(&format!("`{key}` was changed, but takes effect only after a restart"));
        }
    })
}

/// Prints the status of the running daemon. Exits with 0 if it is ready, otherwise 1.
pub(super) fn status(source: &Source) -> ExitCode {
    running(source, &Ask::get("/readyz?verbose"), Answer::refusal, |answer| print_line(answer.body.trim_end()))
}

/// Why a reload was refused, and which constitution stays in force.
fn reload_refused(answer: &Answer) -> String {
    let hash = answer.header("x-constitutional-hash").unwrap_or_default();
    format!("the reload is refused, `{hash}` stays in force: {}", answer.refusal())
}

/// Asks a daemon that runs; `refused` words its refusal.
pub(super) fn running(
    source: &Source,
    ask: &Ask,
    refused: impl FnOnce(&Answer) -> String,
    show: impl FnOnce(&Answer),
) -> ExitCode {
    let settings = match source.load() {
        Ok(loaded) => loaded.settings,
        Err(faults) => return finish(Err(DaemonError::Settings(faults))),
    };
    let socket = daemon::admin_socket(&settings.data_dir);
    match ask.ask(&socket) {
        Ok(answer) if answer.is_done() => {
            show(&answer);
            ExitCode::SUCCESS
        }
        Ok(answer) => fail(&refused(&answer), 1),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            let folder = settings.data_dir.display();
            let told = format!(
                "no daemon runs on the data folder `{folder}`: start it, or name its settings with `--settings`"
            );
            fail(&told, 1)
        }
        Err(error) => fail(&format!("no daemon answers at `{}`: {error}", socket.display()), 1),
    }
}
