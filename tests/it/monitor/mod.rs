//! Key figures, alerts and their webhook, against what really happens.

mod alerts;
mod compliance;
mod figures;
mod receiver;
mod stop;
mod streams;
mod webhook;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Request, TestDaemon};

/// The longest wait: figures are of the last minute.
const PATIENCE: Duration = Duration::from_mins(3);

/// Waits for something that takes up to a minute by its nature.
#[track_caller]
fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// An alert as the daemon shows it.
#[track_caller]
fn alert(daemon: &TestDaemon, name: &str) -> Value {
    let body = wait_for("anything is measured", || {
        let answer = daemon.get("/v1/alerts");
        (answer.status == 200).then(|| answer.json())
    });
    let alerts = body["alerts"].as_array().unwrap();
    alerts.iter().find(|alert| alert["name"] == name).unwrap_or_else(|| panic!("no `{name}` in {body}")).clone()
}

/// Waits until an alert has this state.
#[track_caller]
fn becomes(daemon: &TestDaemon, name: &str, state: &str) -> Value {
    wait_for(&format!("`{name}` becomes {state}"), || Some(alert(daemon, name)).filter(|alert| alert["state"] == state))
}

/// A figure as the daemon shows it.
#[track_caller]
fn kpi(daemon: &TestDaemon, name: &str) -> Value {
    let body = daemon.get("/v1/performance").json();
    let kpis = body["kpis"].as_array().unwrap();
    kpis.iter().find(|kpi| kpi["name"] == name).unwrap_or_else(|| panic!("no `{name}` in {body}")).clone()
}

/// May `helper` call the calculator? The shipped constitution permits it.
fn permitted() -> Value {
    json!({
        "subject": {"type": "Agent", "id": "helper"},
        "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "calculator"},
    })
}

const EVALUATION: &str = "/access/v1/evaluation";

/// Asks for permitted decisions, all on one connection; the statuses.
fn decide(daemon: &TestDaemon, count: usize) -> Vec<u16> {
    let mut connection = daemon.connect();
    (0..count).map(|_| connection.ask(&Request::post(EVALUATION).json(&permitted())).status).collect()
}
