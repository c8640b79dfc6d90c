//! The tables `audit_entries` and `audit_violations`: copies of the log's records.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use diesel::prelude::*;
use smol_str::SmolStr;
use thiserror::Error;

use super::place::{LogId, split};
use super::schema::{audit_entries, audit_violations};
use super::{logs, spans};
use crate::domain::EntityUid;
use crate::store::connection::{Connection, write};
use crate::store::error::StoreError;

/// One record of the log, and what of it can be searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The hash of the record's leaf in the log.
    pub leaf: [u8; 32],
    /// When it was made, in microseconds since 1970.
    pub at: i64,
    /// What it is about: `decision` for nearly all.
    pub kind: SmolStr,
    /// Who asked.
    pub caller: Option<SmolStr>,
    /// Who wanted to act.
    pub subject: Option<EntityUid>,
    /// What it wanted to do.
    pub action: Option<SmolStr>,
    /// To what.
    pub resource: Option<EntityUid>,
    /// Whether it may.
    pub decision: Option<bool>,
    /// Why.
    pub reason: Option<SmolStr>,
    /// The principles that were violated. The same one may come twice.
    pub principles: Vec<SmolStr>,
    /// The record as it is in the log; none where whoever searches reads it from there.
    pub record: Option<String>,
}

/// Why records could not be shipped. Nothing was written.
#[derive(Debug, Error)]
pub enum ShipError {
    /// A record that is stored already has another leaf: one of the two is not what was recorded.
    #[error("record `{index}` is stored with leaf `{}`, and the log has `{}`", hex(.stored), hex(.found))]
    Differs {
        /// The index of the record.
        index: u64,
        /// The leaf that is stored.
        stored: [u8; 32],
        /// The leaf that was to be shipped.
        found: [u8; 32],
    },
    /// Records before these were not shipped yet.
    #[error("records from `{first}` on were to be shipped, but `{next}` is the next one")]
    Gap {
        /// The index of the first record that was to be shipped.
        first: u64,
        /// The index of the next record to ship.
        next: u64,
    },
    /// The database could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for ShipError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Stores the records of a log from index `first` on, in one transaction, and answers the index of the next one.
///
/// Those that are there already are compared and left as they are.
pub(super) fn ship(conn: &mut Connection, log: LogId, first: u64, entries: &[AuditEntry]) -> Result<u64, ShipError> {
    write(conn, |conn| {
        let next = logs::next(conn, log)?;
        if first > next {
            return Err(ShipError::Gap { first, next });
        }
        let places = log.range(first, entries.len())?;
        let stored = leaves(conn, &places)?;
        let mut new = Vec::with_capacity(entries.len());
        for (place, entry) in places.zip(entries) {
            match stored.get(&place) {
                None => new.push((place, entry)),
                Some(leaf) if *leaf == entry.leaf => {}
                Some(leaf) => {
                    return Err(ShipError::Differs { index: split(place).1, stored: *leaf, found: entry.leaf });
                }
            }
        }
        insert(conn, &new)?;
        let next = next.max(first + entries.len() as u64);
        logs::advance(conn, log, next)?;
        Ok(next)
    })
}

/// The leaves of what is stored there.
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

/// One statement a row: it is kept prepared, where one for many rows would be another for each number of them.
fn insert(conn: &mut Connection, new: &[(i64, &AuditEntry)]) -> Result<(), StoreError> {
    for (place, entry) in new {
        let (subject, resource) = (entry.subject.as_ref(), entry.resource.as_ref());
        let row = (
            audit_entries::place.eq(*place),
            audit_entries::leaf.eq(entry.leaf.as_slice()),
            audit_entries::at.eq(entry.at),
            audit_entries::kind.eq(entry.kind.as_str()),
            audit_entries::caller.eq(entry.caller.as_deref()),
            audit_entries::subject_type.eq(subject.map(|uid| uid.kind.as_str())),
            audit_entries::subject_id.eq(subject.map(|uid| uid.id.as_str())),
            audit_entries::action.eq(entry.action.as_deref()),
            audit_entries::resource_type.eq(resource.map(|uid| uid.kind.as_str())),
            audit_entries::resource_id.eq(resource.map(|uid| uid.id.as_str())),
            audit_entries::decision.eq(entry.decision),
            audit_entries::reason.eq(entry.reason.as_deref()),
            audit_entries::record.eq(entry.record.as_deref()),
        );
        diesel::insert_into(audit_entries::table).values(row).execute(conn)?;
        for principle in &entry.principles {
            let row = (audit_violations::principle.eq(principle.as_str()), audit_violations::place.eq(*place));
            diesel::insert_or_ignore_into(audit_violations::table).values(row).execute(conn)?;
        }
    }
    spans::widen(conn, &new.iter().map(|(place, entry)| (*place, entry.at)).collect::<Vec<_>>())
}

fn hex(leaf: &[u8]) -> String {
    leaf.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
