//! The compliance test passes where all is right, and finds a wrong cache and a record that is not there.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::{ended, proxy, run, start, url};
use crate::harness::{PATIENCE, Setup};

#[test]
fn every_answer_is_compared_and_every_record_read() {
    let setup = Setup::new();
    let daemon = setup.start();
    let ended = run(&setup, &url(&daemon), &["compliance", "--duration", "2s"]);
    assert_eq!(ended.code, Some(ended.expected_code()), "{}", ended.told);
    assert_eq!(ended.verdict("compliance")["value"], 100.0, "{}", ended.told);
    let compliance = &ended.result["tests"][0]["compliance"];
    let asked = 300 + 4 * 60;
    assert_eq!((&compliance["answers"], &compliance["equal"]), (&asked.into(), &asked.into()), "{compliance}");
    let log = json!({"records": asked, "missing": 0, "repeated": 0, "differing": 0, "unanswered": 0});
    assert_eq!(compliance["log"], log);
    assert!(ended.html.contains("equal to a fresh evaluation"));
}

/// A constitution under which the risk of the tool decides, so that every question about a stored tool depends on it.
fn risk_decides() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = fs::read_to_string(crate::audit::constitution("open").join("constitution.toml")).unwrap();
    let schema = "entity Agent;\nentity Tool = { risk: Long };\n\
                  action call_tool appliesTo { principal: [Agent], resource: [Tool], context: {} };\n";
    let policy = "@id(\"low-risk\")\npermit (principal, action, resource) when { resource.risk < 5 };\n";
    fs::create_dir(folder.path().join("policies")).unwrap();
    for (name, text) in
        [("constitution.toml", manifest.as_str()), ("schema.cedarschema", schema), ("policies/all.cedar", policy)]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn an_answer_from_a_wrong_cache_is_found() {
    let constitution = risk_decides();
    let setup = Setup::new().in_files().constitution(constitution.path());
    let daemon = setup.start();
    for number in 0..20 {
        let name = format!("saw-{number}");
        let tool = json!({"uid": {"type": "Tool", "id": name}, "attrs": {"risk": 1}, "parents": []});
        assert_eq!(daemon.put(&format!("/v1/entities/Tool/{name}"), &tool).status / 100, 2);
    }
    let records = || daemon.get("/v1/status").json()["audit"]["records"].as_u64().unwrap();
    let before = records();
    let bench = start(&setup, &url(&daemon), &["compliance", "--duration", "4s"]);
    // The load has begun when each question was asked four times.
    let until = Instant::now() + PATIENCE;
    while records() < before + 4 * 60 + 50 {
        assert!(Instant::now() < until, "the load did not begin");
        thread::sleep(Duration::from_millis(20));
    }
    // Behind the daemon's back, so that it cannot know that its cached verdicts are outdated.
    let mut database = SqliteConnection::establish(setup.data_dir().join("acgs.db").to_str().unwrap()).unwrap();
    let update = "UPDATE entities SET attrs = replace(attrs, '1', '9') WHERE type = 'Tool' AND id LIKE 'saw-%'";
    assert_eq!(diesel::sql_query(update).execute(&mut database).unwrap(), 20);
    let ended = ended(&setup, &bench.wait_with_output().unwrap());
    let compliance = &ended.result["tests"][0]["compliance"];
    assert!(compliance["different"].as_u64().unwrap() > 0, "{}", ended.told);
    assert_eq!(ended.verdict("compliance")["outcome"], "missed");
    assert_eq!(ended.code, Some(1));
    assert!(ended.told.contains("differs from a fresh evaluation"), "{}", ended.told);
    assert!(ended.html.contains("differs from a fresh evaluation"));
    assert_eq!(compliance["log"]["missing"], 0, "{compliance}");
}

#[test]
fn entities_that_are_changed_properly_make_no_answer_wrong() {
    let setup = Setup::new();
    let daemon = setup.start();
    let put = |risk: u64| {
        let tool = json!({"uid": {"type": "Tool", "id": "saw"}, "attrs": {"risk": risk}, "parents": []});
        assert_eq!(daemon.put("/v1/entities/Tool/saw", &tool).status / 100, 2);
    };
    put(1);
    let mut bench = start(&setup, &url(&daemon), &["compliance", "--duration", "3s"]);
    let mut risk = 1;
    while bench.try_wait().unwrap().is_none() {
        risk = 10 - risk;
        put(risk);
        thread::sleep(Duration::from_millis(100));
    }
    let ended = ended(&setup, &bench.wait_with_output().unwrap());
    assert_eq!(ended.verdict("compliance")["value"], 100.0, "{}", ended.told);
}

#[test]
fn a_lost_record_and_a_record_without_an_answer_are_found() {
    let setup = Setup::new();
    let daemon = setup.start();
    let between = format!("http://{}", proxy::start(daemon.address()));
    let ended = run(&setup, &between, &["compliance", "--duration", "2s"]);
    let log = &ended.result["tests"][0]["compliance"]["log"];
    let asked = 300 + 4 * 60;
    let expected = json!({"records": asked, "missing": 1, "repeated": 0, "differing": 0, "unanswered": 1});
    assert_eq!(*log, expected, "{}", ended.told);
    assert_eq!((ended.code, &ended.verdict("compliance")["outcome"]), (Some(1), &json!("missed")), "{}", ended.told);
    for part in
        ["00000000-0000-7000-8000-000000000001 was answered, but is not in the audit log", "which was not answered"]
    {
        assert!(ended.told.contains(part), "no `{part}` in {}", ended.told);
    }
}
