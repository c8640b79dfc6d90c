//! Log lines name the request during which they are written; management writes are logged, decisions are not.

use serde_json::{Value, json};

use super::EVALUATION;
use crate::harness::{Answer, Request, TestDaemon, until};

const ENTITY: &str = "/v1/entities/User/ann";

/// The lines about management writes so far.
fn writes(daemon: &TestDaemon) -> Vec<Value> {
    let lines = daemon.stderr();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"].as_str().is_some_and(|message| message.starts_with("write"))).collect()
}

fn put() -> Request {
    Request::put(ENTITY).json(&json!({"attrs": {}}))
}

#[track_caller]
fn id(answer: &Answer) -> &str {
    answer.header("x-request-id").unwrap()
}

#[test]
fn each_management_write_is_logged_with_its_caller_and_its_request() {
    let daemon = TestDaemon::start();
    let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let traced = put().header("traceparent", &format!("00-{trace}-{span}-00"));
    let named = daemon.ask(&traced.header("X-Request-ID", "the-\"callers\"-own"));
    assert_eq!(named.status, 201, "{named}");
    let unnamed = daemon.delete(ENTITY);
    assert_eq!(unnamed.status, 204, "{unnamed}");
    let lines = writes(&daemon);
    let members = ["method", "route", "status", "caller", "request_id", "trace_id", "level"];
    let found: Vec<_> = lines.iter().map(|line| members.map(|member| line[member].clone())).collect();
    let (route, caller) = ("/v1/entities/{type}/{id}", "https://tests.example#admin");
    assert_eq!(
        found,
        [
            [json!("PUT"), json!(route), json!(201), json!(caller), json!(id(&named)), json!(trace), json!("INFO")],
            [json!("DELETE"), json!(route), json!(204), json!(caller), json!(id(&unnamed)), json!(null), json!("INFO")],
        ]
    );
    assert_eq!(id(&named), "the-\"callers\"-own");
    assert!(lines.iter().all(|line| line["duration_us"].is_number()), "{lines:?}");
}

#[test]
fn writes_are_not_suppressed_and_reads_and_decisions_are_not_logged() {
    let daemon = TestDaemon::start();
    let mut connection = daemon.connect();
    for _ in 0..70 {
        connection.ask(&Request::delete(ENTITY));
    }
    assert_eq!(writes(&daemon).len(), 70);
    let question = super::with(super::permitted(), &json!({"context": {}}));
    for path in [EVALUATION, "/v1/validate"] {
        assert_eq!(daemon.post(path, &question).status, 200);
    }
    assert_eq!(daemon.get("/v1/entities?type=User").status, 200);
    assert_eq!(writes(&daemon).len(), 70);
    assert_eq!(daemon.ask(&put().anonymous()).status, 401);
    let last = writes(&daemon).pop().unwrap();
    assert_eq!((&last["message"], &last["status"]), (&json!("write without a known caller"), &json!(401)));
    assert_eq!(last.get("caller"), None);
}

#[test]
fn the_id_in_a_line_is_that_of_the_answer_and_of_the_decision() {
    let daemon = TestDaemon::start();
    let answer = daemon.post(EVALUATION, &super::permitted());
    assert_eq!(json!(id(&answer)), answer.json()["context"]["id"]);
    // Decisions write no line, but a failed one does: here the database has no change of such a number.
    let written = daemon.ask(&put());
    let token = written.header("x-consistency-token").unwrap();
    let ahead = token.splitn(3, '.').enumerate().map(|(nth, part)| if nth == 1 { "999999999" } else { part });
    let demand = format!("at-least {}", ahead.collect::<Vec<_>>().join("."));
    let failed = daemon.ask(&Request::post(EVALUATION).json(&super::permitted()).header("X-Consistency", &demand));
    assert_eq!(failed.status, 503, "{failed}");
    until("the line is written", || {
        let lines = daemon.stderr();
        let mut lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.any(|line| line["request_id"] == id(&failed) && line["status"] == 503)
    });
}
