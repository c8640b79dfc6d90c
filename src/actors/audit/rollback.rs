//! Evidence that the audit log was rolled back, removed or replaced.

use std::path::PathBuf;

use crate::ledger::{Checkpoint, KeptCheckpoint};

/// Why a log is considered rolled back, removed or replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogRollback {
    /// The log has fewer records than its checkpoint covers.
    #[error("its last checkpoint covers `{signed}` records, so records are missing")]
    Checkpoint {
        /// The checkpoint's size.
        signed: u64,
    },
    /// The log's records are not those that its checkpoint was signed for.
    #[error("its first `{0}` records differ from those that were signed")]
    Rewritten(u64),
    /// The checkpoint file is missing, which every start creates before the first record.
    #[error("it has no checkpoint beside it, so it cannot be shown to be complete")]
    NoCheckpoint,
    /// A checkpoint kept outside of the log covers more records, or other ones.
    #[error("the checkpoint kept in `{}` is of `{size}` records of `{origin}`, which this log does not continue", .path.display())]
    Kept {
        /// The file of the checkpoint.
        path: PathBuf,
        /// The checkpoint's size.
        size: u64,
        /// The log's origin in the checkpoint.
        origin: String,
    },
    /// The search index has more records than the log, or other ones.
    #[error(
        "the search index in {database} has `{copied}` records of `{origin}`, which this log does not continue (if another \
         node uses this name, give each node its own `audit.origin` instead)"
    )]
    Copy {
        /// The database of the search index.
        database: String,
        /// The number of indexed records.
        copied: u64,
        /// The log's origin in the search index.
        origin: String,
    },
}

/// How a start handles a log that was rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRollback {
    /// It fails; nothing is served, recorded or signed.
    Refuse,
    /// It continues with the records that are left, since an administrator has said that the others are lost for good.
    Accept,
}

impl OnRollback {
    /// Returns the evidence as an error, or adds it to `accepted` if rollbacks are accepted.
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

/// Compares a kept checkpoint with a log of `origin` that was opened with `opened` records, and returns the evidence if
/// the log does not continue it. `has_root` says whether the log has the checkpoint's root at the checkpoint's size.
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
            tracing::warn!(%error, path = %path.display(), "the kept checkpoint cannot be read and will be replaced");
            return None;
        }
    };
    let continues = kept.origin == origin && kept.size <= opened && has_root(&kept);
    (!continues).then(|| LogRollback::Kept { path: path.to_owned(), size: kept.size, origin: kept.origin })
}
