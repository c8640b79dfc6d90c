//! A daemon has its files for itself, under whatever path a second daemon opens them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::audit::{question, verify};
use crate::harness::{Setup, TestDaemon, Tiers};

/// A second daemon that must refuse to start, since it would use files of the first one.
#[track_caller]
fn is_refused(name: &str, second: &Setup) {
    let refused = second.try_start().map(|_| format!("{name}: two daemons run on the same files")).unwrap_err();
    assert!(refused.stderr.contains("another "), "{name}: {refused}");
    assert_eq!(refused.status.code(), Some(74), "{name}: {refused}");
}

/// A running daemon and its data folder.
fn first() -> (Setup, TestDaemon, PathBuf) {
    let setup = crate::audit::setup().in_files();
    let daemon = setup.start();
    assert_eq!(daemon.ask(&question(1)).status, 200);
    let data = setup.data_dir();
    (setup, daemon, data)
}

/// The first daemon keeps working, and a restart does too.
fn goes_on(setup: &Setup, daemon: TestDaemon) {
    assert_eq!(daemon.ask(&question(2)).status, 200);
    assert!(daemon.stop().success());
    verify(setup);
    assert!(setup.start().stop().success());
    verify(setup);
}

/// A daemon with the same settings and another data folder.
fn elsewhere(data: &Path) -> Setup {
    Setup::new().in_files().set("data_dir", data.display())
}

#[test]
fn a_data_folder_is_taken_once_under_whatever_name() {
    let (setup, daemon, data) = first();
    let [link, chain] = ["link", "chain"].map(|name| data.with_file_name(name));
    symlink(&data, &link).unwrap();
    symlink("link", &chain).unwrap();
    for (name, path) in [("itself", &data), ("a link", &link), ("a link to a link", &chain)] {
        is_refused(name, &elsewhere(path));
    }
    is_refused("a path with dots", &elsewhere(&data.join("../link")));
    goes_on(&setup, daemon);
}

#[test]
fn a_log_is_taken_once_though_its_lock_file_is_gone() {
    let (setup, daemon, data) = first();
    let lock = data.join("audit/lock");
    let kept = data.join("lock.kept");
    fs::rename(&lock, &kept).unwrap();
    is_refused("the same folder", &elsewhere(&data));
    let others = tempfile::tempdir().unwrap();
    let [linked, copied] = ["linked", "copied"].map(|name| others.path().join(name));
    fs::create_dir_all(&linked).unwrap();
    symlink(data.join("audit"), linked.join("audit")).unwrap();
    let _ = fs::remove_file(&lock);
    is_refused("a folder that links to the log", &elsewhere(&linked));
    fs::create_dir_all(copied.join("audit")).unwrap();
    for entry in fs::read_dir(data.join("audit")).unwrap() {
        let entry = entry.unwrap();
        let same = fs::hard_link(entry.path(), copied.join("audit").join(entry.file_name()));
        same.unwrap();
    }
    let _ = fs::remove_file(copied.join("audit/lock"));
    is_refused("a folder with the same segments", &elsewhere(&copied));
    fs::rename(&kept, &lock).unwrap();
    crate::harness::until("every file is back", || daemon.get("/readyz").status == 200);
    goes_on(&setup, daemon);
}

#[test]
fn a_database_is_taken_once_under_whatever_name() {
    if Tiers::have_no_files() {
        return;
    }
    let (setup, daemon, data) = first();
    let others = tempfile::tempdir().unwrap();
    let database = data.join("acgs.db");
    let [link, chain, linked, folder] =
        ["link.db", "chain.db", "linked.db", "folder"].map(|name| others.path().join(name));
    symlink(&database, &link).unwrap();
    symlink("link.db", &chain).unwrap();
    symlink(&data, &folder).unwrap();
    if fs::hard_link(&database, &linked).is_err() {
        fs::hard_link(&database, data.with_file_name("linked.db")).unwrap();
    }
    let linked = if linked.exists() { linked } else { data.with_file_name("linked.db") };
    let names = [database.clone(), link, chain, folder.join("acgs.db"), data.join("../data/acgs.db"), linked];
    let try_each = |when: &str| {
        for (nth, path) in names.iter().enumerate() {
            let own = others.path().join(format!("data-{when}-{nth}"));
            let second = elsewhere(&own).set("database.url", format_args!("sqlite:{}", path.display()));
            // A log with another origin does not concern the database's records of the first one.
            let second = second.set("audit.origin", "acgs.example/second");
            is_refused(&format!("{when}: {}", path.display()), &second);
        }
    };
    try_each("locked");
    let (lock, kept) = (data.join("acgs.db.lock"), data.join("lock.kept"));
    fs::rename(&lock, &kept).unwrap();
    try_each("unlocked");
    fs::rename(&kept, &lock).unwrap();
    crate::harness::until("every file is back", || daemon.get("/readyz").status == 200);
    goes_on(&setup, daemon);
}

#[test]
fn a_command_does_not_use_what_a_daemon_has() {
    let (setup, daemon, data) = first();
    let link = data.with_file_name("link.db");
    symlink(data.join("acgs.db"), &link).unwrap();
    let own = data.with_file_name("own");
    let second = elsewhere(&own).set("database.url", format_args!("sqlite:{}", link.display()));
    for command in [&["migrate"][..], &["user", "list"]] {
        let done = second.run(command);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && said.contains("another acgs"), "{command:?}: {said}");
    }
    goes_on(&setup, daemon);
}
