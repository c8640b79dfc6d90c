//! What the HTTP API promises, asked of the real binary.

mod batches;
mod caches;
mod constitution;
mod dashboard;
mod decisions;
mod entities;
mod explain;
mod headers;
mod hosts;
mod log_level;
mod log_lines;
mod metrics;
mod operation;
mod safe_reload;
mod status;
mod timing;

use crate::harness::{Answer, Request, TestDaemon};
use serde_json::{Value, json};

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";

/// The hash of the shipped constitution.
const HASH: &str = "cdd01ef066bc6cf2";

/// May `helper` call this tool?
fn call(tool: &str) -> Value {
    json!({
        "subject": {"type": "Agent", "id": "helper"},
        "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": tool},
    })
}

/// A question that the shipped constitution permits.
fn permitted() -> Value {
    call("calculator")
}

/// A deployment that nobody has approved.
fn deployment() -> Value {
    json!({
        "subject": {"type": "Agent", "id": "builder"},
        "action": {"name": "deploy_model"},
        "resource": {"type": "Model", "id": "m1"},
        "context": {"risk": 8, "human_approved": false},
    })
}

/// A value with members added or replaced.
fn with(mut value: Value, members: &Value) -> Value {
    for (name, member) in members.as_object().unwrap() {
        value[name] = member.clone();
    }
    value
}

/// Status, slug and errors of a problem, as `412 stale` or `400 bad-request: /uid is required`.
#[track_caller]
fn problem(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer}");
    let problem = answer.json();
    let slug = problem["type"].as_str().unwrap().strip_prefix("/problems/").unwrap();
    let mut text = format!("{} {slug}", answer.status);
    for error in problem["errors"].as_array().into_iter().flatten() {
        text += &["\n", error["pointer"].as_str().unwrap(), " ", error["detail"].as_str().unwrap()].concat();
    }
    text
}

/// The decision that a question gets.
#[track_caller]
fn decision(daemon: &TestDaemon, question: &Value) -> bool {
    let answer = daemon.post(EVALUATION, question);
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["decision"].as_bool().unwrap()
}

/// A question with headers.
fn asked(path: &str, headers: &[(&str, &str)]) -> Request {
    let request = Request::post(path).json(&permitted());
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}
