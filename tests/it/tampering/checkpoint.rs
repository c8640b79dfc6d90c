//! The file with the newest checkpoint: changed, another log's, damaged, gone.

use std::fs;

use super::case::{Case, Files, Original, files};
use crate::audit::{self, question};

/// The length of each of the file's two slots.
const SLOT: usize = 32 << 10;

/// A slot as `src/ledger/checkpoint_file.rs` documents it.
fn slot(sequence: u64, note: &str) -> Vec<u8> {
    let covered = format!("{sequence} {} {note}", note.len());
    let checksum = crc32c::crc32c(covered.as_bytes());
    let mut slot = format!("acgs-checkpoint {sequence} {} {checksum:08x}\n{note}", note.len()).into_bytes();
    slot.resize(SLOT, b'\n');
    slot
}

impl Case {
    /// Makes this the only checkpoint that is stored.
    pub fn put_checkpoint(&self, note: &str) {
        fs::write(self.file("checkpoint"), [slot(8, note), slot(7, note)].concat()).unwrap();
    }
}

/// Where the newest checkpoint is.
fn newest_slot(file: &[u8]) -> usize {
    let newest = &Original::get().kept.last().unwrap().note;
    let starts = [0, SLOT];
    let has_it = |start: &&usize| file[**start..][..SLOT].windows(newest.len()).any(|part| part == newest.as_bytes());
    *starts.iter().find(has_it).unwrap()
}

#[test]
fn a_damaged_slot_leaves_the_checkpoint_before() {
    let (case, original) = (Case::new(), Original::get());
    for byte in [0, 20, 40, 120, 150] {
        case.edit("checkpoint", |bytes| {
            let start = newest_slot(bytes);
            bytes[start + byte] ^= 1;
        });
        let what = format!("byte {byte} of the newest slot");
        case.verify_from(&original.kept, &[]).is_sound(&what);
        case.goes_on(&what);
        case.verify_from(&original.kept, &[]).is_sound(&what);
        case.put(&original.files);
    }
}

#[test]
fn without_a_whole_slot_nobody_knows_what_was_signed() {
    let (case, original) = (Case::new(), Original::get());
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| {
            bytes[30] ^= 1;
            bytes[SLOT + 30] ^= 1;
        },
        |bytes| bytes.fill(0),
        |bytes| bytes.truncate(50),
        |bytes| bytes.truncate(SLOT - 1),
        Vec::clear,
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let what = format!("damage {number}");
        case.edit("checkpoint", damage);
        case.verify().is_false(&what, "both of its slots are damaged");
        case.is_refused_at_once(&what, "both of its slots are damaged");
        case.put(&original.files);
    }
}

#[test]
fn a_forged_checkpoint_has_no_good_signature() {
    let (case, original) = (Case::new(), Original::get());
    let newest = original.kept.last().unwrap();
    let older = &original.kept[0];
    let size = |size: u64| format!("\n{size}\n");
    let lines: Vec<&str> = newest.note.lines().collect();
    let root = older.note.lines().nth(2).unwrap();
    for (what, forged) in [
        ("a smaller size", newest.note.replace(&size(newest.checkpoint.size), &size(older.checkpoint.size))),
        ("another root", newest.note.replace(lines[2], root)),
        ("another log's name", newest.note.replacen(lines[0], "elsewhere", 1)),
    ] {
        assert_ne!(forged, newest.note, "{what}");
        case.put_checkpoint(&forged);
        case.verify().is_false(what, "is not over this text");
        case.is_refused_at_once(what, "is not over this text");
    }
    let unsigned = newest.note.replace(lines[4], "\u{2014} somebody AAAAAAAA");
    case.put_checkpoint(&unsigned);
    case.verify().is_false("another's signature", "it is not signed by");
    case.is_refused_at_once("another's signature", "it is not signed by");
}

fn another_log() -> Files {
    let setup = audit::setup().in_files();
    let daemon = setup.start();
    (0..5).for_each(|nth| assert_eq!(daemon.ask(&question(nth)).status, 200));
    assert!(daemon.stop().success());
    files(&setup.data_dir())
}

#[test]
fn a_checkpoint_of_another_log_is_not_taken_for_one_of_this() {
    let (case, original, other) = (Case::new(), Original::get(), another_log());
    let other = |name: &str| &other[&std::path::Path::new("audit").join(name)];
    fs::write(case.file("checkpoint"), other("checkpoint")).unwrap();
    case.verify().is_false("another log's", "it is not signed by");
    case.is_refused_at_once("another log's", "it is not signed by");
    // Even where its key is made one of this log's.
    let keys = [fs::read(case.file("keys")).unwrap(), other("keys").clone()].concat();
    fs::write(case.file("keys"), keys).unwrap();
    case.verify().is_false("another log's, with its key", "do not have the root");
    case.is_refused("another log's, with its key");
    case.put(&original.files);
}

#[test]
fn a_log_without_its_checkpoint_is_neither_verified_nor_started_on() {
    let (case, original) = (Case::new(), Original::get());
    fs::remove_file(case.file("checkpoint")).unwrap();
    case.verify().is_false("gone", "no checkpoint is stored");
    case.verify_from(&original.kept, &[]).is_false("gone", "no checkpoint is stored");
    case.is_refused_at_once("gone", "it has no checkpoint beside it");
    let mut log = original.log();
    log.0[2].frames.truncate(10);
    case.put_log(&log);
    case.verify().is_false("gone, and the log cut", "no checkpoint is stored");
    case.verify_from(&original.kept, &[]).is_false_from("gone, and the log cut", log.size());
    case.is_refused_at_once("gone, and the log cut", "it has no checkpoint beside it");
    assert!(!case.file("checkpoint").exists(), "a refused start makes none");
    let daemon = case.accepts("gone, and the log cut");
    assert!(daemon.stop().success());
    case.verify().is_sound("signed again");
    case.verify_from(&original.kept, &[]).is_false("signed again", "record `");
}
