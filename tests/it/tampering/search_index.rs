//! The copy in the database: changed, of another log, damaged, gone. It is derived, and nothing waits for it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Instant;

use acgs::ledger::{DiskStorage, records};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};

use super::case::{Case, Original, ask_until, files};
use super::format::{Hash, leaf};
use crate::audit::{self, question};
use crate::harness::{PATIENCE, Setup, until};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    idx: i64,
    #[diesel(sql_type = Binary)]
    leaf: Vec<u8>,
}

fn database(setup: &Setup) -> PathBuf {
    setup.data_dir().join("acgs-audit.db")
}

fn connect(setup: &Setup) -> SqliteConnection {
    SqliteConnection::establish(database(setup).to_str().unwrap()).unwrap()
}

/// Changes the database behind the daemon's back.
fn change(setup: &Setup, sql: &str) {
    connect(setup).batch_execute(sql).unwrap();
}

/// Takes the database away. What SQLite keeps beside it stays, of which the end of a daemon leaves some or nothing.
pub fn remove(setup: &Setup) {
    let path = database(setup);
    let removed = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
    removed.unwrap();
}

/// The leaves that are copied, by their indices.
pub fn rows(setup: &Setup) -> BTreeMap<u64, Vec<u8>> {
    let rows: Vec<Row> = diesel::sql_query("SELECT idx, leaf FROM audit_entries").load(&mut connect(setup)).unwrap();
    let count = rows.len();
    let found: BTreeMap<u64, _> = rows.into_iter().map(|row| (u64::try_from(row.idx).unwrap(), row.leaf)).collect();
    assert_eq!(found.len(), count, "a record is there twice");
    found
}

/// Every record of the log is in the database, once, with its leaf.
#[track_caller]
pub fn is_whole(setup: &Setup) {
    let storage = DiskStorage::at(setup.data_dir().join("audit"));
    let log: BTreeMap<u64, _> = records(&storage, 0..u64::MAX)
        .map(Result::unwrap)
        .map(|(index, record)| (index, leaf(&record).to_vec()))
        .collect();
    let copied = rows(setup);
    let missing: Vec<_> = log.keys().filter(|index| !copied.contains_key(index)).collect();
    assert!(missing.is_empty() && copied.len() == log.len(), "not copied: {missing:?}");
    assert!(copied == log, "the copy differs");
}

/// The daemon decides, and says that the copy is not to be trusted, and why.
#[track_caller]
fn is_alarmed(case: &Case, what: &str, why: &str) {
    let daemon = case.setup.start();
    ask_until(&daemon, "/readyz?verbose", &format!("[-]search degraded: {why}"));
    let readiness = daemon.get("/readyz?verbose");
    assert_eq!(readiness.status, 200, "{what}: {readiness}");
    assert_eq!(daemon.ask(&question(1)).status, 200, "{what}");
    // The index is degraded, too, before its thread has tried to open it.
    until("the fault is logged", || daemon.stderr().contains("the audit log cannot be indexed"));
    assert!(daemon.stop().success(), "{what}");
}

#[test]
fn a_changed_copy_is_an_alarm_once_it_is_compared() {
    let case = Case::new();
    let last = Original::get().log().size() - 1;
    let leaf = "UPDATE audit_entries SET leaf = zeroblob(32)";
    let next = "UPDATE audit_logs SET next =";
    for (what, index, sql) in [
        ("the first", 0, format!("{leaf} WHERE idx = 0; {next} 0")),
        ("one of many", 300, format!("{leaf} WHERE idx = 300; {next} 0")),
        ("the next one to copy", 300, format!("{leaf} WHERE idx = 300; {next} 300")),
        ("the last one that was copied", last, format!("{leaf} WHERE idx = {last}")),
        ("two, and the first is named", 7, format!("{leaf} WHERE idx IN (7, 9); {next} 2")),
        (
            "a copy of another record",
            20,
            format!(
                "UPDATE audit_entries SET (leaf, record) = (SELECT leaf, record FROM audit_entries WHERE idx = 21)
                 WHERE idx = 20; {next} 0"
            ),
        ),
    ] {
        change(&case.setup, &sql);
        is_alarmed(&case, what, &format!("record `{index}` is stored with leaf"));
        // It is the log that is right, and the database does not become so by itself.
        case.verify_from(&Original::get().kept, &[]).is_sound(what);
        is_alarmed(&case, what, "record `");
        case.put(&Original::get().files);
    }
    change(&case.setup, &format!("{leaf} WHERE idx = 300"));
    case.goes_on("what is not copied again is not compared");
}

#[test]
fn records_that_were_deleted_from_the_copy_come_back_when_it_is_made_again() {
    let case = Case::new();
    for sql in [
        "DELETE FROM audit_entries WHERE idx BETWEEN 100 AND 200; UPDATE audit_logs SET next = 100",
        "DELETE FROM audit_entries; UPDATE audit_logs SET next = 0",
        "DELETE FROM audit_entries; DELETE FROM audit_logs",
    ] {
        change(&case.setup, sql);
        case.goes_on(sql);
        is_whole(&case.setup);
    }
}

#[test]
fn a_new_log_beside_the_copy_of_another_is_refused() {
    let case = Case::new();
    let size = Original::get().log().size();
    fs::remove_dir_all(case.file("")).unwrap();
    case.forget_kept();
    case.is_refused_at_once("shorter", &format!("has `{size}` records"));
    // Under another origin it is a new log all the same.
    assert!(!case.file("").exists(), "nothing is in the way of the log that is to be put back");
    change(&case.setup, "UPDATE audit_logs SET origin = 'elsewhere'");
    case.is_refused_at_once("another name", &format!("has `{size}` records of `elsewhere`"));
    assert_eq!(rows(&case.setup).len() as u64, size, "nothing was mixed");
}

#[test]
fn a_copy_that_is_gone_is_made_again_from_the_first_record() {
    let case = Case::new();
    is_whole(&case.setup);
    remove(&case.setup);
    case.goes_on("the file is gone");
    is_whole(&case.setup);
    fs::write(database(&case.setup), "").unwrap();
    case.goes_on("the file is empty");
    is_whole(&case.setup);
}

#[test]
fn a_damaged_copy_is_left_alone_and_holds_up_nothing() {
    let case = Case::new();
    let path = database(&case.setup);
    let damages: [(&str, &dyn Fn()); 4] = [
        ("no database", &|| fs::write(&path, "x".repeat(5000)).unwrap()),
        ("half of it", &|| {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("another database", &|| assert!(fs::copy(case.setup.data_dir().join("acgs.db"), &path).unwrap() > 0)),
        ("a folder", &|| {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        }),
    ];
    for (what, damage) in damages {
        damage();
        let before = files(&case.setup.data_dir()).get(std::path::Path::new("acgs-audit.db")).cloned();
        is_alarmed(&case, what, "");
        let after = files(&case.setup.data_dir()).get(std::path::Path::new("acgs-audit.db")).cloned();
        assert!(before == after, "{what}: it was written to");
        case.verify_from(&Original::get().kept, &[]).is_sound(what);
        remove(&case.setup);
        let errors = case.goes_on(what);
        assert!(path.exists() && !errors.contains("is not copied"), "{what}: {errors}");
        is_whole(&case.setup);
        case.put(&Original::get().files);
    }
}

#[test]
fn a_copy_that_becomes_usable_is_filled_without_a_restart() {
    let setup = audit::setup().in_files();
    fs::create_dir_all(database(&setup)).unwrap();
    let daemon = setup.start();
    ask_until(&daemon, "/readyz?verbose", "[-]search degraded");
    assert_eq!(daemon.ask(&question(1)).status, 200);
    fs::remove_dir(database(&setup)).unwrap();
    ask_until(&daemon, "/readyz?verbose", "[+]search ok");
    assert!(daemon.stop().success());
    is_whole(&setup);
}

#[test]
fn a_copy_that_is_deleted_under_a_running_daemon_is_made_again() {
    let setup = audit::setup().in_files();
    let daemon = setup.start();
    (0..20).for_each(|nth| assert_eq!(daemon.ask(&question(nth)).status, 200));
    for (times, suffixes) in (1..).zip([&["", "-wal", "-shm"][..], &[""], &["-wal"]]) {
        ask_until(&daemon, "/v1/audit", "\"lag\":0");
        for suffix in suffixes {
            fs::remove_file(setup.data_dir().join(format!("acgs-audit.db{suffix}"))).unwrap();
        }
        let since = Instant::now();
        while daemon.stderr().matches("opening it again").count() < times {
            assert!(since.elapsed() < PATIENCE, "{suffixes:?}: {}", daemon.stderr());
        }
        assert_eq!(daemon.ask(&question(1)).status, 200);
        ask_until(&daemon, "/readyz?verbose", "[+]search ok");
        let found = daemon.get("/v1/audit/entries?limit=1000");
        assert_eq!(found.status, 200, "{found}");
        let mode = fs::metadata(database(&setup)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffixes:?}");
    }
    assert!(daemon.stop().success());
    is_whole(&setup);
}

#[test]
fn a_start_does_not_wait_for_a_copy_of_an_older_version_to_be_brought_up_to_date() {
    // A lock stands in for the work on a large database, and is waited for as long as that would last.
    let long = [
        ("database.pool.acquire_timeout_ms", 600_000),
        ("http.request_timeout_ms", 600_000),
        ("http.shutdown_timeout_s", 600),
    ];
    let setup = long.into_iter().fold(audit::setup().in_files(), |setup, (key, long)| setup.set(key, long));
    let daemon = setup.start();
    assert_eq!(daemon.ask(&question(1)).status, 200);
    assert!(daemon.stop().success());
    change(&setup, include_str!("../../../migrations/sqlite_audit/2026-04-01-000000_regions/down.sql"));
    change(&setup, "DELETE FROM __diesel_schema_migrations WHERE version = '20260401000000'");
    let mut holder = connect(&setup);
    holder.batch_execute("BEGIN IMMEDIATE").unwrap();
    let daemon = setup.start();
    assert_eq!(daemon.ask(&question(2)).status, 200);
    let readiness = daemon.get("/readyz?verbose");
    assert!(
        readiness.status == 200 && readiness.text().contains("[-]search degraded: the search index of"),
        "{readiness}"
    );
    assert_eq!(daemon.get("/v1/audit/entries").status, 503);
    let shown = &daemon.get("/v1/audit").json()["database"];
    assert!(shown["size"].is_null() && shown["lag"].is_null() && shown["fault"].is_string(), "{shown}");
    assert!(daemon.stop().success(), "a stop does not wait either");
    let daemon = setup.start();
    holder.batch_execute("ROLLBACK").unwrap();
    ask_until(&daemon, "/readyz?verbose", "[+]search ok");
    assert!(daemon.stop_and_tell().1.contains("starting without it"));
    is_whole(&setup);
}

#[test]
fn the_leaves_of_the_copy_are_those_that_the_checkpoint_commits_to() {
    let leaves: Vec<Hash> = rows(&Case::new().setup).into_values().map(|leaf| leaf.try_into().unwrap()).collect();
    let mut tree = super::format::Tree::default();
    for leaf in leaves {
        tree.push_leaf(leaf);
    }
    let newest = &Original::get().kept.last().unwrap().checkpoint;
    assert_eq!((tree.size, tree.root().into()), (newest.size, newest.root));
}
