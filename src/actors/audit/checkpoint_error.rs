//! Why no checkpoint can be signed, and when a stored checkpoint is trusted.

use std::path::Path;

use crate::actors::audit::checkpoints::Sealed;
use crate::actors::audit::queue::AuditError;
use crate::actors::audit::rollback::LogRollback;
use crate::ledger::{Checkpoint, Hash, KeyError, LedgerError, Note, NoteError, public_keys};

/// Why no checkpoint can be signed.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The signing keys cannot be used.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The log, its tiles or the stored checkpoint cannot be read or written.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The stored checkpoint is not one of this log.
    #[error("the stored checkpoint cannot be trusted: {0}")]
    Checkpoint(#[from] NoteError),
    /// The log was rolled back or replaced.
    #[error("{0}")]
    RolledBack(#[from] LogRollback),
    /// A key rotation could not be recorded.
    #[error("{0}")]
    Unrecorded(#[from] AuditError),
}

/// Size and root of a checkpoint; without one, those of the empty tree.
pub(super) fn signed(last: Option<&Sealed>) -> (u64, Hash) {
    last.map_or((0, Hash::of(&[])), |last| (last.checkpoint.size, last.checkpoint.root))
}

/// Verifies that a stored checkpoint was signed by one of the log's own keys.
pub(super) fn trusted(note: Note, folder: &Path, origin: &str) -> Result<Sealed, CheckpointError> {
    note.verify(&public_keys(folder)?)?;
    let checkpoint: Checkpoint = note.text().parse()?;
    if checkpoint.origin == origin {
        Ok(Sealed { checkpoint, note })
    } else {
        Err(NoteError::Form("it is of another log").into())
    }
}
