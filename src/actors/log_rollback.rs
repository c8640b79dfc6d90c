//! What shows that the audit log is older than it was, or is another one.

use std::path::PathBuf;

use crate::ledger::{Checkpoint, KeptCheckpoint};

/// Why a log is taken for one that was rolled back, removed or exchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogRollback {
    /// The log has fewer records than were signed.
    #[error("its last checkpoint covers `{signed}` records: records are missing")]
    Checkpoint {
        /// The checkpoint's size.
        signed: u64,
    },
    /// The log has other records than were signed.
    #[error("its first `{0}` records are not those that were signed: it was changed since")]
    Rewritten(u64),
    /// The file with its checkpoints is gone, which every start makes before anything is recorded.
    #[error("it has no checkpoint beside it, so nothing says whether its end is whole")]
    NoCheckpoint,
    /// A checkpoint that was kept elsewhere covers more records, or others.
    #[error("the checkpoint kept in `{}` is of `{size}` records of `{origin}`, which this log does not continue", .path.display())]
    Kept {
        /// Where it was kept.
        path: PathBuf,
        /// The checkpoint's size.
        size: u64,
        /// The log's origin, as the checkpoint says it.
        origin: String,
    },
    /// The copy that is searched has more records, or others.
    #[error("the copy of the log in {database} has `{copied}` records of `{origin}`, which this log does not continue")]
    Copy {
        /// Where the copy is.
        database: String,
        /// How many records were copied.
        copied: u64,
        /// The log's origin, as the copy has it.
        origin: String,
    },
}

/// What is done about a log that was rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRollback {
    /// Nothing is served, recorded or signed.
    Refuse,
    /// An administrator has said that the log is lost for good: what is left of it goes on.
    Accept,
}

impl OnRollback {
    /// Passes evidence on as the error, or takes it down where the rollback is accepted.
    pub fn meet(self, found: LogRollback, accepted: &mut Vec<LogRollback>) -> Result<(), LogRollback> {
        match self {
            Self::Refuse => Err(found),
            Self::Accept => {
                accepted.push(found);
                Ok(())
            }
        }
    }
}

/// A kept checkpoint that a log of that origin, which was opened with so many records, does not continue. `has_root` says
/// whether the log has the checkpoint's root at its size.
pub(super) fn contradiction(
    kept: &KeptCheckpoint,
    origin: &str,
    opened: u64,
    has_root: impl Fn(&Checkpoint) -> bool,
) -> Option<LogRollback> {
    let path = kept.path();
    let kept = match kept.read() {
        Ok(kept) => kept?,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the kept checkpoint cannot be read; another one is kept in its place");
            return None;
        }
    };
    let continues = kept.origin == origin && kept.size <= opened && has_root(&kept);
    (!continues).then(|| LogRollback::Kept { path: path.to_owned(), size: kept.size, origin: kept.origin })
}
