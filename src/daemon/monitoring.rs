//! Starts the measuring of key figures, the comparison of decisions, and the posting of alerts.

use std::sync::Arc;

use super::error::{DaemonError, system};
use crate::actors::Mailbox;
use crate::actors::health::clock_monitor::Steady;
use crate::actors::identity::directory::Directory;
use crate::actors::monitor::compliance::{Comparison, Compliance, ComplianceCounts};
use crate::actors::monitor::webhook::{DeliveryCounts, Target, Webhook};
use crate::actors::monitor::{self, MonitorOptions, MonitorView, Sources};
use crate::http::{AuditState, DecisionState, StoreState};
use crate::metrics::Metrics;
use crate::settings::{self, Alerts, Settings};

/// The shortest key, in bytes.
const SHORTEST_KEY: usize = 16;

/// What was started.
pub(super) struct Monitoring {
    pub(super) compliance: Compliance,
    pub(super) view: MonitorView,
    pub(super) webhook: Option<Webhook>,
}

pub(super) fn start(
    settings: &Arc<Settings>,
    metrics: &Metrics,
    decision: &DecisionState,
    audit: &AuditState,
    store: &StoreState,
    directory: Mailbox<Directory>,
    steady: Steady,
) -> Result<Monitoring, DaemonError> {
    let deliveries = DeliveryCounts::default();
    let webhook = match target(&settings.monitor.alerts)? {
        Some(target) => {
            Some(Webhook::start(target, deliveries.clone()).map_err(system("start the webhook of alerts"))?)
        }
        None => None,
    };
    let counts = ComplianceCounts::default();
    let compliance = Comparison {
        registry: decision.registry_addr.clone(),
        active: decision.in_force.get(),
        entities: decision.entities.clone(),
        versions: store.versions.clone(),
        caches: decision.caches.clone(),
        journal: audit.journal.clone(),
        share: settings.monitor.compliance_sample.share(),
        counts: counts.clone(),
    };
    let sources = Sources {
        metrics: metrics.clone(),
        queue: audit.queue.clone(),
        pools: store.pool_monitor.clone(),
        answers: store.answers.clone(),
        replicas: store.replicas.clone(),
        rates: decision.caches.rates().clone(),
        verdicts: decision.verdicts.clone(),
        index: audit.index_status.clone(),
        checkpoints: audit.checkpoints.clone(),
        directory,
        steady,
        compliance: counts,
        data_dir: settings.data_dir.clone(),
    };
    let options = MonitorOptions {
        settings: Arc::clone(settings),
        journal: audit.journal.clone(),
        webhook: webhook.clone(),
        deliveries,
        node: rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    Ok(Monitoring { compliance: compliance.start(), view: monitor::start(sources, options), webhook })
}

/// Where alerts are posted, if anywhere.
fn target(alerts: &Alerts) -> Result<Option<Target>, DaemonError> {
    let (Some(url), Some(path)) = (&alerts.webhook_url, &alerts.webhook_key_file) else { return Ok(None) };
    let refused = |source| DaemonError::WebhookKey { path: path.clone(), source };
    let key = settings::read_secret(path, SHORTEST_KEY).map_err(refused)?;
    Ok(Some(Target { url: url.as_str().to_owned(), key: key.into_bytes() }))
}
