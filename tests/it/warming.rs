//! What was asked most is in the caches before it is asked again: after a start, and under a new constitution.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::harness::{Answer, PATIENCE, Request, Setup, TestDaemon, repository};
use serde_json::{Value, json};

/// A daemon with one worker, so that it is known whose cache is asked.
fn alone() -> Setup {
    Setup::new().set("http.workers", 1)
}

/// Different questions, some permitted and some not, whose entities are stored, or not.
fn questions() -> Vec<Value> {
    let question = |tool: &str, context: Value| {
        json!({
            "subject": {"type": "Agent", "id": "helper"},
            "action": {"name": "call_tool"},
            "resource": {"type": "Tool", "id": tool},
            "context": context,
        })
    };
    let tools = ["calculator", "web-search", "unknown"].map(|tool| question(tool, json!({})));
    let risks = (0..9).map(|risk| question("calculator", json!({"risk": risk, "purpose": "a \"test\"\nof {é}"})));
    tools.into_iter().chain(risks).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A daemon whose constitution can become another one that decides the same.
fn changeable(setup: &Setup) -> (Setup, impl Fn()) {
    let folder = setup.data_dir().with_file_name("constitution");
    copy(&repository().join("settings/constitution"), &folder);
    let setup = setup.clone().constitution(&folder);
    let change = move || {
        let manifest = folder.join("constitution.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(manifest, text.replace("version = \"1.0.0\"", "version = \"1.0.1\"")).unwrap();
    };
    (setup, change)
}

/// Asks with the name of the constitution in force.
#[track_caller]
fn named(daemon: &TestDaemon, request: Request) -> Answer {
    let hash = daemon.get("/livez").header("x-constitutional-hash").unwrap().to_owned();
    daemon.ask(&request.header("x-constitutional-hash", &hash))
}

/// The member of `/v1/cache` at this place.
#[track_caller]
fn shown(daemon: &TestDaemon, pointer: &str) -> Value {
    named(daemon, Request::get("/v1/cache")).json().pointer(pointer).unwrap().clone()
}

/// Waits until the worker has so many verdicts: it comes without an event to wait for.
#[track_caller]
fn wait_for_verdicts(daemon: &TestDaemon, number: u64) {
    let since = Instant::now();
    while shown(daemon, "/tiers/l1/entries") != json!(number) {
        assert!(since.elapsed() < PATIENCE, "never {number}: {}", shown(daemon, "/tiers/l1"));
    }
}

/// The answers to all questions, without what differs each time.
#[track_caller]
fn answers(daemon: &TestDaemon) -> Vec<(bool, Value)> {
    let ask = |question: &Value| {
        let answer = named(daemon, Request::post("/v1/validate").json(question));
        assert_eq!(answer.status, 200, "{answer}");
        let mut body = answer.json();
        let cached = body["cached"] == json!(true);
        for name in ["decision_id", "audit_index", "duration_us", "cached", "constitutional_hash"] {
            body.as_object_mut().unwrap().remove(name).unwrap();
        }
        (cached, body)
    };
    questions().iter().map(ask).collect()
}

fn log_size(daemon: &TestDaemon) -> u64 {
    named(daemon, Request::get("/v1/audit")).json()["size"].as_u64().unwrap()
}

/// Under a new constitution a worker decides what it found in its cache before, and that is nobody's decision.
#[track_caller]
fn check(setup: &Setup) {
    let (setup, change) = changeable(setup);
    let daemon = setup.start();
    answers(&daemon);
    let before = answers(&daemon);
    let verdicts = before.len() as u64;
    assert_eq!(shown(&daemon, "/tiers/l1/entries"), json!(verdicts));
    let (size, counted) = (log_size(&daemon), shown(&daemon, "/overall"));
    change();
    let reloaded = named(&daemon, Request::post("/v1/constitution/reload"));
    assert_eq!(reloaded.status, 200, "{reloaded}");
    assert_ne!(reloaded.json()["old"], reloaded.json()["new"]);
    wait_for_verdicts(&daemon, 2 * verdicts);
    assert_eq!(log_size(&daemon), size + 1, "only the reload is recorded");
    assert_eq!(shown(&daemon, "/overall"), counted, "nothing of it is counted");
    for ((cached, answer), (_, before)) in answers(&daemon).iter().zip(&before) {
        assert_eq!((*cached, answer), (true, before));
    }
}

#[test]
fn a_new_constitution_finds_the_hottest_questions_decided_already() {
    check(&alone());
}

#[test]
fn it_does_so_too_where_callers_must_name_the_constitution() {
    check(&alone().set("constitution.hash_enforcement", "required"));
}

/// What was asked before is decided, and what is stored is at hand, once a daemon that was started again is warm.
#[test]
fn a_start_finds_the_hottest_questions_decided_already() {
    let setup = alone();
    let daemon = setup.start();
    let before = answers(&daemon);
    let verdicts = before.len() as u64;
    assert_eq!(shown(&daemon, "/tiers/l1/entries"), json!(verdicts));
    assert!(daemon.stop().success());

    let daemon = setup.start();
    let size = log_size(&daemon);
    wait_for_verdicts(&daemon, verdicts);
    assert_eq!(log_size(&daemon), size, "nothing of it is recorded");
    assert_eq!(shown(&daemon, "/overall/hits"), json!(0), "nothing of it is counted");
    for ((cached, answer), (_, before)) in answers(&daemon).iter().zip(&before) {
        assert_eq!((*cached, answer), (true, before));
    }
    let counted = ["/overall/hits", "/overall/misses"].map(|member| shown(&daemon, member));
    assert_eq!(counted, [json!(verdicts), json!(0)]);
    let unasked = json!({
        "subject": {"type": "Agent", "id": "helper"},
        "action": {"name": "read_data"},
        "resource": {"type": "Dataset", "id": "handbook"},
    });
    assert_eq!(named(&daemon, Request::post("/v1/validate").json(&unasked)).status, 200);
    assert_eq!(shown(&daemon, "/tiers/l3/misses"), json!(0), "what is stored is at hand, asked for or not");
}
