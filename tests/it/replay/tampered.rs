//! Logs with records that were changed and a tree that fits them, as whoever holds the log's key could make one.

use std::collections::HashMap;

use acgs::ledger::{Batch, DiskStorage, Ledger, Options, records};
use serde_json::{Value, json};

use super::archive::{Replayed, copy, replay};
use super::changed::lived;
use crate::harness::Setup;

/// A change of one record that is suitable for it.
type Change = fn(&mut Value) -> bool;

/// Writes the records into the log of a new data folder, and replays it.
fn replay_of(setup: &Setup, records: &[Value]) -> Replayed {
    let folder = tempfile::tempdir().unwrap();
    copy(&setup.data_dir().join("constitutions"), &folder.path().join("constitutions"));
    let storage = DiskStorage::create(folder.path().join("audit")).unwrap();
    let (mut ledger, _) = Ledger::open(storage, Options::default()).unwrap();
    let mut batch = Batch::default();
    for record in records {
        batch.push(record.to_string().as_bytes()).unwrap();
    }
    ledger.append(&batch).unwrap();
    drop(ledger);
    replay(setup, &["--data", folder.path().to_str().unwrap()])
}

#[test]
fn a_tampered_record_is_different_and_no_other_is() {
    let (archive, _) = lived();
    let storage = DiskStorage::at(archive.setup.data_dir().join("audit"));
    let untouched: Vec<Value> =
        records(&storage, 0..u64::MAX).map(|record| serde_json::from_slice(&record.unwrap().1).unwrap()).collect();
    let before = replay_of(&archive.setup, &untouched);
    assert_eq!(before.different, HashMap::new());

    let changes: [(&str, Change); 10] = [
        ("a permit of what was denied", |record| {
            let denied = record["decision"] == false;
            record["decision"] = true.into();
            denied
        }),
        ("a deny of what was permitted", |record| {
            let permitted = record["decision"] == true;
            record["decision"] = false.into();
            permitted
        }),
        ("another reason", |record| {
            let reason = std::mem::replace(&mut record["reason"], "unknown_type".into());
            reason == "no_permit"
        }),
        ("a policy that did not hold", |record| {
            record["policies"].as_array_mut().unwrap().push("owner".into());
            record["reason"] == "no_permit"
        }),
        ("a violation left out", |record| {
            let violations = std::mem::replace(&mut record["violations"], json!([]));
            violations != json!([])
        }),
        ("other advice", |record| match record.pointer_mut("/warnings/0/advice") {
            Some(advice) => {
                *advice = json!(["never mind"]);
                true
            }
            None => false,
        }),
        ("no member for the warnings", |record| {
            record.as_object_mut().unwrap().remove("warnings");
            true
        }),
        ("another subject", |record| {
            record["subject"]["id"] = "nobody".into();
            record["policies"] == json!(["owner"])
        }),
        ("a context with something to warn of", |record| {
            record["context"]["n"] = 9.into();
            record["warnings"] == json!([]) && record["reason"] == "no_permit"
        }),
        ("a claim to another constitution", |record| {
            record["claimed_in_header"] = "0000000000000000".into();
            record["reason"] == "permitted"
        }),
    ];
    for (what, change) in changes {
        let mut tampered = untouched.clone();
        let suits = |index: &usize| {
            let record = &untouched[*index];
            record["kind"] == "decision" && record["whole"].is_null() && change(&mut record.clone())
        };
        let suitable: Vec<usize> = (0..untouched.len()).filter(suits).collect();
        assert!(!suitable.is_empty(), "no record for {what}");
        let index = suitable[rand::random_range(0..suitable.len())];
        change(&mut tampered[index]);
        let replayed = replay_of(&archive.setup, &tampered);
        let different: Vec<_> = replayed.different.into_iter().collect();
        assert_eq!(different.len(), 1, "{what}: {different:?} rather than {}", tampered[index]);
        assert_eq!(different[0].0, index as u64, "{what}: {different:?}");
        assert_eq!(replayed.undecided, before.undecided, "{what}");
        assert_eq!(replayed.code, Some(1));
    }
}

#[test]
fn entities_that_do_not_have_their_digest_are_not_decided_by() {
    let (archive, _) = lived();
    let storage = DiskStorage::at(archive.setup.data_dir().join("audit"));
    let mut tampered: Vec<Value> =
        records(&storage, 0..u64::MAX).map(|record| serde_json::from_slice(&record.unwrap().1).unwrap()).collect();
    let mut digests = Vec::new();
    for record in tampered.iter_mut().filter(|record| record["kind"] == "entities" && record["parts"] == 1) {
        let text = record["text"].as_str().unwrap();
        if let Some((before, after)) = text.split_once("\"level\":") {
            // Another number: one digit more.
            record["text"] = format!("{before}\"level\":1{after}").into();
            digests.push(record["digest"].clone());
        }
    }
    assert!(!digests.is_empty());
    // A record in parts may have the name in one of its parts.
    let without = |record: &&Value| {
        record["kind"] == "decision" && (digests.contains(&record["entities"]) || record["whole"].is_object())
    };
    let without = tampered.iter().filter(without).count();
    let replayed = replay_of(&archive.setup, &tampered);
    let why = "the entities that it read are not recorded";
    assert_eq!(replayed.different, HashMap::new());
    let told = replayed.undecided.values().filter(|told| *told == why).count();
    assert!(told > 0 && told <= without, "{told} of {without}");
}
