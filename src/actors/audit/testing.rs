//! A log to record in, for the tests of actors.

use std::path::Path;
use std::time::Duration;

use crate::actors::audit::change_recorder::ChangeRecorder;
use crate::actors::audit::committer::{Committer, FlushPolicy};
use crate::actors::audit::journal::Journal;
use crate::actors::audit::pacer::GroupCommitPacer;
use crate::ledger::{DiskStorage, Ledger, Options, RevisionMark};

/// A journal over a new log in the folder, which runs until the process ends.
pub(super) fn journal(folder: &Path) -> Journal {
    let storage = DiskStorage::create(folder.join("audit")).unwrap();
    let (ledger, _) = Ledger::open(storage.clone(), Options::default()).unwrap();
    let committer =
        Committer::start(ledger, storage, FlushPolicy::Durable(GroupCommitPacer::new(Duration::ZERO)), 100).unwrap();
    Journal::new(committer.queue())
}

/// The same as a recorder of changes of the database.
pub(in crate::actors) fn changes(folder: &Path) -> ChangeRecorder {
    ChangeRecorder::new(journal(folder), RevisionMark::open(&folder.join("database-mark")).unwrap())
}
