//! Several stores on one database, as several daemons have them.

use super::*;
use crate::domain::Revision;

/// Another process's store on the same database.
fn other(stored: &Stored) -> Store {
    Store::open(&stored.options).unwrap()
}

#[test]
fn what_another_writes_is_not_current_any_more_once_it_was_followed() {
    let stored = Stored::new();
    let (here, there) = (&stored.store, other(&stored));
    there.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
    here.follow().unwrap();
    let (ann, bob) = (here.versions().stamp(&uid("ann")), here.versions().stamp(&uid("bob")));
    let written = there.put(&user("ann", 2), Precondition::default(), |_| Ok(())).unwrap();
    assert!(here.versions().is_current(&ann), "nobody has said anything yet");
    here.follow().unwrap();
    assert!(!here.versions().is_current(&ann));
    assert!(here.versions().is_current(&bob), "who writes to one leaves others alone");
    assert_eq!(here.versions().applied(), written.commit.after);
    assert!(!here.versions().is_unchanged_since(Versions::slot(&uid("ann")), written.version - 1));
    assert!(here.versions().is_unchanged_since(Versions::slot(&uid("ann")), written.version));
    let removed = there.remove(&uid("ann"), Precondition::default(), |_| Ok(())).unwrap();
    here.follow_to(&removed.after).unwrap();
    assert_eq!(here.versions().applied(), removed.after);
    assert_eq!(here.find(&uid("ann")).unwrap(), None);
}

#[test]
fn the_first_entity_of_a_type_is_found_once_it_was_followed() {
    let stored = Stored::new();
    let (here, there) = (&stored.store, other(&stored));
    let written = there.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
    assert_eq!(here.find(&uid("ann")).unwrap(), None, "that there are users is not known here yet");
    here.follow_to(&written.commit.after).unwrap();
    assert!(here.find(&uid("ann")).unwrap().is_some());
}

#[test]
fn own_writes_between_those_of_others_leave_no_gap() {
    let stored = Stored::new();
    let (here, there) = (&stored.store, other(&stored));
    for n in 0..20 {
        there.put(&user(&format!("there-{n}"), n), Precondition::default(), |_| Ok(())).unwrap();
        let written = here.put(&user(&format!("here-{n}"), n), Precondition::default(), |_| Ok(())).unwrap();
        // Who writes learns of what was written before.
        assert_eq!(here.versions().applied(), written.commit.after);
        assert!(here.versions().is_unchanged_since(Versions::slot(&uid(&format!("there-{n}"))), written.version));
    }
    let alone = here.put_many(&[user("a", 1), user("b", 1), user("c", 1)], |_| Ok(())).unwrap();
    assert_eq!(here.versions().applied(), alone[2].commit.after);
    assert_eq!(here.versions().applied().version, alone[2].version);
}

#[test]
fn what_is_not_there_yet_is_not_waited_for() {
    let stored = Stored::new();
    let newest = stored.store.versions().applied();
    let ahead = stored.store.follow_to(&Revision { version: 7, ..newest }).unwrap_err().to_string();
    assert_eq!(ahead, "version `7` is asked for, and the newest is `0`");
}

#[test]
fn after_a_gap_nothing_is_current_and_all_types_are_known() {
    let stored = Stored::new();
    let (here, there) = (&stored.store, other(&stored));
    let stamps = ["ann", "bob"].map(|id| here.versions().stamp(&uid(id)));
    let written = there.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
    let epoch = here.callers_epoch();
    stored.connection().batch_execute("DELETE FROM changes").unwrap();
    here.follow().unwrap();
    assert!(stamps.iter().all(|stamp| !here.versions().is_current(stamp)));
    assert_eq!(here.versions().applied(), written.commit.after);
    assert!(here.find(&uid("ann")).unwrap().is_some());
    assert_ne!(here.callers_epoch(), epoch);
}

#[test]
fn a_change_of_callers_is_heard_of() {
    let stored = Stored::new();
    let (here, there) = (&stored.store, other(&stored));
    let epoch = here.callers_epoch();
    here.follow().unwrap();
    assert_eq!(here.callers_epoch(), epoch);
    there.transaction(|conn| super::super::ended_tokens::deny(conn, "sid:1", i64::MAX)).unwrap();
    here.follow().unwrap();
    assert_ne!(here.callers_epoch(), epoch);
}

#[test]
fn who_listens_is_told_after_the_commit_and_not_before() {
    let stored = Stored::new();
    if !stored.store.is_shared() {
        return;
    }
    let there = other(&stored);
    let mut listener = Listener::open(&stored.store).unwrap();
    let told = |listener: &mut Listener| {
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while std::time::Instant::now() < until {
            if listener.is_told().unwrap() {
                return true;
            }
            std::thread::yield_now();
        }
        false
    };
    assert!(!listener.is_told().unwrap());
    let mut early = false;
    let record = |_: &Written| {
        early = listener.is_told().unwrap();
        Ok(())
    };
    there.put(&user("ann", 1), Precondition::default(), record).unwrap();
    assert!(!early);
    assert!(told(&mut listener));
    listener.follow().unwrap();
    assert_eq!(stored.store.versions().applied().version, 1);
}

#[test]
fn those_who_begin_at_once_begin_one_after_the_other() {
    let stored = Stored::new();
    if !stored.store.is_shared() {
        return;
    }
    let made = std::thread::scope(|scope| {
        let begin = || {
            let store = Store::open(&stored.options).unwrap();
            let _turn = store.startup_lock().unwrap();
            let is_first = store.types().is_empty();
            if is_first {
                store.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
            }
            is_first
        };
        [0; 4].map(|_| scope.spawn(begin)).map(|thread| thread.join().unwrap())
    });
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
}

#[test]
fn an_empty_database_is_opened_by_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let target = server::target(&folder.path().join("acgs.db"));
    inspect(&target, Duration::from_secs(10)).unwrap();
    std::thread::scope(|scope| {
        let open = || open(&target, Duration::from_secs(10)).map(drop);
        let opened = [0; 6].map(|_| scope.spawn(open)).map(|thread| thread.join().unwrap());
        assert!(matches!(target, Target::Sqlite(_)) || opened.iter().all(Result::is_ok), "{opened:?}");
    });
    // Only the owner of the data folder creates a file; those who do it at once hinder each other, and damage nothing.
    open(&target, Duration::from_secs(10)).unwrap();
}
