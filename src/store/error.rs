//! Errors of the store.

use diesel::result::{ConnectionError, DatabaseErrorKind, Error as QueryError};
use thiserror::Error;

use super::target::Target;
use crate::domain::{Cycle, EntityUid, Revision};

/// A cause from below the store.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the store refused or failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no such entity.
    #[error("`{0}` is not stored")]
    Missing(EntityUid),
    /// The entity does not have the version that the writer expects, or it was removed.
    #[error("`{uid}` does not have the expected version")]
    Stale {
        /// Which entity.
        uid: EntityUid,
        /// The version that is stored, if any.
        stored: Option<i64>,
    },
    /// The entity was to be created and is there already.
    #[error("`{0}` is stored already")]
    Exists(EntityUid),
    /// The write would make an entity its own ancestor.
    #[error("{0}")]
    Cycle(Cycle),
    /// A batch contains an entity twice, so it is ambiguous.
    #[error("`{0}` is named twice in one batch")]
    Twice(EntityUid),
    /// Another user, client or key has the name.
    #[error("{0} exists already: choose another name")]
    NameTaken(String),
    /// The user or client does not have the version that the writer expects.
    #[error("`{0}` was changed meanwhile")]
    Changed(String),
    /// There is no such user, client or key.
    #[error("there is no {0}")]
    Absent(String),
    /// The transaction was undone, since its job failed.
    #[error("the change was undone")]
    Undone,
    /// The database has not reached a version that a caller has seen.
    #[error("version `{version}` is asked for, and the newest is `{newest}`")]
    Ahead {
        /// The version that is asked for.
        version: i64,
        /// The newest one.
        newest: i64,
    },
    /// The database does not contain a revision that a caller has seen: it was restored, or failed over without its
    /// newest changes.
    #[error("the database is at revision `{newest}` and does not contain `{revision}`: changes were lost")]
    Lost {
        /// The revision that was asked for.
        revision: Revision,
        /// The newest revision of the database.
        newest: Revision,
    },
    /// The database cannot store the name.
    #[error("PostgreSQL cannot store `{}`: there is a zero character in it", .0.to_string().escape_debug())]
    Unstorable(EntityUid),
    /// The cursor was not given by this list.
    #[error("the cursor is not one that this list gave")]
    Cursor,
    /// No connection came free in time, or another writer held the database for too long. Nothing was written.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// The change cannot be recorded. It was not made.
    #[error("the change cannot be recorded: {0}")]
    Unrecorded(Cause),
    /// The answer did not come before the caller's deadline. A write may still have been made.
    #[error("the database did not answer in time")]
    Late,
    /// The database file is damaged. It is never repaired or recreated here.
    #[error("the database{} is damaged: {detail}", named(.place.as_deref()))]
    Damaged {
        /// The file or server, if known.
        place: Option<String>,
        /// The kind of the damage.
        detail: String,
    },
    /// A stored row cannot be read as an entity.
    #[error("the stored entity `{uid}` is damaged: {detail}")]
    DamagedEntity {
        /// Which entity.
        uid: EntityUid,
        /// The cause.
        detail: String,
    },
    /// The database has a migration that this version does not know.
    #[error("the database `{place}` was written by a newer acgs: migration `{migration}` is unknown here")]
    Newer {
        /// The file or server.
        place: String,
        /// The version of the first migration that is unknown.
        migration: String,
    },
    /// The answer to a commit was lost: the change may have been made.
    #[error("the change may have been made, since the answer to its commit was lost: {0}")]
    Uncertain(Box<StoreError>),
    /// The database cannot be reached or does not work.
    #[error("the database{} is unavailable: {cause}", named(.place.as_deref()))]
    Unavailable {
        /// The file or server, if known.
        place: Option<String>,
        /// Why.
        cause: Cause,
    },
}

impl StoreError {
    /// Something that is wrong with the database file.
    pub(super) fn damaged(detail: impl Into<String>) -> Self {
        Self::Damaged { place: None, detail: detail.into() }
    }

    /// Something that keeps the database from working.
    pub(super) fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::Unavailable { place: None, cause: cause.into() }
    }

    /// The session is unusable, and other sessions of the pool may be, too.
    pub(super) fn session_lost(why: &str) -> Self {
        Self::unavailable(SessionFault::Lost(why.to_owned()))
    }

    /// The fault of the session itself, if known: other sessions of the same pool mostly share it.
    pub(super) fn session_fault(&self) -> Option<&SessionFault> {
        match self {
            Self::Unavailable { cause, .. } => cause.downcast_ref(),
            Self::Uncertain(error) => error.session_fault(),
            _ => None,
        }
    }

    /// The error for a row that could not be inserted: something with its name, `what`, exists.
    pub(super) fn taken(error: QueryError, what: impl FnOnce() -> String) -> Self {
        match error {
            QueryError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Self::NameTaken(what()),
            other => Self::from(other),
        }
    }

    /// Whether the server answered, and refused the user: waiting does not help, as it does for a server that starts.
    /// The codes of such errors are not passed on, so those in other languages are not recognized.
    #[must_use]
    pub fn is_login_refused(&self) -> bool {
        let Self::Unavailable { cause, .. } = self else { return false };
        let text = cause.to_string();
        let is_role_missing = text.contains("role \"") && text.contains("\" does not exist");
        is_role_missing || LOGIN_REFUSED.iter().any(|known| text.contains(known))
    }

    /// Whether the server answered that it does not have the database.
    #[must_use]
    pub fn is_database_missing(&self) -> bool {
        let Self::Unavailable { cause, .. } = self else { return false };
        let text = cause.to_string();
        text.contains("database \"") && text.contains("\" does not exist")
    }

    /// The same error, with the database's place, if it has none yet.
    #[must_use]
    pub fn at(mut self, target: &Target) -> Self {
        match &mut self {
            Self::Damaged { place: place @ None, .. } | Self::Unavailable { place: place @ None, .. } => {
                *place = Some(target.to_string());
            }
            Self::Uncertain(error) => **error = std::mem::replace(&mut **error, Self::Undone).at(target),
            Self::Newer { place, .. } if place.is_empty() => *place = target.to_string(),
            _ => {}
        }
        self
    }
}

/// Why a session is unusable.
#[derive(Debug, Error)]
pub(super) enum SessionFault {
    /// The server ended it, or accepts no writes, like a primary that was replaced.
    #[error("{0}")]
    Lost(String),
    /// It lacks a prepared statement: a pooler has assigned another session.
    #[error("{0}")]
    Lent(String),
}

/// The prefix of the names of cached prepared statements.
const PREPARED: &str = "\"__diesel_stmt_";

/// Diesel passes on only the text of errors, not their codes. SQLite's texts are fixed in its source; PostgreSQL's may
/// be in another language, and errors that are not recognized as busy count as unavailable.
const BUSY: [&str; 6] = [
    "database is locked",
    "database table is locked",
    "database schema is locked",
    "canceling statement due to lock timeout",
    "canceling statement due to statement timeout",
    "deadlock detected",
];
/// How libpq and PostgreSQL say that a user may not connect.
const LOGIN_REFUSED: [&str; 4] = [
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry for",
    "is not permitted to log in",
];
const DAMAGED: [&str; 6] = [
    "database disk image is malformed",
    "malformed database schema",
    "file is not a database",
    "unsupported file format",
    "no such table",
    "no such column",
];

/// The error that a database's error text means.
pub(super) fn of_text(text: &str) -> StoreError {
    let text = &*one_line(text);
    if BUSY.iter().any(|known| text.starts_with(known)) {
        StoreError::Busy(text.to_owned())
    } else if DAMAGED.iter().any(|known| text.starts_with(known)) {
        StoreError::damaged(text)
    } else {
        StoreError::unavailable(text)
    }
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::DatabaseError(DatabaseErrorKind::SerializationFailure, information) => {
                Self::Busy(information.message().to_owned())
            }
            QueryError::DatabaseError(
                DatabaseErrorKind::ReadOnlyTransaction | DatabaseErrorKind::ClosedConnection,
                information,
            ) => Self::session_lost(information.message()),
            QueryError::DatabaseError(_, information) if information.message().contains(PREPARED) => {
                Self::unavailable(SessionFault::Lent(information.message().to_owned()))
            }
            // PostgreSQL has no text with a zero character in it, so nothing is stored by such a name.
            QueryError::DatabaseError(_, information) if information.message().contains("\"UTF8\": 0x00") => {
                Self::Absent("name with a zero character".to_owned())
            }
            QueryError::DatabaseError(_, information) => of_text(information.message()),
            QueryError::DeserializationError(cause) => Self::damaged(cause.to_string()),
            QueryError::RollbackErrorOnCommit { commit_error, rollback_error } => match *rollback_error {
                QueryError::BrokenTransactionManager => Self::Uncertain(Box::new(Self::from(*commit_error))),
                _ => Self::from(*commit_error),
            },
            other => Self::unavailable(other),
        }
    }
}

impl From<ConnectionError> for StoreError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::CouldntSetupConfiguration(error) => Self::from(error),
            ConnectionError::BadConnection(text) => Self::unavailable(one_line(&text)),
            other => Self::unavailable(other),
        }
    }
}

/// The lines of a message of libpq, joined.
pub(super) fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

fn named(place: Option<&str>) -> String {
    place.map(|place| format!(" `{place}`")).unwrap_or_default()
}
