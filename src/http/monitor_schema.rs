//! Schemas of what the monitor measures, for the API document. They describe: the monitor writes its answers as text.
#![expect(dead_code, reason = "the types only describe JSON")]

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::actors::monitor::RULES;

/// The key figures of one moment.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "at": "2026-11-24T09:30:00.123456789Z",
    "kpis": [
        {"name": "decision_latency_p99", "window_s": 60, "value": 1.8, "unit": "ms", "target": {"max": 5.0}, "met": true},
        {"name": "hit_rate", "window_s": 300, "value": null, "unit": "%", "target": {"min": 85.0}, "met": null},
        {"name": "audit_queue", "window_s": null, "value": 0.0, "unit": "records", "target": null, "met": null}
    ]
})))]
pub struct Performance {
    #[schema(format = DateTime)]
    at: String,
    kpis: Vec<Kpi>,
}

/// A key figure.
#[derive(Serialize, ToSchema)]
pub struct Kpi {
    name: String,
    /// The time that it is of, in seconds; null: the present moment.
    #[schema(required)]
    window_s: Option<u64>,
    /// Null if there was nothing to measure.
    #[schema(required)]
    value: Option<f64>,
    /// The unit of value and target.
    unit: String,
    /// Null if the figure has none.
    #[schema(required)]
    target: Option<KpiTarget>,
    /// Whether the target is met; null without a target or a value, or while the figure says nothing about it.
    #[schema(required)]
    met: Option<bool>,
}

/// The bound of a figure.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KpiTarget {
    /// The figure should be at most this.
    Max(f64),
    /// The figure should be less than this.
    Below(f64),
    /// The figure should be at least this.
    Min(f64),
}

/// The figures of single seconds. All arrays have the same length, and the newest second is the last.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "interval_s": 1,
    "series": {
        "at": [1_795_512_600.0, 1_795_512_601.0], "permitted": [12.0, 9.0], "denied": [1.0, 0.0],
        "p50": [0.8, 0.7], "p95": [1.2, 1.1], "p99": [1.8, null]
    }
})))]
pub struct PerformanceHistory {
    /// The seconds from one value to the next.
    interval_s: u64,
    series: PerformanceSeries,
}

/// Defines what one second is described by: as values, and as arrays of values. A value is null where there was nothing
/// to measure.
macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// The figures of one second.
        #[derive(Serialize, ToSchema)]
        #[schema(examples(json!({
            "at": 1_795_512_601.0, "permitted": 9.0, "denied": 0.0, "p50": 0.7, "p95": 1.1, "p99": 1.4, "hit_l1": 88.9,
            "hit_l2": null, "hit_l3": 100.0, "hit": 100.0, "pool_busy": 0.0, "pool_open": 10.0, "pool_waiting": 0.0,
            "commit_p50": 0.4, "commit_p99": 0.9, "commit_batch": 1.5, "queue": 0.0, "cpu": 3.1,
            "memory": 58_720_256.0, "open_files": 41.0
        })))]
        pub struct PerformancePoint {
            $($(#[$doc])* #[schema(required)] $name: Option<f64>,)*
        }

        /// The figures of each second; without members before anything is measured.
        #[derive(Serialize, ToSchema)]
        pub struct PerformanceSeries {
            $($(#[$doc])* #[schema(required = false)] $name: Vec<Option<f64>>,)*
        }
    };
}

figures! {
    /// Seconds since 1970.
    at
    /// Permitted actions.
    permitted
    /// Denied actions.
    denied
    /// The latency of decisions in milliseconds: the median.
    p50
    /// The 95th percentile of it.
    p95
    /// The 99th percentile of it.
    p99
    /// The hit rate of the workers' caches, in percent.
    hit_l1
    /// The hit rate of Redis, in percent.
    hit_l2
    /// The hit rate of the cache of entities, in percent.
    hit_l3
    /// The hit rate of all caches together, in percent.
    hit
    /// Used connections to the database.
    pool_busy
    /// Open connections to the database.
    pool_open
    /// Jobs that wait for a connection to the database.
    pool_waiting
    /// How long commits of the audit log took, in milliseconds: the median.
    commit_p50
    /// The 99th percentile of it.
    commit_p99
    /// Records in a commit.
    commit_batch
    /// Records that wait for their commit.
    queue
    /// The use of processors, in percent.
    cpu
    /// Memory in bytes.
    memory
    /// Open files.
    open_files
}

/// All alerts, those that fire first.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "at": "2026-11-24T09:30:00.123456789Z",
    "alerts": [firing_latency()]
})))]
pub struct Alerts {
    #[schema(format = DateTime)]
    at: String,
    alerts: Vec<Alert>,
}

/// An alert as it is now.
#[derive(Serialize, ToSchema)]
pub struct Alert {
    name: String,
    severity: AlertSeverity,
    state: AlertState,
    /// Since when it has this state; null: since the daemon started.
    #[schema(required, format = DateTime)]
    since: Option<String>,
    /// The figure that it is about; null if there is nothing to measure.
    #[schema(required)]
    value: Option<f64>,
    /// The figure's unit; empty for a state, whose figure is 1 while it lasts.
    unit: String,
    /// When it fires.
    condition: String,
    summary: String,
    meaning: String,
    remedy: String,
    /// The path of the page that explains it.
    runbook: String,
}

/// How bad an alert is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertSeverity {
    /// Decisions, records or their evidence are in danger: act now.
    Critical,
    /// Something will become critical if it goes on: act today.
    Warning,
}

/// The state of an alert.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The figure has been bad for long enough.
    Firing,
    /// The figure is bad, but not for long enough yet.
    Pending,
    /// The figure is good, or there is none.
    Inactive,
}

/// The example of an alert, with the text of its rule.
fn firing_latency() -> Value {
    let rule = RULES.iter().find(|rule| rule.name == "latency_p99");
    rule.map_or(Value::Null, |rule| {
        json!({
            "name": rule.name, "severity": rule.severity, "state": "firing",
            "since": "2026-11-24T09:28:12.123456789Z", "value": 7.2, "unit": rule.unit,
            "condition": "> 5 ms for 60 s", "summary": rule.summary, "meaning": rule.meaning, "remedy": rule.remedy,
            "runbook": format!("/alerts/{}", rule.name),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use utoipa::PartialSchema as _;

    use super::*;
    use crate::actors::monitor;
    use crate::metrics::kpi;

    fn names<'v>(names: impl IntoIterator<Item = &'v String>) -> BTreeSet<&'v str> {
        names.into_iter().map(String::as_str).collect()
    }

    #[test]
    fn a_figure_is_described_as_it_is_written() {
        let targets = [kpi::KpiTarget::Max(5.0), kpi::KpiTarget::Below(5.0), kpi::KpiTarget::Min(5.0)];
        for (alternative, target) in targets.into_iter().enumerate() {
            let written = json!(kpi::Kpi::new("x", None, "ms", Some(1.0)).target(target));
            let described = serde_json::to_value(Kpi::schema()).unwrap();
            let described = names(described["properties"].as_object().unwrap().keys());
            assert_eq!(described, names(written.as_object().unwrap().keys()));
            let described = serde_json::to_value(KpiTarget::schema()).unwrap();
            let described = &described["oneOf"][alternative]["properties"];
            let written = written["target"].as_object().unwrap();
            assert_eq!(names(described.as_object().unwrap().keys()), names(written.keys()));
        }
    }

    #[test]
    fn the_example_of_an_alert_is_one_of_the_rules() {
        let example = firing_latency();
        let described = serde_json::to_value(Alert::schema()).unwrap();
        let described = names(described["properties"].as_object().unwrap().keys());
        assert_eq!(described, names(example.as_object().unwrap().keys()));
        assert_eq!((&example["severity"], &example["unit"]), (&json!("critical"), &json!("ms")));
    }

    #[test]
    fn severities_and_states_are_described_by_their_names() {
        let severities = serde_json::to_value(AlertSeverity::schema()).unwrap();
        assert_eq!(severities["enum"], json!([monitor::AlertSeverity::Critical, monitor::AlertSeverity::Warning]));
        let states = serde_json::to_value(AlertState::schema()).unwrap();
        let written = [monitor::AlertState::Firing, monitor::AlertState::Pending, monitor::AlertState::Inactive];
        assert_eq!(states["enum"], json!(written));
    }
}
