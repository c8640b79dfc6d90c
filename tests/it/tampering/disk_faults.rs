//! A disk that fails for tiles and checkpoints only: decisions go on, nothing is shown that is not stored, and signing
//! goes on by itself.

use std::fs;

use super::case::{Case, Kept, ask_until, files};
use super::{search_index, tiles};
use crate::audit::{self, Exported, question};
use crate::faults::disk::{EIO, ENOSPC, Faults};
use crate::harness::TestDaemon;

fn shown(daemon: &TestDaemon) -> Kept {
    Kept::read(daemon.get("/v1/audit/log/checkpoint").text().to_owned())
}

/// Decides so many times; answers where the last decision is in the log.
fn decide(daemon: &TestDaemon, times: u64) -> u64 {
    let decide = |nth| {
        let answer = daemon.ask(&question(nth | 1));
        assert_eq!(answer.status, 200, "{answer}");
        answer.json()["context"]["audit_index"].as_u64().unwrap()
    };
    (0..times).map(decide).max().unwrap()
}

/// The answer covers this record: a checkpoint is made for it at once.
#[track_caller]
fn is_signed(daemon: &TestDaemon, index: u64) {
    let proof = daemon.get(&format!("/v1/audit/entries/{index}/proof"));
    assert_eq!(proof.status, 200, "{proof}");
}

#[test]
fn while_nothing_can_be_signed_decisions_go_on_and_then_all_of_them_are_signed() {
    let Some(faults) = Faults::new() else { return };
    for fault in [
        format!("write error {ENOSPC} tiles-"),
        format!("write error {EIO} tiles-0"),
        format!("sync error {EIO} tiles-"),
        format!("write error {ENOSPC} checkpoint"),
        format!("sync error {EIO} checkpoint"),
    ] {
        faults.clear();
        let setup = faults.within(audit::setup().in_files()).set("audit.checkpoint_interval_ms", 10);
        let daemon = setup.start();
        is_signed(&daemon, decide(&daemon, 5));
        faults.set(&fault);
        let unsigned = decide(&daemon, 20);
        ask_until(&daemon, "/readyz?verbose", "[-]checkpoint degraded: cannot ");
        let readiness = daemon.get("/readyz?verbose");
        assert_eq!(readiness.status, 200, "{fault}: {readiness}");
        let before = shown(&daemon);
        assert!(before.checkpoint.size <= unsigned, "{fault}: shown, and not stored");
        // What covers all of it does not come, and what is shown does not change.
        let late = daemon.get(&format!("/v1/audit/entries/{unsigned}/proof"));
        assert_eq!(late.status, 503, "{fault}: {late}");
        let last = decide(&daemon, 300);
        let after = shown(&daemon);
        assert_eq!(after.note, before.note, "{fault}");
        if !fault.starts_with("sync error 5 checkpoint") {
            assert_eq!(after.note, Kept::newest(&setup).note, "{fault}");
        }
        faults.clear();
        ask_until(&daemon, "/readyz?verbose", "[+]checkpoint ok");
        is_signed(&daemon, last);
        let (status, errors) = daemon.stop_and_tell();
        assert!(status.success() && errors.contains("no checkpoint can be signed"), "{fault}");
        let case = Case::of(audit::setup().in_files(), &files(&setup.data_dir()));
        case.verify_from(&[before, after], &[]).is_sound(&fault);
        tiles::are_right(&case, Kept::newest(&setup).checkpoint.size);
        search_index::is_whole(&case.setup);
        assert!(Exported::from(&setup, 0).decisions() >= 325, "{fault}");
    }
}

#[test]
fn a_stop_while_nothing_can_be_signed_leaves_it_to_the_next_start() {
    let Some(faults) = Faults::new() else { return };
    for fault in [format!("write error {ENOSPC} tiles-"), format!("write error {EIO} checkpoint")] {
        faults.clear();
        let setup = faults.within(audit::setup().in_files()).set("audit.checkpoint_interval_ms", 10);
        let daemon = setup.start();
        is_signed(&daemon, decide(&daemon, 5));
        faults.set(&fault);
        decide(&daemon, 400);
        assert!(daemon.stop().success());
        let kept = Kept::newest(&setup);
        faults.clear();
        assert!(setup.start().stop().success());
        let newest = Kept::newest(&setup);
        assert!(newest.checkpoint.size > kept.checkpoint.size + 400, "{fault}");
        let case = Case::of(audit::setup().in_files(), &files(&setup.data_dir()));
        case.verify_from(&[kept, newest.clone()], &[]).is_sound(&fault);
        tiles::are_right(&case, newest.checkpoint.size);
    }
}

#[test]
fn a_level_of_tiles_that_could_not_be_begun_is_whole_when_it_can() {
    let setup = audit::setup().in_files().set("audit.checkpoint_interval_ms", 10);
    let daemon = setup.start();
    is_signed(&daemon, decide(&daemon, 100));
    // The 256th record begins the next level.
    let level = setup.data_dir().join("audit/tiles-1");
    fs::create_dir(&level).unwrap();
    decide(&daemon, 200);
    ask_until(&daemon, "/readyz?verbose", "[-]checkpoint degraded: cannot open `tiles-1`");
    let last = decide(&daemon, 300);
    fs::remove_dir(&level).unwrap();
    ask_until(&daemon, "/readyz?verbose", "[+]checkpoint ok");
    is_signed(&daemon, last);
    assert!(daemon.stop().success());
    let case = Case::of(audit::setup().in_files(), &files(&setup.data_dir()));
    case.verify().is_sound("tiles");
    tiles::are_right(&case, Kept::newest(&setup).checkpoint.size);
}
