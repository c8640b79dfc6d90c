//! What is not measured, and how that is said.

use std::fs;

use super::{arguments, folder, run, url};
use crate::audit::Exported;
use crate::harness::{Setup, TestDaemon};

/// Runs it with these arguments; it must refuse, and nothing be decided.
#[track_caller]
fn refused(setup: &Setup, daemon: &TestDaemon, more: &[&str], parts: &[&str]) {
    let output = setup.run(arguments(setup, &url(daemon), more));
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for part in parts {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
    assert!(!folder(setup).join("result.json").exists());
    assert_eq!(Exported::from(setup, 0).decisions(), 0);
}

#[test]
fn a_daemon_in_production_is_measured_only_with_yes() {
    let setup = Setup::new().set("http.public_url", "https://acgs.example");
    let daemon = setup.start();
    refused(&setup, &daemon, &["load", "--duration", "1s"], &["in production", "https://acgs.example", "--yes"]);
    let ended = run(&setup, &url(&daemon), &["load", "--duration", "1s", "--yes"]);
    assert_eq!(ended.code, Some(ended.expected_code()), "{}", ended.told);
    assert_eq!(ended.verdict("errors")["outcome"], "met", "{}", ended.told);
}

#[test]
fn a_daemon_that_requires_credentials_is_in_production_and_takes_the_token() {
    let setup = Setup::new().set("auth.decisions", "token");
    let daemon = setup.start();
    refused(&setup, &daemon, &["load", "--duration", "1s"], &["requires a credential for decisions", "--yes"]);
    let ended = run(&setup, &url(&daemon), &["load", "--duration", "1s", "--yes"]);
    assert_eq!(ended.verdict("errors")["outcome"], "met", "{}", ended.told);
    let records = super::marked(&setup, &ended.result["run"]);
    assert!(records.iter().all(|record| record["caller"] != "anonymous"), "{:?}", records.first());
}

#[test]
fn arguments_that_cannot_be_used_are_refused() {
    let setup = Setup::new();
    let daemon = setup.start();
    for (more, part) in [
        (&["load", "--duration", "soon"] as &[&str], "is not a time"),
        (&["load", "--duration", "5s", "--quick"], "--quick"),
        (&["load", "--permits", "101"], "101"),
        (&["fly"], "fly"),
    ] {
        refused(&setup, &daemon, more, &[part]);
    }
    for (url, part) in [("https://127.0.0.1", "TLS"), ("127.0.0.1:1", "http://")] {
        let output = setup.run(arguments(&setup, url, &["load"]));
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(part), "{told}");
    }
    // Nothing listens at port 1.
    let output = setup.run(arguments(&setup, "http://127.0.0.1:1", &["load"]));
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no daemon answers"), "{output:?}");
}

#[test]
fn on_the_daemons_host_no_credential_is_needed_and_a_wrong_one_is_explained() {
    let setup = Setup::new().unix();
    let _daemon = setup.start();
    let report = folder(&setup).display().to_string();
    let short = ["bench", "load", "--duration", "1s", "--keys", "20", "--report", &report];
    let output = setup.run(short);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{told}");
    let result: serde_json::Value =
        serde_json::from_slice(&fs::read(folder(&setup).join("result.json")).unwrap()).unwrap();
    assert_eq!(result["tests"][0]["load"]["answered"], 150, "{told}");
    let records = super::marked(&setup, &result["run"]);
    assert!(records.len() > 150 && records.iter().all(|record| record["caller"] == "anonymous"));
    let wrong = setup.data_dir().join("../wrong-token");
    fs::write(&wrong, "no token\n").unwrap();
    let wrong = wrong.display().to_string();
    let output = setup.run(short.iter().chain(&["--token-file", &wrong]));
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for part in ["`decide` and `read`", "audit:read", "acgs client add", "--token-file"] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
}
