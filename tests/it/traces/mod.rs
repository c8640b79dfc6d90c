//! Requests are traced: a caller's trace is continued, sampled requests are exported, and a collector that is slow or
//! gone delays nothing.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::harness::collector::{Behaviour, Collector};
use crate::harness::{Answer, Request, Setup, TestDaemon, until};

const EVALUATION: &str = "/access/v1/evaluation";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn question() -> Request {
    Request::post(EVALUATION).json(&json!({
        "subject": {"type": "Agent", "id": "a-secret-name"},
        "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "calculator"},
    }))
}

/// A daemon that exports to this collector.
fn exporting(url: &str, percent: &str) -> TestDaemon {
    Setup::new().set("trace.otlp_endpoint", url).set("trace.sample_percent", percent).start()
}

#[track_caller]
fn traced(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer}");
    let id = answer.header("x-trace-id").unwrap_or_else(|| panic!("no trace: {answer}"));
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    assert_eq!(answer.header("traceparent").unwrap().split('-').nth(1), Some(id));
    id.to_owned()
}

fn times(span: &Value) -> (u128, u128) {
    let nanos = |member: &str| span[member].as_str().unwrap().parse().unwrap();
    (nanos("startTimeUnixNano"), nanos("endTimeUnixNano"))
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    attributes.iter().find(|one| one["key"] == key).map_or(&Value::Null, |one| &one["value"])
}

/// How many spans had this outcome.
fn spans(daemon: &TestDaemon, outcome: &str) -> u64 {
    let name = format!("acgs_trace_spans_total{{outcome=\"{outcome}\"}} ");
    let answer = daemon.get("/metrics");
    let value = answer.text().lines().find_map(|line| line.strip_prefix(&name)).expect("it is exported");
    value.trim_end_matches(".0").parse().unwrap()
}

#[test]
fn a_request_is_one_trace_with_its_phases() {
    let collector = Collector::start(Behaviour::Takes);
    let daemon = exporting(collector.url(), "100");
    let answer = daemon.ask(&question());
    let id = traced(&answer);
    let found = collector.trace(&id);
    let names: Vec<_> = found.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["POST /access/v1/evaluation", "decode", "authenticate", "decide", "commit", "encode"]);
    let own = &found[0];
    assert_eq!(own["parentSpanId"], json!(null), "the trace begins here");
    let context = &answer.json()["context"];
    let index = context["audit_index"].to_string();
    for (key, value) in [
        ("http.request.method", json!({"stringValue": "POST"})),
        ("http.route", json!({"stringValue": EVALUATION})),
        ("http.response.status_code", json!({"intValue": "200"})),
        ("acgs.decision", json!({"boolValue": true})),
        ("acgs.reason", json!({"stringValue": "permitted"})),
        ("acgs.audit_index", json!({"intValue": index})),
    ] {
        assert_eq!(attribute(own, key), &value, "{key}");
    }
    let (first, last) = times(own);
    let mut ids = vec![own["spanId"].clone()];
    let mut began = Vec::new();
    for span in &found[1..] {
        let (start, end) = times(span);
        assert!(first <= start && start <= end && end <= last, "{span} is within {own}");
        assert_eq!(span["parentSpanId"], own["spanId"]);
        assert!(!ids.contains(&span["spanId"]), "{span}");
        ids.push(span["spanId"].clone());
        began.push((start, span["name"].as_str().unwrap()));
    }
    began.sort_unstable();
    let order: Vec<_> = began.into_iter().map(|(_, name)| name).collect();
    assert_eq!(order, ["authenticate", "decode", "decide", "commit", "encode"]);
    assert!(found.iter().all(|span| !span.to_string().contains("a-secret-name")));
    until("the spans are counted", || spans(&daemon, "exported") >= 6);
}

#[test]
fn a_batch_a_failure_and_another_route_are_traced() {
    let collector = Collector::start(Behaviour::Takes);
    let daemon = exporting(collector.url(), "100");
    let item = json!({"subject": {"type": "Agent", "id": "a"}, "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "t"}});
    let batch = daemon.post("/access/v1/evaluations", &json!({"evaluations": [item, item, item]}));
    let own = collector.trace(&traced(&batch)).remove(0);
    assert_eq!(attribute(&own, "acgs.decisions"), &json!({"intValue": "3"}));
    let refused = daemon.post(EVALUATION, &json!({}));
    let own = collector.trace(refused.header("x-trace-id").unwrap()).remove(0);
    assert_eq!(attribute(&own, "http.response.status_code"), &json!({"intValue": "400"}));
    assert_eq!(own["status"], json!(null), "the client's fault is no error of the server");
    let secret = daemon.get("/v1/entities/User/a-secret-name");
    let found = collector.trace(secret.header("x-trace-id").unwrap());
    assert_eq!(found[0]["name"], "GET /v1/entities/{type}/{id}");
    assert!(found.iter().all(|span| !span.to_string().contains("a-secret-name")));
}

#[test]
fn the_callers_trace_is_continued_and_its_flag_counts() {
    let collector = Collector::start(Behaviour::Takes);
    for (percent, flags, is_exported) in [("0", "01", true), ("100", "00", false)] {
        let daemon = exporting(collector.url(), percent);
        let parent = format!("00-{TRACE}-{SPAN}-{flags}");
        let answer = daemon.ask(&question().header("traceparent", &parent));
        assert_eq!(traced(&answer), TRACE);
        assert!(answer.header("traceparent").unwrap().ends_with(&format!("-{flags}")));
        if is_exported {
            let own = collector.trace(TRACE).remove(0);
            assert_eq!(own["parentSpanId"], SPAN);
            assert_eq!(own["spanId"], answer.header("traceparent").unwrap().split('-').nth(2).unwrap());
        }
        assert!(daemon.stop().success());
    }
    // A stop exports what is waiting, so a span of the second daemon would be here.
    let last = exporting(collector.url(), "100");
    let id = traced(&last.ask(&question()));
    assert!(collector.trace(&id).iter().all(|span| span["traceId"] != TRACE));
}

#[test]
fn a_request_that_belongs_to_no_trace_is_answered_without_one() {
    let unexporting = Setup::new().start();
    let collector = Collector::start(Behaviour::Takes);
    let unsampled = exporting(collector.url(), "0");
    for daemon in [unexporting, unsampled] {
        let answer = daemon.ask(&question());
        assert_eq!((answer.header("x-trace-id"), answer.header("traceparent")), (None, None));
        for flags in ["00", "01"] {
            let parent = format!("00-{TRACE}-{SPAN}-{flags}");
            assert_eq!(traced(&daemon.ask(&question().header("traceparent", &parent))), TRACE);
        }
        let invalid = daemon.ask(&question().header("traceparent", "00-0-0-00"));
        assert_eq!(invalid.header("x-trace-id"), None);
    }
}

#[test]
fn decisions_go_on_and_spans_are_dropped_where_the_collector_hangs() {
    let collector = Collector::start(Behaviour::Hangs);
    let daemon = exporting(collector.url(), "100");
    let alive = Request::get("/livez").bytes().repeat(16);
    until("spans are dropped", || {
        let mut connection = daemon.connect();
        for _ in 0..32 {
            connection.send(&alive);
            (0..16).for_each(|_| assert_eq!(connection.answer().status, 200));
        }
        spans(&daemon, "dropped") > 0
    });
    let answer = daemon.ask(&question());
    assert_eq!(answer.json()["decision"], true);
    traced(&answer);
    assert_eq!(spans(&daemon, "exported"), 0);
}

#[test]
fn a_collector_that_is_gone_is_told_once_and_its_return_too() {
    let collector = Collector::start(Behaviour::RefusesFirst(1));
    let daemon = exporting(collector.url(), "100");
    let id = traced(&daemon.ask(&question()));
    assert_eq!(collector.trace(&id).len(), 6, "the batch is sent again");
    until("the return is logged", || daemon.stderr().contains("spans are exported again"));
    assert_eq!(daemon.stderr().matches("spans cannot be exported").count(), 1);

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let daemon = exporting(&format!("http://127.0.0.1:{port}"), "100");
    traced(&daemon.ask(&question()));
    until("the failure is logged", || daemon.stderr().contains("spans cannot be exported"));
    traced(&daemon.ask(&question()));
    assert!(daemon.stop().success());
}

#[test]
fn a_sampled_request_is_an_exemplar_of_its_bucket() {
    let collector = Collector::start(Behaviour::Takes);
    let daemon = exporting(collector.url(), "100");
    let ids: Vec<String> = (0..20).map(|_| traced(&daemon.ask(&question()))).collect();
    let open = daemon.ask(&Request::get("/metrics").header("Accept", "application/openmetrics-text; version=1.0.0"));
    let of_route = |line: &&str| line.starts_with("acgs_http_request_duration_seconds_") && line.contains(EVALUATION);
    let lines: Vec<&str> = open.text().lines().filter(of_route).collect();
    let exemplars: Vec<&str> = lines.iter().filter_map(|line| line.split_once(" # ")).map(|(_, rest)| rest).collect();
    assert!(!exemplars.is_empty() && exemplars.len() <= 17, "{lines:#?}");
    for exemplar in exemplars {
        let (id, rest) = exemplar.strip_prefix("{trace_id=\"").unwrap().split_once("\"} ").unwrap();
        assert!(ids.iter().any(|known| known == id), "{exemplar}");
        let numbers: Vec<f64> = rest.split(' ').map(|number| number.parse().unwrap()).collect();
        assert!(numbers.len() == 2 && numbers[0] > 0.0 && numbers[1] > 1.7e9, "{exemplar}");
    }
    assert!(!daemon.get("/metrics").text().contains(" # {"), "the older format has none");
}
