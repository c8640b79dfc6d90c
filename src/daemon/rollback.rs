//! Compares the database with the audit log, and handles what an administrator accepts instead.

use super::audit_folder;
use super::audit_subsystem::{AuditSubsystem, DAEMON};
use super::error::DaemonError;
use crate::actors::audit::rollback::OnRollback;
use crate::ledger::{Event, EventKind};
use crate::settings::Settings;
use crate::store::{HistoryRelation, Store};

/// A part that an administrator accepts in an older state, for one start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Rollback {
    /// The database lacks changes that the audit log has.
    Database,
    /// The audit log lacks records that its checkpoints or the search index have.
    Log,
}

/// Whether a log that was rolled back is refused.
pub(super) fn on_log(accepted: &[Rollback]) -> OnRollback {
    if accepted.contains(&Rollback::Log) { OnRollback::Accept } else { OnRollback::Refuse }
}

/// Fails if the database does not contain the newest revision that is known from the log. If that is accepted, the
/// database gets a new incarnation, and this is recorded.
pub(super) fn check_database(
    settings: &Settings,
    store: &Store,
    audit: &AuditSubsystem,
    accepted: &[Rollback],
) -> Result<(), DaemonError> {
    let seen = audit
        .seen_revision()
        .map_err(|source| DaemonError::Ledger { folder: audit_folder(&settings.data_dir), source: Box::new(source) })?;
    let Some(seen) = seen else { return Ok(()) };
    let found = match store.relation_to(&seen.revision)? {
        HistoryRelation::Contains => return Ok(()),
        HistoryRelation::Behind(found) | HistoryRelation::Diverged(found) => found,
    };
    if !accepted.contains(&Rollback::Database) {
        return Err(DaemonError::DatabaseRolledBack {
            place: store.place(),
            index: seen.index,
            seen: seen.revision,
            found,
        });
    }
    let revision = store.begin_anew(&seen.revision)?;
    let event = Event::new(EventKind::Database, DAEMON)
        .name("event", "rollback_accepted")
        .name("known_by", seen.index)
        .name("lost", seen.revision.to_string())
        .name("found", found.to_string())
        .name("revision", revision.to_string());
    audit.changes().record_found(&[event], revision)?;
    tracing::warn!(
        lost = %seen.revision, %found, %revision,
        "accepted a database that is older than the audit log or another one, because of `--accept-rollback database`"
    );
    Ok(())
}
