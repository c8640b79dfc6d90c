//! What happens beside decisions is in the audit log, whole, before it takes effect and before it is answered.

mod caches;
mod constitutions;
mod database;
mod entities;
mod lifecycle;
mod log_level;
mod unwritable;

use crate::audit;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::audit::Exported;
use crate::harness::{PATIENCE, Request, Setup, Signal, TestDaemon};
use serde_json::Value;

/// The records from an index on, without what differs each time.
#[track_caller]
fn events(setup: &Setup, from: u64) -> Vec<Value> {
    let mut records = Exported::from(setup, from).records;
    // Alerts are about failures that a test makes.
    records.retain(|record| record["kind"] != "part" && record["kind"] != "alert");
    for record in &mut records {
        let members = record.as_object_mut().unwrap();
        for (member, length) in [("id", 36), ("ts", 27)] {
            assert_eq!(members.remove(member).unwrap().as_str().unwrap().len(), length);
        }
        assert_eq!(members.remove("v").unwrap(), 1);
        members.remove("index");
        members.remove("revision");
        members.remove("before");
    }
    records
}

/// What the records of changes from an index on say that the database was at before them, and is at after them.
#[track_caller]
fn revisions(setup: &Setup, from: u64) -> Vec<[String; 2]> {
    let records = Exported::from(setup, from).records;
    let changes = records.iter().filter(|record| record.get("before").is_some());
    changes.map(|record| ["before", "revision"].map(|member| record[member].as_str().unwrap().to_owned())).collect()
}

/// As whom the harness calls.
const ADMIN: &str = "https://tests.example#admin";

/// Their kinds, with what happened: `start`, `constitution activated`.
fn names(events: &[Value]) -> Vec<String> {
    let name = |record: &Value| match record["event"].as_str() {
        Some(event) => format!("{} {event}", record["kind"].as_str().unwrap()),
        None => record["kind"].as_str().unwrap().to_owned(),
    };
    events.iter().map(name).collect()
}

/// How many records there are.
fn size(setup: &Setup) -> u64 {
    Exported::from(setup, 0).records.len() as u64
}

/// The members of a record that have these names.
fn members<const N: usize>(record: &Value, names: [&str; N]) -> [Value; N] {
    names.map(|name| record[name].clone())
}

/// Asks again and again until it is so, which comes without an event to wait for.
#[track_caller]
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(since.elapsed() < PATIENCE, "never {what}");
    }
}

/// A daemon whose constitution can be switched between those of `tests/audit`.
fn switchable(setup: Setup) -> Setup {
    let link = link(&setup);
    let setup = setup.constitution(&link);
    switch(&setup, &audit::constitution("open"));
    setup
}

fn link(setup: &Setup) -> PathBuf {
    setup.data_dir().with_file_name("constitution")
}

fn switch(setup: &Setup, to: &Path) {
    let new = link(setup).with_extension("new");
    symlink(to, &new).unwrap();
    fs::rename(new, link(setup)).unwrap();
}

fn reload() -> Request {
    Request::post("/v1/constitution/reload")
}

/// Reloads by signal, and waits until it is done.
fn hang_up(daemon: &TestDaemon) {
    daemon.signal(Signal::HUP);
    daemon.wait_for("READY=1");
}

/// The digest of a bundle, as `acgs constitution hash` prints it.
fn digest(setup: &Setup, bundle: &Path) -> String {
    let output = setup.run(["constitution".as_ref(), "hash".as_ref(), bundle.as_os_str()]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("digest ")).unwrap().to_owned()
}

/// Where the bundle of a digest is kept.
fn kept(setup: &Setup, digest: &str) -> PathBuf {
    setup.data_dir().join("constitutions").join(digest)
}
