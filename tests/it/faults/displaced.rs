//! Files are removed, moved, replaced or hidden by a mount under a running daemon. It reports the path, and stops
//! deciding.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::audit::{Exported, question, verify};
use crate::harness::{Request, Setup, SmallDisk, TestDaemon, until};

const NEW: &str = "/v1/entities/Tool/new";

fn put(daemon: &TestDaemon) -> u16 {
    let tool = json!({"uid": {"type": "Tool", "id": "new"}, "attrs": {}, "parents": []});
    daemon.ask(&Request::put(NEW).json(&tool)).status
}

/// A daemon that has made decisions, with enough records for tiles of two levels.
fn daemon() -> (Setup, TestDaemon) {
    let setup = crate::audit::setup().in_files();
    let daemon = setup.start();
    (0..80).for_each(|number| assert_eq!(daemon.ask(&question(4 * number)).status, 200));
    until("two levels of tiles", || setup.data_dir().join("audit/tiles-1").exists());
    // The daemon has checked every file since.
    let lock = setup.data_dir().join("acgs.db.lock");
    run(MOVE, &lock);
    until("noticed", || daemon.get("/readyz").status == 503);
    run(MOVE_BACK, &lock);
    until("ready", || daemon.get("/readyz").status == 200);
    (setup, daemon)
}

/// Checks that the path is reported and decisions have stopped.
#[track_caller]
fn is_noticed(name: &str, daemon: &TestDaemon, path: &Path) {
    let named = format!("[-]files failed: `{}` ", path.display());
    until(name, || daemon.get("/readyz").text().contains(&named));
    assert_eq!(daemon.get("/readyz").status, 503, "{name}");
    let refused = daemon.ask(&question(1));
    assert_eq!(refused.status, 503, "{name}: {refused}");
    assert!(refused.text().contains("was removed or replaced"), "{name}: {refused}");
    assert_eq!(daemon.ask(&question(3)).status, 503, "{name}: a batch");
    assert_eq!(put(daemon), 503, "{name}");
    assert_eq!(daemon.get("/livez").status, 200, "{name}");
}

fn run(command: &str, path: &Path) {
    let status = Command::new("sh").args(["-c", command, "sh"]).arg(path).status().unwrap();
    assert!(status.success(), "{command} {}", path.display());
}

const MOVE: &str = "mv \"$1\" \"$1.moved\"";
const MOVE_BACK: &str = "mv \"$1.moved\" \"$1\"";
const REMOVE: &str = "rm -r \"$1\"";
/// Replaces a file by a copy with the same contents.
const COPY: &str = "cp -a \"$1\" \"$1.copy\" && rm -r \"$1\" && mv \"$1.copy\" \"$1\"";

fn segment(data: &Path) -> String {
    let names =
        fs::read_dir(data.join("audit")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("segment-") && name.strip_suffix(".log").is_some()).max().unwrap()
}

/// Every path that must stay in place, the outermost first.
fn paths(data: &Path) -> Vec<String> {
    let segment = format!("audit/{}", segment(data));
    let fixed = ["", "audit", "audit/lock", "constitutions", "acgs.db", "acgs.db-wal", "acgs.db-shm", "acgs.db.lock"];
    let later = ["audit/checkpoint", "audit/tiles-0", "audit/tiles-1"];
    fixed.into_iter().chain(later).map(str::to_owned).chain([segment]).collect()
}

fn at(data: &Path, name: &str) -> std::path::PathBuf {
    if name.is_empty() { data.to_owned() } else { data.join(name) }
}

#[test]
fn what_is_moved_away_is_noticed_and_when_it_is_back_decisions_go_on() {
    let (setup, daemon) = daemon();
    let data = setup.data_dir();
    for name in paths(&data).iter().map(String::as_str).chain(["audit/key", "audit/keys"]) {
        let path = at(&data, name);
        // The failure itself is an alert, which is recorded.
        let recorded = || Exported::from(&setup, 0).records.iter().filter(|record| record["kind"] != "alert").count();
        let before = recorded();
        run(MOVE, &path);
        is_noticed(name, &daemon, &path);
        run(MOVE_BACK, &path);
        until("back", || daemon.get("/readyz").status == 200);
        // A refused change is not made later.
        assert_eq!((recorded(), daemon.get(NEW).status), (before, 404), "{name}");
        assert_eq!(daemon.ask(&question(1)).status, 200, "{name}");
    }
    assert!(daemon.stop().success());
    verify(&setup);
}

#[test]
fn what_is_removed_or_replaced_is_noticed() {
    for nth in 0..12 {
        let (setup, daemon) = daemon();
        let data = setup.data_dir();
        let name = &paths(&data)[nth];
        let path = at(&data, name);
        run(if nth % 2 == 0 { REMOVE } else { COPY }, &path);
        is_noticed(name, &daemon, &path);
        daemon.kill();
    }
}

#[test]
fn what_is_replaced_by_something_that_looks_the_same_is_noticed() {
    for nth in (0..12).step_by(2) {
        let (setup, daemon) = daemon();
        let data = setup.data_dir();
        let name = &paths(&data)[nth];
        let path = at(&data, name);
        run(COPY, &path);
        is_noticed(name, &daemon, &path);
        daemon.kill();
    }
}

#[test]
fn keys_that_are_not_the_logs_are_noticed_and_a_rotation_is_none() {
    let (setup, daemon) = daemon();
    let audit = setup.data_dir().join("audit");
    for _ in 0..2 {
        let rotated = setup.run(["key", "rotate", "audit"]);
        assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
        assert_eq!(daemon.get("/readyz").status, 200);
    }
    let (_other, foreign) = {
        let other = Setup::new().in_files();
        other.start().kill();
        let files = ["key", "keys"].map(|name| fs::read(other.data_dir().join("audit").join(name)).unwrap());
        (other, files)
    };
    let own = ["key", "keys"].map(|name| fs::read(audit.join(name)).unwrap());
    let first = String::from_utf8_lossy(&own[1]).split_inclusive('\n').skip(1).collect::<String>();
    let cases: [(&str, &str, Vec<u8>); 4] = [
        ("a foreign key", "key", foreign[0].clone()),
        ("a foreign list", "keys", foreign[1].clone()),
        ("an empty key", "key", Vec::new()),
        ("a list without its first", "keys", first.into_bytes()),
    ];
    for (name, file, content) in cases {
        fs::write(audit.join(file), content).unwrap();
        until(name, || daemon.get("/readyz").text().contains("[-]files failed: "));
        let told = daemon.get("/readyz");
        assert!(told.status == 503 && told.text().contains("audit/key"), "{name}: {told}");
        assert_eq!(daemon.ask(&question(1)).status, 503, "{name}");
        fs::write(audit.join("key"), &own[0]).unwrap();
        fs::write(audit.join("keys"), &own[1]).unwrap();
        until("back", || daemon.get("/readyz").status == 200);
    }
    assert!(daemon.stop().success());
    verify(&setup);
}

#[test]
fn a_mount_over_a_folder_is_noticed() {
    let (setup, daemon) = daemon();
    let data = setup.data_dir();
    for path in [data.clone(), data.join("audit")] {
        let Some(disk) = SmallDisk::mount(&path, 1) else { return };
        is_noticed("mounted over", &daemon, &path);
        drop(disk);
        until("back", || daemon.get("/readyz").status == 200);
        assert_eq!(daemon.ask(&question(1)).status, 200);
    }
    assert!(daemon.stop().success());
    verify(&setup);
}

/// A folder restored from a backup under a running daemon is not written to.
#[test]
fn a_folder_that_takes_the_place_of_another_stays_as_it_is() {
    let (setup, daemon) = daemon();
    let audit = setup.data_dir().join("audit");
    run("cp -a \"$1\" \"$1.copy\" && mv \"$1\" \"$1.moved\" && mv \"$1.copy\" \"$1\"", &audit);
    is_noticed("replaced", &daemon, &audit);
    let files = || {
        let mut files: Vec<_> = fs::read_dir(&audit).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = files();
    daemon.stop();
    assert!(files() == before, "the folder that was put there was written to");
    assert!(setup.start().stop().success());
    verify(&setup);
}
