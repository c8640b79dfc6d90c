//! Starts the measuring of key figures, the comparison of decisions, and the posting of alerts.

use std::sync::Arc;

use super::error::{DaemonError, system};
use crate::actors::Mailbox;
use crate::actors::health::clock_monitor::Steady;
use crate::actors::identity::directory::Directory;
use crate::actors::monitor::compliance::{Comparison, ComplianceCounts, ComplianceSampler};
use crate::actors::monitor::webhook::{DeliveryCounts, Webhook, WebhookEndpoint, WebhookThread};
use crate::actors::monitor::{self, MonitorOptions, MonitorThread, MonitorView, Sources};
use crate::http::{AuditState, DecisionState, StoreState};
use crate::metrics::Metrics;
use crate::settings::{self, Alerts, Settings};

/// The least length of the key, in bytes.
const MIN_KEY_LENGTH: usize = 16;

/// The parts that measure and compare, for the HTTP workers, and their threads.
pub(super) struct Monitoring {
    pub(super) compliance: ComplianceSampler,
    pub(super) view: MonitorView,
    pub(super) threads: MonitoringThreads,
}

/// The threads that measure and post alerts.
pub(super) struct MonitoringThreads {
    monitor: MonitorThread,
    webhook: Option<WebhookThread>,
}

impl MonitoringThreads {
    /// Ends the measuring, so that the end of other parts fires no alert, and posts the alerts that wait.
    pub(super) async fn stop(self) {
        self.monitor.stop().await;
        if let Some(webhook) = self.webhook {
            // An error would be a panic of the thread.
            drop(tokio::task::spawn_blocking(|| webhook.stop()).await);
        }
    }
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
    let endpoint = endpoint(&settings.monitor.alerts)?;
    let webhook = endpoint.map(|endpoint| Webhook::start(endpoint, deliveries.clone())).transpose();
    let (webhook, webhook_thread) = webhook.map_err(system("start the webhook of alerts"))?.unzip();
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
        log: audit.reader.clone(),
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
        webhook,
        deliveries,
        node: audit.index_status.origin().to_owned(),
    };
    let (monitor, view) = monitor::start(sources, options);
    let threads = MonitoringThreads { monitor, webhook: webhook_thread };
    Ok(Monitoring { compliance: compliance.start(), view, threads })
}

/// The receiver of alerts, if there is one.
fn endpoint(alerts: &Alerts) -> Result<Option<WebhookEndpoint>, DaemonError> {
    let (Some(url), Some(path)) = (&alerts.webhook_url, &alerts.webhook_key_file) else { return Ok(None) };
    let refused = |source| DaemonError::WebhookKey { path: path.clone(), source };
    let key = settings::read_secret(path, MIN_KEY_LENGTH).map_err(refused)?;
    Ok(Some(WebhookEndpoint { url: url.as_str().to_owned(), key: key.into_bytes() }))
}
