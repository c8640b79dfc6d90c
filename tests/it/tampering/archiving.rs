//! Segments go into the archive as soon as their records are signed, in tiles and in the database, and not before.

use std::fs;

use acgs::ledger::{Batch, CheckpointFile, DiskStorage, Event, EventKind, Keyring, Ledger, Options, SegmentSize};
use time::{Duration, OffsetDateTime};

use super::case::{Case, Files, Kept, ask_until, files, segments, sign};
use super::{search_index, tiles};
use crate::audit::{self, Exported, question};
use crate::faults::disk::{ENOSPC, Faults};
use crate::harness::{Setup, until};

/// Begins a log with so many records of long ago, in small segments.
pub fn old_log(setup: &Setup, count: u64) {
    log_from(setup, count, OffsetDateTime::UNIX_EPOCH + Duration::weeks(1_500));
}

/// The same, with the first record at that time and one a second.
pub fn log_from(setup: &Setup, count: u64, begun: OffsetDateTime) {
    fs::create_dir_all(setup.data_dir()).unwrap();
    let storage = DiskStorage::create(setup.data_dir().join("audit")).unwrap();
    let options = Options { segment_size: SegmentSize::new(64 << 10).unwrap() };
    let (mut ledger, _) = Ledger::open(storage.clone(), options).unwrap();
    // As a first start creates it.
    CheckpointFile::open(&storage).unwrap();
    let mut batch = Batch::default();
    for index in 0..count {
        let event = Event::new(EventKind::Entity, "ann").name("event", "written").name("number", index);
        let event = event.detail("text", "x".repeat(150));
        event.push(begun + Duration::seconds(i64::try_from(index).unwrap()), &mut batch).unwrap();
        if batch.count() == 10 || index + 1 == count {
            ledger.append(&batch).unwrap();
            batch.clear();
        }
    }
}

/// The first records of the segments.
fn firsts(files: &Files) -> Vec<u64> {
    let number = |name: &String| name.strip_prefix("segment-")?.strip_suffix(".log")?.parse().ok();
    segments(files).keys().filter_map(number).collect()
}

/// The first records of the segments that are in the data folder now.
pub fn segments_now(setup: &Setup) -> Vec<u64> {
    let names = fs::read_dir(setup.data_dir().join("audit")).unwrap().map(|file| file.unwrap().file_name());
    let number = |name: String| name.strip_prefix("segment-")?.strip_suffix(".log")?.parse().ok();
    let mut firsts: Vec<u64> = names.filter_map(|name| number(name.into_string().unwrap())).collect();
    firsts.sort_unstable();
    firsts
}

/// Runs the daemon until the segments left satisfy a condition, and stops it.
#[track_caller]
pub fn run_until(setup: &Setup, what: &str, is_enough: impl Fn(&[u64]) -> bool) {
    let daemon = setup.start();
    until(what, || is_enough(&segments_now(setup)));
    assert!(daemon.stop().success());
}

fn setup() -> Setup {
    audit::setup().in_files().set("audit.archive", "closed")
}

/// Everything can be read as before, with a daemon running.
#[track_caller]
fn is_readable(setup: &Setup, before: &Exported, kept: &[Kept]) {
    let case = Case::of(audit::setup().in_files(), &files(&setup.data_dir()));
    case.verify_from(kept, &[]).is_sound("retired");
    let exported = Exported::from(&case.setup, 0);
    assert!(exported.records.starts_with(&before.records), "other records");
    tiles::are_right(&case, Kept::newest(&case.setup).checkpoint.size);
    let daemon = case.setup.start();
    for index in [0, 255, 256, 700, before.records.len() - 1] {
        let shown = case.setup.run(["audit", "show", "--raw", &index.to_string()]).stdout;
        let answer = daemon.get(&format!("/v1/audit/entries/{index}"));
        assert_eq!((answer.status, &answer.body), (200, &shown), "record {index}");
        assert_eq!(answer.json()["id"], before.records[index]["id"], "record {index}");
        let proof = daemon.get(&format!("/v1/audit/entries/{index}/proof"));
        assert_eq!(proof.status, 200, "record {index}: {proof}");
    }
    let last = before.records.len() / 256;
    for bundle in 0..last {
        let answer = daemon.get(&format!("/v1/audit/log/tile/entries/{bundle:03}"));
        let shown = (bundle * 256..(bundle + 1) * 256).flat_map(|index| {
            let shown = case.setup.run(["audit", "show", "--raw", &index.to_string()]).stdout;
            [u16::try_from(shown.len()).unwrap().to_be_bytes().to_vec(), shown].concat()
        });
        // Each record costs a process.
        if bundle == 1 || bundle + 1 == last {
            assert!(answer.status == 200 && answer.body == shown.collect::<Vec<u8>>(), "bundle {bundle}");
        }
    }
    let vkey = String::from_utf8(case.setup.run(["audit", "vkey"]).stdout).unwrap();
    let url = format!("http://{}", daemon.address());
    case.verify_from(kept, &["--url", &url, "--vkey", vkey.trim_end()]).is_sound("from afar");
    assert_eq!(daemon.ask(&question(1)).status, 200);
    assert!(daemon.stop().success());
    search_index::is_whole(&case.setup);
}

#[test]
fn segments_stay_until_their_records_are_in_the_database() {
    let setup = setup();
    old_log(&setup, 1_500);
    let database = setup.data_dir().join("acgs-audit.db");
    fs::create_dir(&database).unwrap();
    let all = firsts(&files(&setup.data_dir()));
    assert!(all.len() > 6, "{all:?}");
    let mut kept = Vec::new();
    for _ in 0..2 {
        let daemon = setup.start();
        ask_until(&daemon, "/readyz?verbose", "[-]search degraded");
        assert_eq!(daemon.ask(&question(1)).status, 200);
        assert!(daemon.stop().success());
        kept.push(Kept::newest(&setup));
        let left = firsts(&files(&setup.data_dir()));
        assert!(left.starts_with(&all), "they are signed, and not in the database: {left:?} of {all:?}");
    }
    let before = Exported::from(&setup, 0);
    fs::remove_dir(&database).unwrap();
    // The last segment stays, and those before it whose last bundle is not full.
    run_until(&setup, "the segments are archived", |left| left[0] > 1_000 && left.len() <= 4);
    is_readable(&setup, &before, &kept);
}

#[test]
fn segments_stay_until_their_records_are_signed() {
    const SIGNED: u64 = 700;
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(setup());
    old_log(&setup, 1_500);
    let all = firsts(&files(&setup.data_dir()));
    let folder = setup.data_dir().join("audit");
    Keyring::open(&folder, None, "acgs.local/tampering").unwrap();
    sign(&folder, SIGNED);
    let kept = Kept::newest(&setup);
    faults.set(&format!("write error {ENOSPC} tiles-"));
    for _ in 0..2 {
        let daemon = setup.start();
        ask_until(&daemon, "/readyz?verbose", "[-]checkpoint degraded");
        assert_eq!(daemon.ask(&question(1)).status, 200);
        assert!(daemon.stop().success());
        search_index::is_whole(&setup);
        // Archives have whole bundles, so the signed records reach as far as these do.
        let gone =
            |first: &u64| *first < all[all.iter().position(|first| first.next_multiple_of(256) > SIGNED).unwrap() - 1];
        let left: Vec<u64> = all.iter().copied().filter(|first| !gone(first)).collect();
        assert!(left.len() > 3 && left.len() < all.len(), "{left:?} of {all:?}");
        run_until(&setup, "the signed segments are archived", |found| found[0] >= left[0]);
        assert!(firsts(&files(&setup.data_dir())).starts_with(&left), "{left:?} of {all:?}");
    }
    let before = Exported::from(&setup, 0);
    assert_eq!(Kept::newest(&setup).checkpoint.size, SIGNED);
    faults.clear();
    run_until(&setup, "the others are signed and archived", |left| left[0] > SIGNED + 256);
    is_readable(&setup, &before, &[kept]);
}

#[test]
fn segments_are_archived_soon_and_no_record_is_deleted() {
    let setup = setup().set("audit.retention_days", 1);
    log_from(&setup, 1_500, OffsetDateTime::now_utc() - Duration::days(3));
    let before = Exported::from(&setup, 0);
    run_until(&setup, "the segments are archived", |left| left[0] > 1_000 && left.len() <= 4);
    let folder = setup.data_dir().join("audit");
    let archives = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let archives: Vec<String> = archives.filter(|name| name.starts_with("archive-")).collect();
    assert!(archives.len() < 4, "small ones are joined: {archives:?}");
    is_readable(&setup, &before, &[]);
}

#[test]
fn a_daemon_killed_while_it_archives_loses_nothing() {
    let setup = setup();
    old_log(&setup, 6_000);
    let all = firsts(&files(&setup.data_dir()));
    let before = Exported::from(&setup, 0);
    let mut kept = Vec::new();
    for round in 0..12 {
        let left = segments_now(&setup);
        let daemon = setup.start();
        // Sometimes right in the middle, sometimes when one or a few segments have just gone.
        let temporary = setup.data_dir().join("audit/archive-next.tmp");
        let gone = usize::try_from(round % 3).unwrap();
        until("it archives", || {
            let found = segments_now(&setup);
            let is_next =
                found.len() <= 4 || found.iter().filter(|first| left.contains(first)).count() + gone < left.len();
            (round % 2 == 0 && temporary.exists()) || is_next
        });
        daemon.kill();
        let case = Case::of(audit::setup().in_files(), &files(&setup.data_dir()));
        case.verify_from(&kept, &[]).is_sound(&format!("killed for the {round}th time"));
        kept = vec![Kept::newest(&setup)];
        let exported = Exported::from(&setup, 0);
        assert!(exported.records.starts_with(&before.records), "other records after {round} rounds");
    }
    run_until(&setup, "all segments are archived", |left| left[0] > 5_500 && left.len() <= 4);
    assert!(all.len() > 30 && !setup.data_dir().join("audit/archive-next.tmp").exists());
    is_readable(&setup, &before, &kept);
}
