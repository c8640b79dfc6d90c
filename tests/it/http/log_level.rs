//! The log level of a running daemon is shown and changed, for a time, or until a reload.

use serde_json::{Value, json};

use super::problem;
use crate::harness::{Request, Setup, Signal, TestDaemon, until};

const PATH: &str = "/v1/log-level";

#[track_caller]
fn level(daemon: &TestDaemon) -> Value {
    let answer = daemon.get(PATH);
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()
}

/// Whether a management write, which is logged as `info`, is in the log.
fn logs_writes(daemon: &TestDaemon) -> bool {
    let before = daemon.stderr().lines().count();
    daemon.delete("/v1/entities/User/nobody");
    daemon.stderr().lines().skip(before).any(|line| line.contains("/v1/entities/{type}/{id}"))
}

#[test]
fn the_level_changes_until_a_reload() {
    let daemon = TestDaemon::start();
    assert_eq!(level(&daemon), json!({"level": "info", "setting": "info", "until": null}));
    assert!(logs_writes(&daemon));
    let changed = daemon.put(PATH, &json!({"level": "warn,acgs::http=error"}));
    let expected = json!({"level": "warn,acgs::http=error", "setting": "info", "until": null});
    assert_eq!((changed.status, changed.json()), (200, expected.clone()), "{changed}");
    assert_eq!(level(&daemon), expected);
    assert!(!logs_writes(&daemon));
    daemon.signal(Signal::HUP);
    daemon.wait_for("READY=1");
    assert_eq!(level(&daemon)["level"], "info");
    assert!(logs_writes(&daemon));
}

#[test]
fn the_level_returns_by_itself() {
    let daemon = TestDaemon::start();
    let changed = daemon.put(PATH, &json!({"level": "debug", "for_s": 600}));
    assert!(changed.json()["until"].as_str().is_some_and(|until| until.ends_with('Z')), "{changed}");
    // The later change counts, and the end of the earlier one does not end it.
    daemon.put(PATH, &json!({"level": "warn", "for_s": 1}));
    until("it returns", || level(&daemon)["level"] == "info");
    assert_eq!(level(&daemon)["until"], json!(null));
    assert!(daemon.stderr().contains("the log level is that of the settings again"));
}

#[test]
fn a_level_that_is_none_is_refused_with_the_reason() {
    let daemon = TestDaemon::start();
    for (body, expected) in [
        (json!({"level": "inof"}), "/level `inof` is not a log level; allowed are `off`, `error`"),
        (json!({"level": ""}), "/level `` is not a log level"),
        (json!({"level": "x".repeat(1_001)}), "/level has 1001 bytes"),
        (json!({"level": "info", "for_s": 0}), "/for_s must be a number of seconds"),
        (json!({"level": "info", "for_s": 604_801}), "/for_s must be a number of seconds"),
        (json!({"level": "info", "for": 1}), " the body cannot be read: unknown field `for`"),
        (json!({}), " the body cannot be read: missing field `level`"),
    ] {
        let answer = daemon.put(PATH, &body);
        let found = problem(&answer);
        assert!(found.starts_with(&format!("400 bad-request\n{expected}")), "{found}");
    }
    assert_eq!(level(&daemon)["level"], "info");
}

#[test]
fn the_command_shows_and_changes_it() {
    let setup = Setup::new();
    let said = |arguments: &[&str]| {
        let output = setup.run(arguments);
        let text = if output.status.success() { &output.stdout } else { &output.stderr };
        (output.status.code(), String::from_utf8_lossy(text).trim().to_owned())
    };
    let (code, text) = said(&["log-level"]);
    assert!(code == Some(1) && text.starts_with("no daemon runs"), "{text}");
    let daemon = setup.start();
    assert_eq!(said(&["log-level"]), (Some(0), "info".to_owned()));
    let expected = "debug until a reload or a restart, then info";
    assert_eq!(said(&["log-level", "debug"]), (Some(0), expected.to_owned()));
    let (code, text) = said(&["log-level", "trace", "--for", "10m"]);
    assert!(code == Some(0) && text.starts_with("trace until 20") && text.ends_with(", then info"), "{text}");
    assert_eq!(level(&daemon)["level"], "trace");
    let (code, text) = said(&["log-level", "inof"]);
    assert!(code == Some(1) && text.contains("`inof` is not a log level"), "{text}");
    for wrong in [&["log-level", "debug", "--for", "soon"][..], &["log-level", "--for", "10m"]] {
        assert_eq!(said(wrong).0, Some(2), "{wrong:?}");
    }
    assert_eq!(daemon.ask(&Request::get(PATH).anonymous()).status, 401);
}
