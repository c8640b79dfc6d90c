//! The table `entity_versions`: the newest revision, and how a change advances it.
//!
//! Everything that a cache may depend on has a version, greater than every version before it in the whole store. A
//! writer takes its version first, and the row stays locked until its commit: writers are serialized, versions are
//! committed in order, and a reader that sees one of them sees all before it. Each change has a random nonce beside its
//! version, and the database has a random incarnation; see [`Revision`].

use diesel::prelude::*;

use super::connection::Connection;
use super::error::StoreError;
use super::schema::{self, entity_versions};
use crate::domain::Revision;

/// A committed transaction, by the revisions before and after it. Its versions are those between, all with the nonce of
/// the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// The revision when the transaction began.
    pub before: Revision,
    /// The revision after the commit.
    pub after: Revision,
}

/// The relation of a database to a revision that it once had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRelation {
    /// The database contains the revision. If the revision is too old for its row to be kept, this is concluded from
    /// its incarnation and version.
    Contains,
    /// The database is at this older revision of the same incarnation, and will assign the versions after it again.
    Behind(Revision),
    /// The database, at this revision, has another history, without the changes of the given one.
    Diverged(Revision),
}

/// The newest revision.
pub fn newest(conn: &mut Connection) -> Result<Revision, StoreError> {
    let columns = (entity_versions::incarnation, entity_versions::newest, entity_versions::nonce);
    let found = entity_versions::table.select(columns).first::<(i64, i64, i64)>(conn).optional()?;
    let (incarnation, version, nonce) =
        found.ok_or_else(|| StoreError::damaged("the row of table `entity_versions` is gone"))?;
    Ok(Revision { incarnation, version, nonce })
}

/// Advances the version by `count`, in a transaction that holds the writer's lock.
pub(super) fn advance(conn: &mut Connection, count: i64) -> Result<Commit, StoreError> {
    let before = newest(conn)?;
    let after = Revision { version: before.version + count, nonce: rand::random(), ..before };
    store(conn, &after)?;
    Ok(Commit { before, after })
}

pub(super) fn store(conn: &mut Connection, revision: &Revision) -> Result<(), StoreError> {
    let columns = (
        entity_versions::incarnation.eq(revision.incarnation),
        entity_versions::newest.eq(revision.version),
        entity_versions::nonce.eq(revision.nonce),
    );
    diesel::update(entity_versions::table).set(columns).execute(conn)?;
    Ok(())
}

/// Compares the database with a revision.
pub fn relation_to(conn: &mut Connection, revision: &Revision) -> Result<HistoryRelation, StoreError> {
    let newest = newest(conn)?;
    compare(conn, newest, revision)
}

/// The same, given the newest revision as read in the same transaction.
pub(super) fn compare(
    conn: &mut Connection,
    newest: Revision,
    revision: &Revision,
) -> Result<HistoryRelation, StoreError> {
    if newest == *revision {
        return Ok(HistoryRelation::Contains);
    }
    let is_same = newest.incarnation == revision.incarnation;
    if newest.version < revision.version {
        return Ok(if is_same { HistoryRelation::Behind(newest) } else { HistoryRelation::Diverged(newest) });
    }
    let found = schema::changes::table.find(revision.version).select(schema::changes::nonce);
    Ok(match found.first::<i64>(conn).optional()? {
        // A database loses its newest changes: earlier ones remain, in whatever incarnation.
        Some(nonce) if nonce == revision.nonce => HistoryRelation::Contains,
        None if is_same => HistoryRelation::Contains,
        Some(_) | None => HistoryRelation::Diverged(newest),
    })
}
