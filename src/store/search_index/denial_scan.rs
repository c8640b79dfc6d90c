//! The index scans that find denials, and what they are counted by.

use std::borrow::Cow;
use std::ops::Range;

use super::criteria::{DenialKey, DenialQuery};
use super::predicate::{BY_DECISION, Condition, IndexScan};
use super::statement::{Statement, Value};
use crate::store::connection::Connection;
use crate::store::error::StoreError;

/// A scan of denials, and the name that each of them is counted under.
#[derive(Debug)]
pub(super) struct DenialScan {
    scan: IndexScan<'static>,
    /// An expression over the entry, or over the violation. It is empty for an entry without a subject or a reason.
    name: &'static str,
}

/// The scans that together find every denial, by its key.
pub(super) fn denial_scans(conn: &mut Connection, key: DenialKey) -> Result<Vec<DenialScan>, StoreError> {
    let denied = || IndexScan::of(BY_DECISION, vec![DENIED]);
    let name = match key {
        DenialKey::Subject => "coalesce(e.subject_type || '::\"' || e.subject_id || '\"', '')",
        DenialKey::Reason => "coalesce(e.reason, '')",
        DenialKey::Principle => {
            let (mut scans, mut after) = (Vec::new(), Vec::new());
            while scans.len() < PRINCIPLES
                && let Some(principle) = next_principle(&after).name(conn)?
            {
                let principle = Value::Text(Cow::Owned(principle));
                after = vec![("v.principle > ?", principle.clone())];
                scans.push(DenialScan { scan: IndexScan::of_principle(principle), name: "v.principle" });
            }
            return Ok(scans);
        }
    };
    Ok(vec![DenialScan { scan: denied(), name }])
}

/// Finds the next principle that was ever violated. Costs one index look-up.
fn next_principle<'a>(after: &[Condition<'a>]) -> Statement<'a> {
    Statement::new("SELECT v.principle AS name FROM audit_violations AS v WHERE TRUE")
        .and(after)
        .with(" ORDER BY v.principle LIMIT 1", [])
}

impl DenialScan {
    pub(super) fn scan(&self) -> &IndexScan<'static> {
        &self.scan
    }

    /// Counts the denials at these places by name and interval.
    pub(super) fn counts(&self, places: &Range<i64>, query: &DenialQuery) -> Statement<'static> {
        let IndexScan { entries, place, conditions, .. } = &self.scan;
        let name = self.name;
        let times = [Value::Number(query.from), Value::Number(query.interval)];
        let within = [Value::Number(places.start), Value::Number(places.end)];
        Statement::new(format!("SELECT {name} AS name"))
            .with(", (e.at - ?) / ? AS number, count(*) AS denials", times)
            .with(&format!(" FROM {entries} WHERE {place} >= ? AND {place} < ?"), within)
            .and(conditions)
            .and(&[DENIED, ("e.at >= ?", Value::Number(query.from)), ("e.at < ?", Value::Number(query.to))])
            .with(" GROUP BY 1, 2", [])
    }
}

const DENIED: Condition<'static> = ("e.decision = ?", Value::Flag(false));

/// Principles that are told apart: far more than constitutions have.
const PRINCIPLES: usize = 256;
