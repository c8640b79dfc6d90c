//! The table `changes`, which says what each version changed; see [`revisions`].

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::connection::{Connection, DbSession, read, write};
use super::error::StoreError;
use super::revisions::{self, Commit};
use super::schema::changes;
use crate::domain::{EntityUid, Revision};

/// The channel of PostgreSQL notifications about changes. The payload is the newest version.
pub const CHANNEL: &str = "acgs_changes";

/// The number of newest changes that are kept for nodes that have not seen them.
const RETAINED_CHANGES: i64 = 100_000;
/// The number of changes whose nonces are read at the start.
const RECENT: i64 = 4096;
/// Changes read in one query.
const MAX_CHANGES_PER_QUERY: i64 = 10_000;

const ENTITY: &str = "entity";
const CALLERS: &str = "callers";
const OTHER: &str = "other";

/// The subject of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This entity: it was stored, changed or removed.
    Entity(EntityUid),
    /// Withdrawn access, or the set of signing keys.
    Callers,
    /// Something that no cache depends on.
    Other,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// Its version.
    pub version: i64,
    /// Its nonce.
    pub nonce: i64,
    /// Its subject.
    pub change: Change,
}

/// The changes after a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// All of them, in order and without a gap; empty if the revision is the newest.
    Known(Vec<Versioned>),
    /// Some are no longer in the table, or there are too many. Contains the newest revision.
    Unknown(Revision),
    /// The database does not contain the given revision: it was restored, or failed over without its newest changes, or
    /// another node has detected that. Contains the newest revision.
    Lost(Revision),
}

/// Inserts what the given versions of a transaction changed, in order.
pub(super) fn of_entities<'a>(
    conn: &mut Connection,
    commit: &Commit,
    changed: impl IntoIterator<Item = (i64, &'a EntityUid)>,
) -> Result<(), StoreError> {
    let row = |(version, uid): (i64, &'a EntityUid)| {
        let (kind, id) = (changes::type_.eq(uid.kind.as_str()), changes::id.eq(uid.id.as_str()));
        (changes::version.eq(version), changes::kind.eq(ENTITY), kind, id, changes::nonce.eq(commit.after.nonce))
    };
    let rows = changed.into_iter().map(row).collect::<Vec<_>>();
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
    finish(conn, commit)
}

/// Advances the version for a change that every node must know of callers or signing keys.
pub(super) fn of_callers(conn: &mut Connection) -> Result<(), StoreError> {
    let commit = revisions::advance(conn, 1)?;
    insert(conn, &commit.after, CALLERS)?;
    finish(conn, &commit)
}

/// Advances the version for a change that no cache depends on.
pub(super) fn of_others(conn: &mut Connection) -> Result<Commit, StoreError> {
    let commit = revisions::advance(conn, 1)?;
    insert(conn, &commit.after, OTHER)?;
    finish(conn, &commit)?;
    Ok(commit)
}

/// Inserts that a stored revision changed nothing that a cache depends on.
pub(super) fn of_nothing_cached(conn: &mut Connection, revision: &Revision) -> Result<(), StoreError> {
    insert(conn, revision, OTHER)?;
    tell(conn, revision.version)
}

/// Adds a version to a transaction for a change that no cache depends on. `before` is the revision when it began.
pub fn revise(conn: &mut Connection, before: Revision) -> Result<Commit, StoreError> {
    Ok(Commit { before, ..of_others(conn)? })
}

/// Begins a new incarnation of a database that has lost the revision `lost`, and returns its revision. Its versions
/// continue above `known`, so that none that was seen is assigned again. If another node has begun one already, that is
/// returned.
pub fn begin_anew(conn: &mut DbSession, lost: &Revision, known: i64) -> Result<Revision, StoreError> {
    write(conn, |conn| {
        let newest = revisions::newest(conn)?;
        let is_begun = newest.incarnation != lost.incarnation
            || revisions::compare(conn, newest, lost)? == revisions::HistoryRelation::Contains;
        if is_begun && newest.version >= known {
            return Ok(newest);
        }
        let version = newest.version.max(known) + 1;
        let begun = Revision { incarnation: rand::random(), version, nonce: rand::random() };
        revisions::store(conn, &begun)?;
        of_nothing_cached(conn, &begun)?;
        Ok(begun)
    })
}

fn insert(conn: &mut Connection, revision: &Revision, kind: &str) -> Result<(), StoreError> {
    let row = (changes::version.eq(revision.version), changes::kind.eq(kind), changes::nonce.eq(revision.nonce));
    diesel::insert_into(changes::table).values(row).execute(conn)?;
    Ok(())
}

/// Removes old rows now and then, and notifies other nodes.
fn finish(conn: &mut Connection, commit: &Commit) -> Result<(), StoreError> {
    let newest = commit.after.version;
    if newest / RETAINED_CHANGES > commit.before.version / RETAINED_CHANGES {
        diesel::delete(changes::table.filter(changes::version.le(newest - RETAINED_CHANGES))).execute(conn)?;
    }
    tell(conn, newest)
}

/// Reads the changes after a revision, the oldest first, up to a limit.
///
/// The row of the given revision is read with those after it: if its nonce differs, or another incarnation has begun,
/// the history to which the revision belongs is lost.
pub(super) fn after(session: &mut DbSession, seen: &Revision) -> Result<Changes, StoreError> {
    read(session, |session| {
        let conn = &mut **session;
        let newest = revisions::newest(conn)?;
        if newest == *seen {
            return Ok(Changes::Known(Vec::new()));
        }
        if newest.incarnation != seen.incarnation || newest.version <= seen.version {
            return Ok(Changes::Lost(newest));
        }
        let rows = changes::table
            .filter(changes::version.ge(seen.version))
            .order(changes::version)
            .limit(MAX_CHANGES_PER_QUERY);
        let rows = rows.load::<Row>(conn)?;
        match rows.first() {
            Some((version, .., nonce)) if *version == seen.version && *nonce != seen.nonce => {
                return Ok(Changes::Lost(newest));
            }
            Some(_) if rows.iter().zip(seen.version..).all(|(row, expected)| row.0 == expected) && rows.len() > 1 => {}
            Some(_) | None => return Ok(Changes::Unknown(newest)),
        }
        Ok(Changes::Known(rows.into_iter().skip(1).map(versioned).collect::<Result<_, _>>()?))
    })
}

/// The versions and nonces of the newest changes up to a revision.
pub(super) fn recent(conn: &mut Connection, newest: &Revision) -> Result<Vec<(i64, i64)>, StoreError> {
    let (after, last) = (newest.version - RECENT, newest.version);
    let recent = changes::table.filter(changes::version.gt(after).and(changes::version.le(last)));
    Ok(recent.select((changes::version, changes::nonce)).load(conn)?)
}

fn versioned((version, kind, of_type, id, nonce): Row) -> Result<Versioned, StoreError> {
    let change = match (kind.as_str(), of_type, id) {
        (ENTITY, Some(of_type), Some(id)) => Change::Entity(EntityUid::new(of_type, id)),
        (CALLERS, _, _) => Change::Callers,
        (OTHER, _, _) => Change::Other,
        _ => return Err(StoreError::damaged(format!("change `{version}` is of an unknown kind"))),
    };
    Ok(Versioned { version, nonce, change })
}

type Row = (i64, String, Option<String>, Option<String>, i64);

/// Notifies listeners at the commit.
fn tell(conn: &mut Connection, version: i64) -> Result<(), StoreError> {
    if let Connection::Postgres(conn) = conn {
        conn.batch_execute(&format!("SELECT pg_notify('{CHANNEL}', '{version}')"))?;
    }
    Ok(())
}

/// Listens to the channel of notifications; does nothing for SQLite.
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
