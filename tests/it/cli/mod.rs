//! The command line: what it prints, how it exits, and what it refuses to start with.

mod commands;
mod faults;
mod refusals;
mod size;

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::harness::TestDaemon;
use serde_json::json;

/// Exit code and both outputs of a command.
fn outcome(output: &Output) -> (Option<i32>, &str, &str) {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Every part has to be in the text.
#[track_caller]
fn names(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

/// Lets the daemon decide and record.
fn decide(daemon: &TestDaemon, times: usize) {
    for _ in 0..times {
        let question = json!({
            "subject": {"type": "Agent", "id": "helper"},
            "action": {"name": "call_tool"},
            "resource": {"type": "Tool", "id": "calculator"},
        });
        assert_eq!(daemon.post("/access/v1/evaluation", &question).status, 200);
    }
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
