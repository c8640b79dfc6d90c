//! The checks of the daemon's parts.

use std::time::Duration;

use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::worker_state::WorkerState;
use crate::actors::active::Refusal;
use crate::actors::audit::queue::Health;
use crate::actors::database::Probe;
use crate::store::{Answers, StoreError};

/// The timeout of a probe of the database.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// One check.
pub struct Check {
    /// The part.
    pub name: &'static str,
    /// Its fault, if it has one.
    pub fault: Option<String>,
    /// Whether decisions depend on it.
    is_needed: bool,
}

/// Whether a part works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = StatusCheckState)]
pub enum CheckState {
    /// It works.
    Ok,
    /// It does not work, but decisions do not depend on it.
    Degraded,
    /// It does not work, so no decision can be made.
    Failed,
}

impl Check {
    /// The check of a part that decisions depend on.
    fn needed(name: &'static str, fault: Option<String>) -> Self {
        Self { name, fault, is_needed: true }
    }

    /// The check of a part that decisions can do without.
    fn optional(name: &'static str, fault: Option<String>) -> Self {
        Self { name, fault, is_needed: false }
    }

    /// Whether the part works.
    #[must_use]
    pub fn state(&self) -> CheckState {
        match &self.fault {
            None => CheckState::Ok,
            Some(_) if self.is_needed => CheckState::Failed,
            Some(_) => CheckState::Degraded,
        }
    }

    /// Whether no decision can be made because of this part.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.state() == CheckState::Failed
    }
}

/// All checks. That of the database takes up to a second.
pub async fn checks(state: &WorkerState) -> Vec<Check> {
    let app = &state.app;
    let following = app.store.is_shared.then(|| Check::optional("following", app.store.feed.fault()));
    let verdicts = app.decision.verdicts.as_ref();
    let redis = verdicts.map(|verdicts| Check::optional("redis", verdicts.fault().map(str::to_owned)));
    let draining = state.is_draining().then(|| "the daemon is stopping".to_owned());
    let checks = [
        Some(Check::needed("audit", log_fault(state))),
        Some(Check::needed("files", app.files.fault())),
        Some(database(state).await),
        Some(Check::optional("checkpoint", app.audit.checkpoints.fault())),
        Some(Check::optional("search", app.audit.index_status.fault())),
        Some(Check::optional("constitution", refused_reload(state))),
        Some(Check::optional("withdrawals", unstored_withdrawals(state))),
        following,
        redis,
        Some(Check::needed("running", draining)),
    ];
    checks.into_iter().flatten().collect()
}

/// Why the audit log cannot be written.
fn log_fault(state: &WorkerState) -> Option<String> {
    let queue = &state.app.audit.queue;
    let fault = match queue.health() {
        Health::Writing => return None,
        Health::Failing => match queue.fault() {
            Some(cause) => return Some(format!("the log cannot be written: {cause}")),
            None => "the log cannot be written",
        },
        Health::Stalled => "the disk does not answer",
        Health::Displaced => "a file that the daemon has open was removed or replaced",
        Health::Ended => "the log has ended",
    };
    Some(fault.to_owned())
}

/// Why the constitution in force is not the one that was to be loaded last.
fn refused_reload(state: &WorkerState) -> Option<String> {
    let Refusal { at, why } = state.app.decision.in_force.refusal()?;
    let at = at.format(&Rfc3339).unwrap_or_default();
    Some(format!("a reload was refused at {at}, the previous constitution stays in force: {why}"))
}

/// The withdrawals of access that other nodes do not know of.
fn unstored_withdrawals(state: &WorkerState) -> Option<String> {
    let count = state.app.identity.pending_withdrawals.count();
    (count > 0)
        .then(|| format!("{count} withdrawals of access are in force on this node only, until they can be stored"))
}

/// A database that refuses only degrades the service, since caches still answer; one that hangs blocks its callers, so
/// the daemon is not ready.
async fn database(state: &WorkerState) -> Check {
    let asked = tokio::time::timeout(PROBE_TIMEOUT, state.app.store.database.ask(Probe)).await;
    let Err(error) = asked.unwrap_or(Err(StoreError::Late)) else { return Check::optional("database", None) };
    tracing::warn!(%error, "a probe of the database failed");
    let may_hang = match &error {
        StoreError::Late | StoreError::Busy(_) => true,
        // A new connection was not opened in time.
        StoreError::Unavailable { cause, .. } => cause.to_string().contains("timeout expired"),
        _ => false,
    };
    if may_hang && state.app.store.answers.unanswered_for() >= Answers::HANGS_AFTER {
        Check::needed("database", Some("it does not answer".to_owned()))
    } else {
        Check::optional("database", Some("queries fail".to_owned()))
    }
}
