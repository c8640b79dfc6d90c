//! A log that is shorter than it was, and one that was written anew from its first record.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::case::{Case, Kept, Original, files, segments};
use super::format::Log;
use super::search_index;
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
                search_index::remove(&case.setup);
            }
            case.verify_from(std::slice::from_ref(older), &["--vkey", &original.vkey]).is_sound(&what);
            case.verify_from(std::slice::from_ref(newest), &[]).is_false_from(&what, log.size());
            // The kept checkpoint and the search index remain, unless root removes them, too.
            let kept = format!("is of `{}` records", newest.checkpoint.size);
            case.is_refused_at_once(&what, &kept);
            case.is_refused_at_once(&what, "serve --accept-rollback log");
            case.forget_kept();
            if database == "left" {
                case.is_refused_at_once(&what, "the search index in");
            } else {
                case.goes_on(&what);
            }
            case.verify_from(std::slice::from_ref(older), &[]).is_sound(&what);
            case.verify_from(std::slice::from_ref(newest), &[]).is_false(&what, "it has a checkpoint of");
            case.put(&original.files);
        }
    }
}

#[test]
fn a_log_that_was_rolled_back_goes_on_where_that_is_accepted_and_says_so() {
    let (case, original) = (Case::new(), Original::get());
    let older = &original.kept[0];
    case.put_log(&rolled_back(older.checkpoint.size));
    case.put_checkpoint(&older.note);
    case.is_refused_at_once("not accepted", "is of `");
    let daemon = case.accepts("accepted");
    assert!(daemon.stop().success());
    case.verify_from(std::slice::from_ref(older), &["--vkey", &original.vkey]).is_sound("older");
    case.verify_from(std::slice::from_ref(original.kept.last().unwrap()), &[]).is_false("newest", "checkpoint");
    search_index::is_whole(&case.setup);
    // From then on it is a log like any other.
    case.goes_on("accepted before");
    search_index::is_whole(&case.setup);
    // Only the log's own checkpoint is newer than the log.
    case.put(&original.files);
    case.put_log(&rolled_back(older.checkpoint.size));
    case.is_refused_at_once("its own checkpoint is newer", "records are missing");
    let daemon = case.accepts("its own checkpoint is newer");
    assert!(daemon.stop().success());
    case.goes_on("accepted before");
    case.verify_from(std::slice::from_ref(older), &[]).is_sound("older");
}

#[test]
fn a_log_that_was_rolled_back_and_has_grown_again_is_another_one() {
    let (case, original) = (Case::new(), Original::get());
    let (older, newest) = (&original.kept[0], original.kept.last().unwrap());
    case.put_log(&rolled_back(older.checkpoint.size));
    case.put_checkpoint(&older.note);
    let (kept, copy) = (case.setup.data_dir().join("audit-checkpoint"), case.setup.data_dir().join("acgs-audit.db"));
    let before = [&kept, &copy].map(|file| (file.clone(), fs::read(file).unwrap()));
    case.forget_kept();
    search_index::remove(&case.setup);
    let daemon = case.setup.start();
    let grow = newest.checkpoint.size - older.checkpoint.size;
    (0..grow).for_each(|nth| assert_eq!(daemon.ask(&question(nth | 1)).status, 200));
    assert!(daemon.stop().success());
    case.verify_from(std::slice::from_ref(older), &["--vkey", &original.vkey]).is_sound("older");
    case.verify_from(std::slice::from_ref(newest), &[]).is_false("newest", "do not have the root");
    let [(kept, checkpoint), (copy, rows)] = before;
    fs::write(&copy, rows).unwrap();
    let errors = case.goes_on("the copy of then differs");
    assert!(errors.contains("is stored with leaf"), "{errors}");
    fs::write(&kept, checkpoint).unwrap();
    case.is_refused_at_once("the checkpoint of then is of another log", "which this log does not continue");
}

#[test]
fn a_log_that_is_gone_is_not_begun_anew() {
    let (case, original) = (Case::new(), Original::get());
    let size = original.kept.last().unwrap().checkpoint.size;
    for what in ["the folder is gone", "the folder is empty", "the segments are gone"] {
        if what == "the segments are gone" {
            let names = segments(&original.files).into_keys();
            names.for_each(|name| fs::remove_file(case.file(&name)).unwrap());
        } else {
            fs::remove_dir_all(case.file("")).unwrap();
        }
        if what == "the folder is empty" {
            fs::create_dir(case.file("")).unwrap();
        }
        let before = files(&case.setup.data_dir());
        case.is_refused_at_once(what, &format!("is of `{size}` records"));
        assert_eq!(
            before.keys().collect::<Vec<_>>(),
            files(&case.setup.data_dir()).keys().collect::<Vec<_>>(),
            "{what}"
        );
        // The log is restored, and nothing is in its way.
        for (path, bytes) in original.files.iter().filter(|(path, _)| path.starts_with("audit")) {
            fs::create_dir_all(case.file("")).unwrap();
            let path = case.setup.data_dir().join(path);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        }
        case.goes_on(what);
        case.put(&original.files);
        // Without the kept checkpoint, the search index shows the rollback.
        fs::remove_dir_all(case.file("")).unwrap();
        case.forget_kept();
        case.is_refused_at_once(what, &format!("has `{size}` records"));
        case.put(&original.files);
    }
    fs::remove_dir_all(case.file("")).unwrap();
    let daemon = case.accepts("gone for good");
    assert!(daemon.stop().success());
    case.goes_on("begun anew");
    search_index::is_whole(&case.setup);
    case.verify().is_sound("begun anew");
}

#[test]
fn nothing_is_accepted_where_nothing_is_behind() {
    let case = Case::new();
    let started = case.setup.try_start_with(&["--accept-rollback", "log"]).unwrap();
    assert!(started.stop().success());
    assert!(case.acceptances().is_empty());
    let refused = case.setup.run(["serve", "--accept-rollback", "everything"]);
    assert_eq!(refused.status.code(), Some(2));
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
        case.verify().is_false(&what, "no checkpoint is stored");
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
