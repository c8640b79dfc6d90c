//! How large the search index is.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use super::logs;
use crate::store::connection::Connection;
use crate::store::error::StoreError;

/// The size of a search index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexSize {
    /// In bytes: all pages of the file, or the tables and indexes of the server.
    pub bytes: u64,
    /// How many records it has, of all logs.
    pub records: u64,
}

pub(super) fn measure(conn: &mut Connection) -> Result<IndexSize, StoreError> {
    #[derive(QueryableByName)]
    struct Size {
        #[diesel(sql_type = BigInt)]
        bytes: i64,
    }
    let query = match conn {
        // Pages that are still in the write-ahead log count too.
        Connection::Sqlite(_) => "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()",
        Connection::Postgres(_) => {
            "SELECT (pg_total_relation_size('audit_entries') + pg_total_relation_size('audit_violations') \
             + pg_total_relation_size('audit_spans'))::bigint AS bytes"
        }
    };
    let size: Size = sql_query(query).get_result(conn)?;
    let records = logs::list(conn)?.iter().map(|log| log.next).sum();
    Ok(IndexSize { bytes: u64::try_from(size.bytes).unwrap_or_default(), records })
}
