//! A daemon over the archive, whose constitution can be switched, and those who change what it has stored.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};

use acgs::constitution::Constitution;
use serde_json::Value;

use super::world::{Chance, constitution, large_ones, patient};
use crate::audit::Exported;
use crate::harness::{Answer, Connection, Request, Setup, Signal, TestDaemon};

/// The archive with two constitutions, of which one is in force.
pub struct Archive {
    pub setup: Setup,
    folder: tempfile::TempDir,
}

impl Archive {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("in-force");
        let archive = Self { setup: patient(Setup::new()).constitution(&link), folder };
        copy(&constitution(), &archive.place("first"));
        // Other permits, other advice, and it reads less.
        archive.changed("second", "read\", Action::\"write", "read\", Action::\"share");
        edit(&archive.place("second"), "thaw the team", "ask the team");
        edit(&archive.place("second"), "resource.owner.manager == principal", "context has n");
        archive.put_in_force("first");
        archive
    }

    /// A bundle of this archive.
    pub fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a bundle that has a text in place of another one, which is there once.
    pub fn changed(&self, name: &str, from: &str, to: &str) -> PathBuf {
        let place = self.place(name);
        copy(&self.place("first"), &place);
        edit(&place, from, to);
        place
    }

    /// The hashes of both constitutions.
    pub fn hashes(&self) -> Vec<String> {
        let hash = |name| Constitution::load(&self.place(name)).unwrap().hash().to_string();
        vec![hash("first"), hash("second")]
    }

    /// Changes which bundle is to be loaded next.
    pub fn put_in_force(&self, name: &str) {
        let new = self.place("in-force.new");
        symlink(self.place(name), &new).unwrap();
        fs::rename(new, self.place("in-force")).unwrap();
    }

    /// Starts the daemon, stores what is large, and asks for decisions that read it.
    pub fn start_with_large_ones(&self) -> TestDaemon {
        let daemon = self.setup.start();
        for request in large_ones() {
            let answer = daemon.ask(&request);
            assert!(answer.status < 300, "{answer}");
        }
        daemon
    }
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Puts a text in place of another one in a bundle's policies.
pub fn edit(bundle: &Path, from: &str, to: &str) {
    let file = bundle.join("policies/archive.cedar");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    fs::write(file, text.replace(from, to)).unwrap();
}

/// Connections over which entities are written and deleted.
pub struct Writers {
    threads: Vec<JoinHandle<usize>>,
}

/// Lets one change of an entity happen.
pub type Turns = mpsc::Sender<()>;

impl Writers {
    /// Starts so many, which end when nobody has their turns any more.
    pub fn start(daemon: &TestDaemon, count: u64, seed: u64) -> (Self, Turns) {
        let (turns, taken) = mpsc::channel();
        let taken = Arc::new(Mutex::new(taken));
        let writer = |number: u64| {
            let (taken, mut connection) = (Arc::clone(&taken), daemon.connect());
            let mut chance = Chance::new(seed * 1_000 + number);
            thread::spawn(move || {
                let mut written = 0;
                let mut hash = String::new();
                let turn = || taken.lock().unwrap().recv().is_ok();
                while turn() {
                    let Ok(answer) = under_any(&mut connection, &mut hash, &chance.write()) else { break };
                    assert!([200, 201, 204, 404].contains(&answer.status), "{answer}");
                    written += usize::from(answer.status < 300);
                }
                written
            })
        };
        (Self { threads: (0..count).map(writer).collect() }, turns)
    }

    /// Gives nobody a turn any more, and waits until all that were given are taken.
    pub fn finish(self, turns: Turns) -> usize {
        drop(turns);
        self.end()
    }

    /// How many writes and deletes were answered.
    pub fn end(self) -> usize {
        self.threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    }
}

/// Asks under whatever constitution is in force, even where callers must name it.
fn under_any(connection: &mut Connection, hash: &mut String, request: &Request) -> std::io::Result<Answer> {
    loop {
        let request = request.clone();
        let request = if hash.is_empty() { request } else { request.header("X-Constitutional-Hash", hash) };
        let answer = connection.try_ask(&request)?;
        answer.header("x-constitutional-hash").unwrap().clone_into(hash);
        if answer.status != 409 {
            return Ok(answer);
        }
    }
}

/// Reloads by the route.
pub fn reload_by_route(daemon: &TestDaemon) {
    let reload = Request::post("/v1/constitution/reload");
    let answer = under_any(&mut daemon.connect(), &mut String::new(), &reload).unwrap();
    assert_eq!(answer.status, 200, "{answer}");
}

/// Reloads by signal.
pub fn reload_by_signal(daemon: &TestDaemon) {
    daemon.signal(Signal::HUP);
    daemon.wait_for("READY=1");
}

/// What `acgs audit replay` says.
#[derive(Debug)]
pub struct Replayed {
    pub code: Option<i32>,
    /// How many decisions were decided again.
    pub decided: usize,
    /// Those that differ, by index.
    pub different: HashMap<u64, String>,
    /// Why others were not decided again, by index.
    pub undecided: HashMap<u64, String>,
}

/// Runs it; what it counts must be what it lists.
#[track_caller]
pub fn replay(setup: &Setup, arguments: &[&str]) -> Replayed {
    let output = setup.run([&["audit", "replay"], arguments].concat());
    assert!(output.stderr.is_empty() && output.status.code().is_some_and(|code| code < 2), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let summary = lines.pop().unwrap();
    let (mut different, mut undecided) = (HashMap::new(), HashMap::new());
    lines.retain(|line| !line.starts_with("by "));
    for line in lines {
        let (place, what) = line.split_once(": ").unwrap();
        let index = place.split_once(' ').unwrap().0.parse().unwrap();
        let before = match what.strip_prefix("not decided again: ") {
            Some(why) => undecided.insert(index, why.to_owned()),
            None => different.insert(index, what.to_owned()),
        };
        assert!(before.is_none(), "{line}");
    }
    let decided: usize = summary.split(' ').next().unwrap().parse().unwrap();
    let (count, others) = (different.len(), undecided.len());
    assert_eq!(summary, format!("{decided} decided again, {count} differ; {others} could not be decided again"));
    assert_eq!(output.status.code(), Some(i32::from(count + others > 0)), "{summary}");
    Replayed { code: output.status.code(), decided, different, undecided }
}

/// Why the decision of a record cannot be made again, if it cannot.
pub fn why_undecided(record: &Value) -> Option<&'static str> {
    if record["request"].is_object() {
        return Some("the record has only a digest of the request");
    }
    (record["reason"] == "unavailable").then_some("it was denied since something was not available")
}

/// The decisions of a log.
pub fn decisions(exported: &Exported) -> impl Iterator<Item = &Value> {
    exported.records.iter().filter(|record| record["kind"] == "decision")
}

/// The index of a record.
pub fn index(record: &Value) -> u64 {
    record["index"].as_u64().unwrap()
}
