//! Callers who say that they are somebody else.

use serde_json::json;

use super::{CONSTITUTION, EVALUATION, PASSWORD, me, question, setup};
use crate::audit::{Exported, decisions};
use crate::harness::{Request, Setup, issuer};

/// Headers with which some gateways say who calls. Here they say nothing.
const CLAIMED: [(&str, &str); 16] = [
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-User", "admin"),
    ("X-Forwarded-Email", "admin@acgs.example"),
    ("X-Forwarded-Host", "acgs.example"),
    ("X-Remote-User", "admin"),
    ("Remote-User", "admin"),
    ("X-Caller", "user:admin"),
    ("Caller", "user:admin"),
    ("X-User", "user:admin"),
    ("X-Auth-Request-User", "admin"),
    ("X-Authenticated-User", "admin"),
    ("X-Real-IP", "127.0.0.1"),
    ("X-Client-Cert", "CN=admin"),
    ("Forwarded", "for=127.0.0.1;by=admin"),
    ("X_API_Key", "acgs_ak_abcdefghijkm_x"),
    ("Cookie", "access_token=x; session=admin"),
];

fn claiming(request: Request) -> Request {
    CLAIMED.iter().fold(request, |request, (name, value)| request.header(name, value))
}

/// With and without a proxy that is trusted, who asks in the log for all these requests is this one.
#[track_caller]
fn is_recorded_as(setup: &Setup, ask: impl Fn(Request) -> Request, caller: &str) {
    let daemon = setup.start();
    let each = CLAIMED.map(|(name, value)| ask(Request::post(EVALUATION).json(&question()).header(name, value)));
    let all = ask(claiming(Request::post(EVALUATION).json(&question())));
    let mut ids = Vec::new();
    for request in each.iter().chain([&all]) {
        let answer = daemon.ask(request);
        assert_eq!(answer.status, 200, "{answer}");
        ids.push(decisions(&answer, (0, 0)).remove(0).id);
    }
    daemon.stop();
    let records = Exported::from(setup, 0).records;
    for id in ids {
        let record = records.iter().find(|record| record["id"] == *id).unwrap();
        assert_eq!(record["caller"], caller, "{record}");
    }
}

#[test]
fn headers_do_not_say_who_calls() {
    for proxies in ["", "127.0.0.1"] {
        let setup = setup().set("http.trusted_proxies", proxies);
        is_recorded_as(&setup, |request| request, "anonymous");
        is_recorded_as(&setup, |request| request.token(&issuer::token("ann", "agent")), "https://tests.example#ann");
    }
}

#[test]
fn headers_let_nobody_in() {
    for proxies in ["", "127.0.0.1"] {
        let daemon = setup().set("http.trusted_proxies", proxies).set("auth.decisions", "token").start();
        for (name, value) in CLAIMED {
            let answer = daemon.ask(&Request::get(CONSTITUTION).header(name, value).anonymous());
            assert_eq!(answer.status, 401, "{name}: {answer}");
        }
        assert_eq!(daemon.ask(&claiming(Request::get("/v1/users")).anonymous()).status, 401);
        assert_eq!(daemon.ask(&claiming(Request::post(EVALUATION).json(&question()))).status, 401);
        let token = issuer::token("ann", "agent");
        assert_eq!(daemon.ask(&claiming(Request::get("/v1/users")).token(&token)).status, 403);
        let known = daemon.ask(&claiming(me(&token))).json();
        assert_eq!((&known["name"], &known["user"]), (&json!("https://tests.example#ann"), &json!(null)));
    }
}

#[test]
fn a_user_of_another_issuer_is_not_the_user_of_that_name_here() {
    let daemon = setup().start();
    for subject in ["admin", "user:admin", "client:acgs", "key:x", "local:0", "acgs"] {
        let token = issuer::token(subject, "admin");
        let known = daemon.ask(&me(&token)).json();
        assert_eq!(known["name"], format!("https://tests.example#{subject}"));
        assert_eq!((&known["user"], &known["client"], &known["session"]), (&json!(null), &json!(null), &json!(null)));
        let body = json!({"old": "x", "new": PASSWORD});
        for request in [
            Request::post("/v1/auth/logout-all"),
            Request::get("/v1/auth/sessions"),
            Request::post("/v1/auth/password").json(&body),
        ] {
            assert_eq!(daemon.ask(&request.token(&token)).status, 403, "{subject}");
        }
    }
}

#[test]
fn more_than_one_credential_is_none() {
    let daemon = setup().start();
    let (ann, bob) = (issuer::token("ann", "admin"), issuer::token("bob", "admin"));
    let made = daemon.post("/v1/api-keys", &json!({"name": "robot", "scopes": ["read", "decide"]})).json();
    let key = made["key"].as_str().unwrap();
    let shown = |headers: &[(&str, &str)]| {
        let with = |request: Request| {
            let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
            daemon.ask(&request.anonymous())
        };
        [with(Request::get(CONSTITUTION)), with(Request::post(EVALUATION).json(&question()))]
    };
    let (ann, bob) = (format!("Bearer {ann}"), format!("bearer {bob}"));
    let both = format!("{ann}, {bob}");
    for headers in [
        vec![("Authorization", &*ann), ("Authorization", &*bob)],
        vec![("Authorization", &*ann), ("authorization", &*ann)],
        vec![("Authorization", &*ann), ("X-API-Key", key)],
        vec![("X-API-Key", key), ("Authorization", &*bob)],
        vec![("X-API-Key", key), ("x-api-key", key)],
        vec![("Authorization", "Bearer"), ("X-API-Key", key)],
        vec![("Authorization", &*ann), ("Authorization", "Bearer ")],
        vec![("Authorization", &*both)],
    ] {
        for answer in shown(&headers) {
            assert_eq!(answer.status, 401, "{headers:?}: {answer}");
            let challenge = answer.header("www-authenticate").unwrap();
            let expected = if headers.len() > 1 { "error=\"invalid_request\"" } else { "error=\"invalid_token\"" };
            assert!(challenge.contains(expected), "{headers:?}: {challenge}");
        }
    }
    for headers in [vec![("Authorization", &*ann)], vec![("Authorization", &*bob)], vec![("X-API-Key", key)]] {
        for answer in shown(&headers) {
            assert_eq!(answer.status, 200, "{headers:?}: {answer}");
        }
    }
}

#[test]
fn a_token_is_for_the_header_alone() {
    let daemon = setup().start();
    let token = issuer::token("ann", "admin");
    for path in ["access_token", "token", "api_key"].map(|name| format!("/v1/users?{name}={token}")) {
        assert_eq!(daemon.ask(&Request::get(&path).anonymous()).status, 401);
    }
    for scheme in ["Basic", "Token", "Bearer2", "DPoP", "Bearer:"] {
        let request = Request::get("/v1/users").header("Authorization", &format!("{scheme} {token}"));
        assert_eq!(daemon.ask(&request.anonymous()).status, 401, "{scheme}");
    }
}
