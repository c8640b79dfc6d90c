//! Which indexes searches read. None sorts, and none reads everything.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;

use super::super::denial_scan::denial_scans;
use super::super::place::Region;
use super::super::predicate::{IndexScan, last_region, predicates};
use super::super::time_ranges;
use super::*;
use crate::store::connection::Connection;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// How SQLite goes about it, whatever values are bound.
fn plan(conn: &mut Connection, sql: &str) -> String {
    let lines = sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load::<Line>(conn).unwrap();
    lines.iter().map(|line| line.detail.as_str()).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_search_by_one_member_reads_its_part_of_an_index_in_order() {
    if server::is_elsewhere() {
        return;
    }
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..10)).unwrap();
    let mut conn = copied.connection();
    let any = Search::default();
    for (search, part) in [
        (
            Search { subject: sought(None, "agent-1"), ..any.clone() },
            "subject (region=? AND subject_id=? AND subject_type=?",
        ),
        (
            Search { subject: sought(Some("T"), "1"), ..any.clone() },
            "subject (region=? AND subject_id=? AND subject_type=?",
        ),
        (
            Search { resource: sought(None, "search"), ..any.clone() },
            "resource (region=? AND resource_id=? AND resource_type=?",
        ),
        (
            Search { resource: sought(Some("T"), "1"), ..any.clone() },
            "resource (region=? AND resource_id=? AND resource_type=?",
        ),
        (Search { action: name("a"), ..any.clone() }, "action (action=?"),
        (Search { reason: name("r"), ..any.clone() }, "reason (reason=?"),
        (Search { caller: name("c"), ..any.clone() }, "caller (caller=?"),
        (Search { request_id: name("r"), ..any.clone() }, "request (request_id=?"),
        (Search { decision: Some(false), ..any.clone() }, "decision (decision=?"),
        (Search { kind: name("auth"), ..any.clone() }, "kind (kind=?"),
    ] {
        let found = predicates(&mut conn, &search, Some(Region::of(0))).unwrap();
        let [predicate] = &*found else { panic!("{search:?}") };
        for branch in predicate.branches.as_ref().unwrap() {
            let index = format!("INDEX audit_entries_{part} AND rowid>? AND rowid<?)");
            let records = plan(&mut conn, branch.records(&(0..1), &[], 1).sql());
            assert_eq!(records, format!("SEARCH e USING {index}"));
            let nth = plan(&mut conn, branch.nth_last(&(0..1), 1).sql());
            // An index with a column that is made from the place is not said to cover it, though no row is read.
            let covering = if part.contains("region") { "" } else { "COVERING " };
            assert_eq!(nth, format!("SEARCH e USING {covering}{index}"));
        }
    }
}

#[test]
fn regions_are_looked_into_one_by_one() {
    if server::is_elsewhere() {
        return;
    }
    let mut conn = Copied::new().connection();
    let search = Search { subject: sought(None, "1"), resource: sought(Some("T"), "1"), ..Search::default() };
    let regions = Region::of(0)..=Region::of(1 << 30);
    let plan = plan(&mut conn, last_region(&search, &regions).sql());
    let looks = plan.split("; ").filter(|line| line.starts_with("SEARCH")).collect::<Vec<_>>();
    let [subject, resource] =
        ["subject (region=? AND subject_id=?)", "resource (region=? AND resource_id=? AND resource_type=?)"]
            .map(|part| format!("SEARCH e USING INDEX audit_entries_{part}"));
    assert_eq!(looks, [subject, resource]);
    assert!(!["SCAN e", "TEMP B-TREE", "MATERIALIZE"].iter().any(|slow| plan.contains(slow)), "{plan}");
}

#[test]
fn a_search_by_principle_begins_with_the_violations() {
    if server::is_elsewhere() {
        return;
    }
    let mut conn = Copied::new().connection();
    let search = Search { principle: name("p"), ..Search::default() };
    let found = predicates(&mut conn, &search, Some(Region::of(0))).unwrap();
    let branch = &found[0].branches.as_ref().unwrap()[0];
    let violations = "SEARCH v USING PRIMARY KEY (principle=? AND place>? AND place<?)";
    assert_eq!(plan(&mut conn, branch.nth_last(&(0..1), 1).sql()), violations);
    let entries = "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)";
    let records = plan(&mut conn, branch.records(&(0..1), &[], 1).sql());
    assert_eq!(records, format!("{violations}; {entries}"));
}

#[test]
fn denials_are_counted_by_their_part_of_an_index() {
    if server::is_elsewhere() {
        return;
    }
    let copied = Copied::new();
    let violation = AuditEntry { decision: Some(false), principles: vec!["p".into()], ..entry(0) };
    copied.store.index(copied.log, 0, &[violation]).unwrap();
    let mut conn = copied.connection();
    let denials = "SEARCH e USING INDEX audit_entries_decision (decision=? AND rowid>? AND rowid<?)";
    let violations = "SEARCH v USING PRIMARY KEY (principle=? AND place>? AND place<?); \
                      SEARCH e USING INTEGER PRIMARY KEY (rowid=?)";
    for (key, read) in [(DenialKey::Subject, denials), (DenialKey::Reason, denials), (DenialKey::Principle, violations)]
    {
        let query = DenialQuery { key, from: 0, to: 1, interval: 1, top: 1 };
        let scans = denial_scans(&mut conn, key).unwrap();
        let [scan] = &*scans else { panic!("{scans:?}") };
        // Only the groups of one step are sorted.
        let plan = plan(&mut conn, scan.counts(&(0..1), &query).sql());
        assert_eq!(plan, format!("{read}; USE TEMP B-TREE FOR GROUP BY"), "{key:?}");
    }
}

#[test]
fn what_else_is_sought_changes_nothing_in_which_index_is_read() {
    if server::is_elsewhere() {
        return;
    }
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..10)).unwrap();
    let mut conn = copied.connection();
    let search = Search {
        subject: sought(None, "agent-1"),
        action: name("a"),
        resource: sought(Some("T"), "1"),
        decision: Some(true),
        reason: name("r"),
        principle: name("p"),
        kind: name("auth"),
        caller: name("c"),
        request_id: name("r"),
        ..Search::default()
    };
    let predicates = predicates(&mut conn, &search, Some(Region::of(0))).unwrap();
    assert_eq!(predicates.len(), 9);
    let filters = predicates.iter().flat_map(|predicate| predicate.filter.iter().cloned()).collect::<Vec<_>>();
    let everything = IndexScan::everything();
    for branch in predicates.iter().flat_map(|predicate| predicate.branches.iter().flatten()).chain([&everything]) {
        let alone = plan(&mut conn, branch.records(&(0..1), &[], 1).sql());
        let with_all = plan(&mut conn, branch.records(&(0..1), &filters, 1).sql());
        let violated = "CORRELATED SCALAR SUBQUERY 1; SEARCH v USING PRIMARY KEY (principle=? AND place=?)";
        assert_eq!(with_all, format!("{alone}; {violated}"));
        assert!(!alone.contains("SCAN") && !alone.contains("TEMP B-TREE"), "{alone}");
    }
    let alone = plan(&mut conn, everything.records(&(0..1), &[], 1).sql());
    assert_eq!(alone, "SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)");
}

#[test]
fn a_time_is_found_by_its_blocks_in_order() {
    if server::is_elsewhere() {
        return;
    }
    let mut conn = Copied::new().connection();
    let with = diesel::debug_query::<Sqlite, _>(&time_ranges::last_within(1, 2, 3, 4)).to_string();
    let without = diesel::debug_query::<Sqlite, _>(&time_ranges::last_without(1, 2, 3, 4)).to_string();
    for sql in [with, without] {
        let plan = plan(&mut conn, &sql);
        assert_eq!(plan, "SEARCH audit_spans USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)");
    }
}
