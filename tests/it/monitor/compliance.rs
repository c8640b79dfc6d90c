//! Decisions are compared with fresh evaluations, and one that differs is found.

use diesel::prelude::*;
use serde_json::json;

use super::{EVALUATION, alert, becomes, kpi, permitted, wait_for};
use crate::audit::Exported;
use crate::harness::{Request, Setup, TestDaemon};

/// Every decision is compared.
fn setup() -> Setup {
    Setup::new().in_files().set("monitor.compliance_sample_percent", 100).set("monitor.alerts.hold_s", 0)
}

fn decide(daemon: &TestDaemon) -> bool {
    let answer = daemon.ask(&Request::post(EVALUATION).json(&permitted()));
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["decision"].as_bool().unwrap()
}

#[track_caller]
fn checks(daemon: &TestDaemon, outcome: &str) -> u64 {
    let name = format!("acgs_compliance_checks_total{{outcome=\"{outcome}\"}} ");
    let text = daemon.get("/metrics").text().to_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{text}"));
    line.trim_end_matches(".0").parse().unwrap()
}

#[test]
fn decisions_that_are_equal_to_fresh_ones_comply() {
    let daemon = setup().start();
    decide(&daemon);
    wait_for("a decision is compared", || (checks(&daemon, "equal") >= 1).then_some(()));
    for risk in 1..5 {
        let tool = json!({"uid": {"type": "Tool", "id": "saw"}, "attrs": {"risk": risk}, "parents": []});
        assert_eq!(daemon.put("/v1/entities/Tool/saw", &tool).status / 100, 2);
        decide(&daemon);
    }
    wait_for("all are compared", || {
        let sum: u64 = ["equal", "undecidable", "left_out"].map(|outcome| checks(&daemon, outcome)).iter().sum();
        (sum == 5).then_some(())
    });
    assert_eq!(checks(&daemon, "different"), 0);
    wait_for("compliance is measured", || (kpi(&daemon, "compliance")["value"] == 100.0).then_some(()));
    assert_eq!(alert(&daemon, "compliance")["state"], "inactive");
}

/// One that is not is found, recorded and evicted.
pub fn a_verdict_that_is_not_what_the_database_says() {
    let setup = setup();
    let daemon = setup.start();
    let tool = |risk: u64| json!({"uid": {"type": "Tool", "id": "calculator"}, "attrs": {"risk": risk}, "parents": []});
    assert_eq!(daemon.put("/v1/entities/Tool/calculator", &tool(1)).status / 100, 2);
    assert!(decide(&daemon));
    // Behind the daemon's back, so that it cannot know that its cached verdict is outdated.
    let mut database = SqliteConnection::establish(setup.data_dir().join("acgs.db").to_str().unwrap()).unwrap();
    let update = "UPDATE entities SET attrs = replace(attrs, '1', '9') WHERE type = 'Tool' AND id = 'calculator'";
    assert_eq!(diesel::sql_query(update).execute(&mut database).unwrap(), 1);
    wait_for("a cached permit is found to differ", || {
        decide(&daemon);
        (checks(&daemon, "different") >= 1).then_some(())
    });
    let fired = becomes(&daemon, "compliance", "firing");
    assert!(fired["value"].as_f64().unwrap() < 100.0, "{fired}");
    wait_for("the verdict is evicted", || (!decide(&daemon)).then_some(()));
    let records = Exported::from(&setup, 0).records;
    let found = records.iter().find(|record| record["kind"] == "compliance").expect("it is recorded");
    assert_eq!((&found["answered"]["decision"], &found["evaluated"]["decision"]), (&json!(true), &json!(false)));
    let id = found["decision_id"].as_str().unwrap();
    assert!(records.iter().any(|record| record["kind"] == "decision" && record["id"] == id), "{found}");
    let is_alert = |record: &&serde_json::Value| record["kind"] == "alert" && record["alert"] == "compliance";
    assert_eq!(records.iter().filter(is_alert).count(), 1);
    becomes(&daemon, "compliance", "inactive");
}
