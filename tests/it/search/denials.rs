//! Denials over time, over HTTP.

use serde_json::{Value, json};

use crate::harness::{Answer, Setup, TestDaemon, until};

const DENIALS: &str = "/v1/audit/denials";

/// A deny that violates a principle, by this subject.
fn deny(daemon: &TestDaemon, subject: &str) {
    let question = json!({
        "subject": {"type": "Agent", "id": subject},
        "action": {"name": "deploy_model"},
        "resource": {"type": "Model", "id": "m1"},
        "context": {"risk": 8, "human_approved": false},
    });
    let answer = daemon.post("/access/v1/evaluation", &question);
    assert_eq!(answer.json()["context"]["reason"], "forbidden", "{answer}");
}

/// Waits until all is indexed.
fn settle(daemon: &TestDaemon) {
    until("everything is indexed", || {
        let audit = daemon.get("/v1/audit").json();
        audit["database"]["lag"] == 0
    });
}

/// Names and totals of all series, each with its total spread over the intervals.
#[track_caller]
fn series(answer: &Answer) -> Vec<(String, u64)> {
    assert_eq!(answer.status, 200, "{answer}");
    let shown = answer.json();
    assert_eq!((&shown["complete"], &shown["others"]), (&json!(true), &json!(0)), "{answer}");
    let series = shown["series"].as_array().unwrap().iter().map(|series| {
        let counts: Vec<u64> = series["counts"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        let total = series["total"].as_u64().unwrap();
        assert_eq!((counts.iter().sum::<u64>(), counts.len()), (total, 60), "{series}");
        (series["name"].as_str().unwrap().to_owned(), total)
    });
    series.collect()
}

#[test]
fn denials_are_shown_by_principle_subject_and_reason() {
    let daemon = Setup::new().start();
    assert_eq!(series(&daemon.get(DENIALS)), []);
    for subject in ["builder", "builder", "helper"] {
        deny(&daemon, subject);
    }
    let permitted = json!({
        "subject": {"type": "Agent", "id": "helper"},
        "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "calculator"},
    });
    assert_eq!(daemon.post("/access/v1/evaluation", &permitted).json()["decision"], true);
    settle(&daemon);
    let by = |key: &str| series(&daemon.get(&format!("{DENIALS}?by={key}")));
    let named = |rows: &[(&str, u64)]| rows.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(by("subject"), named(&[("Agent::\"builder\"", 2), ("Agent::\"helper\"", 1)]));
    assert_eq!(by("reason"), named(&[("forbidden", 3)]));
    assert_eq!(by("principle"), named(&[("human-oversight", 3)]));
    assert_eq!(by("principle"), series(&daemon.get(DENIALS)), "the default");
    // The dashboard goes from a series to its decisions.
    for search in ["principle=human-oversight", "reason=forbidden", "decision=false"] {
        let found = daemon.get(&format!("/v1/audit/entries?kind=decision&{search}")).json();
        assert_eq!(found["items"].as_array().map(Vec::len), Some(3), "{search}: {found}");
    }
    let past = daemon.get(&format!("{DENIALS}?until=2020-01-01T00:00:00Z&since=2019-12-31T23:00:00Z"));
    assert_eq!(series(&past), []);
}

#[test]
fn a_count_out_of_bounds_is_refused_with_every_fault() {
    let daemon = TestDaemon::start();
    let pointers = |query: &str| -> Vec<Value> {
        let answer = daemon.get(&format!("{DENIALS}?{query}"));
        assert_eq!(answer.status, 400, "{query}: {answer}");
        let errors = answer.json()["errors"].as_array().unwrap().clone();
        errors.into_iter().map(|error| error["pointer"].clone()).collect()
    };
    assert_eq!(pointers("by=colour&since=yesterday&interval_s=0"), ["/since", "/by", "/interval_s"]);
    assert_eq!(pointers("since=2026-01-01T00:00:00Z&until=2026-03-01T00:00:00Z&interval_s=86400"), ["/since"]);
    assert_eq!(pointers("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"), ["/since"]);
    assert_eq!(pointers("since=2026-01-01T00:00:00Z&until=2026-01-31T00:00:00Z"), ["/interval_s"]);
    assert_eq!(daemon.get(&format!("{DENIALS}?colour=red")).status, 400);
    assert_eq!(daemon.get(&format!("{DENIALS}?interval_s=-1")).status, 400);
}
