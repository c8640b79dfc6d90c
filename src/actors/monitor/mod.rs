//! Measures the daemon: once a second it reads all counters, computes the key figures, and fires alerts.

mod alerts;
pub mod compliance;
mod denial_history;
mod disk_growth;
mod figures;
mod history;
mod kpis;
mod readings;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use actix::Arbiter;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

pub use alerts::{Alert, AlertRule, AlertSeverity, AlertState, RULES, Transition};
pub use readings::Sources;

use crate::actors::audit::journal::Journal;
use crate::ledger::{Event, EventKind};
use crate::settings::Settings;
use compliance::ComplianceCounts;
use figures::Figures;
use history::History;
use readings::Reader;
use webhook::{DeliveryCounts, Webhook};

/// The daemon's name as the caller of its own events.
const DAEMON: &str = "acgs";

/// How often everything is read.
const INTERVAL: Duration = Duration::from_secs(1);

/// Settings of the monitor, and the receivers of alerts.
#[derive(Debug)]
pub struct MonitorOptions {
    /// Targets and thresholds.
    pub settings: Arc<Settings>,
    /// Records alerts.
    pub journal: Journal,
    /// Posts alerts; `None`: nowhere.
    pub webhook: Option<Webhook>,
    /// The outcomes of posted alerts.
    pub deliveries: DeliveryCounts,
    /// The daemon's name among others, for receivers of alerts: the origin of its log.
    pub node: String,
}

/// The measurements of one second, as JSON texts.
#[derive(Debug, Clone, Default)]
pub struct Tick {
    /// The number of seconds measured.
    pub number: u64,
    /// The point of the charts.
    pub point: Arc<str>,
    /// The key figures: the body of `/v1/performance`.
    pub performance: Arc<str>,
    /// The alerts: the body of `/v1/alerts`.
    pub alerts: Arc<str>,
    /// Changes whenever an alert changes its state.
    pub alerts_version: u64,
}

/// A view of the measurements; shared by all clones.
#[derive(Debug, Clone)]
pub struct MonitorView {
    ticks: watch::Receiver<Tick>,
    history: Arc<History>,
    firing: watch::Receiver<Vec<(&'static str, bool)>>,
    deliveries: DeliveryCounts,
    compliance: ComplianceCounts,
}

impl MonitorView {
    /// The newest measurements.
    #[must_use]
    pub fn newest(&self) -> Tick {
        self.ticks.borrow().clone()
    }

    /// Each new measurement.
    #[must_use]
    pub fn ticks(&self) -> watch::Receiver<Tick> {
        self.ticks.clone()
    }

    /// The points of the last 15 minutes.
    #[must_use]
    pub fn history(&self) -> Value {
        self.history.to_json()
    }

    /// The names of all alerts, and whether each fires.
    #[must_use]
    pub fn firing(&self) -> Vec<(&'static str, bool)> {
        self.firing.borrow().clone()
    }

    /// The outcomes of posted alerts.
    #[must_use]
    pub fn deliveries(&self) -> &DeliveryCounts {
        &self.deliveries
    }

    /// Whether decisions comply.
    #[must_use]
    pub fn compliance(&self) -> &ComplianceCounts {
        &self.compliance
    }
}

/// The thread that measures.
#[derive(Debug)]
pub struct MonitorThread {
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
}

impl MonitorThread {
    /// Ends the thread, so that the end of other parts fires no alert.
    pub async fn stop(self) {
        drop(self.stop);
        // The thread drops the sender when it ends.
        let _ = self.stopped.await;
    }
}

/// The state of the thread.
struct Monitor {
    options: MonitorOptions,
    alerts: Vec<Alert>,
    history: Arc<History>,
    ticks: watch::Sender<Tick>,
    firing: watch::Sender<Vec<(&'static str, bool)>>,
}

/// Starts the thread that measures. It ends when it is stopped, or with the actix system.
#[must_use]
pub fn start(sources: Sources, options: MonitorOptions) -> (MonitorThread, MonitorView) {
    let (ticks, ticks_view) = watch::channel(Tick::default());
    let (firing, firing_view) = watch::channel(Vec::new());
    let history = Arc::<History>::default();
    let view = MonitorView {
        ticks: ticks_view,
        history: Arc::clone(&history),
        firing: firing_view,
        deliveries: options.deliveries.clone(),
        compliance: sources.compliance.clone(),
    };
    let monitor = Monitor { options, alerts: Alert::all(), history, ticks, firing };
    let (stop, stopping) = oneshot::channel();
    let (ended, stopped) = oneshot::channel();
    Arbiter::new().spawn(async move {
        monitor.run(sources, stopping).await;
        drop::<oneshot::Sender<()>>(ended);
    });
    (MonitorThread { stop, stopped }, view)
}

impl Monitor {
    async fn run(mut self, sources: Sources, mut stopping: oneshot::Receiver<()>) {
        let mut seconds = interval(INTERVAL);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        seconds.tick().await;
        let reader = Reader::start(sources);
        let mut figures = Figures::new(reader.read());
        let mut tick = Tick::default();
        loop {
            self.record_noncompliance(&figures);
            let is_changed = self.update_alerts(&figures);
            tick.number += 1;
            tick.alerts_version += u64::from(is_changed);
            self.publish(&figures, &mut tick);
            tokio::select! {
                _ = &mut stopping => return,
                _ = seconds.tick() => {}
            }
            figures.push(reader.read());
        }
    }

    /// Records decisions since the last readings that were made under another constitution or without a record.
    fn record_noncompliance(&self, figures: &Figures) {
        let (displaced, unrecorded) = figures.compliance.last_noncompliant();
        if displaced + unrecorded == 0 {
            return;
        }
        let event = Event::new(EventKind::Compliance, DAEMON).name("event", "noncompliant");
        let event = event.name("displaced", displaced).name("unrecorded", unrecorded);
        if let Err(error) = self.options.journal.record_first(&[event]) {
            tracing::error!(%error, "decisions that do not comply cannot be recorded in the audit log");
        }
    }

    /// Whether an alert changed its state.
    fn update_alerts(&mut self, figures: &Figures) -> bool {
        let settings = &self.options.settings;
        let mut is_changed = false;
        for alert in &mut self.alerts {
            let before = alert.state;
            let transition = alert.update(figures, settings);
            is_changed |= before != alert.state;
            if let Some(transition) = transition {
                tell(alert, transition, &self.options);
            }
        }
        let firing = self.alerts.iter().map(|alert| (alert.rule.name, alert.state == AlertState::Firing));
        self.firing.send_replace(firing.collect());
        is_changed
    }

    fn publish(&self, figures: &Figures, tick: &mut Tick) {
        let settings = &self.options.settings;
        let at = time_text(figures.now.at);
        let point = kpis::point(figures);
        self.history.push(&point);
        tick.point = history::point_json(&point).to_string().into();
        tick.performance = json!({"at": at, "kpis": kpis::kpis(figures, settings)}).to_string().into();
        let mut alerts: Vec<&Alert> = self.alerts.iter().collect();
        alerts.sort_by_key(|alert| alert.state);
        let alerts: Vec<Value> = alerts.into_iter().map(|alert| alert_json(alert, settings)).collect();
        tick.alerts = json!({"at": at, "alerts": alerts}).to_string().into();
        self.ticks.send_replace(tick.clone());
    }
}

/// Logs, records and posts that an alert fired or ended.
fn tell(alert: &Alert, transition: Transition, options: &MonitorOptions) {
    let settings = &options.settings;
    let (name, summary, value) = (alert.rule.name, alert.rule.summary, alert.value);
    let condition = alert.condition(settings);
    let event = match transition {
        Transition::Fired => {
            tracing::warn!(alert = name, value, condition, "alert: {summary}; see /alerts/{name}");
            "fired"
        }
        Transition::Resolved => {
            tracing::info!(alert = name, value, condition, "the alert has ended: {summary}");
            "resolved"
        }
    };
    let recorded = Event::new(EventKind::Alert, DAEMON)
        .name("event", event)
        .name("alert", name)
        .name("severity", json!(alert.rule.severity))
        .detail("value", value)
        .detail("condition", condition);
    if let Err(error) = options.journal.record_first(&[recorded]) {
        tracing::error!(%error, alert = name, "an alert cannot be recorded in the audit log");
    }
    if let Some(webhook) = &options.webhook {
        let id = crate::ledger::new_id(OffsetDateTime::now_utc()).hyphenated().to_string();
        let body = json!({"id": id, "event": event, "node": options.node, "alert": alert_json(alert, settings)});
        webhook.post(body.to_string());
    }
}

fn alert_json(alert: &Alert, settings: &Settings) -> Value {
    let rule = alert.rule;
    json!({
        "name": rule.name,
        "severity": rule.severity,
        "state": alert.state,
        "since": alert.since.map(time_text),
        "value": alert.value,
        "unit": rule.unit,
        "condition": alert.condition(settings),
        "summary": rule.summary,
        "meaning": rule.meaning,
        "remedy": rule.remedy,
        "runbook": format!("/alerts/{}", rule.name),
    })
}

fn time_text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}
