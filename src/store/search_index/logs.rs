//! The table `audit_logs`: which logs are copied here, and how far.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::prelude::*;

use super::place::LogId;
use super::schema::audit_logs;
use crate::store::connection::{Connection, DbSession, write};
use crate::store::error::StoreError;

/// A log of which records are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedLog {
    /// How this store numbers it.
    pub id: LogId,
    /// Its origin, as its checkpoints state it.
    pub origin: Arc<str>,
    /// The index of the next record, which is the number of stored entries.
    pub next: u64,
}

/// Finds a log by its origin, and creates its row if there is none.
pub(super) fn find_or_make(conn: &mut DbSession, origin: &str) -> Result<IndexedLog, StoreError> {
    let find = |conn: &mut Connection| -> Result<Option<IndexedLog>, StoreError> {
        let row = audit_logs::table.filter(audit_logs::origin.eq(origin)).select(Row::as_select());
        row.first(conn).optional()?.map(IndexedLog::try_from).transpose()
    };
    if let Some(log) = find(conn)? {
        return Ok(log);
    }
    write(conn, |conn| {
        let row = (audit_logs::origin.eq(origin), audit_logs::next.eq(0));
        diesel::insert_into(audit_logs::table).values(row).execute(conn)?;
        find(conn)?.ok_or_else(|| StoreError::damaged("table `audit_logs` does not keep its rows"))
    })
}

/// All logs, in the order in which they came.
pub(super) fn list(conn: &mut Connection) -> Result<Vec<IndexedLog>, StoreError> {
    let rows = audit_logs::table.order(audit_logs::id).select(Row::as_select()).load(conn)?;
    rows.into_iter().map(IndexedLog::try_from).collect()
}

/// The origins of all logs.
pub(super) fn origins(conn: &mut Connection) -> Result<HashMap<LogId, Arc<str>>, StoreError> {
    Ok(list(conn)?.into_iter().map(|log| (log.id, log.origin)).collect())
}

/// The index of the next record. Other writers to that log wait until the transaction ends.
pub(super) fn next_alone(conn: &mut Connection, log: LogId) -> Result<u64, StoreError> {
    // A write locks the row in every database.
    diesel::update(audit_logs::table.find(log.number())).set(audit_logs::next.eq(audit_logs::next)).execute(conn)?;
    next(conn, log)
}

fn next(conn: &mut Connection, log: LogId) -> Result<u64, StoreError> {
    let row = audit_logs::table.find(log.number()).select(audit_logs::next);
    let next = row.first::<i64>(conn).optional()?;
    next.and_then(|next| u64::try_from(next).ok())
        .ok_or_else(|| StoreError::damaged("the row of the log in table `audit_logs` is gone"))
}

/// Sets the index of the next record.
pub(super) fn advance(conn: &mut Connection, log: LogId, next: u64) -> Result<(), StoreError> {
    let next = i64::try_from(next).map_err(StoreError::unavailable)?;
    diesel::update(audit_logs::table.find(log.number())).set(audit_logs::next.eq(next)).execute(conn)?;
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = audit_logs)]
struct Row {
    id: i64,
    origin: String,
    next: i64,
}

impl TryFrom<Row> for IndexedLog {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        match (LogId::new(row.id), u64::try_from(row.next)) {
            (Some(id), Ok(next)) => Ok(Self { id, origin: row.origin.into(), next }),
            _ => Err(StoreError::damaged("table `audit_logs` has a number that is out of range")),
        }
    }
}
