//! `/v1/status`: what an operator sees first.

use serde_json::{Value, json};

use super::{EVALUATION, HASH, permitted};
use crate::harness::{Setup, TestDaemon, until};

/// The state of a check.
fn check<'a>(status: &'a Value, name: &str) -> &'a Value {
    let checks = status["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check `{name}` in {status}"))
}

#[test]
fn the_status_has_the_checks_the_constitution_and_the_log() {
    let daemon = TestDaemon::start();
    assert_eq!(daemon.post(EVALUATION, &permitted()).status, 200);
    until("a checkpoint covers the decision", || {
        let audit = daemon.get("/v1/status").json()["audit"].clone();
        audit["checkpoint"]["size"] == audit["records"] && audit["index_lag"] == 0
    });
    let answer = daemon.get("/v1/status");
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-cache")), "{answer}");
    let status = answer.json();
    assert_eq!(
        (&status["state"], &status["version"]),
        (&json!("ready"), &json!(env!("CARGO_PKG_VERSION"))),
        "{status}"
    );
    assert_eq!(check(&status, "audit"), &json!({"name": "audit", "state": "ok", "fault": null}));
    // The same checks as `/readyz` has, in the same order.
    let ready = daemon.get("/readyz?verbose");
    let names = ready.text().lines().filter_map(|line| line.strip_prefix("[+]")?.strip_suffix(" ok"));
    let shown = status["checks"].as_array().unwrap().iter().filter(|check| check["state"] == "ok");
    assert!(names.eq(shown.map(|check| check["name"].as_str().unwrap())), "{status} {ready}");
    let shown = daemon.get("/v1/constitution").json();
    for (member, other) in [
        ("name", "name"),
        ("version", "version"),
        ("hash", "hash"),
        ("digest", "digest"),
        ("in_force_since", "activated_at"),
    ] {
        assert_eq!(status["constitution"][member], shown[other], "{member}");
    }
    assert_eq!(status["constitution"]["hash"], HASH);
    let audit = &status["audit"];
    let log = daemon.get("/v1/audit").json();
    assert_eq!(status["node"], log["origin"]);
    // The daemon may add a record between two answers.
    until("both routes count the same records", || {
        daemon.get("/v1/status").json()["audit"]["records"] == daemon.get("/v1/audit").json()["size"]
    });
    assert!(audit["bytes"].as_u64().unwrap() > 4_096, "{audit}");
    assert_eq!((&audit["witnesses"], &audit["cosigned"]), (&json!(0), &json!(null)), "{audit}");
    let times = [&status["started_at"], &audit["checkpoint"]["at"], &status["constitution"]["in_force_since"]];
    for time in times {
        assert!(time.as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')), "{status}");
    }
    assert_eq!(status["dashboard"], json!({"login": "required"}));
}

#[test]
fn a_part_that_decisions_can_do_without_degrades() {
    let setup = Setup::new().constitution(&crate::harness::repository().join("settings/constitution"));
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("constitution");
    let copied = std::process::Command::new("cp").arg("-r").arg("settings/constitution").arg(&bundle).status().unwrap();
    assert!(copied.success());
    let setup = setup.constitution(&bundle).set("auth.dashboard", "open");
    let daemon = setup.start();
    assert_eq!(daemon.get("/v1/status").json()["dashboard"], json!({"login": "open"}));
    std::fs::write(bundle.join("policies/faulty.cedar"), "permit (").unwrap();
    assert_eq!(daemon.post("/v1/constitution/reload", &json!({})).status, 422);
    let status = daemon.get("/v1/status").json();
    let refused = check(&status, "constitution");
    assert_eq!((&status["state"], &refused["state"]), (&json!("degraded"), &json!("degraded")), "{status}");
    assert!(refused["fault"].as_str().unwrap().contains("a reload was refused"), "{status}");
}
