//! Databases that were restored, or failed over without their newest changes, while stores are open on them.

use super::*;
use crate::domain::Revision;

const TABLES: [&str; 3] = ["entities", "entity_versions", "changes"];

impl Stored {
    fn run(&self, sql: &str) {
        self.connection().batch_execute(sql).unwrap();
    }

    /// Keeps the state of the database as it is now.
    fn back_up(&self) {
        self.run(&TABLES.map(|table| format!("CREATE TABLE saved_{table} AS SELECT * FROM {table};")).concat());
    }

    /// Puts the database back to that state.
    fn restore(&self) {
        let tables =
            TABLES.map(|table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM saved_{table};"));
        self.run(&format!("BEGIN; {} COMMIT;", tables.concat()));
    }

    /// Another process's store.
    fn other(&self) -> Store {
        Store::open(&self.options).unwrap()
    }
}

fn put(store: &Store, id: &str, n: i64) -> Written {
    store.put(&user(id, n), Precondition::default(), |_| Ok(())).unwrap()
}

/// What was lost, how many changes came instead, and whether they are of the same entity.
#[test]
fn nothing_that_was_read_is_current_after_changes_were_lost_whatever_came_instead() {
    for lost in [1, 2, 3] {
        for instead in [0, 1, 2, 3, 4, 9] {
            let stored = Stored::new();
            let here = &stored.store;
            put(here, "ann", 1);
            stored.back_up();
            let before = here.versions().applied();
            (0..lost).for_each(|n| _ = put(here, "ann", 10 + n));
            let (seen, slot) = (here.versions().applied(), Versions::slot(&uid("bob")));
            let stamps = ["ann", "bob", "carl"].map(|id| here.versions().stamp(&uid(id)));
            stored.restore();
            // By a daemon that knows nothing of what was lost.
            let there = stored.other();
            (0..instead).for_each(|n| _ = put(&there, "ann", 20 + n));
            here.follow().unwrap();
            let case = format!("{lost} lost, {instead} instead");
            assert!(stamps.iter().all(|stamp| !here.versions().is_current(stamp)), "{case}");
            assert!(!here.versions().is_unchanged_since(slot, seen.version), "{case}");
            assert!(!here.versions().contains(&seen), "{case}");
            let now = here.versions().applied();
            assert!(now.incarnation != seen.incarnation && now.version > seen.version, "{case}: {now}");
            // Both keep to the new incarnation, and to each other.
            there.follow().unwrap();
            assert_eq!(there.versions().applied(), now, "{case}");
            let written = put(&there, "bob", 5);
            here.follow_to(&written.commit.after).unwrap();
            for token in [seen, before] {
                let refused = here.follow_to(&token).unwrap_err();
                assert!(matches!(refused, StoreError::Lost { .. }), "{case}: {refused}");
            }
        }
    }
}

#[test]
fn a_writer_notices_by_itself_that_changes_were_lost() {
    let stored = Stored::new();
    let here = &stored.store;
    put(here, "ann", 1);
    stored.back_up();
    put(here, "ann", 2);
    stored.restore();
    let stamps = ["ann", "bob"].map(|id| here.versions().stamp(&uid(id)));
    // It has the version that was lost.
    let written = put(here, "carl", 1);
    assert!(stamps.iter().all(|stamp| !here.versions().is_current(stamp)));
    assert_ne!(here.versions().applied().incarnation, written.commit.after.incarnation);
}

#[test]
fn a_node_that_had_seen_none_of_what_was_lost_takes_the_incarnation_that_another_begins() {
    let stored = Stored::new();
    let (here, there) = (&stored.store, stored.other());
    put(here, "ann", 1);
    there.follow().unwrap();
    stored.back_up();
    put(here, "ann", 2);
    stored.restore();
    put(&there, "ann", 3);
    let stamp = there.versions().stamp(&uid("bob"));
    here.follow().unwrap();
    there.follow().unwrap();
    assert_eq!(here.versions().applied(), there.versions().applied());
    assert!(!there.versions().is_current(&stamp));
}

#[test]
fn a_revision_is_believed_only_of_this_database_and_up_to_now() {
    let stored = Stored::new();
    let here = &stored.store;
    let written: Vec<Revision> = (0..5).map(|n| put(here, "ann", n).commit.after).collect();
    let again = stored.other();
    for revision in &written {
        assert!(here.follow_to(revision).is_ok() && again.follow_to(revision).is_ok());
        for foreign in [
            Revision { incarnation: revision.incarnation ^ 1, ..*revision },
            Revision { nonce: revision.nonce ^ 1, ..*revision },
        ] {
            let refused = again.follow_to(&foreign).unwrap_err();
            assert!(matches!(refused, StoreError::Lost { .. }), "{refused}");
        }
        let ahead = Revision { version: 6, ..*revision };
        assert!(matches!(here.follow_to(&ahead), Err(StoreError::Ahead { version: 6, newest: 5 })));
    }
    // What is too old to be kept is concluded from its incarnation.
    stored.run("DELETE FROM changes WHERE version < 5");
    let again = stored.other();
    assert!(again.follow_to(&written[1]).is_ok());
    assert_eq!(again.relation_to(&written[1]).unwrap(), HistoryRelation::Contains);
    let foreign = Revision { incarnation: 1, ..written[1] };
    assert_eq!(again.relation_to(&foreign).unwrap(), HistoryRelation::Diverged(written[4]));
}

#[test]
fn a_database_stands_to_what_it_once_was_by_history_and_not_by_numbers() {
    let stored = Stored::new();
    let here = &stored.store;
    let kept = put(here, "ann", 1).commit.after;
    stored.back_up();
    let lost = put(here, "ann", 2).commit.after;
    assert_eq!(here.relation_to(&lost).unwrap(), HistoryRelation::Contains);
    stored.restore();
    assert_eq!(here.relation_to(&lost).unwrap(), HistoryRelation::Behind(kept));
    let instead = put(&stored.other(), "ann", 3).commit.after;
    assert_eq!((instead.incarnation, instead.version), (lost.incarnation, lost.version));
    assert_eq!(here.relation_to(&lost).unwrap(), HistoryRelation::Diverged(instead));
    let begun = here.begin_anew(&lost).unwrap();
    assert_eq!(here.relation_to(&lost).unwrap(), HistoryRelation::Diverged(begun));
    // What was there before the loss is still there.
    assert_eq!(here.relation_to(&kept).unwrap(), HistoryRelation::Contains);
    assert_eq!(here.begin_anew(&lost).unwrap(), begun, "another node has done it already");
}

#[test]
fn a_database_of_before_there_were_revisions_has_one() {
    for changed in [true, false] {
        let (_folder, path, _) = if changed { closed_database() } else { empty_database() };
        let second = Duration::from_secs(1);
        let mut conn = open(&Target::from(&*path), second).unwrap();
        downgrade(&mut conn, &ENTITIES, "20260501070000");
        drop(conn);
        let store = Store::open(&options(&path)).unwrap();
        let first = store.versions().applied();
        assert!(first.incarnation != 0 && first.nonce != 0 && first.version == if changed { 40 } else { 0 });
        store.follow().unwrap();
        let stamp = store.versions().stamp(&uid("bob"));
        let written = Store::open(&options(&path)).unwrap();
        let written = put(&written, "ann", 1);
        store.follow().unwrap();
        assert_eq!(store.versions().applied(), written.commit.after);
        assert!(store.versions().is_current(&stamp), "there is no gap");
    }
}

fn empty_database() -> (TempDir, PathBuf, Vec<Entity>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acgs.db");
    drop(open(&Target::from(&*path), Duration::from_secs(10)).unwrap());
    (folder, path, Vec::new())
}
