//! What is written, and what is not.

use super::*;

#[test]
fn a_log_is_known_by_its_origin_and_goes_on_where_it_was() {
    let copied = Copied::new();
    assert_eq!(copied.store.index(copied.log, 0, &entries(0..3)).unwrap(), 3);
    let other = copied.store.log("other.example/log").unwrap();
    assert_ne!(other.id, copied.log);
    assert_eq!(other.next, 0);
    let store = SearchIndex::open(&copied.options).unwrap();
    let log = store.log("acgs.example/log").unwrap();
    assert_eq!((log.id, log.next), (copied.log, 3));
    assert_eq!(store.logs().unwrap(), [log, other]);
}

#[test]
fn records_that_are_indexed_again_are_stored_once() {
    let copied = Copied::new();
    for (range, next) in [(0..5, 5), (0..5, 5), (2..4, 5), (3..8, 8), (8..8, 8), (0..8, 8), (0..0, 8)] {
        assert_eq!(copied.store.index(copied.log, range.start, &entries(range.clone())).unwrap(), next, "{range:?}");
    }
    let found = copied.found(&Search::default(), 3);
    let expected = (0..8).rev().map(|n| ("acgs.example/log".into(), n, entry(n).record.unwrap()));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[test]
fn a_record_with_another_leaf_is_told_and_nothing_is_written() {
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..5)).unwrap();
    let mut again = entries(2..8);
    again[1].leaf = [0xab; 32];
    let error = copied.store.index(copied.log, 2, &again).unwrap_err();
    let (stored, found) = (format!("0000000000000003{}", "07".repeat(24)), "ab".repeat(32));
    assert_eq!(
        error.to_string(),
        format!(
            "record `3` is stored with leaf `{stored}`, and the log has `{found}`: another log has the same `audit.origin`, or \
             one of the two was changed"
        )
    );
    assert!(matches!(error, IndexError::Differs { index: 3, stored, found }
        if stored == entry(3).leaf && found == again[1].leaf));
    assert_eq!(copied.store.log("acgs.example/log").unwrap().next, 5);
    assert_eq!(copied.found(&Search::default(), 100).len(), 5);
}

#[test]
fn a_gap_is_refused() {
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..5)).unwrap();
    let error = copied.store.index(copied.log, 6, &entries(6..8)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "records from `6` on were to be indexed, but `5` is the next one: another log has the same `audit.origin`, or the \
         index was changed"
    );
    assert!(matches!(error, IndexError::Gap { first: 6, next: 5 }));
    assert_eq!(copied.found(&Search::default(), 100).len(), 5);
}

#[test]
fn a_transaction_that_fails_midway_leaves_nothing_and_can_be_made_again() {
    if server::is_elsewhere() {
        return;
    }
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..5)).unwrap();
    let mut conn = copied.connection();
    for trigger in [
        "BEFORE INSERT ON audit_entries WHEN NEW.record = '{\"n\":7}'",
        "BEFORE INSERT ON audit_violations",
        "BEFORE UPDATE ON audit_spans",
        "BEFORE UPDATE ON audit_logs",
    ] {
        let sql = format!("CREATE TRIGGER full {trigger} BEGIN SELECT raise(ABORT, 'disk is full'); END");
        conn.batch_execute(&sql).unwrap();
        let mut more = entries(5..10);
        more[4].principles = vec!["human-oversight".into()];
        let error = copied.store.index(copied.log, 5, &more).unwrap_err();
        let said =
            format!("the database `{}` is unavailable: disk is full", copied.options.target.path().unwrap().display());
        assert_eq!(error.to_string(), said, "{trigger}");
        assert_eq!(copied.store.log("acgs.example/log").unwrap().next, 5, "{trigger}");
        assert_eq!(copied.found(&Search::default(), 100).len(), 5, "{trigger}");
        conn.batch_execute("DROP TRIGGER full").unwrap();
    }
    assert_eq!(copied.store.index(copied.log, 5, &entries(5..10)).unwrap(), 10);
    assert_eq!(copied.found(&Search::default(), 100).len(), 10);
}

#[test]
fn a_record_that_was_lost_from_the_middle_is_put_back() {
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..5)).unwrap();
    copied.connection().batch_execute("DELETE FROM audit_entries WHERE idx = 2").unwrap();
    assert_eq!(copied.found(&Search::default(), 100).len(), 4);
    assert_eq!(copied.store.index(copied.log, 0, &entries(0..4)).unwrap(), 5);
    assert_eq!(copied.found(&Search::default(), 100).len(), 5);
}

#[test]
fn thousands_of_records_go_in_one_transaction_and_any_text_comes_back() {
    let copied = Copied::new();
    let mut all = entries(0..5000);
    let odd = ["", "a\u{0}b", "a\u{0}c", "日本語 🦀", "%_*?'\"\\", "\u{feff}\r\n"];
    for (entry, text) in all.iter_mut().zip(odd) {
        entry.subject = Some(EntityUid::new(text, text));
        (entry.caller, entry.action) = (name(text), name(text));
        entry.principles = vec![text.into(), "twice".into(), "twice".into()];
        entry.record = Some(text.repeat(30_000));
    }
    let last = all.last_mut().unwrap();
    (last.caller, last.subject, last.action, last.resource) = (None, None, None, None);
    (last.decision, last.reason, last.kind) = (None, None, "stop".into());
    assert_eq!(copied.store.index(copied.log, 0, &all).unwrap(), 5000);
    for (index, text) in (0..).zip(odd) {
        let mut record = all[usize::try_from(index).unwrap()].record.clone().unwrap();
        if copied.store.needs_records() {
            // Records are JSON, which has no zero character in it.
            record = record.replace('\0', "\u{2400}");
        }
        for search in [
            Search { subject: sought(Some(text), text), ..Search::default() },
            Search { subject: sought(None, text), ..Search::default() },
            Search { caller: name(text), ..Search::default() },
            Search { action: name(text), ..Search::default() },
            Search { principle: name(text), ..Search::default() },
            Search { principle: name(text), action: name(text), caller: name(text), ..Search::default() },
        ] {
            assert_eq!(copied.found(&search, 10), [("acgs.example/log".into(), index, record.clone())], "{search:?}");
        }
    }
    let twice = Search { principle: name("twice"), ..Search::default() };
    assert_eq!(copied.found(&twice, 4).len(), odd.len());
    let stop = Search { kind: name("stop"), ..Search::default() };
    assert_eq!(copied.found(&stop, 4)[0].1, 4999);
}

#[test]
fn what_was_synced_is_in_the_file_itself() {
    if server::is_elsewhere() {
        return;
    }
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..5)).unwrap();
    copied.store.sync().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.db");
    std::fs::copy(copied.options.target.path().unwrap(), &path).unwrap();
    let copy = SearchIndex::open(&options(&path)).unwrap();
    assert_eq!(copy.log("acgs.example/log").unwrap().next, 5);
    copied.store.index(copied.log, 5, &entries(5..6)).unwrap();
    copied.store.checkpoint().unwrap();
    let log = std::fs::metadata(format!("{}-wal", copied.options.target.path().unwrap().display())).unwrap();
    assert_eq!(log.len(), 0);
}

#[test]
fn a_reader_of_something_older_keeps_a_sync_from_being_told_as_made() {
    if server::is_elsewhere() {
        return;
    }
    let copied = Copied::new();
    copied.store.index(copied.log, 0, &entries(0..5)).unwrap();
    let store =
        SearchIndex::open(&StoreOptions { acquire_timeout: Duration::from_millis(20), ..copied.options.clone() });
    let store = store.unwrap();
    let mut reader = copied.connection();
    reader.batch_execute("BEGIN; SELECT count(*) FROM audit_logs").unwrap();
    store.index(copied.log, 5, &entries(5..6)).unwrap();
    assert_eq!(store.sync().unwrap_err().to_string(), "the database is busy: the write-ahead log is still read");
    reader.batch_execute("COMMIT").unwrap();
    store.sync().unwrap();
}

#[test]
fn who_writes_entities_never_waits_for_who_ships() {
    if server::is_elsewhere() {
        return;
    }
    let copied = Copied::new();
    let path = copied.options.target.path().unwrap().with_file_name("acgs.db");
    assert_eq!(beside(&Target::from(&*path)), copied.options.target);
    let options = StoreOptions { acquire_timeout: Duration::from_millis(50), ..options(&path) };
    let entities = crate::store::Store::open(&options).unwrap();
    copied.connection().batch_execute("BEGIN IMMEDIATE").unwrap();
    let text = r#"{"uid":{"type":"User","id":"ann"}}"#;
    entities.put(&serde_json::from_str(text).unwrap(), crate::store::Precondition::default(), |_| Ok(())).unwrap();
}
