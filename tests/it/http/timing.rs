//! The measured duration of a request is what its caller waited, and each request is counted once.

use std::time::Instant;

use serde_json::json;

use super::{EVALUATION, EVALUATIONS, deployment, permitted, with};
use crate::harness::{Request, Setup, TestDaemon, until};

/// The value of a sample; 0 if there is none.
#[track_caller]
fn sample(daemon: &TestDaemon, name: &str) -> f64 {
    let answer = daemon.get("/metrics");
    let line = answer.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// The same of a sample that is a count.
#[track_caller]
fn count(daemon: &TestDaemon, name: &str) -> u64 {
    format!("{:.0}", sample(daemon, name)).parse().unwrap()
}

fn requests(of: &str, route: &str) -> String {
    format!("acgs_http_request_duration_seconds_{of}{{method=\"POST\",route=\"{route}\",status=\"200\"}}")
}

/// One worker, so that connections are read in the order in which their bytes arrive.
fn one_worker() -> Setup {
    Setup::new().set("http.workers", 1)
}

#[test]
fn a_request_lasts_from_its_first_byte_on() {
    let daemon = one_worker().start();
    let bytes = Request::post(EVALUATION).json(&permitted()).bytes();
    let mut slow = daemon.connect();
    slow.send(&bytes[..1]);
    // The worker answers this after it has read the byte above.
    assert_eq!(daemon.get("/livez").status, 200);
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(daemon.get("/readyz").status, 200);
    }
    let waited = began.elapsed();
    slow.send(&bytes[1..]);
    assert_eq!(slow.answer().status, 200);
    assert_eq!(slow.ask(&Request::post(EVALUATION).json(&permitted())).status, 200);
    let (count, sum) = (count(&daemon, &requests("count", EVALUATION)), sample(&daemon, &requests("sum", EVALUATION)));
    assert!(count == 2 && sum >= waited.as_secs_f64(), "{count} requests in {sum} s, waited {waited:?}");
}

#[test]
fn a_request_is_counted_when_its_answer_is_handed_to_the_socket() {
    // A socket of this kind takes less than such an answer.
    let daemon = one_worker().unix().start();
    let batch = with(deployment(), &json!({"evaluations": vec![json!({}); 1_000]}));
    let request = Request::post(EVALUATIONS).json(&batch).header("Prefer", "return=representation");
    let decisions = "acgs_decisions_total{decision=\"deny\",reason=\"forbidden\"}";
    for (times, is_read) in [(1, true), (2, false)] {
        let mut connection = daemon.connect();
        connection.send(&request.bytes());
        until("the decisions are made", || count(&daemon, decisions) >= times * 1_000);
        assert!(count(&daemon, &requests("count", EVALUATIONS)) < times, "the answer is not read yet");
        if is_read {
            assert!(connection.answer().body.len() > 500_000);
        }
        drop(connection);
        until("the request is counted", || count(&daemon, &requests("count", EVALUATIONS)) >= times);
    }
    assert_eq!(count(&daemon, &requests("count", EVALUATIONS)), 2, "each is counted once");
}

#[test]
fn pipelined_requests_are_counted_one_by_one() {
    let daemon = one_worker().start();
    let bytes = Request::post(EVALUATION).json(&permitted()).bytes();
    let mut connection = daemon.connect();
    connection.send(&bytes.repeat(5));
    for _ in 0..5 {
        assert_eq!(connection.answer().status, 200);
    }
    let (count, sum) = (count(&daemon, &requests("count", EVALUATION)), sample(&daemon, &requests("sum", EVALUATION)));
    assert!(count == 5 && sum > 0.0, "{count} requests in {sum} s");
}

#[test]
fn evaluations_are_timed_and_cached_verdicts_are_none() {
    let daemon = one_worker().start();
    let evaluations =
        |source: &str| count(&daemon, &format!("acgs_evaluation_duration_seconds_count{{source=\"{source}\"}}"));
    assert_eq!((evaluations("evaluated"), evaluations("shared")), (0, 0));
    for _ in 0..3 {
        assert_eq!(daemon.post(EVALUATION, &permitted()).status, 200);
    }
    let items: Vec<_> = ["a", "b", "a"].into_iter().map(super::call).collect();
    assert_eq!(daemon.post(EVALUATIONS, &json!({"evaluations": items})).status, 200);
    assert_eq!((evaluations("evaluated"), evaluations("shared")), (3, 0), "three different questions");
    let sum = sample(&daemon, "acgs_evaluation_duration_seconds_sum{source=\"evaluated\"}");
    assert!(sum > 0.0, "{sum}");
}
