use super::*;
use crate::actors::audit::index_batch::MAX_ENTRIES;
use crate::actors::audit::queue::AuditQueue;
use crate::ledger::{Batch, Ledger, Options};
use crate::store::search_index::beside;

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
    let indexer = Indexer::start(IndexerParts {
        storage,
        options: StoreOptions {
            target: beside(&folder.path().join("acgs.db").into()),
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
        queue: AuditQueue::new(1, RECORDS),
        opened: RECORDS,
        on_rollback: OnRollback::Refuse,
        checkpoints: checkpoints.clone(),
        retention_days: None,
    });
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
