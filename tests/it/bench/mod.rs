//! `acgs bench` against real daemons: what it measures, marks, refuses and finds.

mod compliance;
mod marks;
mod proxy;
mod refusals;
mod regression;
mod results;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Output, Stdio};

use serde_json::{Value, json};

use crate::audit::Exported;
use crate::harness::{Setup, TestDaemon};

/// A run that has ended.
struct Ended {
    code: Option<i32>,
    told: String,
    result: Value,
    html: String,
}

/// A question that the shipped constitution permits.
fn permitted() -> Value {
    json!({
        "subject": {"type": "Agent", "id": "helper"},
        "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "calculator"},
    })
}

/// The folder of a setup's reports.
fn folder(setup: &Setup) -> PathBuf {
    setup.data_dir().join("../report")
}

/// The arguments of a short run against a daemon.
fn arguments(setup: &Setup, url: &str, more: &[&str]) -> Vec<String> {
    let report = folder(setup).display().to_string();
    let usual = ["--url", url, "--report", &report, "--keys", "60", "--connections", "8"];
    ["bench"].iter().chain(more).chain(&usual).map(|text| (*text).to_owned()).collect()
}

fn url(daemon: &TestDaemon) -> String {
    format!("http://{}", daemon.address())
}

/// Runs it to its end.
#[track_caller]
fn run(setup: &Setup, url: &str, more: &[&str]) -> Ended {
    ended(setup, &setup.run(arguments(setup, url, more)))
}

/// Runs it meanwhile.
fn start(setup: &Setup, url: &str, more: &[&str]) -> Child {
    setup.command(arguments(setup, url, more)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[track_caller]
fn ended(setup: &Setup, output: &Output) -> Ended {
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let read =
        |name: &str| fs::read_to_string(folder(setup).join(name)).unwrap_or_else(|error| panic!("{error}: {told}"));
    let (json, html) = (read("result.json"), read("report.html"));
    Ended { code: output.status.code(), told, result: serde_json::from_str(&json).unwrap(), html }
}

impl Ended {
    fn verdict(&self, name: &str) -> &Value {
        let verdicts = self.result["tests"][0]["verdicts"].as_array().unwrap();
        verdicts.iter().find(|verdict| verdict["name"] == name).unwrap_or_else(|| panic!("no `{name}`: {}", self.told))
    }

    /// The exit code that belongs to the verdicts; latencies depend on the machine.
    fn expected_code(&self) -> i32 {
        let tests = self.result["tests"].as_array().unwrap().iter();
        let mut verdicts = tests.flat_map(|test| test["verdicts"].as_array().unwrap());
        i32::from(verdicts.any(|verdict| verdict["outcome"] == "missed"))
    }
}

/// The records of a run.
fn marked(setup: &Setup, run: &Value) -> Vec<Value> {
    assert!(run.is_string());
    Exported::from(setup, 0).records.into_iter().filter(|record| record["bench"] == *run).collect()
}

#[test]
fn a_load_is_measured_and_reported_with_a_verdict_for_each_target() {
    let setup = Setup::new();
    let daemon = setup.start();
    let ended = run(&setup, &url(&daemon), &["load", "--duration", "3s"]);
    assert_eq!(ended.code, Some(ended.expected_code()), "{}", ended.told);
    let test = &ended.result["tests"][0];
    let (load, mix) = (&test["load"], &ended.result["mix"]);
    assert_eq!((&test["kind"], &test["rate"]), (&"load".into(), &150.into()));
    assert_eq!(
        (&load["offered"], &load["answered"], &load["unexpected"]),
        (&450.into(), &450.into(), &0.into()),
        "{load}"
    );
    for name in ["p99", "p95", "p50", "throughput", "hit_rate", "memory", "cpu", "errors"] {
        assert!(ended.verdict(name)["value"].is_number(), "{name}: {}", ended.verdict(name));
        assert!(ended.told.contains(ended.verdict(name)["label"].as_str().unwrap()), "{name}: {}", ended.told);
    }
    assert_eq!(ended.verdict("errors")["outcome"], "met");
    assert_eq!(ended.verdict("throughput")["outcome"], "met");
    // Questions fit the vocabulary, so that policies decide each of them.
    let reasons: Vec<&String> = mix["tried"].as_object().unwrap().keys().collect();
    assert!(reasons.iter().all(|reason| ["permitted", "forbidden", "no_permit"].contains(&reason.as_str())), "{mix}");
    assert!(mix["stored_entities"].as_u64().unwrap() > 0, "{mix}");
    // The mix is what was asked for, and the floor was measured in the same time.
    assert_eq!(
        (&mix["permitted_keys"], &mix["denied_keys"], &mix["permits_percent"]),
        (&30.into(), &30.into(), &50.into())
    );
    for floor in ["livez", "sync"] {
        assert!(load["floor"][floor]["count"].as_u64().unwrap() >= 30, "{load}");
    }
    assert_eq!(load["client_lateness"]["count"], 450);
    assert!(load["floor"]["p50_ratio"].is_number() && load["hit_percent"].as_f64().unwrap() > 0.0, "{load}");
    let counted: u64 = load["intervals"].as_array().unwrap().iter().map(|one| one["answered"].as_u64().unwrap()).sum();
    assert_eq!(counted, 450);
    assert!(load["daemon"].as_array().unwrap().iter().any(|sample| sample["memory_bytes"].is_number()), "{load}");
    // The page needs nothing else.
    for part in ["Latency by percentile", "Cache hit rate", "Memory of the daemon", "Open descriptors", "floor: /livez"]
    {
        assert!(ended.html.contains(part), "{part}");
    }
    for outside in ["<script", "http-equiv", "src=", "@import", "url("] {
        assert!(!ended.html.contains(outside), "{outside}");
    }
    // All decisions are recorded with the name of the run: those of the load, the warm-up, and one before them.
    let records = marked(&setup, &ended.result["run"]);
    assert_eq!(records.len(), 450 + 4 * 60 + 1);
    let permits = records.iter().filter(|record| record["decision"] == true).count();
    assert!((250..450).contains(&permits), "{permits}");
    assert!(records.iter().all(|record| record["kind"] == "decision"));
}

#[test]
fn a_missed_target_ends_with_1() {
    let setup = Setup::new().set("cache.l1.capacity", 0).set("cache.l2.url", "").set("cache.l3.capacity", 0);
    let daemon = setup.start();
    let ended = run(&setup, &url(&daemon), &["stress", "--duration", "1s", "--permits", "100"]);
    assert_eq!(ended.verdict("hit_rate")["outcome"], "missed", "{}", ended.told);
    assert_eq!(ended.code, Some(1), "{}", ended.told);
    assert!(ended.html.contains("missed"));
    assert_eq!(ended.result["mix"]["denied_keys"], 0);
    assert_eq!(ended.result["tests"][0]["load"]["offered"], 300);
}

#[test]
fn the_mix_is_what_the_constitution_permits() {
    for (name, permits, wanted) in [("open", 100, "denied"), ("closed", 0, "permitted")] {
        let setup = Setup::new().constitution(&crate::audit::constitution(name));
        let daemon = setup.start();
        let ended = run(&setup, &url(&daemon), &["load", "--duration", "1s"]);
        let mix = &ended.result["mix"];
        assert_eq!((&mix["permits_percent"], &mix["wanted_percent"]), (&permits.into(), &50.into()), "{mix}");
        let note = mix["note"].as_str().unwrap();
        assert!(note.contains(wanted) && ended.html.contains(note), "{note}");
        assert_eq!(ended.verdict("errors")["outcome"], "met", "{}", ended.told);
    }
}
