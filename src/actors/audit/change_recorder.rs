//! Records every change of the database with the revisions before and after it, so that a start can detect an older
//! database.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::actors::audit::journal::Journal;
use crate::actors::audit::queue::AuditError;
use crate::domain::Revision;
use crate::ledger::{Event, EventKind, RevisionMark, SeenRevision};
use crate::store::Commit;

/// The number of newest committed changes whose records are known.
const RECENT: usize = 4096;

/// Writes changes to the audit log and marks them as committed; shared by all clones.
///
/// INVARIANT: a change is recorded, then committed, then marked as committed, then answered.
#[derive(Debug, Clone)]
pub struct ChangeRecorder {
    journal: Journal,
    mark: Arc<RevisionMark>,
    /// The newest committed changes, at most [`RECENT`].
    recent: Arc<Mutex<VecDeque<SeenRevision>>>,
}

/// A change whose record is durable, and which may not be committed yet.
#[derive(Debug, Clone, Copy)]
#[must_use = "a commit is to be marked"]
pub struct RecordedChange(SeenRevision);

impl ChangeRecorder {
    /// Records in this journal, and marks commits in this file.
    #[must_use]
    pub fn new(journal: Journal, mark: RevisionMark) -> Self {
        Self { journal, mark: Arc::new(mark), recent: Arc::default() }
    }

    /// The journal, for events that change nothing in the database.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Records a change, as the last step before its commit. Blocks until the records are durable.
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

    /// Marks a recorded change as committed.
    pub fn committed(&self, RecordedChange(seen): RecordedChange) {
        self.mark.set(&seen);
        let mut recent = self.recent.lock();
        if recent.len() >= RECENT {
            recent.pop_front();
        }
        recent.push_back(seen);
    }

    /// The record of the oldest change that the database had lost when `incarnation` began, of the newest 4,096 changes
    /// of this process; `None` if there is none. A database loses its newest changes, so `is_lost` is called a few
    /// times only.
    #[must_use]
    pub fn first_lost(&self, incarnation: i64, is_lost: impl Fn(&Revision) -> bool) -> Option<u64> {
        let mut recent = Vec::from(self.recent.lock().clone());
        recent.retain(|seen| seen.revision.incarnation != incarnation);
        // Threads may mark their commits in another order.
        recent.sort_by_key(|seen| seen.index);
        let kept = recent.partition_point(|seen| !is_lost(&seen.revision));
        recent.get(kept).map(|seen| seen.index)
    }

    /// Records events of which the first names `revision`, which was found in the database.
    pub fn record_found(&self, events: &[Event], revision: Revision) -> Result<(), AuditError> {
        let index = self.journal.record(events)?;
        self.mark.set(&SeenRevision { index, revision });
        Ok(())
    }

    /// Records that the database was restored or failed over while the daemon ran, and has a new incarnation since.
    pub fn record_rollback(&self, lost: Revision, revision: Revision, caller: &str) -> Result<(), AuditError> {
        let event = Event::new(EventKind::Database, caller).name("event", "rolled_back");
        let event = event.name("lost", lost.to_string()).name("revision", revision.to_string());
        self.record_found(&[event], revision)
    }
}
