//! The checks of the daemon's parts: each has its name, and its fault if it has one.

use std::time::Duration;

use time::format_description::well_known::Rfc3339;

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
    /// What is wrong with it.
    pub fault: Option<String>,
    /// Whether decisions depend on it.
    pub needed: bool,
}

impl Check {
    /// Whether no decision can be made because of this part.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.needed && self.fault.is_some()
    }
}

/// All checks. That of the database takes up to a second.
pub async fn checks(state: &WorkerState) -> Vec<Check> {
    let audit = match state.app.audit.queue.health() {
        Health::Writing => None,
        Health::Failing => Some(match state.app.audit.queue.fault() {
            Some(cause) => format!("the log cannot be written: {cause}"),
            None => "the log cannot be written".to_owned(),
        }),
        Health::Stalled => Some("the disk does not answer".to_owned()),
        Health::Displaced => Some("a file that the daemon has open was removed or replaced".to_owned()),
        Health::Ended => Some("the log has ended".to_owned()),
    };
    let draining = state.is_draining().then(|| "the daemon is stopping".to_owned());
    let app = &state.app;
    let refusal = app.decision.in_force.refusal().map(|Refusal { at, why }| {
        let at = at.format(&Rfc3339).unwrap_or_default();
        format!("a reload was refused at {at}, the previous constitution stays in force: {why}")
    });
    let pending = match app.identity.pending_withdrawals.count() {
        0 => None,
        count => {
            Some(format!("{count} withdrawals of access are in force on this node only, until they can be stored"))
        }
    };
    let following =
        app.store.is_shared.then(|| Check { name: "following", fault: app.store.feed.fault(), needed: false });
    let redis = app.decision.verdicts.as_ref().map(|verdicts| Check {
        name: "redis",
        fault: verdicts.fault().map(str::to_owned),
        needed: false,
    });
    let mut checks = vec![
        Check { name: "audit", fault: audit, needed: true },
        Check { name: "files", fault: app.files.fault(), needed: true },
        database(state).await,
        Check { name: "checkpoint", fault: state.app.audit.checkpoints.fault(), needed: false },
        Check { name: "search", fault: state.app.audit.index_status.fault(), needed: false },
        Check { name: "constitution", fault: refusal, needed: false },
        Check { name: "withdrawals", fault: pending, needed: false },
        Check { name: "running", fault: draining, needed: true },
    ];
    let running = checks.len() - 1;
    checks.splice(running..running, following.into_iter().chain(redis));
    checks
}

/// A database that refuses only degrades the service, since caches still answer; one that hangs blocks its callers, so
/// the daemon is not ready.
async fn database(state: &WorkerState) -> Check {
    let check = |fault: Option<&str>, needed| Check { name: "database", fault: fault.map(str::to_owned), needed };
    let asked = tokio::time::timeout(PROBE_TIMEOUT, state.app.store.database.ask(Probe)).await;
    let Err(error) = asked.unwrap_or(Err(StoreError::Late)) else { return check(None, false) };
    tracing::warn!(%error, "a probe of the database failed");
    let may_hang = match &error {
        StoreError::Late | StoreError::Busy(_) => true,
        // A new connection was not opened in time.
        StoreError::Unavailable { cause, .. } => cause.to_string().contains("timeout expired"),
        _ => false,
    };
    if may_hang && state.app.store.answers.unanswered_for() >= Answers::HANGS_AFTER {
        check(Some("it does not answer"), true)
    } else {
        check(Some("queries fail"), false)
    }
}
