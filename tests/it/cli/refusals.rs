//! What the commands and the daemon refuse, with what and where, leaving files as they are.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use super::{decide, names, outcome};
use crate::harness::{Refused, Setup, Tiers, repository};

#[track_caller]
fn check(refused: &Refused, code: i32, parts: &[&str]) {
    assert_eq!(refused.status.code(), Some(code), "{refused}");
    names(&refused.stderr, parts);
    assert!(!refused.stderr.contains("panicked"), "{refused}");
}

#[test]
fn arguments_that_mean_nothing_are_refused() {
    let setup = Setup::new();
    for arguments in [
        &["frob"][..],
        &["serve", "--frob"],
        &["check", "x"],
        &["--settings"],
        &["audit"],
        &["audit", "frob"],
        &["audit", "export", "--from", "x"],
        &["audit", "export", "--from", "-1"],
        &["constitution"],
        &["constitution", "hash", "a", "b"],
    ] {
        let output = setup.run(arguments);
        let (code, printed, faults) = outcome(&output);
        assert_eq!((code, printed), (Some(2), ""), "{arguments:?}");
        assert!(faults.contains("Usage: acgs") || faults.contains("try '--help'"), "{faults}");
    }
    for arguments in [["--help"], ["--version"]] {
        assert_eq!(outcome(&setup.run(arguments)).0, Some(0));
    }
}

#[test]
fn settings_that_are_not_there_are_refused_by_every_command() {
    let setup = Setup::new().settings("/nowhere/at-all");
    for arguments in [
        &["check"][..],
        &["settings"],
        &["migrate"],
        &["constitution", "hash"],
        &["audit", "verify"],
        &["audit", "export"],
    ] {
        let output = setup.run(arguments);
        let (code, _, faults) = outcome(&output);
        assert_eq!(code, Some(78), "{arguments:?}");
        names(faults, &["there is no such settings folder", "/nowhere/at-all"]);
    }
    check(&setup.try_start().unwrap_err(), 78, &["there is no such settings folder", "/nowhere/at-all"]);
    let setup = Setup::new().env("ACGS_PROFILE", "nothing");
    check(&setup.try_start().unwrap_err(), 78, &["the profile `nothing` has no file"]);
    // A file that cannot be read, whoever asks.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("default.toml")).unwrap();
    check(&Setup::new().settings(folder.path()).try_start().unwrap_err(), 78, &["default.toml"]);
    fs::remove_dir(folder.path().join("default.toml")).unwrap();
    fs::write(folder.path().join("default.toml"), b"data_dir = \"\xff\"\n").unwrap();
    check(&Setup::new().settings(folder.path()).try_start().unwrap_err(), 78, &["default.toml"]);
}

#[test]
fn what_another_process_uses_is_refused_and_that_process_goes_on() {
    let setup = Setup::new();
    let daemon = setup.start();
    let (pid, folder) = (format!("another daemon (pid {})", daemon.pid()), setup.data_dir().display().to_string());
    check(&setup.try_start().unwrap_err(), 74, &[&*pid, "uses the data folder", &*folder]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = TcpListener::bind(taken).unwrap();
    let second = Setup::new().set("http.bind", taken);
    check(&second.try_start().unwrap_err(), 1, &[&format!("cannot listen on `{taken}`"), "in use"]);
    drop(listener);
    second.start();
    decide(&daemon, 1);
}

#[test]
fn a_data_folder_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    let setup = Setup::new().env("ACGS_DATA_DIR", file.display());
    check(&setup.try_start().unwrap_err(), 1, &[file.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let output = setup.run(["audit", "verify"]);
    let (code, _, faults) = outcome(&output);
    assert_eq!(code, Some(74));
    names(faults, &[file.to_str().unwrap()]);
}

#[test]
fn a_bundle_that_cannot_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let parts = ["constitution.toml: is missing", "schema.cedarschema: is missing", "policies: is missing"];
    check(&Setup::new().constitution(folder.path()).try_start().unwrap_err(), 78, &parts);
    for file in ["constitution.toml", "schema.cedarschema"] {
        fs::write(folder.path().join(file), b"\xff\xfe").unwrap();
    }
    fs::create_dir_all(folder.path().join("policies")).unwrap();
    let parts = ["constitution.toml:1:1: is not UTF-8", "schema.cedarschema:1:1: is not UTF-8"];
    check(&Setup::new().constitution(folder.path()).try_start().unwrap_err(), 78, &parts);
    assert_eq!(outcome(&Setup::new().run(["constitution", "lint", folder.path().to_str().unwrap()])).0, Some(78));
    let shipped = repository().join("settings/constitution");
    let other = Setup::new().constitution(&shipped).set("constitution.pinned_digest", "0".repeat(64));
    check(&other.try_start().unwrap_err(), 78, &["`constitution.pinned_digest`"]);
}

/// All files below the data folder that hold what was stored, with their bytes.
fn stored(setup: &Setup) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in [setup.data_dir(), setup.data_dir().join("audit")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name == "acgs.db" || (name.starts_with("segment-") && !name.starts_with("segment-next-")) {
                files.push((path.clone(), fs::read(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_damaged_database_is_refused_and_left_as_it_is() {
    if Tiers::have_no_files() {
        return;
    }
    let setup = Setup::new();
    let daemon = setup.start();
    decide(&daemon, 1);
    assert!(daemon.stop().success());
    // At its stop the daemon takes the write-ahead log, which would repair some of what follows, into the file.
    assert_eq!(fs::metadata(setup.data_dir().join("acgs.db-wal")).map_or(0, |log| log.len()), 0);
    let file = setup.data_dir().join("acgs.db");
    let sound = fs::read(&file).unwrap();
    for (name, damage) in [
        ("its header", [b"no database at all".as_slice(), &sound[18..]].concat()),
        ("its schema", {
            let mut bytes = sound.clone();
            bytes[100..4096].fill(0xff);
            bytes
        }),
        ("its end", sound[..sound.len() / 2 + 100].to_vec()),
    ] {
        fs::write(&file, &damage).unwrap();
        let before = stored(&setup);
        let refused = setup.try_start().map(|_| name).unwrap_err();
        check(&refused, 74, &["the database", "acgs.db` is damaged"]);
        let output = setup.run(["migrate"]);
        assert_eq!(outcome(&output).0, Some(74), "{name}");
        assert!(before == stored(&setup), "{name}: files were changed");
    }
    fs::write(&file, &sound).unwrap();
    decide(&setup.start(), 1);
}

#[test]
fn a_damaged_log_is_refused_with_the_place_and_left_as_it_is() {
    let setup = Setup::new();
    let daemon = setup.start();
    decide(&daemon, 4);
    assert!(daemon.stop().success());
    let log = stored(&setup).into_iter().find(|(path, _)| path.extension().is_some_and(|kind| kind == "log")).unwrap();
    // The header of the segment, and a byte of the first frame with others after it.
    for offset in [20, 4096 + 200] {
        let mut bytes = log.1.clone();
        bytes[offset] ^= 0x10;
        fs::write(&log.0, &bytes).unwrap();
        let before = stored(&setup);
        let name = log.0.file_name().unwrap().to_str().unwrap();
        let refused = setup.try_start().map(|_| offset).unwrap_err();
        check(&refused, 74, &["the audit log in", name, "record `0`"]);
        for command in ["verify", "export"] {
            let output = setup.run(["audit", command]);
            let (code, _, faults) = outcome(&output);
            assert_eq!(code, Some(1), "{command} {offset}: {faults}");
            names(faults, &["is corrupt", name, "record `0`"]);
        }
        assert!(before == stored(&setup), "{offset}: files were changed");
    }
    fs::write(&log.0, &log.1).unwrap();
    decide(&setup.start(), 1);
}
