//! The tables `audit_entries` and `audit_violations`: copies of the log's records.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use data_encoding::HEXLOWER;
use diesel::prelude::*;
use smol_str::SmolStr;
use thiserror::Error;

use super::place::{LogId, split};
use super::schema::{audit_entries, audit_violations};
use super::statement::storable;
use super::{logs, time_ranges};
use crate::domain::EntityUid;
use crate::store::connection::{Connection, DbSession, write_apart};
use crate::store::error::StoreError;

/// An entry of the search index for one record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The hash of the record's leaf in the log.
    pub leaf: [u8; 32],
    /// When it was made, in microseconds since 1970.
    pub at: i64,
    /// The record's kind: `decision` for nearly all.
    pub kind: SmolStr,
    /// The caller.
    pub caller: Option<SmolStr>,
    /// The id of the request that caused the record.
    pub request_id: Option<SmolStr>,
    /// The subject.
    pub subject: Option<EntityUid>,
    /// The action.
    pub action: Option<SmolStr>,
    /// To what.
    pub resource: Option<EntityUid>,
    /// Whether it may.
    pub decision: Option<bool>,
    /// Why.
    pub reason: Option<SmolStr>,
    /// The principles that were violated. The same one may come twice.
    pub principles: Vec<SmolStr>,
    /// The record's text; `None` if searches read it from the log.
    pub record: Option<String>,
}

impl AuditEntry {
    /// The length of its texts, in bytes.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let text = |text: &Option<SmolStr>| text.as_ref().map_or(0, SmolStr::len);
        let texts: usize = [&self.caller, &self.request_id, &self.action, &self.reason].into_iter().map(text).sum();
        let parties = [&self.subject, &self.resource].into_iter().flatten();
        let names: usize = parties.map(|uid| uid.kind.len() + uid.id.len()).sum();
        let principles: usize = self.principles.iter().map(SmolStr::len).sum();
        texts + names + principles + self.record.as_ref().map_or(0, String::len)
    }
}

/// Why records could not be indexed. Nothing was written.
#[derive(Debug, Error)]
pub enum IndexError {
    /// An entry with another leaf hash exists: the log or the index was changed.
    #[error(
        "record `{index}` is stored with leaf `{}`, and the log has `{}`: another log has the same `audit.origin`, or one of \
         the two was changed",
        HEXLOWER.encode(.stored),
        HEXLOWER.encode(.found)
    )]
    Differs {
        /// The index of the record.
        index: u64,
        /// The leaf that is stored.
        stored: [u8; 32],
        /// The leaf that was to be indexed.
        found: [u8; 32],
    },
    /// Records before these were not indexed yet.
    #[error(
        "records from `{first}` on were to be indexed, but `{next}` is the next one: another log has the same `audit.origin`, \
         or the index was changed"
    )]
    Gap {
        /// The index of the first record that was to be indexed.
        first: u64,
        /// The index of the next record to index.
        next: u64,
    },
    /// The database could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for IndexError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Stores the entries of a log from index `first` on, in one transaction, and returns the next index.
///
/// Existing entries are compared and left unchanged.
pub(super) fn index(conn: &mut DbSession, log: LogId, first: u64, entries: &[AuditEntry]) -> Result<u64, IndexError> {
    write_apart(conn, |conn| {
        let next = logs::next_alone(conn, log)?;
        if first > next {
            return Err(IndexError::Gap { first, next });
        }
        let places = log.range(first, entries.len())?;
        let stored = leaves(conn, &places)?;
        let mut new = Vec::with_capacity(entries.len());
        for (place, entry) in places.zip(entries) {
            match stored.get(&place) {
                None => new.push((place, entry)),
                Some(leaf) if *leaf == entry.leaf => {}
                Some(leaf) => {
                    return Err(IndexError::Differs { index: split(place).1, stored: *leaf, found: entry.leaf });
                }
            }
        }
        insert(conn, &new)?;
        let next = next.max(first + entries.len() as u64);
        logs::advance(conn, log, next)?;
        Ok(next)
    })
}

/// The leaf hash of a stored entry; `None` if there is none.
pub(super) fn leaf(conn: &mut Connection, log: LogId, index: u64) -> Result<Option<[u8; 32]>, StoreError> {
    let places = log.range(index, 1)?;
    Ok(leaves(conn, &places)?.remove(&places.start))
}

/// Removes a log's entries from index `first` on.
pub(super) fn forget(conn: &mut DbSession, log: LogId, first: u64) -> Result<(), StoreError> {
    write_apart(conn, |conn| {
        let next = logs::next_alone(conn, log)?;
        let places = log.range(first, 0)?.start..log.places().end;
        let violations = audit_violations::place.ge(places.start).and(audit_violations::place.lt(places.end));
        diesel::delete(audit_violations::table.filter(violations)).execute(conn)?;
        let entries = audit_entries::place.ge(places.start).and(audit_entries::place.lt(places.end));
        diesel::delete(audit_entries::table.filter(entries)).execute(conn)?;
        logs::advance(conn, log, next.min(first))
    })
}

/// The leaf hashes of the existing entries.
fn leaves(conn: &mut Connection, places: &Range<i64>) -> Result<HashMap<i64, [u8; 32]>, StoreError> {
    let rows = audit_entries::table
        .filter(audit_entries::place.ge(places.start).and(audit_entries::place.lt(places.end)))
        .select((audit_entries::place, audit_entries::leaf))
        .load::<(i64, Vec<u8>)>(conn)?;
    let leaf = |(place, leaf): (i64, Vec<u8>)| {
        let leaf = leaf.try_into().map_err(|_| {
            let index = split(place).1;
            StoreError::damaged(format!("the leaf of record `{index}` has not 32 bytes"))
        });
        Ok((place, leaf?))
    };
    rows.into_iter().map(leaf).collect()
}

fn insert(conn: &mut Connection, new: &[(i64, &AuditEntry)]) -> Result<(), StoreError> {
    let violations = new.iter().flat_map(|(place, entry)| {
        let principles = entry.principles.iter().collect::<BTreeSet<_>>();
        principles.into_iter().map(|principle| NewViolation { principle: principle.as_str().into(), place: *place })
    });
    match conn {
        // One statement per row: it stays prepared, while one for many rows would differ with their number.
        Connection::Sqlite(conn) => {
            for (place, entry) in new {
                diesel::insert_into(audit_entries::table).values(NewRow::of(*place, entry)).execute(conn)?;
            }
            for row in violations {
                diesel::insert_into(audit_violations::table).values(row).execute(conn)?;
            }
        }
        Connection::Postgres(conn) => {
            let rows = new.iter().map(|(place, entry)| NewRow::of(*place, entry).storable()).collect::<Vec<_>>();
            diesel::copy_from(audit_entries::table).from_insertable(&rows).execute(conn)?;
            let rows = violations.map(|row| NewViolation { principle: storable(row.principle), ..row });
            let rows = rows.collect::<Vec<_>>();
            diesel::copy_from(audit_violations::table).from_insertable(&rows).execute(conn)?;
        }
    }
    time_ranges::widen(conn, &new.iter().map(|(place, entry)| (*place, entry.at)).collect::<Vec<_>>())
}

#[derive(Insertable)]
#[diesel(table_name = audit_violations, treat_none_as_default_value = false)]
struct NewViolation<'a> {
    principle: Cow<'a, str>,
    place: i64,
}

#[derive(Insertable)]
#[diesel(table_name = audit_entries, treat_none_as_default_value = false)]
struct NewRow<'a> {
    place: i64,
    leaf: &'a [u8],
    at: i64,
    kind: Cow<'a, str>,
    caller: Option<Cow<'a, str>>,
    request_id: Option<Cow<'a, str>>,
    subject_type: Option<Cow<'a, str>>,
    subject_id: Option<Cow<'a, str>>,
    action: Option<Cow<'a, str>>,
    resource_type: Option<Cow<'a, str>>,
    resource_id: Option<Cow<'a, str>>,
    decision: Option<bool>,
    reason: Option<Cow<'a, str>>,
    record: Option<Cow<'a, str>>,
}

impl<'a> NewRow<'a> {
    fn of(place: i64, entry: &'a AuditEntry) -> Self {
        let (subject, resource) = (entry.subject.as_ref(), entry.resource.as_ref());
        Self {
            place,
            leaf: &entry.leaf,
            at: entry.at,
            kind: entry.kind.as_str().into(),
            caller: entry.caller.as_deref().map(Cow::from),
            request_id: entry.request_id.as_deref().map(Cow::from),
            subject_type: subject.map(|uid| uid.kind.as_str().into()),
            subject_id: subject.map(|uid| uid.id.as_str().into()),
            action: entry.action.as_deref().map(Cow::from),
            resource_type: resource.map(|uid| uid.kind.as_str().into()),
            resource_id: resource.map(|uid| uid.id.as_str().into()),
            decision: entry.decision,
            reason: entry.reason.as_deref().map(Cow::from),
            record: entry.record.as_deref().map(Cow::from),
        }
    }

    /// As PostgreSQL can store it.
    fn storable(self) -> Self {
        Self {
            kind: storable(self.kind),
            caller: self.caller.map(storable),
            request_id: self.request_id.map(storable),
            subject_type: self.subject_type.map(storable),
            subject_id: self.subject_id.map(storable),
            action: self.action.map(storable),
            resource_type: self.resource_type.map(storable),
            resource_id: self.resource_id.map(storable),
            reason: self.reason.map(storable),
            record: self.record.map(storable),
            ..self
        }
    }
}
