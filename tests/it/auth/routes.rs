//! What each route asks of its callers.

use std::fs;

use super::setup;
use crate::harness::{Request, TestDaemon, issuer, repository};

/// Every route that needs a credential, with the scope that it requires; `None` if any caller may use it.
pub(crate) const GUARDED: &[(&str, &str, Option<&str>)] = &[
    ("POST", "/access/v1/evaluation", Some("decide")),
    ("POST", "/access/v1/evaluations", Some("decide")),
    ("POST", "/v1/validate", Some("decide")),
    ("POST", "/v1/explain", Some("read")),
    ("GET", "/v1/constitution", Some("read")),
    ("GET", "/v1/constitution/policies", Some("read")),
    ("GET", "/v1/constitution/policies/x", Some("read")),
    ("POST", "/v1/constitution/reload", Some("constitution:write")),
    ("GET", "/v1/schema", Some("read")),
    ("POST", "/v1/bench-results", Some("ops")),
    ("GET", "/v1/entities", Some("entities:read")),
    ("POST", "/v1/entities/batch", Some("entities:write")),
    ("GET", "/v1/entities/User/ann", Some("entities:read")),
    ("PUT", "/v1/entities/User/ann", Some("entities:write")),
    ("DELETE", "/v1/entities/User/ann", Some("entities:write")),
    ("GET", "/v1/audit", Some("audit:read")),
    ("GET", "/v1/audit/entries", Some("audit:read")),
    ("GET", "/v1/audit/denials", Some("audit:read")),
    ("GET", "/v1/decisions/0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", Some("audit:read")),
    ("GET", "/v1/audit/log/checkpoint", Some("audit:read")),
    ("GET", "/v1/audit/log/checkpoint/witnessed", Some("audit:read")),
    ("GET", "/v1/audit/log/tile/0/000", Some("audit:read")),
    ("GET", "/v1/audit/entries/0", Some("audit:read")),
    ("GET", "/v1/audit/entries/0/proof", Some("audit:read")),
    ("GET", "/v1/audit/consistency", Some("audit:read")),
    ("GET", "/v1/cache", Some("read")),
    ("DELETE", "/v1/cache", Some("ops")),
    ("GET", "/v1/log-level", Some("ops")),
    ("PUT", "/v1/log-level", Some("ops")),
    ("GET", "/v1/pool", Some("read")),
    ("GET", "/v1/performance", Some("read")),
    ("GET", "/v1/performance/history", Some("read")),
    ("GET", "/v1/performance/stream", Some("read")),
    ("GET", "/v1/alerts", Some("read")),
    ("GET", "/metrics", Some("read")),
    ("GET", "/v1/status", Some("read")),
    ("DELETE", "/v1/auth/session", None),
    ("POST", "/v1/auth/logout", None),
    ("POST", "/v1/auth/logout-all", None),
    ("POST", "/v1/auth/password", None),
    ("GET", "/v1/auth/me", None),
    ("GET", "/v1/writes/0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", None),
    ("GET", "/v1/auth/sessions", None),
    ("DELETE", "/v1/auth/sessions/x", None),
    ("POST", "/v1/auth/totp", None),
    ("DELETE", "/v1/auth/totp", None),
    ("POST", "/v1/auth/totp/confirm", None),
    ("POST", "/v1/auth/keys/rotate", Some("auth:write")),
    ("GET", "/v1/users", Some("auth:write")),
    ("POST", "/v1/users", Some("auth:write")),
    ("GET", "/v1/users/admin", Some("auth:write")),
    ("PATCH", "/v1/users/admin", Some("auth:write")),
    ("DELETE", "/v1/users/admin", Some("auth:write")),
    ("GET", "/v1/clients", Some("auth:write")),
    ("POST", "/v1/clients", Some("auth:write")),
    ("PATCH", "/v1/clients/x", Some("auth:write")),
    ("DELETE", "/v1/clients/x", Some("auth:write")),
    ("GET", "/v1/api-keys", Some("auth:write")),
    ("POST", "/v1/api-keys", Some("auth:write")),
    ("DELETE", "/v1/api-keys/x", Some("auth:write")),
];

/// Other ways to write some of them.
const ALIASES: &[(&str, &str, Option<&str>)] = &[
    ("GET", "/v1/%63onstitution", Some("read")),
    ("HEAD", "/v1/constitution", Some("read")),
    ("GET", "/v1/users?limit=1", Some("auth:write")),
    ("GET", "/%76%31/users", Some("auth:write")),
];

fn wary() -> TestDaemon {
    setup().set("auth.decisions", "token").set("monitor.metrics", "token").start()
}

#[test]
fn every_route_that_is_not_open_is_among_those_that_are_asked_here() {
    // Each route is written on one line with `(Method::`, and its authorization beside it.
    let table = fs::read_to_string(repository().join("src/http/routes.rs")).unwrap();
    let methods = table.lines().filter(|line| line.contains("(Method::"));
    let guarded = methods
        .filter(|line| ![", Public,", ", RateLimited,", ", OptionalAuth,"].iter().any(|open| line.contains(open)))
        .count();
    assert_eq!(guarded, GUARDED.len(), "routes are missing here, or were taken away");
}

#[test]
fn every_route_that_is_not_open_wants_a_credential() {
    let daemon = wary();
    for (method, path, _) in GUARDED.iter().chain(ALIASES) {
        let answer = daemon.ask(&Request::new(method, path).anonymous());
        assert_eq!(answer.status, 401, "{method} {path}: {answer}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"acgs\""), "{method} {path}");
    }
}

#[test]
fn a_route_names_the_scope_that_the_caller_does_not_have() {
    let daemon = wary();
    for (method, path, scope) in GUARDED.iter().chain(ALIASES) {
        let Some(scope) = scope else { continue };
        // Neither has what the other has not.
        let role = if *scope == "decide" { "auditor" } else { "agent" };
        let request = Request::new(method, path).token(&issuer::token("somebody", role));
        let answer = daemon.ask(&request);
        assert_eq!(answer.status, 403, "{method} {path}: {answer}");
        let challenge = format!("Bearer realm=\"acgs\", error=\"insufficient_scope\", scope=\"{scope}\"");
        assert_eq!(answer.header("www-authenticate"), Some(&*challenge), "{method} {path}");
    }
}

#[test]
fn a_role_that_nobody_knows_permits_nothing() {
    let daemon = wary();
    for role in ["Admin", "admin ", "admin,agent", "admin auditor", "root", "*", ""] {
        let answer = daemon.ask(&Request::get(super::CONSTITUTION).token(&issuer::token("somebody", role)));
        assert_eq!(answer.status, 403, "{role}: {answer}");
    }
}
