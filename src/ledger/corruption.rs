//! Tests with damage of every kind to a log on disk: verification and the next start must locate it.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;

use super::frame::{BLOCK, HEADER};
use super::{Batch, DiskStorage, Fault, Ledger, LedgerError, Options, Problem, SegmentSize, records, segment, verify};

/// A log with several frames in several segments.
struct Damaged {
    folder: TempDir,
    /// Segment, bytes in it without the padding, first record of each frame.
    frames: Vec<(PathBuf, Range<usize>, u64)>,
}

impl Damaged {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Self { folder, frames: Vec::new() };
        let (mut ledger, _) = Ledger::open(log.storage(), options()).unwrap();
        for number in 0..20_u8 {
            let batch = batch(number);
            let first = ledger.append(&batch).unwrap();
            let segment = log.segments().pop().unwrap();
            let offset = match log.frames.last() {
                Some((same, bytes, _)) if *same == segment => bytes.end.next_multiple_of(BLOCK),
                _ => BLOCK,
            };
            let length = HEADER + 32 * ledger.tree().peaks().len() + batch.bytes().len();
            log.frames.push((segment, offset..offset + length, first));
        }
        assert!(log.segments().len() > 2);
        log
    }

    fn storage(&self) -> DiskStorage {
        DiskStorage::at(self.folder.path())
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut segments: Vec<_> = entries.filter(|path| path.extension().is_some()).collect();
        segments.sort();
        segments
    }

    /// Changes a segment's bytes, and later changes them back.
    fn while_changed(&self, segment: &PathBuf, change: impl FnOnce(&mut Vec<u8>), test: impl FnOnce(&Self)) {
        let before = fs::read(segment).unwrap();
        let mut bytes = before.clone();
        change(&mut bytes);
        fs::write(segment, bytes).unwrap();
        test(self);
        fs::write(segment, before).unwrap();
    }

    fn fault(&self) -> Fault {
        corrupt(verify(&self.storage()).map(drop))
    }

    /// The frames in the last segment.
    fn last_segment(&self) -> impl Iterator<Item = &(PathBuf, Range<usize>, u64)> {
        let last = self.segments().pop().unwrap();
        self.frames.iter().filter(move |(segment, ..)| *segment == last)
    }
}

fn options() -> Options {
    Options { segment_size: SegmentSize::new(32_768).unwrap() }
}

fn batch(number: u8) -> Batch {
    let mut batch = Batch::default();
    for record in 0..=number % 4 {
        batch.push(format!("{{\"batch\":{number},\"record\":{record},{}}}", "x".repeat(300)).as_bytes()).unwrap();
    }
    batch
}

fn corrupt(result: Result<(), LedgerError>) -> Fault {
    match result {
        Err(LedgerError::Corrupt(fault)) => fault,
        Err(error) => panic!("{error}"),
        Ok(()) => panic!("the damage was not seen"),
    }
}

#[test]
fn an_undamaged_log_has_no_fault_and_gives_its_records_back() {
    let log = Damaged::new();
    let summary = verify(&log.storage()).unwrap();
    let expected: Vec<_> =
        (0..20).flat_map(|number| batch(number).records().map(<[u8]>::to_vec).collect::<Vec<_>>()).collect();
    assert_eq!((summary.size, summary.frames), (expected.len() as u64, 20));
    assert_eq!((summary.segments, summary.torn), (log.segments().len() as u64, None));
    for (from, to) in [(0, 50), (0, 1), (7, 8), (13, 41), (49, 60), (50, 60), (60, 70), (5, 5)] {
        let found: Vec<_> = records(&log.storage(), from..to).map(Result::unwrap).collect();
        let wanted = expected.iter().enumerate().map(|(index, record)| (index as u64, record.clone()));
        let wanted: Vec<_> = wanted.filter(|(index, _)| (from..to).contains(index)).collect();
        assert_eq!(found, wanted, "{from}..{to}");
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_frame_is_found_with_its_record() {
    let log = Damaged::new();
    let last_segment = log.segments().pop().unwrap();
    for number in [0, 1, 9, 10, 18, 19] {
        let (segment, bytes, first) = &log.frames[number];
        // Every byte of header and peaks, then lengths and records by and by; the last byte; the padding.
        let header = bytes.start..bytes.start + HEADER + 64;
        let places = header.chain(bytes.clone().skip(HEADER + 64).step_by(37)).chain([bytes.end - 1, bytes.end]);
        for place in places {
            let flip = |content: &mut Vec<u8>| content[place] ^= 1 << (place % 8);
            log.while_changed(segment, flip, |log| {
                let fault = log.fault();
                assert_eq!((fault.index, fault.offset), (*first, bytes.start as u64), "place {place}: {fault}");
                assert_eq!(segment.file_name().unwrap(), fault.segment.as_str());
                if *segment == last_segment {
                    assert_eq!(corrupt(Ledger::open(log.storage(), options()).map(drop)), fault);
                }
            });
        }
    }
    assert!(verify(&log.storage()).is_ok());
}

#[test]
fn a_flipped_bit_in_a_segment_header_is_found() {
    let log = Damaged::new();
    for segment in log.segments() {
        let first = segment::parse_name(segment.file_name().unwrap().to_str().unwrap()).unwrap();
        for place in [0, 8, 10, 15, 27, 40, 61, 1000, BLOCK - 1] {
            log.while_changed(
                &segment,
                |bytes| bytes[place] ^= 16,
                |log| {
                    let fault = log.fault();
                    assert_eq!((fault.index, fault.offset), (first, 0));
                    assert!(matches!(fault.problem, Problem::SegmentHeader(_)));
                },
            );
        }
    }
}

#[test]
fn a_truncated_segment_is_found() {
    let log = Damaged::new();
    for segment in log.segments() {
        let first = segment::parse_name(segment.file_name().unwrap().to_str().unwrap()).unwrap();
        for length in [0, 100, BLOCK, BLOCK + 100, 32_767] {
            log.while_changed(&segment, |bytes| bytes.truncate(length), |log| assert_eq!(log.fault().index, first));
        }
    }
}

#[test]
fn a_missing_segment_is_found() {
    let log = Damaged::new();
    let segments = log.segments();
    for missing in &segments[1..segments.len() - 1] {
        let first = segment::parse_name(missing.file_name().unwrap().to_str().unwrap()).unwrap();
        let content = fs::read(missing).unwrap();
        fs::remove_file(missing).unwrap();
        assert_eq!(log.fault().index, first);
        let read: Result<Vec<_>, _> = records(&log.storage(), 0..100).collect();
        assert_eq!(corrupt(read.map(drop)).index, first);
        fs::write(missing, content).unwrap();
    }
    fs::remove_file(&segments[0]).unwrap();
    assert!(matches!(records(&log.storage(), 0..100).next(), Some(Err(LedgerError::Gone(0)))));
}

#[test]
fn swapped_segments_are_found() {
    let log = Damaged::new();
    let segments = log.segments();
    let contents = [fs::read(&segments[1]).unwrap(), fs::read(&segments[2]).unwrap()];
    fs::write(&segments[1], &contents[1]).unwrap();
    fs::write(&segments[2], &contents[0]).unwrap();
    let fault = log.fault();
    assert_eq!(segments[1].file_name().unwrap(), fault.segment.as_str());
    assert!(matches!(fault.problem, Problem::Name(_)));
}

#[test]
fn swapped_and_zeroed_frames_are_found() {
    let log = Damaged::new();
    let (segment, one, first) = &log.frames[0];
    let (_, two, _) = &log.frames[1];
    assert_eq!((one.start, two.start, two.end <= 3 * BLOCK), (BLOCK, 2 * BLOCK, true));
    let swap = |bytes: &mut Vec<u8>| bytes[BLOCK..3 * BLOCK].rotate_left(BLOCK);
    log.while_changed(segment, swap, |log| {
        assert_eq!(log.fault().index, *first);
        assert!(matches!(log.fault().problem, Problem::FrameIndex(_)));
    });

    // The very last frame is left out: without a checkpoint nobody can tell that it was there.
    for (segment, bytes, first) in &log.frames[..log.frames.len() - 1] {
        log.while_changed(
            segment,
            |content| content[bytes.clone()].fill(0),
            |log| {
                assert_eq!(log.fault().index, *first);
            },
        );
    }
    let frames: Vec<_> = log.last_segment().collect();
    let (segment, bytes, first) = frames[frames.len() - 2];
    log.while_changed(
        segment,
        |content| content[bytes.clone()].fill(0),
        |log| {
            let fault = corrupt(Ledger::open(log.storage(), options()).map(drop));
            assert_eq!((fault.index, fault.problem), (*first, Problem::Lost(bytes.end.next_multiple_of(BLOCK) as u64)));
        },
    );
}

#[test]
fn a_forged_record_with_right_checksums_is_found_by_the_tree() {
    let log = Damaged::new();
    let (segment, bytes, first) = &log.frames[4];
    let forge = |content: &mut Vec<u8>| {
        let frame = &mut content[bytes.clone()];
        *frame.last_mut().unwrap() ^= 1;
        let body = crc32c::crc32c(&frame[HEADER..]);
        frame[60..64].copy_from_slice(&body.to_be_bytes());
        let header = crc32c::crc32c(&frame[..64]);
        frame[64..68].copy_from_slice(&header.to_be_bytes());
    };
    log.while_changed(segment, forge, |log| {
        let fault = log.fault();
        assert_eq!((fault.index, fault.problem), (*first, Problem::Tree));
    });
}

#[test]
fn a_torn_last_frame_is_a_note_and_is_cut_off_at_the_next_start() {
    let log = Damaged::new();
    let (segment, bytes, first) = log.frames.last().unwrap();
    let tears: [fn(&mut [u8]); 6] = [
        |frame| frame[512..].fill(0),
        |frame| frame[..512].fill(0),
        |frame| *frame.last_mut().unwrap() = 0,
        |frame| frame[20..].fill(0),
        |frame| frame[..3].fill(0),
        |frame| frame[512..1024].fill(0),
    ];
    for tear in tears {
        log.while_changed(
            segment,
            |content| tear(&mut content[bytes.clone()]),
            |log| {
                let torn = verify(&log.storage()).unwrap().torn.unwrap();
                assert_eq!((torn.index, torn.offset), (*first, bytes.start as u64));
                let (mut ledger, recovery) = Ledger::open(log.storage(), options()).unwrap();
                assert_eq!((recovery.size, recovery.torn), (*first, Some(torn)));
                assert_eq!(verify(&log.storage()).unwrap().torn, None);
                assert_eq!(ledger.append(&batch(1)).unwrap(), *first);
                assert_eq!(verify(&log.storage()).unwrap().size, first + 2);
            },
        );
    }
}

#[test]
fn only_one_process_may_have_the_log_open() {
    let folder = tempfile::tempdir().unwrap();
    let storage = DiskStorage::create(folder.path().join("audit")).unwrap();
    let (ledger, _) = Ledger::open(storage.clone(), options()).unwrap();
    assert!(matches!(Ledger::open(storage.clone(), options()), Err(LedgerError::Locked)));
    drop(ledger);
    assert!(Ledger::open(storage, options()).is_ok());
}

#[test]
fn a_log_that_is_being_written_has_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let storage = DiskStorage::at(folder.path());
    let options = Options { segment_size: SegmentSize::new(1 << 20).unwrap() };
    let (mut ledger, _) = Ledger::open(storage.clone(), options).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            for number in 0..600_u16 {
                if ledger.needs_next_segment() {
                    let filled = ledger.order_next_segment().fill(&storage).unwrap();
                    ledger.adopt(filled);
                }
                ledger.append(&batch(number.to_le_bytes()[0])).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let mut size = 0;
        while !done.load(Ordering::Acquire) {
            let summary = verify(&DiskStorage::at(folder.path())).unwrap();
            assert!(summary.size >= size);
            size = summary.size;
        }
    });
    let summary = verify(&storage).unwrap();
    assert_eq!((summary.size, summary.root, summary.torn), (ledger.size(), ledger.root(), None));
    assert!(summary.segments > 2);
}
