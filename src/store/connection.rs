//! One connection, whichever the database: queries are written once, and go to the one or the other.

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::result::Error as QueryError;
use diesel::{Connection as _, PgConnection, QueryResult};

pub use super::any::AnyConnection as Connection;
use super::error::StoreError;

/// The backend of such connections, as queries know it.
pub(super) type Backend = <Connection as diesel::Connection>::Backend;

type Transactions = <Connection as diesel::Connection>::TransactionManager;

/// The advisory lock of those who write, in PostgreSQL: "ACGS".
const WRITER: i64 = 0x4143_4753;

/// Runs a transaction that writes; it is undone where `job` fails.
///
/// It takes the one writer's place at its start and waits for it, up to the connection's time-out. Begun as a reader it
/// could find later that another wrote meanwhile, and would have to be run again. In PostgreSQL that place is one for
/// all daemons.
pub(super) fn write<T, E: From<QueryError>>(
    conn: &mut Connection,
    job: impl FnOnce(&mut Connection) -> Result<T, E>,
) -> Result<T, E> {
    run(conn, job, |conn| match conn {
        Connection::Sqlite(_) => Ok(()),
        Connection::Postgres(conn) => conn.batch_execute(&format!("SELECT pg_advisory_xact_lock({WRITER})")),
    })
}

/// Runs a transaction that writes where writers of other things do not disturb it: in PostgreSQL nobody waits, so that
/// it has to lock the rows that it reads and writes.
pub(super) fn write_apart<T, E: From<QueryError>>(
    conn: &mut Connection,
    job: impl FnOnce(&mut Connection) -> Result<T, E>,
) -> Result<T, E> {
    run(conn, job, |_| Ok(()))
}

/// Runs several queries on what is stored at one moment.
pub(super) fn read<T>(
    conn: &mut Connection,
    job: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    conn.transaction(|conn| {
        if let Connection::Postgres(conn) = conn
            && is_outermost(conn)
        {
            conn.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        }
        job(conn)
    })
}

/// Whether the transaction that was just begun is in no other, so that it can be told how to read.
fn is_outermost(conn: &mut PgConnection) -> bool {
    let status = <PgConnection as diesel::Connection>::TransactionManager::transaction_manager_status_mut(conn);
    status.transaction_depth().is_ok_and(|depth| depth.is_some_and(|depth| depth.get() == 1))
}

fn run<T, E: From<QueryError>>(
    conn: &mut Connection,
    job: impl FnOnce(&mut Connection) -> Result<T, E>,
    take_turn: impl FnOnce(&mut Connection) -> QueryResult<()>,
) -> Result<T, E> {
    match conn {
        Connection::Sqlite(conn) => AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")?,
        Connection::Postgres(conn) => AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN")?,
    }
    let done = take_turn(conn).map_err(E::from).and_then(|()| job(conn));
    match done {
        Ok(done) => {
            Transactions::commit_transaction(conn)?;
            Ok(done)
        }
        Err(error) => match Transactions::rollback_transaction(conn) {
            // What broke the connection is the error that there was before.
            Ok(()) | Err(QueryError::BrokenTransactionManager) => Err(error),
            Err(failed) => Err(failed.into()),
        },
    }
}
