//! One connection, whichever the database: queries are written once, and go to the one or the other.

use std::fmt;
use std::ops::{Deref, DerefMut};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager, TransactionManagerStatus};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel::sql_types::Bool;

pub use super::any::AnyConnection as Connection;
use super::error::StoreError;

/// The backend of such connections, as queries know it.
pub(super) type Backend = <Connection as diesel::Connection>::Backend;

type Transactions = <Connection as diesel::Connection>::TransactionManager;

/// The advisory lock of writers, in PostgreSQL: "ACGS".
const WRITER: i64 = 0x4143_4753;

/// A connection for transactions. It applies the session settings to each of them where a pooler requires that.
pub struct DbSession {
    conn: Connection,
    /// Statements for the begin of each transaction, if a pooler assigns the server's session to transactions.
    terms: Option<String>,
}

impl DbSession {
    /// With a server session of its own: settings made once stay in force until it ends.
    pub(super) fn own(conn: Connection) -> Self {
        Self { conn, terms: None }
    }

    /// With a pooler that assigns a server session to each transaction: nothing outlasts a transaction.
    pub(super) fn lent(conn: PgConnection, terms: String) -> Self {
        Self { conn: Connection::Postgres(conn), terms: Some(terms) }
    }

    /// Whether a pooler assigns the server's session to each transaction. Session locks, `LISTEN`, `SET` and prepared
    /// statements would then affect other clients.
    pub(super) fn is_lent(&self) -> bool {
        self.terms.is_some()
    }

    /// Whether the server refuses writes from this session, as a standby does.
    pub(super) fn is_read_only(&mut self) -> Result<bool, StoreError> {
        match &mut self.conn {
            Connection::Sqlite(_) => Ok(false),
            Connection::Postgres(conn) => {
                let shown = sql::<Bool>("current_setting('transaction_read_only')::bool");
                Ok(diesel::select(shown).get_result(conn)?)
            }
        }
    }

    /// Begins a transaction that stays open until the session ends, without an idle timeout. A lock taken in it is held
    /// as long as a session lock would be, also behind a pooler.
    pub(super) fn hold(&mut self, lock: &str) -> Result<(), StoreError> {
        if let Connection::Postgres(conn) = &mut self.conn {
            let terms = self.terms.as_deref().unwrap_or_default();
            let begin = format!("BEGIN; {terms} SET LOCAL idle_in_transaction_session_timeout = 0; SELECT {lock}");
            AnsiTransactionManager::begin_transaction_sql(conn, &begin)?;
        }
        Ok(())
    }

    fn begin(&mut self, sqlite: &str, postgres: &str) -> QueryResult<()> {
        let terms = self.terms.as_deref().unwrap_or_default();
        match &mut self.conn {
            Connection::Sqlite(conn) => AnsiTransactionManager::begin_transaction_sql(conn, sqlite),
            Connection::Postgres(conn) => {
                AnsiTransactionManager::begin_transaction_sql(conn, &format!("{postgres}; {terms}"))
            }
        }
    }

    fn is_in_transaction(&mut self) -> bool {
        let depth =
            |status: &mut TransactionManagerStatus| status.transaction_depth().is_ok_and(|depth| depth.is_some());
        match &mut self.conn {
            Connection::Sqlite(conn) => depth(AnsiTransactionManager::transaction_manager_status_mut(conn)),
            Connection::Postgres(conn) => depth(AnsiTransactionManager::transaction_manager_status_mut(conn)),
        }
    }

    fn end<T, E: From<QueryError>>(&mut self, done: Result<T, E>) -> Result<T, E> {
        match done {
            Ok(done) => match Transactions::commit_transaction(&mut self.conn) {
                Ok(()) => Ok(done),
                Err(error) => Err(self.commit_error(error).into()),
            },
            Err(error) => match Transactions::rollback_transaction(&mut self.conn) {
                // The error that broke the connection is the one to report.
                Ok(()) | Err(QueryError::BrokenTransactionManager) => Err(error),
                Err(failed) => Err(failed.into()),
            },
        }
    }

    /// The error of a failed commit. Unless the server says that it refuses the commit, the answer may have been lost,
    /// and there was nothing to roll back.
    fn commit_error(&self, error: QueryError) -> QueryError {
        use DatabaseErrorKind::{ClosedConnection, UnableToSendCommand, Unknown};
        let is_answer_lost = match &error {
            QueryError::DatabaseError(kind, _) => matches!(kind, ClosedConnection | UnableToSendCommand | Unknown),
            _ => true,
        };
        match (&self.conn, error) {
            (Connection::Postgres(_), error @ QueryError::RollbackErrorOnCommit { .. }) => error,
            (Connection::Postgres(_), error) if is_answer_lost => QueryError::RollbackErrorOnCommit {
                rollback_error: Box::new(QueryError::BrokenTransactionManager),
                commit_error: Box::new(error),
            },
            (_, error) => error,
        }
    }
}

impl Deref for DbSession {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.conn
    }
}

impl DerefMut for DbSession {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.conn
    }
}

impl fmt::Debug for DbSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DbSession").field("is_lent", &self.is_lent()).finish_non_exhaustive()
    }
}

/// Runs a write transaction; it is rolled back if `job` fails.
///
/// It takes the writer's lock at its begin, and waits for it up to the connection's timeout. Begun as a reader it could
/// find later that another writer has committed, and would have to be repeated. In PostgreSQL that lock is shared by
/// all daemons.
pub(super) fn write<T, E: From<QueryError>>(
    session: &mut DbSession,
    job: impl FnOnce(&mut Connection) -> Result<T, E>,
) -> Result<T, E> {
    run(session, job, |conn| match conn {
        Connection::Sqlite(_) => Ok(()),
        Connection::Postgres(conn) => conn.batch_execute(&format!("SELECT pg_advisory_xact_lock({WRITER})")),
    })
}

/// Runs a write transaction that is independent of other writers: in PostgreSQL it does not take the writer's lock, so
/// it must lock the rows that it reads and writes.
pub(super) fn write_apart<T, E: From<QueryError>>(
    session: &mut DbSession,
    job: impl FnOnce(&mut Connection) -> Result<T, E>,
) -> Result<T, E> {
    run(session, job, |_| Ok(()))
}

/// Runs several queries on one snapshot; within an open transaction they are part of it.
pub(super) fn read<T>(
    session: &mut DbSession,
    job: impl FnOnce(&mut DbSession) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    if session.is_in_transaction() {
        return job(session);
    }
    session.begin("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let done = job(session);
    session.end(done).map_err(|error| match error {
        // Nothing was changed.
        StoreError::Uncertain(error) => *error,
        error => error,
    })
}

fn run<T, E: From<QueryError>>(
    session: &mut DbSession,
    job: impl FnOnce(&mut Connection) -> Result<T, E>,
    take_turn: impl FnOnce(&mut Connection) -> QueryResult<()>,
) -> Result<T, E> {
    session.begin("BEGIN IMMEDIATE", "BEGIN")?;
    let done = take_turn(session).map_err(E::from).and_then(|()| job(session));
    session.end(done)
}
