//! The table `entity_versions`: the newest revision, and how a change makes the next one.
//!
//! Whatever a cache may depend on has a version, greater than every version given before in the whole store. A writer
//! takes it first, and its row is locked until the commit: writers go one after the other, versions are committed in
//! their order, and who sees one of them sees all before it. Each change has a random nonce beside its version, and the
//! database has a random incarnation; see [`Revision`].

use diesel::prelude::*;

use super::changes;
use super::connection::{Connection, DbSession, write};
use super::error::StoreError;
use super::schema::{self, entity_versions};
use crate::domain::Revision;

/// A transaction that changes something: the revisions before and after it. Its versions are those between, all with the
/// nonce of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// What the database was at when the transaction began.
    pub before: Revision,
    /// What it is at after the commit.
    pub after: Revision,
}

/// How a database stands to a revision that it once had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has all changes up to that revision. Where the revision is too old for its change to be kept, that is concluded
    /// from the incarnation and the version.
    Contains,
    /// It is behind: it gives the versions after this one once more.
    Behind(Revision),
    /// It has another history: changes of that revision are not in it. The revision that it has.
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

/// Takes the next `count` versions, in a transaction that has the writer's place.
pub(super) fn advance(conn: &mut Connection, count: i64) -> Result<Commit, StoreError> {
    let before = newest(conn)?;
    let after = Revision { version: before.version + count, nonce: rand::random(), ..before };
    store(conn, &after)?;
    Ok(Commit { before, after })
}

fn store(conn: &mut Connection, revision: &Revision) -> Result<(), StoreError> {
    let columns = (
        entity_versions::incarnation.eq(revision.incarnation),
        entity_versions::newest.eq(revision.version),
        entity_versions::nonce.eq(revision.nonce),
    );
    diesel::update(entity_versions::table).set(columns).execute(conn)?;
    Ok(())
}

/// How the database stands to a revision.
pub fn standing(conn: &mut Connection, revision: &Revision) -> Result<Standing, StoreError> {
    let newest = newest(conn)?;
    compare(conn, newest, revision)
}

/// The same, in the transaction in which the newest revision was read.
pub(super) fn compare(conn: &mut Connection, newest: Revision, revision: &Revision) -> Result<Standing, StoreError> {
    if newest == *revision {
        return Ok(Standing::Contains);
    }
    let is_same = newest.incarnation == revision.incarnation;
    if newest.version < revision.version {
        return Ok(if is_same { Standing::Behind(newest) } else { Standing::Diverged(newest) });
    }
    let found = schema::changes::table.find(revision.version).select(schema::changes::nonce);
    Ok(match found.first::<i64>(conn).optional()? {
        // Changes are lost from the end: what was there before stays, under whatever incarnation.
        Some(nonce) if nonce == revision.nonce => Standing::Contains,
        None if is_same => Standing::Contains,
        Some(_) | None => Standing::Diverged(newest),
    })
}

/// Gives a version to a transaction that changes something which no cache depends on, beside what it has versions for
/// already. What the database was at when it began is `before`.
pub fn revise(conn: &mut Connection, before: Revision) -> Result<Commit, StoreError> {
    let commit = changes::of_others(conn)?;
    Ok(Commit { before, ..commit })
}

/// Begins a new incarnation of a database that does not contain a revision which it once had, and answers what the
/// database is at then. Versions go on above `known`, so that none that was seen is given again. Where another node has
/// begun one already, that is taken.
pub fn begin_anew(conn: &mut DbSession, lost: &Revision, known: i64) -> Result<Revision, StoreError> {
    write(conn, |conn| {
        let newest = newest(conn)?;
        let is_begun = newest.incarnation != lost.incarnation || compare(conn, newest, lost)? == Standing::Contains;
        if is_begun && newest.version >= known {
            return Ok(newest);
        }
        let version = newest.version.max(known) + 1;
        let begun = Revision { incarnation: rand::random(), version, nonce: rand::random() };
        store(conn, &begun)?;
        changes::of_nothing_cached(conn, &begun)?;
        Ok(begun)
    })
}
