//! Checks a log against its keys and checkpoints.

use std::path::Path;

use super::checkpoint::Checkpoint;
use super::checkpoint_file::last_checkpoint;
use super::fault::LedgerError;
use super::keyring::{KeyError, public_keys};
use super::note::{Note, NoteError, VerifierKey};
use super::records::records;
use super::storage::DiskStorage;
use super::verify::{Summary, verify_against};

/// Why a log does not match its checkpoints.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The records, frames, tiles or roots are damaged.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The public keys cannot be read.
    #[error("{0}")]
    Keys(#[from] KeyError),
    /// The stored checkpoint is none of this log.
    #[error("the stored checkpoint is not one of this log: {0}")]
    Stored(NoteError),
    /// The log has records, and no checkpoint.
    #[error("no checkpoint is stored for its `{0}` records, so it cannot be shown to be complete")]
    Unsigned(u64),
    /// A checkpoint kept elsewhere is not one of this log.
    #[error("the given checkpoint is not one of this log: {0}")]
    Foreign(NoteError),
}

impl EvidenceError {
    /// Whether the log does not match; otherwise it could not be read.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        match self {
            Self::Ledger(LedgerError::Corrupt(_) | LedgerError::NoCheckpoint(_) | LedgerError::Gone(_))
            | Self::Stored(_)
            | Self::Unsigned(_)
            | Self::Foreign(_) => true,
            Self::Ledger(_) | Self::Keys(_) => false,
        }
    }
}

/// A log without faults.
#[derive(Debug)]
pub struct Audited {
    /// Its contents.
    pub summary: Summary,
    /// The stored checkpoint; `None` if none was signed yet.
    pub checkpoint: Option<Checkpoint>,
}

/// Whether the log in a folder has no records and no checkpoint.
#[must_use]
pub fn is_unrecorded(folder: &Path) -> bool {
    if !folder.exists() {
        return true;
    }
    let storage = DiskStorage::at(folder);
    let signed = last_checkpoint(&storage);
    matches!(signed, Ok(None)) && matches!(records(&storage, 0..1).advance(), Ok(None))
}

/// Audits the log in a folder: the checks of [`verify_against`], with the stored checkpoint and those kept elsewhere.
///
/// All checkpoints must be signed by one of the `trusted` keys or, without any, by one of the log's own, which are read
/// from the same folder.
pub fn audit(folder: &Path, kept: &[Note], trusted: &[VerifierKey]) -> Result<Audited, EvidenceError> {
    let storage = DiskStorage::at(folder);
    let keys = public_keys(folder)?;
    let stored = last_checkpoint(&storage)?;
    let trusted_keys_given = trusted;
    let trusted = if trusted.is_empty() { &keys } else { trusted };
    let stored = stored.map(|note| open_checkpoint(&note, trusted).map_err(EvidenceError::Stored)).transpose()?;
    let mut checkpoints = Vec::new();
    for note in kept {
        let checkpoint = open_checkpoint(note, trusted).map_err(EvidenceError::Foreign)?;
        if stored.as_ref().is_some_and(|stored| stored.origin != checkpoint.origin) {
            return Err(EvidenceError::Foreign(NoteError::Form("it is of another log")));
        }
        checkpoints.push(checkpoint);
    }
    checkpoints.extend(stored.clone());
    let tiled = stored.as_ref().map_or(0, |stored| stored.size);
    let summary = verify_against(&storage, &checkpoints, tiled)?;
    // Faults of the records themselves are reported first.
    if stored.is_none() && (summary.size > 0 || !trusted_keys_given.is_empty()) {
        return Err(EvidenceError::Unsigned(summary.size));
    }
    Ok(Audited { summary, checkpoint: stored })
}

/// The checkpoint of a note that one of the keys signed, in its own name.
pub fn open_checkpoint(note: &Note, keys: &[VerifierKey]) -> Result<Checkpoint, NoteError> {
    let signers = note.verify(keys)?;
    let checkpoint: Checkpoint = note.text().parse()?;
    if signers.iter().any(|key| key.name() == checkpoint.origin) {
        Ok(checkpoint)
    } else {
        Err(NoteError::Form("its origin is not the name of its signer"))
    }
}
