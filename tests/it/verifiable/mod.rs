//! The audit log is what the daemon says it is: checked from outside, by a verifier that shares no code with it.
//!
//! The verifier uses Go's own transparency log packages (`tests/independent/verifier`). Without Go or these packages,
//! the tests that need it say so and pass.

mod checkpoints;
mod growth;
mod liar;
mod proofs;
mod rotation;
mod routes;
mod server;
mod verifier;
mod witnesses;
mod witnesses_that_fail;

use crate::audit;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{PATIENCE, Request, Setup, TestDaemon};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How many evaluations a batch takes.
const BATCH: u64 = 1000;

/// A daemon that permits everything, and has time for large batches on a busy machine.
fn patient() -> Setup {
    audit::setup().in_files().set("http.request_timeout_ms", 30_000).set("http.shutdown_timeout_s", 60)
}

/// The address that the log's routes are under.
fn site(daemon: &TestDaemon) -> String {
    format!("{}/v1/audit", host(daemon))
}

/// The daemon's own address.
fn host(daemon: &TestDaemon) -> String {
    format!("http://{}", daemon.address())
}

/// What a command prints that must succeed.
#[track_caller]
fn printed<'a>(setup: &Setup, arguments: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let output = setup.run(arguments);
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// What a command says that must end with that code.
#[track_caller]
fn refused<'a>(setup: &Setup, arguments: impl IntoIterator<Item = &'a str>, code: i32) -> String {
    let output = setup.run(arguments);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The log's public key.
#[track_caller]
fn vkey(setup: &Setup) -> String {
    String::from_utf8(printed(setup, ["audit", "vkey"])).unwrap().trim_end().to_owned()
}

/// The log's public key, which the first start makes.
#[track_caller]
fn first_vkey(setup: &Setup) -> String {
    assert!(setup.start().stop().success());
    vkey(setup)
}

/// Asks once; where the decision is in the log.
#[track_caller]
fn decide(daemon: &TestDaemon) -> u64 {
    let answer = daemon.ask(&audit::question(1));
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["context"]["audit_index"].as_u64().unwrap()
}

/// Asks so many questions in one request.
#[track_caller]
fn decide_many(daemon: &TestDaemon, count: u64) {
    let tool = |nth: u64| json!({"resource": {"type": "Tool", "id": format!("tool-{}", nth % 50)}});
    let body = json!({
        "subject": {"type": "Agent", "id": "agent"},
        "action": {"name": "call_tool"},
        "evaluations": (0..count).map(tool).collect::<Value>(),
    });
    let answer = daemon.post("/access/v1/evaluations", &body);
    assert_eq!(answer.status, 200, "{answer}");
}

/// How many records are durable.
#[track_caller]
fn size(daemon: &TestDaemon) -> u64 {
    daemon.get("/v1/audit").json()["size"].as_u64().unwrap()
}

/// Asks until the log has just so many records.
#[track_caller]
fn grow_to(daemon: &TestDaemon, wanted: u64) {
    loop {
        let size = size(daemon);
        assert!(size <= wanted, "the log has {size} records instead of {wanted}");
        if size == wanted {
            return;
        }
        decide_many(daemon, (wanted - size).min(BATCH));
    }
}

/// The newest checkpoint, once it covers a record.
#[track_caller]
fn checkpoint_over(daemon: &TestDaemon, index: u64) -> String {
    let proof = daemon.get(&format!("/v1/audit/entries/{index}/proof"));
    assert_eq!(proof.status, 200, "{proof}");
    let checkpoint = served_checkpoint(daemon);
    assert!(covered(&checkpoint) > index, "{checkpoint}");
    checkpoint
}

/// The newest checkpoint.
#[track_caller]
fn served_checkpoint(daemon: &TestDaemon) -> String {
    let answer = daemon.get("/v1/audit/log/checkpoint");
    assert_eq!(answer.status, 200, "{answer}");
    answer.text().to_owned()
}

/// How many records a checkpoint covers.
#[track_caller]
fn covered(checkpoint: &str) -> u64 {
    checkpoint.lines().nth(1).unwrap().parse().unwrap()
}

/// Files that a test hands to a verifier.
struct Shelf(TempDir);

impl Shelf {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Puts a file there; its path.
    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Another setup with a copy of the data folder of a daemon that is stopped.
fn copy_of(setup: &Setup) -> Setup {
    let copy = patient();
    copy_folder(&setup.data_dir(), &copy.data_dir());
    copy
}

fn copy_folder(from: &Path, to: &PathBuf) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, kind) = (entry.as_ref().unwrap(), entry.as_ref().unwrap().file_type().unwrap());
        let to = to.join(entry.file_name());
        if kind.is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// Looks again and again until there is something, where nothing tells when to look.
#[track_caller]
fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Status and slug of a problem, as `404 not-found`.
#[track_caller]
fn problem(daemon: &TestDaemon, request: &Request) -> String {
    let answer = daemon.ask(request);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{request:?}: {answer}");
    let slug = answer.json()["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned();
    format!("{} {slug}", answer.status)
}
