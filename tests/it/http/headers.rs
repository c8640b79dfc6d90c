//! Headers: which request, which constitution, which trace.

use std::collections::HashSet;

use serde_json::json;

use super::{EVALUATION, HASH, asked, permitted, problem, with};
use crate::harness::{Request, Setup, TestDaemon};

#[test]
fn a_request_id_is_echoed_where_it_is_harmless_and_made_where_it_is_not() {
    let daemon = TestDaemon::start();
    let longest = "x".repeat(128);
    let mut made = HashSet::new();
    for path in [EVALUATION, "/v1/validate", "/v1/nothing", "/livez", "/access/v1/nothing"] {
        for given in ["abc", "a-b_c.d:e/f=g", "\"quoted\"", &longest] {
            let answer = daemon.ask(&asked(path, &[("X-Request-ID", given)]));
            assert_eq!(answer.header("x-request-id"), Some(given), "{path}");
        }
        for hostile in ["", "two words", "a\tb", "é", &"x".repeat(129)] {
            let answer = daemon.ask(&asked(path, &[("X-Request-ID", hostile)]));
            let id = answer.header("x-request-id").unwrap().to_owned();
            assert!(uuid::Uuid::parse_str(&id).is_ok(), "{id} on {path} for {hostile:?}");
            assert!(made.insert(id), "an id is made twice");
        }
    }
}

#[test]
fn every_answer_names_the_constitution_in_force() {
    let daemon = TestDaemon::start();
    for request in [
        Request::get("/livez"),
        Request::get("/readyz"),
        Request::get("/nothing"),
        Request::get("/problems/stale"),
        Request::get("/.well-known/authzen-configuration"),
        Request::get("/v1/constitution"),
        Request::delete("/v1/constitution"),
        Request::get("/v1/entities?limit=x"),
        Request::post(EVALUATION),
        asked(EVALUATION, &[]),
        asked("/v1/validate", &[]),
        Request::new("HEAD", "/livez"),
    ] {
        let answer = daemon.ask(&request);
        assert_eq!(answer.header("x-constitutional-hash"), Some(HASH), "{request:?}");
    }
}

#[test]
fn a_trace_is_continued_where_it_is_one() {
    let daemon = TestDaemon::start();
    let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    for flags in ["00", "01"] {
        let answer = daemon.ask(&asked(EVALUATION, &[("traceparent", &format!("00-{trace}-{span}-{flags}"))]));
        let parts: Vec<_> = answer.header("traceparent").unwrap().split('-').collect();
        assert_eq!((parts[0], parts[1], parts[3], parts[2].len(), parts.len()), ("00", trace, flags, 16, 4));
        assert_ne!(parts[2], span);
    }
    let later = format!("01-{trace}-{span}-01-more");
    assert!(daemon.ask(&asked(EVALUATION, &[("traceparent", &later)])).header("traceparent").unwrap().contains(trace));
    for bad in [
        String::new(),
        "hello".to_owned(),
        format!("ff-{trace}-{span}-01"),
        format!("00-{}-{span}-01", "0".repeat(32)),
        format!("00-{trace}-{}-01", "0".repeat(16)),
        format!("00-{}-{span}-01", trace.to_uppercase()),
        format!("00-{trace}-{span}-01-more"),
        format!("00-{trace}-{span}"),
    ] {
        assert_eq!(daemon.ask(&asked(EVALUATION, &[("traceparent", &bad)])).header("traceparent"), None, "{bad}");
    }
    let good = format!("00-{trace}-{span}-01");
    let twice = daemon.ask(&asked(EVALUATION, &[("traceparent", &good), ("traceparent", &good)]));
    assert_eq!(twice.header("traceparent"), None);
}

#[test]
fn a_decision_is_made_only_for_callers_who_believe_in_the_constitution_in_force() {
    const WRONG: &str = "0000000000000000";
    let header = "X-Constitutional-Hash";
    for (enforcement, unstated) in [("when_present", "permitted"), ("required", "constitution_hash_required")] {
        let daemon = Setup::new().set("constitution.hash_enforcement", enforcement).start();
        for (in_headers, in_context, reason) in [
            (&[][..], None, unstated),
            (&[HASH], None, "permitted"),
            (&[], Some(json!(HASH)), "permitted"),
            (&[HASH], Some(json!(HASH)), "permitted"),
            (&[WRONG], None, "constitution_mismatch"),
            (&[], Some(json!(WRONG)), "constitution_mismatch"),
            (&[WRONG], Some(json!(HASH)), "constitution_mismatch"),
            (&[HASH], Some(json!(WRONG)), "constitution_mismatch"),
            (&[HASH, WRONG], None, "constitution_mismatch"),
            (&[WRONG, HASH], None, "constitution_mismatch"),
            (&["CDD01EF066BC6CF2"], None, "constitution_mismatch"),
            (&["cdd01ef066bc6cf2f"], None, "constitution_mismatch"),
            (&[""], None, "constitution_mismatch"),
            (&["\u{fffd}"], None, "constitution_mismatch"),
            (&[], Some(json!(7)), "constitution_mismatch"),
            (&[], Some(json!(null)), "constitution_mismatch"),
            (&[], Some(json!({"a": HASH})), "constitution_mismatch"),
        ] {
            let context = in_context.as_ref().map_or(json!({}), |hash| json!({"constitutional_hash": hash}));
            let body = with(permitted(), &json!({"context": context}));
            for path in [EVALUATION, "/v1/validate"] {
                let request = Request::post(path).json(&body);
                let request = in_headers.iter().fold(request, |request, hash| request.header(header, hash));
                let answer = daemon.ask(&request);
                let json = answer.json();
                let found = json.get("context").unwrap_or(&json)["reason"].clone();
                let expected = (200, json!(reason == "permitted"), json!(reason));
                assert_eq!((answer.status, json["decision"].clone(), found), expected, "{enforcement} {request:?}");
            }
        }
    }
}

#[test]
fn other_routes_conflict_with_callers_who_believe_in_another_constitution() {
    for (enforcement, unstated) in [("when_present", "200"), ("required", "200")] {
        let daemon = Setup::new().set("constitution.hash_enforcement", enforcement).start();
        for path in ["/v1/constitution", "/v1/constitution/policies", "/v1/entities?type=User", "/v1/nothing"] {
            for (hash, expected) in [
                (None, unstated),
                (Some(HASH), "200"),
                (Some("0000000000000000"), "409 constitution-mismatch"),
                (Some("CDD01EF066BC6CF2"), "409 constitution-mismatch"),
                (Some(""), "409 constitution-mismatch"),
            ] {
                let request = Request::get(path);
                let request =
                    hash.into_iter().fold(request, |request, hash| request.header("X-Constitutional-Hash", hash));
                let answer = daemon.ask(&request);
                let found = if answer.status == 200 { "200".to_owned() } else { problem(&answer) };
                let expected = if path.ends_with("nothing") && expected == "200" { "404 not-found" } else { expected };
                assert_eq!(found, expected, "{enforcement} {path} {hash:?}");
            }
        }
        for open in ["/livez", "/readyz", "/problems/stale", "/.well-known/authzen-configuration"] {
            let request = Request::get(open).header("X-Constitutional-Hash", "0000000000000000");
            assert_eq!(daemon.ask(&request).status, 200, "{open}");
            assert_eq!(daemon.get(open).status, 200, "{open}");
        }
    }
}
