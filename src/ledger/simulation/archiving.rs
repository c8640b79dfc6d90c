//! Segments are archived, and archives joined, while the disk crashes: no record is lost, whichever step was the last.

use super::*;
use crate::ledger::tiles::TileWriter;
use crate::ledger::{archived, retire};

/// What happened in a run.
#[derive(Default)]
struct Archived {
    segments: u64,
    failed: u64,
}

impl Run {
    /// Opens the log, appends to it and archives segments until the disk dies or a sync fails, then crashes.
    fn archiving_session(&mut self, crash: Crash, operations: u32, found: &mut Archived) {
        match Ledger::open(self.disk.clone(), self.options) {
            Ok((mut ledger, recovery)) => {
                self.opened += 1;
                self.check(&ledger, recovery.size);
                for number in 0..operations {
                    if number % 9 == 8 {
                        // Sometimes there is no time to finish.
                        let calls = self.random.random_range(0..2_000);
                        match self.archive(calls) {
                            Ok(segments) => found.segments += segments,
                            Err(LedgerError::Disk { .. }) => found.failed += 1,
                            Err(error) => panic!("{error}"),
                        }
                    } else if self.work(&mut ledger).is_break() {
                        break;
                    }
                }
            }
            Err(LedgerError::Disk { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        self.disk.crash(crash);
    }

    /// Makes the tiles of all acknowledged records durable, and archives segments, as far as that many blocks are read
    /// and written.
    fn archive(&mut self, blocks: u32) -> Result<u64, LedgerError> {
        let mut tiles = TileWriter::create(self.disk.clone())?;
        for record in &self.expected.records {
            tiles.push(Hash::leaf(record))?;
        }
        tiles.flush()?;
        tiles.sync()?;
        let left = std::cell::Cell::new(blocks);
        let goes_on = || left.replace(left.get().saturating_sub(1)) > 0;
        let mut segments = 0;
        while retire(&self.disk, self.expected.records.len() as u64, &goes_on)?.is_some() {
            segments += 1;
        }
        Ok(segments)
    }
}

#[test]
fn archived_records_survive_any_crashes_and_faults() {
    let (mut found, mut opened, mut recorded) = (Archived::default(), 0, 0);
    // Tiles are written anew each time, so a run takes long.
    let runs = seeds() / 10;
    for seed in 0..runs {
        let mut run = Run::new(seed);
        for _ in 0..run.random.random_range(3..7) {
            let rate = [0, 0, 5, 40][run.random.random_range(0..4)];
            run.disk.fails(Faults { write: rate, short_write: 0, sync: rate / 3, names: rate });
            run.disk.dies_after(run.random.random_range(1..1_500));
            let crash = if run.random.random_bool(0.7) { Crash::Power } else { Crash::Process };
            run.archiving_session(crash, 120, &mut found);
        }
        run.disk.fails(Faults::default());
        run.archiving_session(Crash::Power, 30, &mut found);
        let run = run.finish();
        verify(&run.disk).unwrap();
        opened += run.opened;
        recorded += run.expected.records.len();
    }
    println!("{opened} openings, {} segments archived, {} failures, {recorded} records", found.segments, found.failed);
    assert!(found.segments > 2 * runs && found.failed > runs / 10, "the simulation no longer archives");
}

#[test]
fn archived_records_survive_a_crash_at_every_step() {
    let prepared = || {
        let mut run = Run::new(0);
        run.options.segment_size = SegmentSize::new(16_384).unwrap();
        run.session(Crash::Process, 160);
        run
    };
    let steps = {
        let mut run = prepared();
        let before = run.disk.steps();
        assert!(run.archive(u32::MAX).is_ok() && archived(&run.disk).unwrap() > 256, "nothing is joined");
        run.disk.steps() - before
    };
    for step in 1..=steps {
        for crash in [Crash::Process, Crash::Power] {
            let mut run = prepared();
            run.disk.dies_after(step);
            let mut found = Archived::default();
            drop(run.archive(u32::MAX));
            run.disk.crash(crash);
            run.archiving_session(crash, 30, &mut found);
            verify(&run.finish().disk).unwrap();
        }
    }
}
