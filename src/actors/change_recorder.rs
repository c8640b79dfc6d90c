//! Records changes of the database, each with the revisions before and after it: so a start knows an older database.

use std::sync::Arc;

use super::audit_queue::AuditError;
use super::journal::Journal;
use crate::domain::Revision;
use crate::ledger::{Event, EventKind, RevisionMark, SeenRevision};
use crate::store::Commit;

/// The way of changes into the audit log; shared by all clones.
///
/// INVARIANT: a change is recorded, then committed, then marked as committed, then answered.
#[derive(Debug, Clone)]
pub struct ChangeRecorder {
    journal: Journal,
    mark: Arc<RevisionMark>,
}

/// The record of a change that may not be committed yet.
#[derive(Debug, Clone, Copy)]
#[must_use = "a commit is to be marked"]
pub struct RecordedChange(SeenRevision);

impl ChangeRecorder {
    /// Records in a journal, and marks commits in a file.
    #[must_use]
    pub fn new(journal: Journal, mark: RevisionMark) -> Self {
        Self { journal, mark: Arc::new(mark) }
    }

    /// The journal, for what changes nothing.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Records a change, last before its commit. Blocks until the records are durable.
    pub fn record(
        &self,
        events: impl IntoIterator<Item = Event>,
        commit: &Commit,
    ) -> Result<RecordedChange, AuditError> {
        let (before, revision) = (commit.before.to_string(), commit.after.to_string());
        let revised = |event: Event| event.name("revision", revision.as_str()).name("before", before.as_str());
        let index = self.journal.record(&events.into_iter().map(revised).collect::<Vec<_>>())?;
        Ok(RecordedChange(SeenRevision { index, revision: commit.after }))
    }

    /// Says that a change was committed that was recorded before.
    pub fn committed(&self, RecordedChange(seen): RecordedChange) {
        self.mark.set(&seen);
    }

    /// Records events of which the first has a revision that was found in the database.
    pub fn record_found(&self, events: &[Event], revision: Revision) -> Result<(), AuditError> {
        let index = self.journal.record(events)?;
        self.mark.set(&SeenRevision { index, revision });
        Ok(())
    }

    /// Records that the database was restored or failed over while the daemon ran, and has another incarnation now.
    pub fn record_rollback(&self, lost: Revision, revision: Revision, caller: &str) -> Result<(), AuditError> {
        let event = Event::new(EventKind::Database, caller).name("event", "rolled_back");
        let event = event.name("lost", lost.to_string()).name("revision", revision.to_string());
        self.record_found(&[event], revision)
    }
}
