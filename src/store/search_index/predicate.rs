//! The predicate of one search parameter, and the index scans that find the entries for which it holds.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use super::criteria::{Search, SoughtEntity};
use super::place::Region;
use super::statement::{Statement, Value};
use crate::store::connection::Connection;
use crate::store::error::StoreError;

/// A condition on an entry `e`, with one `?`, and the value for it.
pub(super) type Condition<'a> = (&'static str, Value<'a>);

/// A part of an index in which entries are in the order of their places.
#[derive(Debug, Clone)]
pub(super) struct IndexScan<'a> {
    /// The index alone.
    index: &'static str,
    /// The index and the entries it leads to.
    pub(super) entries: &'static str,
    /// The column that has the place.
    pub(super) place: &'static str,
    /// Which part of the index.
    pub(super) conditions: Vec<Condition<'a>>,
}

impl<'a> IndexScan<'a> {
    pub(super) fn of(index: &'static str, conditions: Vec<Condition<'a>>) -> Self {
        Self { index, entries: index, place: "e.place", conditions }
    }

    /// All entries.
    pub(super) fn everything() -> Self {
        Self::of("audit_entries AS e NOT INDEXED", Vec::new())
    }

    pub(super) fn of_principle(principle: Value<'a>) -> Self {
        Self {
            index: "audit_violations AS v",
            entries: "audit_violations AS v CROSS JOIN audit_entries AS e ON e.place = v.place",
            place: "v.place",
            conditions: vec![("v.principle = ?", principle)],
        }
    }

    /// Finds the `nth` place of this part, counted from the end of `places`; 1 is the last one.
    pub(super) fn nth_last(&self, places: &Range<i64>, nth: i64) -> Statement<'a> {
        let place = self.place;
        self.select("", self.index, places)
            .with(&format!(" ORDER BY {place} DESC LIMIT 1 OFFSET ?"), [Value::Number(nth - 1)])
    }

    /// Finds the last records of this part for which the filters hold, the last one first.
    pub(super) fn records(&self, places: &Range<i64>, filters: &[Condition<'a>], limit: i64) -> Statement<'a> {
        let place = self.place;
        self.select(", e.record AS record", self.entries, places)
            .and(filters)
            .with(&format!(" ORDER BY {place} DESC LIMIT ?"), [Value::Number(limit)])
    }

    fn select(&self, columns: &str, from: &str, places: &Range<i64>) -> Statement<'a> {
        let place = self.place;
        Statement::new(format!("SELECT {place} AS place{columns} FROM {from} WHERE "))
            .with(&format!("{place} >= ? AND {place} < ?"), [Value::Number(places.start), Value::Number(places.end)])
            .and(&self.conditions)
    }
}

/// One member of a search.
#[derive(Debug, Clone)]
pub(super) struct Predicate<'a> {
    /// The conditions.
    pub(super) filter: Vec<Condition<'a>>,
    /// Index scans that together find all entries for which it holds, each in one of them; `None` without an index.
    pub(super) branches: Option<Vec<IndexScan<'a>>>,
}

impl<'a> Predicate<'a> {
    fn of(index: &'static str, condition: &'static str, value: Value<'a>) -> Self {
        let filter = vec![(condition, value)];
        Self { branches: Some(vec![IndexScan::of(index, filter.clone())]), filter }
    }

    fn of_principle(principle: &'a str) -> Self {
        // Counted rather than `EXISTS`, which SQLite may turn into a join that begins with the wrong table.
        let violated = "(SELECT count(*) FROM audit_violations AS v WHERE v.principle = ? AND v.place = e.place) = 1";
        let branch = IndexScan::of_principle(text(principle));
        Self { filter: vec![(violated, text(principle))], branches: Some(vec![branch]) }
    }

    fn of_kind(kind: &'a str) -> Self {
        if kind == DECISION {
            return Self { filter: vec![("e.kind = ?", text(kind))], branches: None };
        }
        Self::of(BY_KIND, "e.kind <> 'decision' AND e.kind = ?", text(kind))
    }

    /// An index has the id before the type, and before both the region if it is partitioned into regions. Without a
    /// type, each existing type needs a scan of its own.
    fn of_party(
        conn: &mut Connection,
        party: &Party,
        sought: &'a SoughtEntity,
        region: Option<Region>,
    ) -> Result<Self, StoreError> {
        let filter = party.conditions(sought);
        let region = region.map(|region| ("e.region = ?", Value::Number(region.number())));
        let indexed = region.into_iter().chain(filter.iter().cloned()).collect::<Vec<_>>();
        if sought.kind.is_some() {
            return Ok(Self { filter, branches: Some(vec![IndexScan::of(party.index, indexed)]) });
        }
        let mut branches = Vec::new();
        let mut after = Vec::new();
        while let Some(kind) = party.next_kind(&indexed, &after).name(conn)? {
            if branches.len() == TYPES {
                return Ok(Self { filter, branches: None });
            }
            let kind = Value::Text(Cow::Owned(kind));
            after = vec![(party.later_kind, kind.clone())];
            branches.push(IndexScan::of(party.index, indexed.iter().cloned().chain([(party.kind, kind)]).collect()));
        }
        Ok(Self { filter, branches: Some(branches) })
    }
}

/// Finds the last region that has an entry for each of the sought entities, not necessarily the same entry. Costs one
/// index look-up for each entity and region. Only for searches with a sought entity.
pub(super) fn last_region<'a>(search: &'a Search, regions: &RangeInclusive<Region>) -> Statement<'a> {
    let ends = [regions.end(), regions.start()].map(|region| Value::Number(region.number()));
    // SQLite returns the rows of a recursive query without ORDER BY in the order in which they are made: the last
    // region first.
    let all =
        "WITH RECURSIVE regions (number) AS (SELECT ? UNION ALL SELECT number - 1 FROM regions WHERE number > ?) ";
    let statement = Statement::new(all).with("SELECT number AS place FROM regions WHERE TRUE", ends);
    let with_all = parties(search).fold(statement, |statement, (party, sought)| {
        // Not `EXISTS`, which SQLite may turn into a join that begins with the wrong table.
        let involved = format!(" AND (SELECT e.place FROM {} WHERE e.region = number", party.index);
        statement.with(&involved, []).and(&party.conditions(sought)).with(" LIMIT 1) IS NOT NULL", [])
    });
    with_all.with(" LIMIT 1", [])
}

/// The sought entities.
fn parties(search: &Search) -> impl Iterator<Item = (&'static Party, &SoughtEntity)> {
    let parties = [(&SUBJECT, &search.subject), (&RESOURCE, &search.resource)];
    parties.into_iter().filter_map(|(party, sought)| Some((party, sought.as_ref()?)))
}

/// The predicates of a search; within one region, if the indexes are partitioned.
pub(super) fn predicates<'a>(
    conn: &mut Connection,
    search: &'a Search,
    region: Option<Region>,
) -> Result<Vec<Predicate<'a>>, StoreError> {
    let mut predicates = Vec::new();
    for (party, sought) in parties(search) {
        predicates.push(Predicate::of_party(conn, party, sought, region)?);
    }
    predicates.extend(search.principle.as_deref().map(Predicate::of_principle));
    predicates.extend(search.kind.as_deref().map(Predicate::of_kind));
    for (index, condition, value) in [
        (BY_ACTION, "e.action = ?", search.action.as_deref().map(text)),
        (BY_REASON, "e.reason = ?", search.reason.as_deref().map(text)),
        (BY_CALLER, "e.caller = ?", search.caller.as_deref().map(text)),
        (BY_REQUEST, "e.request_id = ?", search.request_id.as_deref().map(text)),
        (BY_DECISION, "e.decision = ?", search.decision.map(Value::Flag)),
    ] {
        predicates.extend(value.map(|value| Predicate::of(index, condition, value)));
    }
    Ok(predicates)
}

/// The kind that has no index, because nearly every record is of it.
const DECISION: &str = "decision";

/// An id that occurs with more types than this is searched for without an index.
const TYPES: usize = 16;

const BY_ACTION: &str = "audit_entries AS e INDEXED BY audit_entries_action";
const BY_REASON: &str = "audit_entries AS e INDEXED BY audit_entries_reason";
const BY_CALLER: &str = "audit_entries AS e INDEXED BY audit_entries_caller";
const BY_REQUEST: &str = "audit_entries AS e INDEXED BY audit_entries_request";
pub(super) const BY_DECISION: &str = "audit_entries AS e INDEXED BY audit_entries_decision";
const BY_KIND: &str = "audit_entries AS e INDEXED BY audit_entries_kind";

/// How those involved are stored.
#[derive(Debug)]
struct Party {
    index: &'static str,
    id: &'static str,
    kind: &'static str,
    later_kind: &'static str,
    /// Selects the types, without a condition.
    kinds: &'static str,
    kinds_in_order: &'static str,
}

const SUBJECT: Party = Party {
    index: "audit_entries AS e INDEXED BY audit_entries_subject",
    id: "e.subject_id = ?",
    kind: "e.subject_type = ?",
    later_kind: "e.subject_type > ?",
    kinds: "SELECT e.subject_type AS name FROM audit_entries AS e INDEXED BY audit_entries_subject WHERE TRUE",
    kinds_in_order: " ORDER BY e.subject_type LIMIT 1",
};

const RESOURCE: Party = Party {
    index: "audit_entries AS e INDEXED BY audit_entries_resource",
    id: "e.resource_id = ?",
    kind: "e.resource_type = ?",
    later_kind: "e.resource_type > ?",
    kinds: "SELECT e.resource_type AS name FROM audit_entries AS e INDEXED BY audit_entries_resource WHERE TRUE",
    kinds_in_order: " ORDER BY e.resource_type LIMIT 1",
};

impl Party {
    /// The conditions for an entry with this entity.
    fn conditions<'a>(&self, sought: &'a SoughtEntity) -> Vec<Condition<'a>> {
        let kind = sought.kind.as_deref().map(|kind| (self.kind, text(kind)));
        [(self.id, text(&sought.id))].into_iter().chain(kind).collect()
    }

    /// Finds the next type with this id. Costs one index look-up.
    fn next_kind<'a>(&self, indexed: &[Condition<'a>], after: &[Condition<'a>]) -> Statement<'a> {
        Statement::new(self.kinds).and(indexed).and(after).with(self.kinds_in_order, [])
    }
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}
