//! `/metrics` says what happened, to Prometheus.

use std::collections::BTreeMap;

use serde_json::json;

use super::{EVALUATION, EVALUATIONS, deployment, permitted};
use crate::harness::{Answer, Request, Setup, TestDaemon, issuer};

/// The samples of a scrape: names with labels, and values.
type Samples = BTreeMap<String, String>;

#[track_caller]
fn samples(answer: &Answer) -> Samples {
    assert_eq!(answer.status, 200, "{answer}");
    let lines = answer.text().lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        (name.to_owned(), value.to_owned())
    });
    samples.collect()
}

#[track_caller]
fn scrape(daemon: &TestDaemon) -> Samples {
    samples(&daemon.get("/metrics"))
}

#[track_caller]
fn count(samples: &Samples, name: &str) -> u64 {
    let value = samples.get(name).unwrap_or_else(|| panic!("no `{name}` in {samples:#?}"));
    value.trim_end_matches(".0").parse().unwrap_or_else(|error| panic!("{error} in {name} {value}"))
}

/// The number of requests with these labels, which is that in the last bucket of their durations, too.
#[track_caller]
fn requests(samples: &Samples, labels: &str) -> u64 {
    let name = "acgs_http_request_duration_seconds";
    let buckets =
        samples.keys().filter(|sample| sample.starts_with(&format!("{name}_bucket{{")) && sample.contains(labels));
    let buckets: Vec<u64> = buckets.map(|bucket| count(samples, bucket)).collect();
    let requests = count(samples, &format!("{name}_count{{{labels}}}"));
    assert_eq!((buckets.len(), buckets.iter().max()), (17, Some(&requests)), "{labels}");
    let seconds: f64 = samples[&format!("{name}_sum{{{labels}}}")].parse().unwrap();
    assert!(seconds > 0.0, "{labels}");
    requests
}

#[test]
fn decisions_and_requests_are_counted_as_they_were_answered() {
    let daemon = Setup::new().start();
    let denied = json!({
        "subject": {"type": "Agent", "id": "a"},
        "action": {"name": "no_such_action"},
        "resource": {"type": "Tool", "id": "t"},
    });
    for _ in 0..3 {
        assert_eq!(daemon.post(EVALUATION, &permitted()).json()["decision"], true);
    }
    let batch = json!({"evaluations": [permitted(), denied, denied]});
    assert_eq!(daemon.post(EVALUATIONS, &batch).status, 200);
    assert_eq!(daemon.post(EVALUATION, &json!({})).status, 400);
    assert_eq!(daemon.get("/nowhere").status, 404);
    assert_eq!(daemon.get("/v1/entities/User/nobody").status, 404);
    let found = scrape(&daemon);
    let decisions = |labels: &str| count(&found, &format!("acgs_decisions_total{{{labels}}}"));
    assert_eq!(decisions("decision=\"permit\",reason=\"permitted\""), 4);
    assert_eq!(decisions("decision=\"deny\",reason=\"unknown_action\""), 2);
    assert_eq!(decisions("decision=\"deny\",reason=\"forbidden\""), 0);
    for (route, method, status, expected) in [
        (EVALUATION, "POST", 200, 3),
        (EVALUATION, "POST", 400, 1),
        (EVALUATIONS, "POST", 200, 1),
        ("/v1/entities/{type}/{id}", "GET", 404, 1),
        ("unmatched", "GET", 404, 1),
    ] {
        let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
        assert_eq!(requests(&found, &labels), expected, "{labels}");
    }
    assert_eq!(count(&found, "acgs_audit_writable"), 1);
    assert!(count(&found, "acgs_audit_records") >= 6);
    assert!(count(&found, "acgs_audit_commit_duration_seconds_count") >= 4);
    assert_eq!(count(&found, "acgs_audit_queue_records"), 0);
    assert_eq!(count(&found, "acgs_http_requests_in_flight"), 1, "the scrape itself");
}

#[test]
fn a_violated_principle_is_counted_and_no_callers_text_is_a_label() {
    let daemon = Setup::new().start();
    let mut question = deployment();
    question["subject"]["id"] = json!("a-callers-own-name");
    let answer = daemon.ask(&Request::post(EVALUATION).json(&question).header("X-Request-ID", "an-id-of-the-caller"));
    assert_eq!(answer.json()["context"]["reason"], "forbidden", "{answer}");
    let violations = answer.json()["context"]["violations"].as_array().unwrap().clone();
    assert_eq!(daemon.ask(&Request::new("BREW", "/strange-path")).status, 404);
    let answer = daemon.get("/metrics");
    for text in ["a-callers-own-name", "an-id-of-the-caller", "strange-path", "BREW"] {
        assert!(!answer.text().contains(text), "{text}: {answer}");
    }
    let found = samples(&answer);
    assert_eq!(count(&found, "acgs_decisions_total{decision=\"deny\",reason=\"forbidden\"}"), 1);
    assert!(!violations.is_empty());
    for violation in violations {
        let principle = violation["principle"].as_str().unwrap();
        assert_eq!(count(&found, &format!("acgs_denials_total{{principle=\"{principle}\"}}")), 1);
    }
}

#[test]
fn every_family_is_described_in_both_formats() {
    let daemon = Setup::new().start();
    daemon.post(EVALUATION, &permitted());
    let plain = daemon.get("/metrics");
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3";
    let open = daemon.ask(&Request::get("/metrics").header("Accept", accept));
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.text().ends_with("# EOF\n"));
    for answer in [&plain, &open] {
        for family in [
            "acgs_decisions",
            "acgs_denials",
            "acgs_http_request_duration_seconds",
            "acgs_audit_commit_duration_seconds",
            "acgs_audit_queue_records",
            "acgs_cache_requests",
            "acgs_pool_connections",
            "acgs_pool_wait_seconds",
            "acgs_build",
            "acgs_constitution",
            "process_cpu_seconds",
            "process_resident_memory_bytes",
            "process_open_fds",
        ] {
            let (help, kind) = (format!("# HELP {family}"), format!("# TYPE {family}"));
            let described = |start: &str| answer.text().lines().any(|line| line.starts_with(start));
            assert!(described(&help) && described(&kind), "{family} in {answer}");
        }
        let found = samples(answer);
        for tier in ["l1", "l2", "l3"] {
            assert!(found.contains_key(&format!("acgs_cache_requests_total{{tier=\"{tier}\",outcome=\"hit\"}}")));
        }
        assert!(found.keys().any(|name| name.starts_with("acgs_constitution_info{") && name.contains(super::HASH)));
        assert!(found.contains_key("acgs_pool_connections{pool=\"primary\",state=\"idle\"}"), "{found:#?}");
    }
}

#[test]
fn metrics_are_open_on_this_host_only_unless_they_want_a_credential() {
    let elsewhere = Setup::new().set("http.bind", "0.0.0.0:0").set("auth.decisions", "token").start();
    let guarded = Setup::new().set("monitor.metrics", "token").start();
    let proxied = Setup::new().set("http.trusted_proxies", "127.0.0.1").start();
    let published = Setup::new().set("http.public_url", "https://acgs.example").start();
    for daemon in [elsewhere, guarded, proxied, published] {
        assert_eq!(daemon.get("/metrics").status, 401);
        let with = |role: &str| daemon.ask(&Request::get("/metrics").token(&issuer::token("prometheus", role))).status;
        assert_eq!((with("auditor"), with("agent")), (200, 403));
    }
}
