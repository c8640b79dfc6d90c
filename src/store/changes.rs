//! The tables `entity_versions` and `changes`: which versions there are, and what each of them changed.
//!
//! Whatever a cache may depend on has a version, greater than every version given before in the whole store. Who writes
//! takes it first, and its row is locked until the commit: writers go one after the other, versions are committed in
//! their order, and who sees one of them sees all before it.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::connection::{Connection, read};
use super::error::StoreError;
use super::schema::{changes, entity_versions};
use crate::domain::EntityUid;

/// The channel on which PostgreSQL tells who listens that there are changes. The payload is the newest version.
pub const CHANNEL: &str = "acgs_changes";

/// How many of the newest changes are kept, for those who have not seen them.
const KEPT: i64 = 100_000;
/// Changes read in one query.
const PART: i64 = 10_000;

const ENTITY: &str = "entity";
const CALLERS: &str = "callers";

/// What a version changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This entity: it was stored, changed or removed.
    Entity(EntityUid),
    /// Something about those who may call.
    Callers,
}

/// What was changed after a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// These versions with what they changed, in their order and without a gap; empty where there is nothing newer.
    Known(Vec<(i64, Change)>),
    /// So much that it is not known any more. The newest version.
    Unknown(i64),
    /// The newest version is older than the one that was asked about: the database was put back.
    Lost(i64),
}

/// The newest version given out; 0 in a new store.
pub fn newest_version(conn: &mut Connection) -> Result<i64, StoreError> {
    let newest = entity_versions::table.select(entity_versions::newest).first(conn).optional()?;
    newest.ok_or_else(|| StoreError::damaged("the row of table `entity_versions` is gone"))
}

/// Takes the next `count` versions; they follow the one that is answered.
pub(super) fn advance(conn: &mut Connection, count: i64) -> Result<i64, StoreError> {
    let next = entity_versions::newest.eq(entity_versions::newest + count);
    diesel::update(entity_versions::table).set(next).execute(conn)?;
    Ok(newest_version(conn)? - count)
}

/// Says what some versions changed, given in their order.
pub(super) fn of_entities<'a>(
    conn: &mut Connection,
    changed: impl IntoIterator<Item = (i64, &'a EntityUid)>,
) -> Result<(), StoreError> {
    let row = |(version, uid): (i64, &'a EntityUid)| {
        let (kind, id) = (changes::type_.eq(uid.kind.as_str()), changes::id.eq(uid.id.as_str()));
        (changes::version.eq(version), changes::kind.eq(ENTITY), kind, id)
    };
    let rows = changed.into_iter().map(row).collect::<Vec<_>>();
    let count = i64::try_from(rows.len()).map_err(StoreError::unavailable)?;
    match conn {
        Connection::Sqlite(conn) => {
            for row in rows {
                diesel::insert_into(changes::table).values(row).execute(conn)?;
            }
        }
        Connection::Postgres(conn) => {
            diesel::insert_into(changes::table).values(rows).execute(conn)?;
        }
    }
    let newest = newest_version(conn)?;
    // Each time so many more are there.
    if newest / KEPT > (newest - count) / KEPT {
        diesel::delete(changes::table.filter(changes::version.le(newest - KEPT))).execute(conn)?;
    }
    tell(conn, newest)
}

/// Gives a version to a change of something about those who may call.
pub(super) fn of_callers(conn: &mut Connection) -> Result<(), StoreError> {
    let version = advance(conn, 1)? + 1;
    let row = (changes::version.eq(version), changes::kind.eq(CALLERS));
    diesel::insert_into(changes::table).values(row).execute(conn)?;
    tell(conn, version)
}

/// What was changed after a version, the oldest first and not all of it at once.
pub(super) fn after(conn: &mut Connection, version: i64) -> Result<Changes, StoreError> {
    read(conn, |conn| {
        let newest = newest_version(conn)?;
        if newest < version {
            return Ok(Changes::Lost(newest));
        }
        let later = changes::table.filter(changes::version.gt(version)).order(changes::version).limit(PART);
        let rows = later.load::<Row>(conn)?;
        let is_whole = rows.iter().zip(version + 1..).all(|(row, expected)| row.0 == expected);
        if !is_whole || (rows.is_empty() && newest > version) {
            return Ok(Changes::Unknown(newest));
        }
        let change = |(version, kind, of_type, id): Row| {
            let change = match (kind.as_str(), of_type, id) {
                (ENTITY, Some(of_type), Some(id)) => Change::Entity(EntityUid::new(of_type, id)),
                (CALLERS, _, _) => Change::Callers,
                _ => return Err(StoreError::damaged(format!("change `{version}` is of an unknown kind"))),
            };
            Ok((version, change))
        };
        Ok(Changes::Known(rows.into_iter().map(change).collect::<Result<_, _>>()?))
    })
}

type Row = (i64, String, Option<String>, Option<String>);

/// Tells who listens, once this is committed.
fn tell(conn: &mut Connection, version: i64) -> Result<(), StoreError> {
    if let Connection::Postgres(conn) = conn {
        conn.batch_execute(&format!("SELECT pg_notify('{CHANNEL}', '{version}')"))?;
    }
    Ok(())
}

/// Listens to what others are told on that channel; nothing comes where the database has no such thing.
pub fn listen(conn: &mut Connection) -> Result<(), StoreError> {
    if let Connection::Postgres(conn) = conn {
        conn.batch_execute(&format!("LISTEN {CHANNEL}"))?;
    }
    Ok(())
}

/// Whether anything came on that channel since the last time. Waits for nothing.
pub fn is_told(conn: &mut Connection) -> Result<bool, StoreError> {
    match conn {
        Connection::Sqlite(_) => Ok(false),
        Connection::Postgres(conn) => {
            let mut told = false;
            for notification in conn.notifications_iter() {
                notification?;
                told = true;
            }
            Ok(told)
        }
    }
}
