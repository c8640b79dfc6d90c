//! Constitutions that come into force, or do not.

use std::fs;

use serde_json::{Value, json};

use super::{ADMIN, digest, events, hang_up, kept, members, names, reload, size, switch, switchable, until};
use crate::audit::{Clients, Exported, constitution, question};
use crate::faults::disk::Faults;
use crate::harness::{Setup, TestDaemon};

fn hash(daemon: &TestDaemon) -> String {
    daemon.get("/livez").header("x-constitutional-hash").unwrap().to_owned()
}

#[test]
fn a_reload_is_recorded_with_who_asked_and_what_changed() {
    let setup = switchable(Setup::new());
    let digests = ["open", "closed"].map(|name| digest(&setup, &constitution(name)));
    let daemon = setup.start();
    let mut from = size(&setup);
    for (nth, caller) in [ADMIN, "acgs", ADMIN, "acgs"].into_iter().enumerate() {
        let (old, new) = (&digests[nth % 2], &digests[(nth + 1) % 2]);
        switch(&setup, &constitution(["closed", "open"][nth % 2]));
        if caller == "acgs" {
            hang_up(&daemon);
            assert_eq!(names(&events(&setup, from)[..1]), ["settings reread"]);
            from += 1;
        } else {
            let answer = daemon.ask(&reload());
            assert_eq!(members(&answer.json()["new"], ["hash", "digest"]), [json!(new[..16]), json!(new)]);
        }
        let reloaded = events(&setup, from);
        let expected = json!({"kind": "constitution", "event": "reloaded", "caller": caller,
            "old_hash": old[..16], "old_digest": old, "hash": new[..16], "digest": new});
        assert_eq!(reloaded, [expected]);
        assert_eq!(digest(&setup, &kept(&setup, new)), *new, "it is kept");
        from += 1;
    }
    daemon.kill();
    assert_eq!(size(&setup), from);
}

#[test]
fn a_refused_constitution_is_recorded_with_its_faults() {
    let setup = switchable(Setup::new());
    let open = digest(&setup, &constitution("open"));
    let daemon = setup.start();
    let from = size(&setup);
    switch(&setup, &constitution("faulty"));
    let refused = daemon.ask(&reload());
    assert_eq!(refused.status, 422);
    let faults: Vec<Value> = refused.json()["errors"].as_array().unwrap().iter().map(|f| f["detail"].clone()).collect();
    assert_eq!(faults.len(), 3);
    let expected = |caller: &str| {
        json!({"kind": "constitution", "event": "refused", "caller": caller, "old_hash": open[..16],
            "old_digest": open, "faults": faults})
    };
    assert_eq!(events(&setup, from), [expected(ADMIN)]);
    hang_up(&daemon);
    assert_eq!(events(&setup, from + 2), [expected("acgs")]);
    // One that is not there, and none that has the hash that is demanded.
    let nowhere = tempfile::tempdir().unwrap();
    switch(&setup, &nowhere.path().join("nothing"));
    assert_eq!(daemon.ask(&reload()).status, 422);
    let missing = events(&setup, from + 3);
    assert_eq!(names(&missing), ["constitution refused"]);
    assert!(missing[0]["faults"][0].as_str().unwrap().contains("constitution.toml"), "{missing:?}");
    daemon.kill();
}

#[test]
fn a_bundle_with_countless_faults_is_recorded_with_the_first_of_them() {
    let setup = switchable(Setup::new());
    let daemon = setup.start();
    let from = size(&setup);
    let bundle = tempfile::tempdir().unwrap();
    let source = constitution("open");
    fs::create_dir(bundle.path().join("policies")).unwrap();
    for file in ["constitution.toml", "schema.cedarschema"] {
        fs::copy(source.join(file), bundle.path().join(file)).unwrap();
    }
    let policy = format!("@id(\"{}\")\npermit (principal, action, resource);\n", "x".repeat(2_000));
    fs::write(bundle.path().join("policies/all.cedar"), policy.repeat(200)).unwrap();
    switch(&setup, bundle.path());
    let refused = daemon.ask(&reload());
    assert_eq!(refused.status, 422);
    let recorded = events(&setup, from);
    assert_eq!(names(&recorded), ["constitution refused"]);
    let told = recorded[0]["faults"].as_array();
    assert!(told.is_some_and(|told| told.len() == 20), "{recorded:?}");
}

#[test]
fn a_bundle_is_kept_before_anything_is_decided_under_it() {
    let setup = switchable(Setup::new());
    let daemon = setup.start();
    let open = digest(&setup, &constitution("open"));
    assert_eq!(digest(&setup, &kept(&setup, &open)), open, "when the daemon is ready");
    let clients = Clients::start(&daemon, 2, question);
    clients.wait_for(20, 200);
    let closed = digest(&setup, &constitution("closed"));
    switch(&setup, &constitution("closed"));
    assert!(!kept(&setup, &closed).exists());
    daemon.signal(super::Signal::HUP);
    // The first decision under it is the moment to look.
    let mut connection = daemon.connect();
    until("decided under the new constitution", || {
        let answer = connection.ask(&question(1));
        (answer.header("x-constitutional-hash") == Some(&closed[..16])).then_some(())
    });
    assert_eq!(digest(&setup, &kept(&setup, &closed)), closed);
    daemon.kill();
    clients.end();
    let exported = Exported::from(&setup, 0);
    let under = |record: &&Value| record["kind"] == "decision" && record["digest"] == *closed;
    let first = exported.records.iter().find(under).unwrap();
    let reloaded = exported.records.iter().find(|record| record["event"] == "reloaded").unwrap();
    assert!(reloaded["index"].as_u64() < first["index"].as_u64());
}

#[test]
fn a_bundle_that_cannot_be_kept_does_not_come_into_force() {
    let setup = switchable(Setup::new());
    let daemon = setup.start();
    let (before, from) = (hash(&daemon), size(&setup));
    let folder = setup.data_dir().join("constitutions");
    let aside = folder.with_extension("aside");
    fs::rename(&folder, &aside).unwrap();
    fs::write(&folder, "no folder").unwrap();
    switch(&setup, &constitution("closed"));
    let answer = daemon.ask(&reload());
    assert_eq!((answer.status, &answer.json()["detail"]), (503, &json!("the new constitution cannot be saved")));
    hang_up(&daemon);
    assert_eq!(hash(&daemon), before);
    assert_eq!(daemon.ask(&question(1)).json()["decision"], true);
    let recorded = names(&events(&setup, from));
    assert_eq!(recorded, ["settings reread", "decision"], "nothing that came into force");
    assert!(daemon.stop().success());
    assert!(setup.try_start().is_err(), "nor at a start");

    fs::remove_file(&folder).unwrap();
    fs::rename(&aside, &folder).unwrap();
    let daemon = setup.start();
    assert_eq!(daemon.ask(&question(1)).json()["decision"], false);
    assert!(daemon.stop().success());
}

#[test]
fn a_constitution_does_not_come_into_force_before_its_record_is_written() {
    let Some(faults) = Faults::new() else { return };
    let setup = switchable(faults.within(Setup::new())).set("http.request_timeout_ms", 20_000);
    let daemon = setup.start();
    let (before, from) = (hash(&daemon), size(&setup));
    switch(&setup, &constitution("closed"));
    faults.set("write delay 700 .log");
    daemon.signal(super::Signal::HUP);
    let mut looked = 0;
    until("in force", || {
        looked += 1;
        (hash(&daemon) != before).then_some(())
    });
    assert_eq!(names(&events(&setup, from)), ["settings reread", "constitution reloaded"]);
    assert!(looked > 1, "it was in force before anybody could look");
    faults.clear();
    daemon.wait_for("READY=1");
    assert!(daemon.stop().success());
}
