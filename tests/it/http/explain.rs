//! Dry runs: the same answers as decisions, policy by policy, and without any trace.

use serde_json::{Value, json};

use super::{EVALUATION, HASH, call, deployment, permitted, with};
use crate::audit::Exported;
use crate::harness::{Answer, Request, Setup, TestDaemon, issuer};

const EXPLAIN: &str = "/v1/explain";

#[track_caller]
fn explain(daemon: &TestDaemon, question: &Value) -> Value {
    let answer = daemon.post(EXPLAIN, question);
    assert_eq!(answer.status, 200, "{answer}");
    let explained = answer.json();
    assert_eq!(explained["dry_run"], true, "{answer}");
    assert_eq!(explained["constitution"]["hash"], HASH, "{answer}");
    explained
}

/// The context of a decision without what only a record has.
#[track_caller]
fn decided(answer: &Answer) -> (Value, Value) {
    assert_eq!(answer.status, 200, "{answer}");
    let mut answer = answer.json();
    for member in ["id", "audit_index"] {
        assert!(!answer["context"].as_object_mut().unwrap().remove(member).unwrap().is_null());
    }
    (answer["decision"].clone(), answer["context"].clone())
}

fn outcome<'a>(explained: &'a Value, policy: &str) -> &'a Value {
    let policies = explained["policies"].as_array().unwrap();
    policies.iter().find(|shown| shown["id"] == policy).unwrap_or_else(|| panic!("no `{policy}` in {explained}"))
}

/// Questions with all sorts of answers.
fn questions() -> Vec<Value> {
    let unknown = |member: &str, value: Value| {
        let mut question = permitted();
        question[member] = value;
        question
    };
    vec![
        permitted(),
        deployment(),
        with(deployment(), &json!({"context": {"risk": 8, "human_approved": true}})),
        call("no-such-tool"),
        unknown("action", json!({"name": "no_such_action"})),
        unknown("subject", json!({"type": "Nobody", "id": "x"})),
        unknown("subject", json!({"type": "Agent", "id": "x", "properties": {"risk": "high"}})),
        unknown("context", json!({"constitutional_hash": "0000000000000000"})),
    ]
}

#[test]
fn the_explanation_says_what_the_decision_would() {
    let daemon = TestDaemon::start();
    for question in questions() {
        let explained = explain(&daemon, &question);
        let (decision, context) = decided(&daemon.post(EVALUATION, &question));
        assert_eq!((&explained["decision"], &explained["context"]), (&decision, &context), "{question}");
        assert_eq!(explained["reason"], context["reason"], "{question}");
        for policy in context["policies"].as_array().unwrap() {
            assert_eq!(outcome(&explained, policy.as_str().unwrap())["outcome"], "satisfied", "{question}");
        }
    }
}

#[test]
fn each_policy_has_its_outcome_and_its_text() {
    let daemon = TestDaemon::start();
    let explained = explain(&daemon, &deployment());
    let policies = explained["policies"].as_array().unwrap();
    let all = daemon.get("/v1/constitution").json()["counts"]["policies"].as_u64().unwrap();
    assert_eq!((policies.len() as u64, &explained["policies_left_out"]), (all, &json!(0)));
    let forbids = outcome(&explained, "deploy-needs-approval");
    assert_eq!((&forbids["effect"], &forbids["principle"]), (&json!("forbid"), &json!("human-oversight")));
    assert!(forbids["text"].as_str().unwrap().contains("forbid"), "{forbids}");
    let other = outcome(&explained, "anyone-calls-low-risk-tools");
    assert_eq!(
        (&other["outcome"], &other["principle"], &other["detail"]),
        (&json!("not_applicable"), &json!(null), &json!(null))
    );
    for policy in policies {
        let known = ["satisfied", "not_satisfied", "not_applicable", "error"];
        assert!(known.contains(&policy["outcome"].as_str().unwrap()), "{policy}");
        let shown = daemon.get(&format!("/v1/constitution/policies/{}", policy["id"].as_str().unwrap())).json();
        assert_eq!((&policy["text"], &policy["effect"]), (&shown["text"], &shown["effect"]));
    }
    // What does not hold is named in the policy's own text.
    let refused = explain(&daemon, &call("no-such-tool"));
    let near = outcome(&refused, "anyone-calls-low-risk-tools");
    assert_eq!(near["outcome"], "not_satisfied", "{near}");
    assert!(near["detail"].as_str().unwrap().ends_with(" does not hold"), "{near}");
    let stored = explain(&daemon, &permitted());
    let entities = stored["entities"].as_array().unwrap();
    let read = entities.iter().find(|read| read["id"] == "calculator").unwrap_or_else(|| panic!("{stored}"));
    let etag = daemon.get("/v1/entities/Tool/calculator").header("etag").map(str::to_owned);
    assert_eq!(etag, Some(format!("\"{}\"", read["version"])));
    let absent = refused["entities"].as_array().unwrap().iter().find(|read| read["id"] == "no-such-tool");
    assert_eq!(absent, Some(&json!({"type": "Tool", "id": "no-such-tool", "version": null})), "{refused}");
}

#[test]
fn a_dry_run_leaves_no_trace() {
    let setup = Setup::new();
    let daemon = setup.start();
    let records = || Exported::from(&setup, 0).records.len();
    let counted = || {
        let metrics = daemon.get("/metrics").text().to_owned();
        let lines = metrics.lines().filter(|line| {
            line.starts_with("acgs_decisions_total")
                || line.starts_with("acgs_denials_total")
                || line.starts_with("acgs_cache_")
        });
        let lookups = lines.filter(|line| !line.contains("l3") || line.starts_with("acgs_cache_requests"));
        lookups.map(str::to_owned).collect::<Vec<_>>()
    };
    let (before, metrics) = (records(), counted());
    for question in questions() {
        explain(&daemon, &question);
    }
    assert_eq!((records(), counted()), (before, metrics));
    // A verdict of a dry run is not found by a decision.
    let answer = daemon.post("/v1/validate", &deployment());
    assert_eq!(answer.json()["cached"], false, "{answer}");
}

#[test]
fn a_dry_run_wants_what_reading_does_and_is_bounded_as_decisions_are() {
    let daemon = Setup::new().set("http.max_body_bytes", 2_048).start();
    assert_eq!(daemon.ask(&Request::post(EXPLAIN).json(&permitted()).anonymous()).status, 401, "decisions are open");
    let with =
        |role: &str| daemon.ask(&Request::post(EXPLAIN).json(&permitted()).token(&issuer::token("x", role))).status;
    assert_eq!((with("agent"), with("auditor")), (403, 200));
    for (body, status) in [
        (json!({}), 400),
        (json!([]), 400),
        (json!({"evaluations": [permitted()]}), 400),
        (super::with(permitted(), &json!({"context": {"text": "x".repeat(3_000)}})), 413),
    ] {
        assert_eq!(daemon.post(EXPLAIN, &body).status, status, "{body}");
    }
    let wrong = Request::post(EXPLAIN).json(&permitted()).header("X-Constitutional-Hash", "0000000000000000");
    let answer = daemon.ask(&wrong);
    assert_eq!((answer.status, &answer.json()["reason"]), (200, &json!("constitution_mismatch")), "{answer}");
    assert_eq!(answer.header("x-constitutional-hash"), Some(HASH));
    assert_eq!(daemon.ask(&Request::post(EXPLAIN).json(&permitted()).header("X-Consistency", "full")).status, 200);
}
