//! Starts, stops, and settings.

use std::fs;

use serde_json::{Value, json};

use super::{audit, events, hang_up, members, names, size};
use crate::harness::{Setup, repository};

/// The settings that `acgs settings` prints, by their whole names.
fn printed(setup: &Setup) -> Value {
    let text = String::from_utf8(setup.run(["settings"]).stdout).unwrap();
    let (mut section, mut settings) = (String::new(), serde_json::Map::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, value)) = line.split_once(" = ") {
            settings.insert(format!("{section}{key}"), value.into());
        }
    }
    settings.into()
}

#[test]
fn a_start_and_a_stop_are_recorded_with_all_that_is_in_force() {
    let setup = Setup::new();
    let daemon = setup.start();
    let started = events(&setup, 0);
    let bundle = repository().join("settings/constitution");
    let seed: Value = serde_json::from_str(&fs::read_to_string(bundle.join("entities.json")).unwrap()).unwrap();
    let seed = seed.as_array().unwrap();
    let mut expected = vec!["start".to_owned(), "settings in_force".to_owned(), "constitution activated".to_owned()];
    expected.extend(vec!["entity written".to_owned(); seed.len()]);
    // The first start makes a key that signs tokens, and an administrator.
    expected.extend(["auth signing_key_made".to_owned(), "auth user_added".to_owned()]);
    assert_eq!(names(&started), expected);
    assert!(started.iter().all(|record| record["caller"] == "acgs"));

    let key = String::from_utf8(setup.run(["audit", "vkey"]).stdout).unwrap();
    let start = members(&started[0], ["version", "key", "found", "torn_bytes"]);
    assert_eq!(start, [json!(env!("CARGO_PKG_VERSION")), json!(key.trim()), json!(0), json!(0)]);
    assert_eq!(started[1]["settings"], printed(&setup));
    let shown = daemon.get("/v1/constitution").json();
    let names_of_it = ["hash", "digest", "name", "version"];
    assert_eq!(members(&started[2], names_of_it), members(&shown, names_of_it));
    for (version, (record, entity)) in (1..).zip(started[3..].iter().zip(seed)) {
        assert_eq!(record["version"], version);
        assert_eq!(members(&record["resource"], ["type", "id"]), members(&entity["uid"], ["type", "id"]));
        let stored = daemon.get(&format!(
            "/v1/entities/{}/{}",
            entity["uid"]["type"].as_str().unwrap(),
            entity["uid"]["id"].as_str().unwrap()
        ));
        assert_eq!(record["entity"], stored.json());
    }

    assert!(daemon.stop().success());
    let stopped = events(&setup, 0);
    assert_eq!(names(&stopped[started.len()..]), ["stop"]);
    // The entities of the bundle are stored once.
    assert!(setup.start().stop().success());
    let again = events(&setup, stopped.len() as u64);
    assert_eq!(names(&again), ["start", "settings in_force", "constitution activated", "stop"]);
    assert_eq!(again[0]["found"], stopped.len());
}

#[test]
fn a_daemon_that_was_killed_leaves_no_stop() {
    let setup = audit::setup();
    assert!(setup.start().stop().success());
    let first = size(&setup);
    for found in [first, first + 3, first + 6] {
        let daemon = setup.start();
        assert_eq!(size(&setup), found + 3);
        daemon.kill();
        let killed = events(&setup, found);
        assert_eq!(names(&killed), ["start", "settings in_force", "constitution activated"]);
        assert_eq!(killed[0]["found"], found);
    }
}

#[test]
fn a_start_that_cannot_use_its_constitution_is_none() {
    let setup = audit::setup();
    assert!(setup.start().stop().success());
    let before = size(&setup);
    let faulty = setup.clone().constitution(&audit::constitution("faulty"));
    assert_eq!(faulty.try_start().unwrap_err().status.code(), Some(78));
    assert_eq!(size(&setup), before);
}

#[test]
fn settings_that_are_read_again_are_recorded_before_the_daemon_is_ready_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| fs::write(folder.path().join("default.toml"), text).unwrap();
    write("[log]\nlevel = \"info\"\n");
    let setup = audit::setup().settings(folder.path());
    let daemon = setup.start();
    let started = events(&setup, 0);
    assert_eq!(started[1]["settings"]["log.level"], "\"info\"");

    write("[log]\nlevel = \"warn\"\n[http]\nmax_in_flight = 77\n");
    hang_up(&daemon);
    let from = started.len() as u64;
    let reread = events(&setup, from);
    // The constitution is the same one, and its reload is recorded all the same.
    assert_eq!(names(&reread), ["settings reread", "constitution reloaded"]);
    assert_eq!(members(&reread[0], ["caller", "settings"]), [json!("acgs"), printed(&setup)]);
    let values = members(&reread[0]["settings"], ["log.level", "http.max_in_flight"]);
    assert_eq!(values, [json!("\"warn\""), json!("77")]);

    write("[log]\nlevel = \"loud\"\n");
    hang_up(&daemon);
    daemon.kill();
    write("");
    assert_eq!(events(&setup, from), reread, "faulty ones change nothing");
}

#[test]
fn a_new_signing_key_is_recorded_before_it_signs() {
    let setup = audit::setup().set("audit.checkpoint_interval_ms", 10);
    let daemon = setup.start();
    let from = size(&setup);
    let old = String::from_utf8(setup.run(["audit", "vkey"]).stdout).unwrap();
    let rotated = setup.run(["key", "rotate", "audit"]);
    assert!(rotated.status.success(), "{rotated:?}");
    let new = String::from_utf8(rotated.stdout).unwrap();
    let recorded = events(&setup, from);
    assert_eq!(names(&recorded), ["auth key_rotated"]);
    let expected = [json!("acgs"), json!("audit"), json!(old.trim()), json!(new.trim())];
    assert_eq!(members(&recorded[0], ["caller", "purpose", "old", "new"]), expected);
    assert!(daemon.stop().success());
}
