//! Answers to questions are written by hand; they have the form that the document describes.

use serde_json::{Value, json};

use super::Document;
use crate::harness::{Request, TestDaemon};

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";

fn question(action: &str, resource: &Value, context: &Value) -> Value {
    json!({
        "subject": {"type": "Agent", "id": "helper"}, "action": {"name": action}, "resource": resource,
        "context": context,
    })
}

/// Questions that are decided for different reasons, with these reasons.
fn questions() -> Vec<(&'static str, Value)> {
    let tool = json!({"type": "Tool", "id": "unit-converter", "properties": {"risk": 1}});
    let model = json!({"type": "Model", "id": "m1"});
    vec![
        ("permitted", question("call_tool", &tool, &json!({}))),
        ("forbidden", question("deploy_model", &model, &json!({"risk": 8, "human_approved": false}))),
        ("no_permit", question("read_data", &json!({"type": "Dataset", "id": "handbook"}), &json!({}))),
        ("unknown_action", question("fly", &tool, &json!({}))),
        ("unknown_type", question("call_tool", &json!({"type": "Kite", "id": "k"}), &json!({}))),
        ("invalid_properties", question("call_tool", &tool, &json!({"risk": "high"}))),
        ("constitution_mismatch", question("call_tool", &tool, &json!({"constitutional_hash": "0000000000000000"}))),
    ]
}

#[test]
fn decisions_conform_whatever_their_reason() {
    let daemon = TestDaemon::start();
    let document = Document::of(&daemon);
    for (reason, question) in questions() {
        let answer = daemon.post(EVALUATION, &question);
        assert_eq!(answer.json()["context"]["reason"], reason, "{answer}");
        document.check(&document.operation("evaluate"), &answer);
        let validated = daemon.post("/v1/validate", &question);
        assert_eq!(validated.json()["reason"], reason, "{validated}");
        document.check(&document.operation("validate"), &validated);
        let explained = daemon.post("/v1/explain", &question);
        assert_eq!(explained.json()["reason"], reason, "{explained}");
        document.check(&document.operation("explain"), &explained);
    }
}

#[test]
fn batches_conform_with_and_without_reasons() {
    let daemon = TestDaemon::start();
    let document = Document::of(&daemon);
    let operation = document.operation("evaluateBatch");
    let mut items: Vec<Value> = questions().into_iter().map(|(_, question)| question).collect();
    items.push(json!({"subject": 1}));
    items.push(json!("no object"));
    let batch = json!({"evaluations": items});
    for preference in ["return=representation", "return=minimal"] {
        let request = Request::post(EVALUATIONS).json(&batch).header("Prefer", preference);
        let answer = daemon.ask(&request);
        assert_eq!(answer.json()["evaluations"].as_array().unwrap().len(), items.len(), "{answer}");
        document.check(&operation, &answer);
    }
    document.check(&operation, &daemon.post(EVALUATIONS, &questions()[0].1));
}

#[test]
fn errors_of_the_access_routes_are_text_as_described() {
    let daemon = TestDaemon::start();
    let document = Document::of(&daemon);
    let operation = document.operation("evaluate");
    for request in [
        Request::post(EVALUATION).json(&json!({"subject": 1})),
        Request::post(EVALUATION).body("{}"),
        Request::post(EVALUATION).json(&json!({})).token("x"),
        Request::post(EVALUATION).json(&json!({})).header("Origin", "https://evil.example"),
    ] {
        document.check(&operation, &daemon.ask(&request));
    }
}

#[test]
fn a_member_that_is_not_described_is_noticed() {
    let document = Document::of(&TestDaemon::start());
    let schema = json!({"$ref": "#/components/schemas/Decision"});
    assert_eq!(document.faults(&schema, &json!({"decision": true})), [""; 0]);
    for wrong in [
        json!({"decision": "yes"}),
        json!({}),
        json!({"decision": true, "note": 1}),
        json!({"decision": true, "context": {"note": 1}}),
        json!({"decision": true, "context": {"reason": "mood"}}),
    ] {
        assert!(!document.faults(&schema, &wrong).is_empty(), "{wrong}");
    }
}
