//! Hostile and clumsy callers: whatever they send, the daemon names the fault and goes on.

mod bodies;
mod connections;
mod idle;
mod wire;

use crate::harness::{Answer, Request, TestDaemon};
use serde_json::{Value, json};

/// Where most of it is sent.
const EVALUATION: &str = "/access/v1/evaluation";

/// A question that the shipped constitution permits.
const PERMITTED: &str = r#"{"subject":{"type":"Agent","id":"helper"},"action":{"name":"call_tool"},"resource":{"type":"Tool","id":"calculator"}}"#;

/// A question as bytes.
fn question() -> Request {
    post(EVALUATION, PERMITTED)
}

/// A body that says it is JSON.
fn post(path: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::post(path).header("Content-Type", "application/json").body(body)
}

/// The daemon decides as if nothing had happened, and logged nothing as a fault of its own.
#[track_caller]
fn goes_on(daemon: &TestDaemon) {
    let answer = daemon.ask(&question());
    assert_eq!((answer.status, &answer.json()["decision"]), (200, &json!(true)), "{answer}");
    let logged = daemon.stderr();
    assert!(!logged.contains("\"ERROR\"") && !logged.contains("panicked"), "{logged}");
}

/// What an error says: the message of an AuthZEN route, or the detail of a problem.
#[track_caller]
fn message(answer: &Answer) -> String {
    assert!(answer.header("x-request-id").is_some() && answer.header("x-constitutional-hash").is_some(), "{answer:?}");
    match answer.header("content-type") {
        Some("application/problem+json") => {
            let problem = answer.json();
            assert_eq!(problem["status"], answer.status, "{problem}");
            assert_eq!(problem["instance"].as_str(), answer.header("x-request-id"), "{problem}");
            problem["detail"].as_str().expect("a problem has a detail").to_owned()
        }
        Some("text/plain; charset=utf-8") => answer.text().to_owned(),
        other => panic!("{other:?} is no content type of an error: {answer}"),
    }
}

/// Sends a request and compares status and message.
#[track_caller]
fn check(daemon: &TestDaemon, name: &str, request: &Request, status: u16, expected: &str) {
    let answer = daemon.ask(request);
    assert_eq!(answer.status, status, "{name}: {answer}");
    assert_eq!(message(&answer), expected, "{name}");
}

/// A question with one part of it replaced.
fn with(part: &str, replacement: &str) -> String {
    assert!(PERMITTED.contains(part), "the question has no `{part}`");
    PERMITTED.replacen(part, replacement, 1)
}

/// A question with a context.
fn with_context(context: &str) -> String {
    format!("{},\"context\":{context}}}", &PERMITTED[..PERMITTED.len() - 1])
}

/// The context of a decision.
#[track_caller]
fn context(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["context"].clone()
}
