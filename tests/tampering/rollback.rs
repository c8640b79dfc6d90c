//! A log that is shorter than it was, and one that was written anew from its first record.

use std::fs;

use super::case::{Case, Kept, Original, files};
use super::copy;
use super::format::Log;
use crate::audit::{self, question};

/// The log as it was when it had so many records.
fn rolled_back(size: u64) -> Log {
    let mut log = Original::get().log();
    log.0.retain(|segment| segment.tree.size == 0 || segment.tree.size < size);
    log.0.iter_mut().for_each(|segment| segment.frames.retain(|frame| frame.first < size));
    log
}

/// The sizes that a log has when its last frames, its last segments, or all its frames are gone.
fn sizes() -> Vec<u64> {
    let log = Original::get().log();
    let frames: Vec<u64> = log.0.iter().flat_map(|segment| &segment.frames).map(|frame| frame.first).collect();
    let back = |count: usize| frames[frames.len() - count];
    let segments = log.0.iter().skip(1).map(|segment| segment.tree.size);
    [back(1), back(2), back(15), 0].into_iter().chain(segments).collect()
}

#[test]
fn a_log_whose_last_frames_are_gone_is_shorter_than_its_checkpoint() {
    let (case, original) = (Case::new(), Original::get());
    for size in sizes() {
        let what = format!("cut to {size} records");
        case.put_log(&rolled_back(size));
        case.verify().is_false_from(&what, size);
        case.verify_from(&original.kept, &[]).is_false_from(&what, size);
        case.is_refused_at_once(&what, "records are missing");
        // The start has changed nothing that matters.
        case.verify().is_false_from(&what, size);
        case.put(&original.files);
    }
    fs::remove_dir_all(case.file("")).unwrap();
    fs::create_dir(case.file("")).unwrap();
    for name in ["checkpoint", "keys", "key"] {
        let bytes = &original.files[&std::path::Path::new("audit").join(name)];
        fs::write(case.file(name), bytes).unwrap();
    }
    case.verify().is_false_from("no segment is left", 0);
}

#[test]
fn a_log_without_its_first_segments_begins_too_late() {
    let (case, log) = (Case::new(), Original::get().log());
    for segment in &log.0[..2] {
        fs::remove_file(case.file(&segment.name())).unwrap();
        case.verify().is_false_from("a segment is gone", segment.tree.size);
        // A start reads the last segment.
        case.goes_on("a segment is gone");
        case.verify().is_false_from("a segment is gone", segment.tree.size);
        case.put(&Original::get().files);
    }
}

#[test]
fn a_log_that_was_rolled_back_with_its_checkpoint_only_a_later_one_can_tell() {
    let (case, original) = (Case::new(), Original::get());
    let newest = original.kept.last().unwrap();
    for older in &original.kept[..2] {
        for database in ["left", "gone"] {
            let what = format!("rolled back to {} records, database {database}", older.checkpoint.size);
            let log = rolled_back(older.checkpoint.size);
            assert_eq!(log.size(), older.checkpoint.size);
            case.put_log(&log);
            case.put_checkpoint(&older.note);
            if database == "gone" {
                copy::remove(&case.setup);
            }
            case.verify_from(std::slice::from_ref(older), &["--vkey", &original.vkey]).is_sound(&what);
            case.verify_from(std::slice::from_ref(newest), &[]).is_false_from(&what, log.size());
            let errors = case.goes_on(&what);
            // What was copied before is still there, unless root thinks of that too.
            assert_eq!(errors.contains("records are missing"), database == "left", "{what}: {errors}");
            case.verify_from(std::slice::from_ref(older), &[]).is_sound(&what);
            case.verify_from(std::slice::from_ref(newest), &[]).is_false(&what, "it has a checkpoint of");
            case.put(&original.files);
        }
    }
}

#[test]
fn a_log_that_was_rolled_back_and_has_grown_again_is_another_one() {
    let (case, original) = (Case::new(), Original::get());
    let (older, newest) = (&original.kept[0], original.kept.last().unwrap());
    case.put_log(&rolled_back(older.checkpoint.size));
    case.put_checkpoint(&older.note);
    let daemon = case.setup.start();
    let grow = newest.checkpoint.size - older.checkpoint.size;
    (0..grow).for_each(|nth| assert_eq!(daemon.ask(&question(nth | 1)).status, 200));
    let (status, errors) = daemon.stop_and_tell();
    assert!(status.success());
    assert!(errors.contains("the audit log is not copied into the database"), "{errors}");
    case.verify_from(std::slice::from_ref(older), &["--vkey", &original.vkey]).is_sound("older");
    case.verify_from(std::slice::from_ref(newest), &[]).is_false("newest", "do not have the root");
    // The database still has what was there before, and the next start says so too.
    let errors = case.goes_on("it has grown again");
    assert!(errors.contains("is stored with leaf"), "{errors}");
}

/// A log of other records, by other keys, with a checkpoint of its own.
fn another_log(decisions: u64) -> super::case::Files {
    let setup = audit::setup().in_files();
    let daemon = setup.start();
    (0..decisions).for_each(|nth| assert_eq!(daemon.ask(&question(nth | 1)).status, 200));
    assert!(daemon.stop().success());
    files(&setup.data_dir())
}

#[test]
fn a_log_that_was_written_anew_by_new_keys_only_a_kept_checkpoint_or_the_key_can_tell() {
    let original = Original::get();
    let longer = original.kept.last().unwrap().checkpoint.size + 20;
    for decisions in [10, longer] {
        let case = Case::of(audit::setup().in_files(), &another_log(decisions));
        let what = format!("another log of {decisions} decisions");
        case.verify().is_sound(&what);
        case.verify_from(&[], &["--vkey", &original.vkey]).is_false(&what, "it is not signed by");
        for kept in &original.kept {
            let kept = std::slice::from_ref(kept);
            case.verify_from(kept, &[]).is_false(&what, "it is not signed by");
            case.verify_from(kept, &["--vkey", &original.vkey]).is_false(&what, "it is not signed by");
        }
        case.goes_on(&what);
        // As if the old key had only been rotated: its checkpoints are then known, and not those of this log.
        let keys = fs::read_to_string(case.file("keys")).unwrap();
        fs::write(case.file("keys"), format!("{}\n{keys}", original.vkey)).unwrap();
        case.verify().is_sound(&what);
        for kept in &original.kept {
            case.verify_from(std::slice::from_ref(kept), &[]).is_false(&what, "checkpoint");
        }
        // Nothing signed is no better than what others signed.
        fs::remove_file(case.file("checkpoint")).unwrap();
        case.verify().is_sound(&what);
        case.verify_from(&[], &["--vkey", &original.vkey]).is_false(&what, "no checkpoint is stored");
    }
}

#[test]
fn a_log_that_is_served_by_other_keys_is_told_from_afar() {
    let original = Original::get();
    let case = Case::of(audit::setup().in_files(), &another_log(10));
    let daemon = case.setup.start();
    let url = format!("http://{}", daemon.address());
    let own = String::from_utf8(case.setup.run(["audit", "vkey"]).stdout).unwrap();
    case.verify_from(&[], &["--url", &url, "--vkey", own.trim_end()]).is_sound("its own key");
    case.verify_from(&[], &["--url", &url, "--vkey", &original.vkey]).is_false("the old key", "is not signed by");
    let both = ["--url", &url, "--vkey", own.trim_end(), "--vkey", &original.vkey];
    for kept in &original.kept {
        case.verify_from(std::slice::from_ref(kept), &both).is_false("a kept checkpoint", "checkpoint");
    }
    assert!(Kept::newest(&case.setup).checkpoint.size < original.kept[0].checkpoint.size);
}
