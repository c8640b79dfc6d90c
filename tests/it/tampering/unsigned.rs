//! Records that no checkpoint covers yet, as a kill leaves them: those behind the last checkpoint are at root's mercy,
//! those before it are not.

use super::case::{Case, Kept, files, segments};
use super::format::Log;
use crate::audit::{self, question};
use crate::harness::Setup;

/// A log that was killed before its newest decisions were signed, and the newest checkpoint.
fn killed() -> (Setup, super::case::Files, Kept) {
    let setup = audit::setup().in_files().set("audit.checkpoint_interval_ms", 3_600_000);
    let daemon = setup.start();
    (0..10).for_each(|nth| assert_eq!(daemon.ask(&question(nth | 1)).status, 200));
    assert!(daemon.stop().success());
    let daemon = setup.start();
    (0..20).for_each(|nth| assert_eq!(daemon.ask(&question(nth | 1)).status, 200));
    daemon.kill();
    let (files, kept) = (files(&setup.data_dir()), Kept::newest(&setup));
    (setup, files, kept)
}

#[test]
fn what_no_checkpoint_covers_nobody_can_tell_and_what_one_covers_is_told() {
    let (setup, files, kept) = killed();
    let signed = kept.checkpoint.size;
    let log = Log::read(&segments(&files));
    let (size, covered) = (log.size(), log.0[0].frames.iter().filter(|frame| frame.first < signed).count());
    assert!(size >= signed + 20, "{size} records, {signed} signed");
    let case = Case::of(setup, &files);
    case.verify_from(std::slice::from_ref(&kept), &[]).is_sound("killed");
    let change = |nth: usize| {
        let mut log = log.clone();
        let record = &mut log.0[0].frames[nth].records[0];
        let last = record.len() - 2;
        record[last] ^= 1;
        log.fit_from(0, nth);
        log
    };
    let frames = log.0[0].frames.len();
    for nth in [covered, frames - 1] {
        case.put_log(&change(nth));
        case.verify_from(std::slice::from_ref(&kept), &[]).is_sound("an unsigned record was changed");
        case.goes_on("an unsigned record was changed");
        case.verify_from(std::slice::from_ref(&kept), &[]).is_sound("an unsigned record was changed");
        case.put(&files);
    }
    for nth in [1, covered - 1] {
        case.put_log(&change(nth));
        let found = log.frame_of(signed - 1);
        case.verify().is_false_from("a signed record was changed", found);
        case.verify_from(std::slice::from_ref(&kept), &[]).is_false_from("a signed record was changed", found);
        case.is_refused("a signed record was changed");
        case.put(&files);
    }
    for (nth, is_covered) in [(frames - 1, false), (covered, false), (covered - 1, true)] {
        let mut cut = log.clone();
        cut.0[0].frames.truncate(nth);
        case.put_log(&cut);
        if is_covered {
            case.verify().is_false_from("signed records are gone", cut.size());
            case.is_refused_at_once("signed records are gone", "records are missing");
        } else {
            case.verify_from(std::slice::from_ref(&kept), &[]).is_sound("unsigned records are gone");
            case.goes_on("unsigned records are gone");
        }
        case.put(&files);
    }
}

#[test]
fn a_frame_that_was_made_to_look_torn_is_missed_where_it_was_signed() {
    let (setup, files, kept) = killed();
    let log = Log::read(&segments(&files));
    let case = Case::of(setup, &files);
    for (nth, is_covered) in [(log.0[0].frames.len() - 1, false), (5, true)] {
        let mut cut = log.clone();
        cut.0[0].frames.truncate(nth + 1);
        case.put_log(&cut);
        let behind = super::format::BLOCK + cut.0[0].frames.iter().map(|frame| frame.write().len()).sum::<usize>();
        let place = behind - cut.0[0].frames[nth].write().len();
        // As if the write had ended within the records.
        case.edit(&cut.0[0].name(), |bytes| bytes[place + 300..behind].fill(0));
        let size = cut.0[0].frames[nth].first;
        let found = case.verify();
        if is_covered {
            assert!(size < kept.checkpoint.size);
            found.is_false_from("signed", size);
            case.is_refused_at_once("signed", "records are missing");
        } else {
            found.is_sound("unsigned");
            assert!(found.text.contains("in an incomplete frame"), "{}", found.text);
            assert!(case.goes_on("unsigned").contains("it was cut off"));
        }
        case.put(&files);
    }
}
