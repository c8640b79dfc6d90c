//! Why the daemon did not start, or ended.

use std::io;
use std::path::PathBuf;

use crate::actors::audit_queue::AuditError;
use crate::actors::directory::DirectoryError;
use crate::actors::sealer::SealError;
use crate::constitution::Faults as ConstitutionFaults;
use crate::ledger::{LedgerError, NoteError};
use crate::settings;
use crate::store::StoreError;

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The settings have faults.
    #[error("{0}")]
    Settings(#[from] settings::Faults),
    /// The constitution has faults.
    #[error("the constitution in `{}` has faults:\n{faults}", .folder.display())]
    Constitution {
        /// The bundle's folder.
        folder: PathBuf,
        /// All of them.
        faults: ConstitutionFaults,
    },
    /// The audit log cannot be used.
    #[error("the audit log in `{}` cannot be used: {source}", .folder.display())]
    Ledger {
        /// Its folder.
        folder: PathBuf,
        /// Why.
        source: Box<LedgerError>,
    },
    /// The audit log is not what was signed, or cannot be signed.
    #[error("the audit log in `{}` cannot be used: {source}", .folder.display())]
    Seal {
        /// Its folder.
        folder: PathBuf,
        /// Why.
        source: Box<SealError>,
    },
    /// The start cannot be recorded.
    #[error("the start cannot be recorded: {0}")]
    Unrecorded(#[from] AuditError),
    /// A witness's key is none.
    #[error("the key `{key}` of `audit.witness` cannot be used: {source}")]
    Witness {
        /// As it is written.
        key: String,
        /// Why.
        source: NoteError,
    },
    /// The keys of a foreign issuer cannot be had.
    #[error("the issuer `{issuer}` of `auth.issuers` cannot be used: {cause}")]
    Issuer {
        /// Its `iss`.
        issuer: String,
        /// Why.
        cause: String,
    },
    /// What the daemon knows of callers cannot be used.
    #[error("callers cannot be known: {0}")]
    Identity(Box<DirectoryError>),
    /// The database cannot be used.
    #[error("{0}")]
    Store(Box<StoreError>),
    /// Something of the system failed.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl From<StoreError> for DaemonError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// A failure of the system while something was tried.
pub(super) fn system(action: &str) -> impl FnOnce(io::Error) -> DaemonError {
    move |source| DaemonError::System { action: action.to_owned(), source }
}
