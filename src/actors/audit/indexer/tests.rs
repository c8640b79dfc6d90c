use std::num::NonZeroU32;
use std::path::Path;

use super::*;
use crate::actors::audit::index_batch::MAX_ENTRIES;
use crate::actors::audit::queue::AuditQueue;
use crate::ledger::{Batch, Ledger, Options};
use crate::store::search_index::beside;

fn parts(folder: &Path, storage: DiskStorage, queue: AuditQueue, checkpoints: Checkpoints) -> IndexerParts {
    IndexerParts {
        storage,
        options: StoreOptions {
            target: beside(&folder.join("acgs.db").into()),
            size: NonZeroU32::MIN,
            max_overflow: 0,
            min_idle: 0,
            pre_ping: false,
            recycle: Duration::from_hours(1),
            health_check: Duration::from_secs(30),
            acquire_timeout: Duration::from_secs(10),
        },
        replicas: Replicas::default(),
        origin: "acgs.example/log".to_owned(),
        queue,
        opened: 0,
        on_rollback: OnRollback::Refuse,
        checkpoints,
        archiving: Archiving::Closed,
    }
}

#[test]
fn what_a_restored_index_has_lost_is_indexed_again() {
    let folder = tempfile::tempdir().unwrap();
    let storage = DiskStorage::create(folder.path().join("audit")).unwrap();
    let (mut ledger, _) = Ledger::open(storage.clone(), Options::default()).unwrap();
    let (queue, checkpoints) = (AuditQueue::new(100, 0), Checkpoints::default());
    let (indexer, _) = Indexer::start(parts(folder.path(), storage, queue.clone(), checkpoints.clone())).unwrap();
    let index_status = indexer.index_status();
    let mut append = |records: std::ops::Range<u64>| {
        let mut frame = Batch::default();
        records.clone().for_each(|number| frame.push(format!("record {number}").as_bytes()).unwrap());
        ledger.append(&frame).unwrap();
        queue.set_durable(records.end);
    };
    let wait_for = |next: u64| {
        let since = Instant::now();
        while index_status.next() != Some(next) {
            assert!(since.elapsed() < Duration::from_mins(1), "{:?}: {:?}", index_status.next(), index_status.fault());
            thread::yield_now();
        }
    };
    append(0..40);
    wait_for(40);
    let store = index_status.store().unwrap();
    let log = store.logs().unwrap().remove(0).id;
    store.forget(log, 10).unwrap();
    append(40..60);
    wait_for(60);
    assert_eq!(index_status.fault(), None);
    for index in [9, 10, 39, 40, 59] {
        let leaf = *Hash::leaf(format!("record {index}").as_bytes()).as_bytes();
        assert_eq!(store.leaf(log, index).unwrap(), Some(leaf), "{index}");
    }
    checkpoints.stop();
    indexer.stop();
}

#[test]
fn a_daemon_that_stops_copies_no_more_than_a_few_batches() {
    const RECORDS: u64 = 300_000;
    let folder = tempfile::tempdir().unwrap();
    let storage = DiskStorage::create(folder.path().join("audit")).unwrap();
    let (mut ledger, _) = Ledger::open(storage.clone(), Options::default()).unwrap();
    let mut frame = Batch::default();
    for _ in 0..RECORDS / 100 {
        frame.push(b"a record").unwrap();
    }
    for _ in 0..100 {
        ledger.append(&frame).unwrap();
    }
    let checkpoints = Checkpoints::default();
    let parts = parts(folder.path(), storage, AuditQueue::new(1, RECORDS), checkpoints.clone());
    let indexer = Indexer::start(IndexerParts { opened: RECORDS, ..parts });
    let (indexer, _) = indexer.unwrap();
    let index_status = indexer.index_status();
    while index_status.next() == Some(0) {
        thread::yield_now();
    }
    checkpoints.stop();
    let copied = index_status.next().unwrap();
    indexer.stop();
    // One batch was under way.
    let bound = copied + (MAX_ENTRIES * (1 + LAST_BATCHES)) as u64;
    let copied = index_status.next().unwrap();
    assert!(copied <= bound && copied < RECORDS, "{copied}, not {bound}");
}
