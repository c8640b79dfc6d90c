//! Random work on a simulated disk that crashes at every point: nothing acknowledged is lost, nothing is invented.

mod archiving;
mod disk;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::disk::{Crash, Faults, SimulatedDisk};
use super::{AppendError, Batch, Hash, Ledger, LedgerError, Options, SegmentSize, Tree, records, verify};

/// The expected contents of the log.
struct Expected {
    /// Every acknowledged record.
    records: Vec<Vec<u8>>,
    tree: Tree,
    /// Batches that were tried behind them and not acknowledged: at most one of them may be there, as a whole.
    attempts: Vec<Vec<Vec<u8>>>,
    written: u64,
}

impl Expected {
    /// Acknowledges more records: nothing else that was tried may be in the log any more.
    fn grow(&mut self, records: &[Vec<u8>]) {
        for record in records {
            self.tree.push(Hash::leaf(record));
        }
        self.records.extend_from_slice(records);
        self.attempts.clear();
    }
}

struct Run {
    disk: SimulatedDisk,
    options: Options,
    expected: Expected,
    random: StdRng,
    /// How many ledgers were opened, and how many of them found a torn frame.
    opened: u64,
    torn: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let segment_size = SegmentSize::new(4096 * random.random_range(4..14)).unwrap();
        Self {
            disk: SimulatedDisk::new(seed),
            options: Options { segment_size },
            expected: Expected { records: Vec::new(), tree: Tree::default(), attempts: Vec::new(), written: 0 },
            random,
            opened: 0,
            torn: 0,
        }
    }

    /// Opens the log and works until the disk dies or a sync fails, then crashes.
    fn session(&mut self, crash: Crash, operations: u32) {
        match Ledger::open(self.disk.clone(), self.options) {
            Ok((mut ledger, recovery)) => {
                self.opened += 1;
                self.torn += u64::from(recovery.torn.is_some());
                self.check(&ledger, recovery.size);
                for _ in 0..operations {
                    if self.work(&mut ledger).is_break() {
                        break;
                    }
                }
            }
            Err(LedgerError::Disk { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        self.disk.crash(crash);
    }

    fn work(&mut self, ledger: &mut Ledger<SimulatedDisk>) -> std::ops::ControlFlow<()> {
        use std::ops::ControlFlow::{Break, Continue};
        if ledger.needs_next_segment()
            && self.random.random_bool(0.5)
            && let Ok(filled) = ledger.order_next_segment().fill(&self.disk)
        {
            ledger.adopt(filled);
        }
        let result = if self.random.random_bool(0.05) { ledger.repair() } else { self.append(ledger) };
        assert!(result.is_err() || ledger.is_clean());
        match result {
            Ok(()) => Continue(()),
            Err(error) if error.is_final() => {
                assert!(matches!(ledger.repair(), Err(AppendError::Ended)));
                Break(())
            }
            Err(AppendError::Write { .. } | AppendError::NextSegment { .. }) if !self.disk.is_dead() => Continue(()),
            Err(AppendError::Write { .. } | AppendError::NextSegment { .. }) => Break(()),
            Err(error) => panic!("{error}"),
        }
    }

    fn append(&mut self, ledger: &mut Ledger<SimulatedDisk>) -> Result<(), AppendError> {
        let mut batch = Batch::default();
        let mut attempt = Vec::new();
        let room = self.random.random_range(1..=ledger.capacity());
        for _ in 0..self.random.random_range(1..8) {
            self.expected.written += 1;
            let mut record = format!("{{\"id\":{}}}", self.expected.written).into_bytes();
            let longest = if self.random.random_bool(0.05) { 9000 } else { 200 };
            record.resize(record.len() + self.random.random_range(0..longest), b'x');
            if batch.is_empty() || batch.bytes().len() + 2 + record.len() <= room {
                batch.push(&record).unwrap();
                attempt.push(record);
            }
        }
        self.expected.attempts.push(attempt);
        let first = ledger.append(&batch)?;
        assert_eq!(first, self.expected.records.len() as u64);
        let acknowledged = self.expected.attempts.pop().unwrap();
        self.expected.grow(&acknowledged);
        assert_eq!(ledger.root(), self.expected.tree.root());
        assert_eq!(ledger.size(), self.expected.records.len() as u64);
        Ok(())
    }

    /// Considers the contents of the log acknowledged, after checking that they are allowed.
    fn check(&mut self, ledger: &Ledger<SimulatedDisk>, size: u64) {
        let found: Vec<Vec<u8>> = records(&self.disk, 0..u64::MAX)
            .enumerate()
            .map(|(position, record)| {
                let (index, record) = record.unwrap();
                assert_eq!(index, position as u64);
                record
            })
            .collect();
        let acknowledged = &self.expected.records;
        assert!(found.len() >= acknowledged.len(), "{} of {} records are left", found.len(), acknowledged.len());
        assert!(found[..acknowledged.len()] == acknowledged[..], "a record was changed");
        let more = &found[acknowledged.len()..];
        assert!(more.is_empty() || self.expected.attempts.iter().any(|attempt| attempt == more), "invented: {more:?}");
        assert_eq!(size, found.len() as u64);

        self.expected.grow(more);
        assert_eq!(ledger.root(), self.expected.tree.root());
        if self.random.random_bool(0.3) {
            let summary = verify(&self.disk).unwrap();
            assert_eq!((summary.root, summary.size, summary.torn), (ledger.root(), size, None));
        }
    }

    /// Everything works again at the end.
    fn finish(mut self) -> Self {
        self.disk.fails(Faults::default());
        self.session(Crash::Power, 5);
        self.session(Crash::Power, 0);
        self
    }
}

fn seeds() -> u64 {
    std::env::var("ACGS_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(300)
}

#[test]
fn acknowledged_records_survive_any_crashes_and_faults() {
    let (mut opened, mut torn, mut recorded) = (0, 0, 0);
    for seed in 0..seeds() {
        let mut run = Run::new(seed);
        for _ in 0..run.random.random_range(2..8) {
            let rate = [0, 0, 30, 150][run.random.random_range(0..4)];
            let short_write = [0, 100][run.random.random_range(0..2)];
            run.disk.fails(Faults { write: rate, short_write, sync: rate / 3, names: rate });
            run.disk.dies_after(run.random.random_range(1..80));
            let crash = if run.random.random_bool(0.7) { Crash::Power } else { Crash::Process };
            run.session(crash, 40);
        }
        let run = run.finish();
        opened += run.opened;
        torn += run.torn;
        recorded += run.expected.records.len();
    }
    println!("{opened} openings, {torn} of them after a torn frame, {recorded} records");
    assert!(torn > seeds() / 10, "the simulation no longer tears frames");
}

#[test]
fn acknowledged_records_survive_a_crash_at_every_step() {
    for seed in 0..4 {
        let steps = {
            let mut run = Run::new(seed);
            run.session(Crash::Process, 12);
            run.disk.steps()
        };
        for step in 1..=steps {
            for crash in [Crash::Process, Crash::Power] {
                let mut run = Run::new(seed);
                run.disk.dies_after(step);
                run.session(crash, 12);
                run.disk.dies_after(step % 7 + 1);
                run.session(crash, 12);
                run.finish();
            }
        }
    }
}

#[test]
fn a_failed_write_is_repaired_before_the_next_batch() {
    let mut run = Run::new(1);
    let (mut ledger, _) = Ledger::open(run.disk.clone(), run.options).unwrap();
    run.append(&mut ledger).unwrap();
    run.disk.fails(Faults { write: 1000, ..Faults::default() });
    assert!(matches!(run.append(&mut ledger), Err(AppendError::Write { .. })));
    assert!(!ledger.is_clean());
    assert!(matches!(ledger.repair(), Err(AppendError::Write { .. })));
    run.disk.fails(Faults::default());
    ledger.repair().unwrap();
    assert!(ledger.is_clean());
    assert_eq!(verify(&run.disk).unwrap().torn, None);
    run.append(&mut ledger).unwrap();
    run.check(&ledger, ledger.size());
}

#[test]
fn nothing_is_appended_after_a_failed_sync() {
    let mut run = Run::new(2);
    let (mut ledger, _) = Ledger::open(run.disk.clone(), run.options).unwrap();
    run.disk.fails(Faults { sync: 1000, ..Faults::default() });
    assert!(matches!(run.append(&mut ledger), Err(AppendError::Sync { .. })));
    run.disk.fails(Faults::default());
    assert!(matches!(run.append(&mut ledger), Err(AppendError::Ended)));
    assert_eq!(ledger.size(), 0);
}

#[test]
fn zeros_whose_sync_failed_are_written_again_by_the_next_process() {
    let mut large = Batch::default();
    large.push(&[b'x'; 11_000]).unwrap();
    for seed in 0..100 {
        let mut run = Run::new(seed);
        let (mut ledger, _) = Ledger::open(run.disk.clone(), run.options).unwrap();
        run.disk.fails(Faults { write: 1000, ..Faults::default() });
        assert!(ledger.capacity() < large.bytes().len() || ledger.append(&large).is_err());
        run.disk.fails(Faults { sync: 1000, ..Faults::default() });
        let repaired = ledger.repair();
        assert!(repaired.is_ok() || repaired.is_err_and(|error| error.is_final()));
        run.disk.fails(Faults::default());
        run.session(Crash::Process, 0);
        run.session(Crash::Power, 1);
        run.finish();
    }
}

#[test]
fn a_full_disk_stops_the_log_only_as_long_as_it_is_full() {
    let mut run = Run::new(3);
    let (mut ledger, _) = Ledger::open(run.disk.clone(), run.options).unwrap();
    run.disk.fails(Faults { names: 1000, ..Faults::default() });
    let failed = std::iter::repeat_with(|| run.append(&mut ledger)).find_map(Result::err);
    assert!(matches!(failed, Some(AppendError::NextSegment { .. })));
    assert!(!ledger.is_clean() && ledger.repair().is_err());
    run.disk.fails(Faults::default());
    ledger.repair().unwrap();
    assert!(ledger.is_clean());
    run.append(&mut ledger).unwrap();
    run.check(&ledger, ledger.size());
}

#[test]
fn short_writes_are_continued() {
    let mut run = Run::new(4);
    run.disk.fails(Faults { short_write: 900, ..Faults::default() });
    let mut ledger = loop {
        // A write of no bytes at all counts as an error.
        if let Ok((ledger, _)) = Ledger::open(run.disk.clone(), run.options) {
            break ledger;
        }
    };
    let appended = (0..50).filter(|_| run.append(&mut ledger).is_ok()).count();
    assert!(appended > 25, "{appended}");
    run.disk.fails(Faults::default());
    ledger.repair().unwrap();
    run.check(&ledger, ledger.size());
}

#[test]
fn the_empty_first_segment_gives_way_to_a_frame_that_needs_a_larger_one() {
    let disk = SimulatedDisk::new(5);
    let small = Options { segment_size: SegmentSize::new(16_384).unwrap() };
    drop(Ledger::open(disk.clone(), small).unwrap());
    let large = Options { segment_size: SegmentSize::new(65_536).unwrap() };
    let (mut ledger, _) = Ledger::open(disk.clone(), large).unwrap();
    let mut batch = Batch::default();
    batch.push(&vec![b'x'; 40_000]).unwrap();
    assert_eq!(ledger.append(&batch).unwrap(), 0);
    let summary = verify(&disk).unwrap();
    assert_eq!((summary.segments, summary.size), (1, 1));
}

#[test]
fn a_batch_that_no_segment_can_hold_is_refused_and_the_largest_one_is_not() {
    let disk = SimulatedDisk::new(6);
    let options = Options { segment_size: SegmentSize::new(16_384).unwrap() };
    let (mut ledger, _) = Ledger::open(disk, options).unwrap();
    let limit = ledger.capacity();
    let (mut fits, mut too_large) = (Batch::default(), Batch::default());
    fits.push(&vec![b'x'; limit - 2]).unwrap();
    too_large.push(&vec![b'x'; limit - 1]).unwrap();
    ledger.append(&fits).unwrap();
    assert!(matches!(ledger.append(&too_large), Err(AppendError::TooLarge { .. })));
    assert!(matches!(ledger.append(&Batch::default()), Err(AppendError::Empty)));
    assert!(ledger.is_clean());
    assert_eq!(ledger.append(&fits).unwrap(), 1);
}
