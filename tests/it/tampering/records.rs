//! Records that are changed, dropped, put in, or put in another order; and how much of the rest is made to fit.

use super::case::{Case, Kept, Original};
use super::format::{BLOCK, Log};
use super::search_index;

/// What is done to the records from a frame on, by segment and frame.
type Edit = fn(&mut Log, usize, usize);

/// The same record, saying something else, in as many bytes.
fn forge(record: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(record.to_vec()).unwrap();
    let forged = text.replacen(r#""decision":true"#, r#""decision":null"#, 1);
    assert_ne!(text, forged, "no decision");
    forged.into_bytes()
}

fn edits() -> [(&'static str, Edit); 7] {
    [
        ("a changed record", |log, segment, nth| {
            let record = &mut log.0[segment].frames[nth].records[1];
            *record = forge(record);
        }),
        ("a dropped record", |log, segment, nth| drop(log.0[segment].frames[nth].records.remove(1))),
        ("two records in another order", |log, segment, nth| log.0[segment].frames[nth].records.swap(1, 3)),
        ("an inserted record", |log, segment, nth| {
            let records = &mut log.0[segment].frames[nth].records;
            let inserted = forge(&records[1]);
            records.insert(1, inserted);
        }),
        ("a record that is there twice", |log, segment, nth| {
            let records = &mut log.0[segment].frames[nth].records;
            records.insert(1, records[1].clone());
        }),
        ("a record moved into the next frame", |log, segment, nth| {
            let moved = log.0[segment].frames[nth].records.remove(1);
            log.0[segment].frames[nth + 1].records.insert(0, moved);
        }),
        ("the records of two frames in another order", |log, segment, nth| {
            let [one, other, ..] = &mut log.0[segment].frames[nth..] else { panic!("no two frames") };
            std::mem::swap(&mut one.records, &mut other.records);
        }),
    ]
}

/// Frames of several decisions, one in each segment, none of them the last one there.
fn targets(log: &Log) -> Vec<(usize, usize)> {
    let of_decisions = |records: &Vec<Vec<u8>>| records.len() == 8 && records.iter().all(|record| record.len() > 200);
    let nth = |segment: usize| {
        let frames = &log.0[segment].frames;
        let found = (5 * (segment + 1)..frames.len()).find(|nth| of_decisions(&frames[*nth].records)).unwrap();
        assert!(found + 4 < frames.len());
        (segment, found)
    };
    (0..log.0.len()).map(nth).collect()
}

/// The first record that is another one than before.
fn first_difference(before: &Log, after: &Log) -> u64 {
    before.records().zip(after.records()).take_while(|(one, other)| one == other).count() as u64
}

/// The frame in which a record is whose leaf completes a tile, or the signed tree, from some record on.
fn found_in_tiles(log: &Log, from: u64, signed: u64) -> u64 {
    let complete = (from + 1).next_multiple_of(256).min(signed);
    if complete <= log.size() { log.frame_of(complete - 1) } else { log.size() }
}

/// The frame that the root of a checkpoint is compared at, or the end of a log that has not so many records.
fn found_at_checkpoint(log: &Log, size: u64) -> u64 {
    if size <= log.size() { log.frame_of(size - 1) } else { log.size() }
}

/// Makes every edit of every target, and hands it to a check.
fn every_edit(mut check: impl FnMut(&Case, &str, (usize, usize), Log)) {
    let (case, log) = (Case::new(), Original::get().log());
    for target @ (segment, nth) in targets(&log) {
        for (what, edit) in edits() {
            let mut edited = log.clone();
            edit(&mut edited, segment, nth);
            check(&case, &format!("{what} in frame {nth} of segment {segment}"), target, edited);
            case.put(&Original::get().files);
        }
    }
    case.verify().is_sound("it was the edits that were found");
}

#[test]
fn the_documented_format_is_what_the_daemon_writes() {
    let original = Original::get();
    let written = super::case::segments(&original.files);
    let mut log = Log::read(&written);
    assert_eq!(log.write(), written);
    assert!(log.size() > 500 && log.0.len() == 3, "{} records in {} segments", log.size(), log.0.len());
    let before = log.clone();
    log.fit_from(0, 0);
    assert!(log == before, "indices, tree and chain are not as documented");
    let newest = original.kept.last().unwrap();
    assert_eq!(newest.checkpoint.size, log.size());
    Case::new().verify_from(&original.kept, &["--vkey", &original.vkey]).is_sound("nothing was done");
}

#[test]
fn a_changed_record_whose_frame_has_another_checksum_is_found_out_and_not_started_on() {
    let (case, log) = (Case::new(), Original::get().log());
    for (segment, nth) in targets(&log) {
        let what = format!("in segment {segment}");
        let place: usize = BLOCK + log.0[segment].frames[..nth].iter().map(|frame| frame.write().len()).sum::<usize>();
        case.edit(&log.0[segment].name(), |bytes| {
            let record = forge(&log.0[segment].frames[nth].records[1]);
            let old = &log.0[segment].frames[nth].records[1];
            let at = bytes[place..].windows(old.len()).position(|window| window == old).unwrap();
            bytes[place + at..][..old.len()].copy_from_slice(&record);
        });
        case.verify().is_false_from(&what, log.0[segment].frames[nth].first);
        // A start reads the last segment.
        if segment == 2 {
            case.is_refused_at_once(&what, "the frame body is damaged");
        } else {
            case.goes_on(&what);
            case.verify().is_false_from(&what, log.0[segment].frames[nth].first);
        }
        case.put(&Original::get().files);
    }
}

#[test]
fn records_that_fit_their_checksums_do_not_fit_their_peaks() {
    every_edit(|case, what, (segment, nth), edited| {
        case.put_log(&edited);
        case.verify().is_false_from(what, edited.0[segment].frames[nth].first);
    });
}

#[test]
fn a_frame_that_fits_its_peaks_does_not_fit_the_next_frame() {
    every_edit(|case, what, (segment, nth), mut edited| {
        edited.fit_peaks(segment, nth);
        let frame = &edited.0[segment].frames[nth];
        let next = frame.first + frame.records.len() as u64;
        let completes_a_tile = frame.first / 256 != next / 256;
        let found = if completes_a_tile { frame.first } else { next };
        case.put_log(&edited);
        case.verify().is_false_from(what, found);
        if segment == 2 {
            case.is_refused_at_once(what, &format!("record `{next}`:"));
        }
    });
}

#[test]
fn a_tail_that_was_written_anew_does_not_fit_tiles_and_checkpoint() {
    let original = Original::get();
    let signed = original.kept.last().unwrap().checkpoint.size;
    every_edit(|case, what, (segment, nth), mut edited| {
        edited.fit_from(segment, nth);
        let different = first_difference(&original.log(), &edited);
        case.put_log(&edited);
        case.verify().is_false_from(what, found_in_tiles(&edited, different, signed));
        // An older checkpoint, kept elsewhere, tells sooner.
        let sizes = original.kept.iter().map(|kept| kept.checkpoint.size).filter(|size| *size > different);
        let sooner = sizes.map(|size| found_at_checkpoint(&edited, size)).min().unwrap();
        let found = sooner.min(found_in_tiles(&edited, different, signed));
        case.verify_from(&original.kept, &[]).is_false_from(what, found);
        // A checkpoint from before the change says nothing, and does not keep the stored one from telling.
        case.is_refused(what);
    });
}

#[test]
fn a_tail_whose_tiles_were_written_anew_too_does_not_fit_the_checkpoint() {
    let original = Original::get();
    let signed = original.kept.last().unwrap().checkpoint.size;
    every_edit(|case, what, (segment, nth), mut edited| {
        edited.fit_from(segment, nth);
        case.put_log(&edited);
        let checkpoint = std::fs::read(case.file("checkpoint")).unwrap();
        case.sign();
        std::fs::write(case.file("checkpoint"), checkpoint).unwrap();
        case.verify().is_false_from(what, found_at_checkpoint(&edited, signed));
        case.is_refused(what);
    });
}

#[test]
fn a_tail_that_was_signed_anew_only_a_kept_checkpoint_can_tell() {
    let original = Original::get();
    every_edit(|case, what, (segment, nth), mut edited| {
        edited.fit_from(segment, nth);
        let different = first_difference(&original.log(), &edited);
        case.put_log(&edited);
        case.sign();
        case.verify_from(&[], &["--vkey", &original.vkey]).is_sound(what);
        check_kept(case, what, &edited, different, &original.kept);
        case.is_refused_at_once(what, "which this log does not continue");
        case.forget_kept();
        search_index::remove(&case.setup);
        case.goes_on(what);
        check_kept(case, what, &edited, different, &original.kept);
    });
}

/// A checkpoint of what is as it was says nothing; a later one tells.
fn check_kept(case: &Case, what: &str, edited: &Log, different: u64, kept: &[Kept]) {
    for one in kept {
        let size = one.checkpoint.size;
        let found = case.verify_from(std::slice::from_ref(one), &[]);
        if size <= different {
            found.is_sound(&format!("{what}, from {size} on"));
        } else if size <= edited.size() {
            found.is_false_from(&format!("{what}, from {size} on"), found_at_checkpoint(edited, size));
        } else {
            found.is_false(&format!("{what}, from {size} on"), "record `");
        }
    }
}
