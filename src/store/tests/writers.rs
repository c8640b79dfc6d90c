//! Several at once.

use std::sync::mpsc;
use std::time::Instant;

use diesel::connection::SimpleConnection;

use super::*;
use crate::store::entities::put;

#[test]
fn two_connections_that_write_at_once_get_versions_that_are_unique_and_rise() {
    let stored = Stored::new();
    let writer = |name: &'static str| {
        let mut conn = stored.connection();
        move || {
            let versions =
                (0..100).map(|n| put(&mut conn, &user(name, n), Precondition::default(), |_| Ok(())).unwrap().version);
            versions.collect::<Vec<_>>()
        }
    };
    let (ann, bob) = (writer("ann"), writer("bob"));
    let versions = std::thread::scope(|scope| {
        let threads = [scope.spawn(ann), scope.spawn(bob)];
        threads.map(|thread| thread.join().unwrap())
    });
    assert!(versions.iter().all(|mine| mine.is_sorted_by(|a, b| a < b)));
    let mut all = versions.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=200).collect::<Vec<_>>());
}

#[test]
fn of_two_writers_who_believe_in_one_version_only_one_writes() {
    let stored = Stored::new();
    let first = stored.store.put(&user("ann", 0), Precondition::default(), |_| Ok(())).unwrap();
    let outcomes = std::thread::scope(|scope| {
        let writers = [1, 2, 3, 4].map(|n| {
            let store = stored.store.clone();
            scope.spawn(move || store.put(&user("ann", n), Precondition::at(first.version), |_| Ok(())))
        });
        writers.map(|writer| writer.join().unwrap())
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    assert!(
        refused.clone().all(|error| matches!(error, StoreError::Stale { .. })),
        "{:?}",
        refused.collect::<Vec<_>>()
    );
}

fn impatient(stored: &Stored) -> StoreOptions {
    let size = NonZeroU32::MIN;
    StoreOptions { size, acquire_timeout: Duration::from_millis(50), ..stored.options.clone() }
}

#[test]
fn a_job_that_gets_no_connection_is_told_in_time() {
    let stored = Stored::new();
    stored.store.put(&user("ann", 0), Precondition::default(), |_| Ok(())).unwrap();
    let store = Store::open(&impatient(&stored)).unwrap();
    let (taken, is_taken) = mpsc::channel();
    let (done, is_done) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let holder = store.clone();
        scope.spawn(move || {
            holder.run(|_| {
                taken.send(()).unwrap();
                let _ = is_done.recv();
                Ok(())
            })
        });
        is_taken.recv().unwrap();
        let began = Instant::now();
        let busy = store.find(&uid("ann")).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(busy.to_string(), "the database is busy: no connection became free within 50 ms");
        // Nothing of this type is stored, so nothing needs to be asked.
        assert_eq!(store.find(&EntityUid::new("Team", "t")).unwrap(), None);
        assert_eq!(store.find_many(&[EntityUid::new("Team", "t")]).unwrap(), [None]);
        drop(done);
    });
    assert!(store.find(&uid("ann")).unwrap().is_some());
}

#[test]
fn a_writer_that_waits_too_long_for_another_is_busy_and_writes_nothing() {
    if server::is_elsewhere() {
        return;
    }
    let stored = Stored::new();
    let store = Store::open(&impatient(&stored)).unwrap();
    let mut other = stored.connection();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let busy = store.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap_err();
    assert_eq!(busy.to_string(), "the database is busy: database is locked");
    assert_eq!(store.find(&uid("ann")).unwrap(), None);
    other.batch_execute("ROLLBACK").unwrap();
    store.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
}
