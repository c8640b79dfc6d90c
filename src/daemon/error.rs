//! Why the daemon did not start, or ended.

use std::io;
use std::path::PathBuf;

use crate::actors::audit::checkpointer::CheckpointError;
use crate::actors::audit::queue::AuditError;
use crate::actors::audit::rollback::LogRollback;
use crate::actors::identity::directory::DirectoryError;
use crate::constitution::Faults as ConstitutionFaults;
use crate::domain::Revision;
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
    /// Test cases of the constitution fail, or stored entities do not fit its schema.
    #[error(
        "the constitution in `{}` is refused; `acgs serve --force` overrides this, recorded:\n{faults}",
        .folder.display()
    )]
    Objected {
        /// The bundle's folder.
        folder: PathBuf,
        /// The failing cases and unfit entities.
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
    /// Another daemon uses the data folder.
    #[error(
        "another daemon{} uses the data folder `{}`: stop it, or give this one a `data_dir` of its own",
        .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        .folder.display()
    )]
    DataTaken {
        /// The folder.
        folder: PathBuf,
        /// The other daemon's process id, if known.
        pid: Option<u32>,
    },
    /// The audit log does not match its checkpoint, or cannot be signed.
    #[error("the audit log in `{}` cannot be used: {source}", .folder.display())]
    Seal {
        /// Its folder.
        folder: PathBuf,
        /// Why.
        source: Box<CheckpointError>,
    },
    /// The database lacks changes whose commit is known from the audit log.
    #[error(
        "the database `{place}` is older than the audit log, or another one: record {index} of the log names revision \
         `{seen}`, which the database, at `{found}`, does not contain; start with the newer database, or, if it is lost, \
         start once with `acgs serve --accept-rollback database`, which is recorded, and repeat every withdrawal made \
         since (`acgs key rotate token --withdraw` ends all tokens)"
    )]
    DatabaseRolledBack {
        /// The file or server.
        place: String,
        /// The index of the record that names the missing revision.
        index: u64,
        /// The revision in that record.
        seen: Revision,
        /// The newest revision of the database.
        found: Revision,
    },
    /// The audit log was rolled back, removed or replaced.
    #[error(
        "the audit log in `{}` has `{size}` records, but {found}; it was rolled back, removed or replaced: restore the \
         newest log, or, only if that is lost, start once with `acgs serve --accept-rollback log`, which continues with \
         the records that are left and records that",
        .folder.display()
    )]
    LogRolledBack {
        /// Its folder.
        folder: PathBuf,
        /// The number of its records.
        size: u64,
        /// The evidence.
        found: Box<LogRollback>,
    },
    /// The start cannot be recorded.
    #[error("the start cannot be recorded: {error}{}", .cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default())]
    Unrecorded {
        /// Why.
        error: AuditError,
        /// Why the log cannot be written, if that is so.
        cause: Option<String>,
    },
    /// The key of a witness is malformed.
    #[error("the key `{key}` of `audit.witness` cannot be used: {source}")]
    Witness {
        /// The key as written in the settings.
        key: String,
        /// Why.
        source: NoteError,
    },
    /// The key that signs posted alerts cannot be used.
    #[error("`monitor.alerts.webhook_key_file` names `{}`, {source}", .path.display())]
    WebhookKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: settings::SecretFileError,
    },
    /// The keys of a foreign issuer cannot be had.
    #[error("the issuer `{issuer}` of `auth.issuers` cannot be used: {cause}")]
    Issuer {
        /// Its `iss`.
        issuer: String,
        /// Why.
        cause: String,
    },
    /// Users, clients or keys cannot be read or created.
    #[error("users, clients or keys cannot be read or created: {0}")]
    Identity(Box<DirectoryError>),
    /// The database cannot be used.
    #[error("{0}")]
    Store(Box<StoreError>),
    /// Something of the system failed.
    #[error("cannot {action}: {source}")]
    System {
        /// The attempted action.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl From<AuditError> for DaemonError {
    fn from(error: AuditError) -> Self {
        Self::Unrecorded { error, cause: None }
    }
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
