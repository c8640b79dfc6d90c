//! A log that is not what was written is found out by `acgs audit verify`, with the index, and not started on.

use crate::audit;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::audit::question;
use crate::harness::Setup;
use acgs::ledger::{Batch, DiskStorage, Ledger, Options, SegmentSize};

/// Where frames begin and end, in bytes.
const BLOCK: usize = 4096;
const HEADER: usize = 68;

/// A frame of the log.
#[derive(Debug, Clone)]
struct Frame {
    segment: String,
    offset: usize,
    first: u64,
    peaks: usize,
    payload: usize,
}

/// A log of three small segments, whose first and last frames the daemon wrote.
struct Log {
    setup: Setup,
    whole: BTreeMap<String, Vec<u8>>,
    frames: Vec<Frame>,
}

impl Log {
    fn write() -> Self {
        let setup = audit::setup().in_files();
        let mut log = Self { setup, whole: BTreeMap::new(), frames: Vec::new() };
        fs::create_dir_all(log.setup.data_dir()).unwrap();
        for segments in 1..=3 {
            log.go_on_in_segment(segments);
            let daemon = log.setup.start();
            (1..=6).for_each(|nth| assert_eq!(daemon.ask(&question(nth)).status, 200));
            assert!(daemon.stop().success());
        }
        log.whole = log.segments();
        log.frames = log.whole.iter().flat_map(|(name, bytes)| frames(name, bytes)).collect();
        assert!(log.whole.len() == 3 && log.frames.len() >= 18);
        log
    }

    /// The daemon's own segments are large; small ones are made without it.
    fn go_on_in_segment(&self, number: usize) {
        let storage = DiskStorage::create(self.folder()).unwrap();
        let options = Options { segment_size: SegmentSize::new(64 << 10).unwrap() };
        let (mut ledger, _) = Ledger::open(storage, options).unwrap();
        let mut filler = Batch::default();
        filler.push(br#"{"v":1,"id":"filler"}"#).unwrap();
        while self.segments().len() < number {
            ledger.append(&filler).unwrap();
        }
    }

    fn folder(&self) -> PathBuf {
        self.setup.data_dir().join("audit")
    }

    fn segments(&self) -> BTreeMap<String, Vec<u8>> {
        let files = fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap());
        let named = files.map(|file| (file.file_name().into_string().unwrap(), file.path()));
        let segments = named.filter(|(name, _)| name.starts_with("segment-0"));
        segments.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
    }

    /// Damages the log, lets `acgs audit verify` name the first record that is affected, and mends it again.
    #[track_caller]
    fn check(&self, what: &str, index: u64, damage: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) {
        let mut damaged = self.whole.clone();
        damage(&mut damaged);
        assert_ne!(damaged, self.whole, "{what}");
        self.put(&damaged);
        let found = self.setup.run(["audit", "verify"]);
        let message = String::from_utf8(found.stderr).unwrap();
        assert_eq!(found.status.code(), Some(1), "{what}: {message}");
        assert!(message.contains(&format!("record `{index}`:")), "{what}, record {index}: {message}");
        // A start reads the last segment.
        let last = |segments: &BTreeMap<String, Vec<u8>>| {
            segments.last_key_value().map(|(name, bytes)| (name.clone(), bytes.clone()))
        };
        if last(&damaged) != last(&self.whole) {
            let Err(refused) = self.setup.try_start() else { panic!("{what}: started") };
            assert_eq!(refused.status.code(), Some(74), "{what}: {refused}");
            assert!(refused.stderr.contains(&format!("record `{index}`:")), "{what}, record {index}: {refused}");
            assert!(self.segments() == damaged, "{what}: files were changed");
        }
        self.put(&self.whole);
    }

    fn put(&self, segments: &BTreeMap<String, Vec<u8>>) {
        for name in self.segments().keys() {
            fs::remove_file(self.folder().join(name)).unwrap();
        }
        for (name, bytes) in segments {
            fs::write(self.folder().join(name), bytes).unwrap();
        }
    }

    /// The first frame, one in the middle, and the last; the last two in the segment that a start reads.
    fn some_frames(&self) -> [&Frame; 4] {
        let count = self.frames.len();
        [&self.frames[0], &self.frames[count / 2], &self.frames[count - 3], &self.frames[count - 1]]
    }

    fn first_of(&self, segment: &str) -> u64 {
        self.frames.iter().find(|frame| frame.segment == segment).unwrap().first
    }
}

fn frames(segment: &str, bytes: &[u8]) -> Vec<Frame> {
    let number =
        |at: usize, length: usize| bytes[at..at + length].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let begins = |offset: &usize| bytes[*offset..].starts_with(b"acgs-frm");
    let frame = |offset: usize| Frame {
        segment: segment.to_owned(),
        offset,
        first: number(offset + 20, 8),
        peaks: usize::try_from(number(offset + 10, 2)).unwrap() * 32,
        payload: usize::try_from(number(offset + 12, 4)).unwrap(),
    };
    (BLOCK..bytes.len()).step_by(BLOCK).filter(begins).map(frame).collect()
}

#[test]
fn a_log_that_was_changed_is_found_out_and_not_started_on() {
    let log = Log::write();
    audit::verify(&log.setup);
    a_bit_of_any_region(&log);
    frames_in_another_order(&log);
    segments_that_are_short_or_gone(&log);
    // It was the damage that was found, each time.
    audit::verify(&log.setup);
    assert!(log.setup.start().stop().success());
}

fn a_bit_of_any_region(log: &Log) {
    for frame in log.some_frames() {
        let Frame { segment, offset, first, peaks, payload } = frame.clone();
        let regions = [
            ("magic", 0),
            ("version", 9),
            ("count of peaks", 11),
            ("length", 15),
            ("count of records", 19),
            ("first index", 27),
            ("hash of the frame before", 40),
            ("checksum of the body", 61),
            ("checksum of the header", 65),
            ("peaks", HEADER + 5),
            ("length of the first record", HEADER + peaks + 1),
            ("first record", HEADER + peaks + 10),
            ("last byte of the payload", HEADER + peaks + payload - 1),
            ("padding", HEADER + peaks + payload + 7),
        ];
        for (region, byte) in regions {
            log.check(&format!("a bit of the {region} at {offset} of {segment}"), first, |segments| {
                segments.get_mut(&segment).unwrap()[offset + byte] ^= 4;
            });
        }
    }
    for segment in log.whole.keys() {
        log.check(&format!("a bit of the header of {segment}"), log.first_of(segment), |segments| {
            segments.get_mut(segment).unwrap()[25] ^= 1;
        });
    }
}

fn frames_in_another_order(log: &Log) {
    // The settings in the first frame take more than one block.
    let is_short = |frames: &&[Frame]| frames.is_sorted_by(|former, latter| former.offset + BLOCK == latter.offset);
    let first = log.frames.windows(3).find(is_short).expect("two short frames follow each other");
    for pair in [&first[..2], &log.frames[log.frames.len() - 2..]] {
        let [former, latter] = pair else { panic!("no pair") };
        assert_eq!(former.offset + BLOCK, latter.offset, "each has one block");
        log.check(&format!("{former:?} swapped with the next"), former.first, |segments| {
            let bytes = segments.get_mut(&former.segment).unwrap();
            bytes[former.offset..latter.offset + BLOCK].rotate_left(BLOCK);
        });
        log.check(&format!("{former:?} zeroed"), former.first, |segments| {
            segments.get_mut(&former.segment).unwrap()[former.offset..latter.offset].fill(0);
        });
        log.check(&format!("{former:?} in place of the next"), latter.first, |segments| {
            let bytes = segments.get_mut(&former.segment).unwrap();
            bytes.copy_within(former.offset..latter.offset, latter.offset);
        });
    }
}

fn segments_that_are_short_or_gone(log: &Log) {
    for (name, bytes) in &log.whole {
        let first = log.first_of(name);
        let last_frame = log.frames.iter().rfind(|frame| frame.segment == *name).unwrap();
        for length in [0, 100, BLOCK, last_frame.offset, last_frame.offset + 100, bytes.len() - 1] {
            log.check(&format!("{name} cut to {length} bytes"), first, |segments| {
                segments.get_mut(name).unwrap().truncate(length);
            });
        }
        log.check(&format!("{name} grown"), first, |segments| segments.get_mut(name).unwrap().push(0));
    }
    let names: Vec<&String> = log.whole.keys().collect();
    // That the newest segment was there only an earlier checkpoint can tell.
    for name in &names[..2] {
        let index = log.first_of(name);
        let damage = |segments: &mut BTreeMap<String, Vec<u8>>| drop(segments.remove(*name));
        log.check(&format!("{name} gone"), index, damage);
    }
    log.check("the second segment twice", log.first_of(names[2]), |segments| {
        let second = segments[names[1]].clone();
        segments.insert(names[2].clone(), second);
    });
}
