//! Old segments go into the archive, but only once their records are signed, in tiles and in the database.

use std::fs;

use acgs::ledger::{Batch, CheckpointFile, DiskStorage, Event, EventKind, Keyring, Ledger, Options, SegmentSize};
use time::{Duration, OffsetDateTime};

use super::case::{Case, Files, Kept, ask_until, files, segments, sign};
use super::{search_index, tiles};
use crate::audit::{self, Exported, question};
use crate::faults::disk::{ENOSPC, Faults};
use crate::harness::Setup;

/// Begins a log with so many records of long ago, in small segments.
pub fn old_log(setup: &Setup, count: u64) {
    log_from(setup, count, OffsetDateTime::UNIX_EPOCH + Duration::weeks(1_500));
}

fn log_from(setup: &Setup, count: u64, begun: OffsetDateTime) {
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

fn setup() -> Setup {
    audit::setup().in_files().set("audit.retention_days", 1)
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
    let daemon = setup.start();
    assert_eq!(daemon.ask(&question(1)).status, 200);
    assert!(daemon.stop().success());
    let left = firsts(&files(&setup.data_dir()));
    // The last segment stays, and those before it whose last bundle is not full.
    assert!(left[0] > 1_000 && left.len() <= 4, "{left:?} of {all:?}");
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
        assert!(firsts(&files(&setup.data_dir())).starts_with(&left), "{left:?} of {all:?}");
    }
    let before = Exported::from(&setup, 0);
    assert_eq!(Kept::newest(&setup).checkpoint.size, SIGNED);
    faults.clear();
    // Signed now, and gone at the next start.
    assert!(setup.start().stop().success());
    assert!(setup.start().stop().success());
    let left = firsts(&files(&setup.data_dir()));
    assert!(left[0] > SIGNED + 256, "{left:?}");
    is_readable(&setup, &before, &[kept]);
}

#[test]
fn nothing_goes_that_is_not_old_and_nothing_at_all_without_a_limit() {
    let (long_ago, now) = (OffsetDateTime::UNIX_EPOCH + Duration::weeks(1_500), OffsetDateTime::now_utc());
    for (days, begun) in [("0", long_ago), ("36500", long_ago), ("1", now)] {
        let setup = audit::setup().in_files().set("audit.retention_days", days);
        log_from(&setup, 600, begun);
        let all = firsts(&files(&setup.data_dir()));
        assert!(setup.start().stop().success());
        assert!(setup.start().stop().success());
        search_index::is_whole(&setup);
        assert!(firsts(&files(&setup.data_dir())).starts_with(&all), "{days} days, records from {begun} on");
    }
}
