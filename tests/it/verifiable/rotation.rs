//! The log's keys: how they change, who may read them, and what they are named after.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use super::verifier::Verifier;
use super::{Shelf, checkpoint_over, covered, decide, first_vkey, patient, printed, refused, served_checkpoint, site};
use super::{until, vkey};
use crate::audit::{self, Clients, Exported};
use crate::harness::Setup;

const ROTATE: [&str; 3] = ["key", "rotate", "audit"];

/// Changes the key; the new one.
#[track_caller]
fn rotate(setup: &Setup) -> String {
    let made = String::from_utf8(printed(setup, ROTATE)).unwrap().trim_end().to_owned();
    assert_eq!(vkey(setup), made);
    made
}

/// The records of changes of the key.
fn rotations(setup: &Setup) -> Vec<Value> {
    let is_one = |record: &Value| record["kind"] == "auth" && record["event"] == "key_rotated";
    Exported::from(setup, 0).records.into_iter().filter(is_one).collect()
}

/// A rotation must be in the log, and covered by a checkpoint that the new key signed.
#[track_caller]
fn is_recorded(setup: &Setup, old: &str, new: &str, signed: &str) {
    let found: Vec<_> = rotations(setup).into_iter().filter(|rotation| rotation["new"] == new).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["old"], &found[0]["caller"]), (&Value::from(old), &Value::from("acgs")));
    assert!(found[0]["index"].as_u64().unwrap() < covered(signed), "{found:?} behind {signed}");
}

fn key_file(setup: &Setup) -> PathBuf {
    setup.data_dir().join("audit/key")
}

#[test]
fn the_key_changes_while_the_daemon_runs_and_nobody_who_knows_one_of_the_two_is_left_behind() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let daemon = setup.start();
    let first = vkey(&setup);
    let clients = Clients::start(&daemon, 2, audit::question);
    clients.wait_for(20, 200);
    let oldest = shelf.put("oldest", checkpoint_over(&daemon, 0));
    let second = rotate(&setup);
    let signed = served_checkpoint(&daemon);
    is_recorded(&setup, &first, &second, &signed);
    let one = shelf.put("one", &signed);
    for vkey in [&first, &second] {
        verifier.accepts(&["checkpoint", vkey, &one]);
        verifier.accepts(&["log", vkey, &site(&daemon)]);
    }
    verifier.refuses(&["checkpoint", &second, &oldest]);
    clients.wait_for(20, 200);
    let third = rotate(&setup);
    let signed = served_checkpoint(&daemon);
    is_recorded(&setup, &second, &third, &signed);
    let two = shelf.put("two", signed);
    verifier.refuses(&["checkpoint", &first, &two]);
    verifier.accepts(&["checkpoint", &second, &two]);
    verifier.accepts(&["checkpoint", &third, &two]);
    // Together the keys still hold the log to all that they ever signed.
    verifier.accepts(&["log", &[&*first, &*second, &*third].join(","), &site(&daemon), &oldest, &one, &two]);
    let stories = clients.end();
    assert!(stories.iter().all(|story| story.refused.is_empty() && !story.cut), "{stories:?}");
    let all = String::from_utf8(printed(&setup, ["audit", "vkey", "--all"])).unwrap();
    assert_eq!(all.lines().collect::<Vec<_>>(), [&first, &second, &third]);
    for old in [&oldest, &one, &two] {
        printed(&setup, ["audit", "verify", "--from", old]);
    }
    assert!(daemon.stop().success());
    printed(&setup, ["audit", "verify", "--from", &oldest, "--from", &one, "--from", &two]);
    refused(&setup, ["audit", "verify", "--from", &oldest, "--vkey", &third], 1);
}

#[test]
fn the_key_changes_while_the_daemon_is_stopped_and_signs_from_the_next_start_on() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let mut keys = vec![first_vkey(&setup)];
    let mut kept = vec![shelf.put("0", printed(&setup, ["audit", "checkpoint"]))];
    for round in 1..4 {
        keys.push(rotate(&setup));
        // Nothing is signed yet, and what was signed still verifies.
        printed(&setup, ["audit", "verify"]);
        let daemon = setup.start();
        let signed = checkpoint_over(&daemon, decide(&daemon));
        is_recorded(&setup, &keys[round - 1], &keys[round], &signed);
        kept.push(shelf.put(&round.to_string(), signed));
        for (age, key) in keys.iter().rev().enumerate() {
            if age < 2 {
                verifier.accepts(&["checkpoint", key, &kept[round]]);
            } else {
                verifier.refuses(&["checkpoint", key, &kept[round]]);
            }
        }
        assert!(daemon.stop().success());
        let started = Exported::from(&setup, 0).records.into_iter().rfind(|record| record["kind"] == "start");
        assert_eq!(started.unwrap()["key"], *keys[round]);
    }
    let mut arguments = vec!["audit", "verify"];
    arguments.extend(kept.iter().flat_map(|file| ["--from", file]));
    printed(&setup, arguments);
    assert_eq!(rotations(&setup).len(), 3);
}

#[test]
fn a_change_of_the_key_that_a_kill_interrupts_is_in_the_log_before_the_new_key_signs() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let mut signing = first_vkey(&setup);
    for _ in 0..5 {
        let daemon = setup.start();
        decide(&daemon);
        let known = vkey(&setup);
        let mut command = setup.command(ROTATE);
        let mut rotating = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From here on the daemon may learn of the key at any moment.
        let made = until("a new key", || Some(vkey(&setup)).filter(|key| *key != known));
        daemon.kill();
        rotating.kill().unwrap();
        rotating.wait().unwrap();
        printed(&setup, ["audit", "verify"]);
        let daemon = setup.start();
        let checkpoint = checkpoint_over(&daemon, decide(&daemon));
        let file = shelf.put("checkpoint", &checkpoint);
        // Killed between the public half and the private one, the key never was.
        if verifier_accepts(verifier, &made, &file) {
            let of_made: Vec<_> = rotations(&setup).into_iter().filter(|rotation| rotation["new"] == *made).collect();
            let first = of_made.first().unwrap_or_else(|| panic!("{made} signs, and the log says nothing of it"));
            assert!(first["index"].as_u64().unwrap() < covered(&checkpoint), "{first}");
            signing = made;
        }
        verifier.accepts(&["checkpoint", &signing, &file]);
        assert!(daemon.stop().success());
    }
    printed(&setup, ["audit", "verify"]);
}

fn verifier_accepts(verifier: &Verifier, vkey: &str, file: &str) -> bool {
    verifier.command(&["checkpoint", vkey, file]).output().unwrap().status.success()
}

#[test]
fn changes_of_the_key_at_the_same_time_follow_each_other() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    first_vkey(&setup);
    let rotate_at_once = |count| {
        let start = |_| setup.command(ROTATE).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        for command in (0..count).map(start).collect::<Vec<_>>() {
            let output = command.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    };
    rotate_at_once(8);
    let daemon = setup.start();
    checkpoint_over(&daemon, decide(&daemon));
    rotate_at_once(3);
    let all = String::from_utf8(printed(&setup, ["audit", "vkey", "--all"])).unwrap();
    assert_eq!(all.lines().count(), 1 + 8 + 3, "{all}");
    let file = shelf.put("checkpoint", checkpoint_over(&daemon, decide(&daemon)));
    for key in all.lines().rev().take(2) {
        verifier.accepts(&["checkpoint", key, &file]);
    }
    // Of the first ones only the last ever signed.
    assert_eq!(rotations(&setup).len(), 1 + 3);
    assert!(daemon.stop().success());
    printed(&setup, ["audit", "verify"]);
}

#[test]
fn a_private_key_is_for_its_owner_alone_or_is_not_used() {
    let setup = patient();
    first_vkey(&setup);
    rotate(&setup);
    for name in ["key", "key.previous"] {
        let file = key_file(&setup).with_file_name(name);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600, "{name}");
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let refused = setup.try_start().unwrap_err();
            assert_eq!(refused.status.code(), Some(74), "{refused}");
            for said in [refused.stderr, super::refused(&setup, ["check"], 78)] {
                assert!(said.contains(&format!("{mode:o}")) && said.contains(file.to_str().unwrap()), "{said}");
            }
        }
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
    printed(&setup, ["check"]);
    assert!(setup.start().stop().success());
}

#[test]
fn a_log_whose_private_key_is_gone_is_not_signed_by_a_new_one() {
    let setup = patient();
    let vkey = first_vkey(&setup);
    let (file, aside) = (key_file(&setup), key_file(&setup).with_extension("aside"));
    fs::rename(&file, &aside).unwrap();
    let refused = setup.try_start().unwrap_err();
    assert_eq!(refused.status.code(), Some(74), "{refused}");
    super::refused(&setup, ["check"], 78);
    super::refused(&setup, ROTATE, 74);
    fs::rename(&aside, &file).unwrap();
    assert!(setup.start().stop().success());
    assert_eq!(self::vkey(&setup), vkey);
}

#[test]
fn a_log_keeps_its_origin_for_ever() {
    let setup = patient();
    let named = setup.clone().set("audit.origin", "log.example/one");
    assert!(first_vkey(&named).starts_with("log.example/one+"));
    let renamed = setup.clone().set("audit.origin", "log.example/two");
    let refused = renamed.try_start().unwrap_err();
    assert_eq!(refused.status.code(), Some(78), "{refused}");
    for said in [refused.stderr, super::refused(&renamed, ["check"], 78)] {
        assert!(
            ["log.example/one", "log.example/two", "audit.origin"].iter().all(|word| said.contains(word)),
            "{said}"
        );
    }
    // Whoever names none takes the one that there is.
    for setup in [&named, &setup] {
        printed(setup, ["check"]);
        let daemon = setup.start();
        assert!(checkpoint_over(&daemon, decide(&daemon)).starts_with("log.example/one\n"));
        assert!(daemon.stop().success());
    }
    assert!(rotate(&setup).starts_with("log.example/one+"));
}
