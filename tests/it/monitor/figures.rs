//! The key figures are of real windows, and reach a client as they change.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{EVALUATION, decide, kpi, permitted, wait_for};
use crate::faults::disk::{ENOSPC, Faults};
use crate::harness::{Request, Setup};

#[test]
fn figures_are_null_without_traffic_and_measured_with_it() {
    let daemon = Setup::new().start();
    wait_for("measured", || (daemon.get("/v1/performance").status == 200).then_some(()));
    for name in ["decision_latency_p99", "hit_rate", "compliance"] {
        let figure = kpi(&daemon, name);
        assert_eq!((&figure["value"], &figure["met"]), (&Value::Null, &Value::Null), "{figure}");
    }
    assert_eq!(kpi(&daemon, "decisions_per_s")["met"], Value::Null, "nothing is asked for");
    assert_eq!(decide(&daemon, 50), [200; 50]);
    let p99 = wait_for("decisions are measured", || {
        Some(kpi(&daemon, "decision_latency_p99")).filter(|p99| p99["value"].is_f64())
    });
    assert_eq!((&p99["window_s"], &p99["unit"], &p99["target"]), (&60.into(), &"ms".into(), &json!({"max": 5.0})));
    let value = |name: &str| kpi(&daemon, name)["value"].as_f64().unwrap_or_else(|| panic!("{name}"));
    let percentiles = ["p50", "p95", "p99"].map(|percent| value(&format!("decision_latency_{percent}")));
    assert!(percentiles.is_sorted() && percentiles[0] > 0.0 && percentiles[2] < 60_000.0, "{percentiles:?}");
    wait_for("all are in the window", || {
        (value("decisions_per_s") > 0.0 && value("compliance") >= 100.0).then_some(())
    });
    assert!(value("commit_batch") >= 1.0 && value("commit_sync_p50") <= value("commit_sync_p99"));
    assert!(value("memory") > 1e6 && value("open_files") > 3.0 && value("disk_free") > 0.0);
    assert!(value("token_validation_p50") > 0.0, "each question about figures has a token");
    assert!((0.0..=100.0).contains(&value("hit_rate")));
}

#[test]
fn decisions_that_are_asked_for_and_not_answered_count_as_offered() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(Setup::new());
    let daemon = setup.start();
    assert_eq!(decide(&daemon, 10), [200; 10]);
    faults.set(&format!("write error {ENOSPC} .log"));
    let ask = || daemon.ask(&Request::post(EVALUATION).json(&permitted())).status;
    wait_for("decisions fail", || (ask() == 503).then_some(()));
    wait_for("more are offered than answered", || {
        let kpis = daemon.get("/v1/performance").json()["kpis"].clone();
        let value = |name: &str| {
            let kpi = kpis.as_array().unwrap().iter().find(|kpi| kpi["name"] == name);
            kpi.unwrap_or_else(|| panic!("no `{name}` in {kpis}"))["value"].as_f64().unwrap()
        };
        (value("decisions_offered_per_s") > value("decisions_per_s")).then_some(())
    });
}

#[test]
fn the_course_of_the_figures_has_one_point_a_second() {
    let daemon = Setup::new().start();
    assert_eq!(decide(&daemon, 20), [200; 20]);
    let history = wait_for("three seconds are measured", || {
        let history = daemon.get("/v1/performance/history").json();
        let points = history["series"]["at"].as_array().map_or(0, Vec::len);
        (points >= 3).then_some(history)
    });
    assert_eq!(history["interval_s"], 1);
    let series = history["series"].as_object().unwrap();
    let lengths: BTreeSet<usize> = series.values().map(|values| values.as_array().unwrap().len()).collect();
    assert_eq!((series.len(), lengths.len()), (20, 1), "{history}");
    let at: Vec<f64> = series["at"].as_array().unwrap().iter().map(|at| at.as_f64().unwrap()).collect();
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 1.0), "a second apart at least: {at:?}");
    let permitted = wait_for("the decisions are in it", || {
        let history = daemon.get("/v1/performance/history").json();
        let permitted = history["series"]["permitted"].as_array().unwrap().iter();
        Some(permitted.map(|rate| rate.as_f64().unwrap()).sum::<f64>()).filter(|sum| *sum > 0.0)
    });
    assert!(permitted <= 21.0, "rates of intervals that are a second long or longer: {permitted}");
}

#[test]
fn an_alert_has_a_page_that_says_what_to_do() {
    let daemon = Setup::new().start();
    let body = wait_for("measured", || Some(daemon.get("/v1/alerts")).filter(|answer| answer.status == 200)).json();
    for alert in body["alerts"].as_array().unwrap() {
        let page = daemon.ask(&Request::get(alert["runbook"].as_str().unwrap()).anonymous());
        assert_eq!(page.status, 200, "{alert}");
        let marks = [("<code>", "`"), ("</code>", "`"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
        let text = marks.iter().fold(page.text().to_owned(), |text, (mark, meant)| text.replace(mark, meant));
        assert!(text.contains(alert["remedy"].as_str().unwrap()), "{page}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && text.contains("href=\"../dashboard/#operations\""),
            "{page}"
        );
    }
    assert_eq!(daemon.get("/alerts/nothing").status, 404);
}
