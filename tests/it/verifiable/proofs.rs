//! What proves that one record is in the log.

use std::thread;

use acgs::ledger::hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::verifier::Verifier;
use super::{Shelf, checkpoint_over, decide, decide_many, first_vkey, host, patient, printed, refused, site, vkey};
use crate::harness::{Request, Setup, TestDaemon};

/// A record and its proof as files, by `acgs audit`.
fn exported(setup: &Setup, shelf: &Shelf, index: u64) -> (String, String) {
    let index = index.to_string();
    let record = shelf.put(&format!("{index}.json"), printed(setup, ["audit", "show", "--raw", &index]));
    let proof = shelf.put(&format!("{index}.proof"), printed(setup, ["audit", "prove", &index]));
    (record, proof)
}

/// Indices at both ends, on both sides of a tile's edge, and between.
const SPREAD: [u64; 8] = [0, 1, 2, 100, 255, 256, 300, 304];

#[test]
fn a_record_and_its_proof_verify_offline_and_no_other_record_does() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let daemon = setup.start();
    decide_many(&daemon, 300);
    checkpoint_over(&daemon, 304);
    let vkey = vkey(&setup);
    let check = |setup: &Setup| {
        let files = SPREAD.map(|index| exported(setup, &shelf, index));
        for (index, (record, _)) in SPREAD.iter().zip(&files) {
            for (proven, (_, proof)) in SPREAD.iter().zip(&files) {
                if index == proven {
                    let said = verifier.accepts(&["proof", &vkey, record, proof]);
                    assert!(said.starts_with(&format!("ok index={index} size=305 ")), "{said}");
                } else {
                    verifier.refuses(&["proof", &vkey, record, proof]);
                }
            }
        }
    };
    check(&setup);
    daemon.kill();
    check(&setup);
}

#[test]
fn a_proof_holds_for_no_other_bytes_and_under_no_other_key() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let daemon = setup.start();
    let index = decide(&daemon);
    checkpoint_over(&daemon, index);
    let vkey = vkey(&setup);
    let (record, proof) = exported(&setup, &shelf, index);
    verifier.accepts(&["proof", &vkey, &record, &proof]);
    let (good, whole) = (std::fs::read(&record).unwrap(), std::fs::read_to_string(&proof).unwrap());
    let decided = String::from_utf8(good.clone()).unwrap().replace("\"decision\":true", "\"decision\":false");
    assert_ne!(decided.as_bytes(), good);
    for changed in [decided.into_bytes(), [&good[..], b"\n"].concat(), good[1..].to_vec(), Vec::new()] {
        verifier.refuses(&["proof", &vkey, &shelf.put("changed", changed), &proof]);
    }
    let hash = whole.lines().nth(2).unwrap();
    for changed in [
        whole.replace(&format!("index {index}\n"), &format!("index {}\n", index - 1)),
        whole.replace(&format!("\n{}\n", index + 1), &format!("\n{}\n", index + 2)),
        whole.replace(&format!("{hash}\n"), ""),
    ] {
        assert_ne!(changed, whole);
        verifier.refuses(&["proof", &vkey, &record, &shelf.put("changed", changed)]);
    }
    verifier.refuses(&["proof", &first_vkey(&patient()), &record, &proof]);
}

#[test]
fn a_record_just_answered_is_proven_though_no_checkpoint_is_due() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient().set("audit.checkpoint_interval_ms", 3_600_000), Shelf::new());
    let daemon = setup.start();
    let vkey = vkey(&setup);
    // Each of them asks, and waits for the checkpoint that covers its own record.
    thread::scope(|scope| {
        for client in 0..4 {
            let (daemon, vkey, shelf) = (&daemon, &vkey, &shelf);
            scope.spawn(move || {
                for round in 0..10 {
                    let answer = daemon.ask(&crate::audit::question(1)).json();
                    let index = answer["context"]["audit_index"].as_u64().unwrap();
                    let proof = daemon.get(&format!("/v1/audit/entries/{index}/proof"));
                    let record = daemon.get(&format!("/v1/audit/entries/{index}"));
                    assert_eq!((proof.status, record.status), (200, 200), "{proof} {record}");
                    assert_eq!(record.json()["id"], answer["context"]["id"]);
                    let name = format!("{client}-{round}");
                    let proof = shelf.put(&format!("{name}.proof"), proof.body);
                    let record = shelf.put(&format!("{name}.json"), record.body);
                    let said = verifier.accepts(&["proof", vkey, &record, &proof]);
                    assert!(said.starts_with(&format!("ok index={index} ")), "{said}");
                    let other = shelf.put(&format!("{name}.other"), daemon.get("/v1/audit/entries/0").body);
                    verifier.refuses(&["proof", vkey, &other, &proof]);
                }
            });
        }
    });
}

#[test]
fn every_record_of_a_batch_is_proven_by_the_index_in_its_answer() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let daemon = setup.start();
    let vkey = vkey(&setup);
    let answer = daemon.ask(&crate::audit::question(8));
    let decisions = crate::audit::decisions(&answer, (0, 0));
    assert_eq!(decisions.len(), 8);
    for decision in decisions {
        let index = decision.index.unwrap();
        let record = daemon.get(&format!("/v1/audit/entries/{index}"));
        assert_eq!(record.json()["id"], *decision.id);
        let proof = daemon.get(&format!("/v1/audit/entries/{index}/proof")).body;
        verifier.accepts(&["proof", &vkey, &shelf.put("record", record.body), &shelf.put("proof", proof)]);
    }
}

#[test]
fn a_record_in_parts_is_proven_by_its_head_and_a_log_with_one_is_verified() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let daemon = setup.start();
    let vkey = vkey(&setup);
    let large = json!({"subject": {"type": "Agent", "id": "a"}, "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "t"}, "context": {"risk": "x".repeat(150_000)}});
    let answer = daemon.post("/access/v1/evaluation", &large);
    let index = answer.json()["context"]["audit_index"].as_u64().unwrap();
    let (record, proof) = exported(&setup, &shelf, checkpoint_covers(&daemon, index));
    let said = verifier.accepts(&["proof", &vkey, &record, &proof]);
    assert!(said.starts_with(&format!("ok index={index} ")), "{said}");
    let head: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    let mut whole = printed(&setup, ["audit", "show", &index.to_string()]);
    assert_eq!(whole.pop(), Some(b'\n'));
    assert_eq!(head["whole"]["sha256"], hex(&Sha256::digest(&whole)));
    assert_eq!(head["whole"]["bytes"], whole.len());
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(whole["context"], large["context"]);
    verifier.accepts(&["log", &vkey, &site(&daemon)]);
    printed(&setup, ["audit", "verify"]);
    printed(&setup, ["audit", "verify", "--url", &host(&daemon), "--vkey", &vkey]);
}

#[test]
fn a_record_that_shares_members_is_proven_with_them() {
    let (setup, auditor, shelf) = (patient(), Setup::new(), Shelf::new());
    let daemon = setup.start();
    let vkey = vkey(&setup);
    // One of the members is in one entry, the other one in parts; so is one of the records.
    let large = json!({"type": "Tool", "id": "t", "properties": {"risk": "x".repeat(90_000)}});
    let mut items = vec![json!({}); 40];
    items[20] = json!({"resource": large});
    let batch = json!({"subject": {"type": "Agent", "id": "a", "properties": {"team": "y".repeat(80_000)}},
        "action": {"name": "call_tool"}, "resource": {"type": "Tool", "id": "t"},
        "context": {"risk": "z".repeat(7_000)}, "evaluations": items});
    let request = Request::post("/access/v1/evaluations").header("Prefer", "return=representation").json(&batch);
    let answer = daemon.ask(&request);
    assert_eq!(answer.status, 200, "{answer}");
    let decisions = crate::audit::decisions(&answer, (0, 0));
    assert_eq!(decisions.len(), 40);
    for nth in [0, 20, 21, 39] {
        let index = checkpoint_covers(&daemon, decisions[nth].index.unwrap());
        let (record, proof) = exported(&setup, &shelf, index);
        printed(&auditor, ["audit", "check-proof", &proof, "--vkey", &vkey]);
        let whole = printed(&setup, ["audit", "show", &decisions[nth].id]);
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!((&whole["subject"], &whole["context"]), (&batch["subject"], &batch["context"]), "item {nth}");
        // Another text of what it shares proves nothing, and neither do its own entries alone.
        let text = std::fs::read_to_string(&proof).unwrap();
        let extra = text.lines().nth(1).unwrap();
        let bundle = STANDARD.decode(extra.strip_prefix("extra ").unwrap()).unwrap();
        let at = bundle.windows(4).position(|four| four == b"zzzz").unwrap();
        let mut other = bundle.clone();
        other[at] = b'x';
        let own = std::fs::read(&record).unwrap();
        let own = [&u16::try_from(own.len()).unwrap().to_be_bytes()[..], &own].concat();
        for changed in [other, own] {
            let changed = text.replace(extra, &format!("extra {}", STANDARD.encode(changed)));
            let changed = shelf.put("changed", changed);
            refused(&auditor, ["audit", "check-proof", &changed, "--vkey", &vkey], 1);
        }
        if let Some(verifier) = Verifier::get() {
            verifier.accepts(&["proof", &vkey, &record, &proof]);
        }
    }
    printed(&setup, ["audit", "verify"]);
    printed(&setup, ["audit", "verify", "--url", &host(&daemon), "--vkey", &vkey]);
    if let Some(verifier) = Verifier::get() {
        verifier.accepts(&["log", &vkey, &site(&daemon)]);
    }
}

/// Waits until a checkpoint covers a record, and returns its index.
fn checkpoint_covers(daemon: &TestDaemon, index: u64) -> u64 {
    checkpoint_over(daemon, index);
    index
}

#[test]
fn a_proof_that_was_printed_is_checked_with_nothing_but_a_key() {
    let (setup, auditor, shelf) = (patient(), Setup::new(), Shelf::new());
    let daemon = setup.start();
    let (vkey, foreign) = (vkey(&setup), first_vkey(&patient()));
    let large = json!({"subject": {"type": "Agent", "id": "a"}, "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "t"}, "context": {"risk": "x".repeat(150_000)}});
    let large = daemon.post("/access/v1/evaluation", &large).json()["context"]["audit_index"].as_u64().unwrap();
    for index in [0, large, decide(&daemon)] {
        let (record, proof) = exported(&setup, &shelf, checkpoint_covers(&daemon, index));
        let said = printed(&auditor, ["audit", "check-proof", &proof, "--vkey", &vkey]);
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with(&format!("ok: record {index} of ")), "{said}");
        printed(&setup, ["audit", "check-proof", &proof]);
        printed(&auditor, ["audit", "check-proof", &proof, "--record", &record, "--vkey", &vkey]);
        refused(&auditor, ["audit", "check-proof", &proof, "--vkey", &foreign], 1);
        let text = std::fs::read_to_string(&proof).unwrap();
        let extra = text.lines().nth(1).unwrap();
        // The daemon's proof does not contain the record.
        let bare = shelf.put("bare", daemon.get(&format!("/v1/audit/entries/{index}/proof")).body);
        assert!(refused(&auditor, ["audit", "check-proof", &bare, "--vkey", &vkey], 1).contains("--record"));
        printed(&auditor, ["audit", "check-proof", &bare, "--record", &record, "--vkey", &vkey]);
        let last = extra.len() - 8;
        let other = format!("{}{}", &extra[..last], &extra[last..].chars().rev().collect::<String>());
        let changed = [
            text.replace(extra, &other),
            text.replace(extra, "extra AAF7"),
            text.replace(extra, "extra AAU="),
            text.replace(&format!("index {index}\n"), &format!("index {}\n", index + 1)),
            text.replace("tlog-proof@v1", "tlog-proof@v2"),
            text.lines().take(4).collect::<Vec<_>>().join("\n"),
            String::new(),
        ];
        for (nth, changed) in changed.into_iter().enumerate() {
            assert_ne!(changed, text, "{nth}");
            let changed = shelf.put("changed", changed);
            refused(&auditor, ["audit", "check-proof", &changed, "--vkey", &vkey], 1);
        }
        let another = exported(&setup, &shelf, 1).0;
        refused(&auditor, ["audit", "check-proof", &proof, "--record", &another, "--vkey", &vkey], 1);
    }
    refused(&auditor, ["audit", "check-proof", "/nowhere", "--vkey", &vkey], 74);
    refused(&auditor, ["audit", "check-proof"], 2);
    let index = checkpoint_covers(&daemon, 0);
    let (_, proof) = exported(&setup, &shelf, index);
    let keyless = refused(&auditor, ["audit", "check-proof", &proof], 2);
    assert!(keyless.contains("no key to check with"), "{keyless}");
    let other = refused(&auditor, ["audit", "check-proof", &proof, "--vkey", &foreign], 1);
    assert!(other.contains("but by `") && other.contains("--all"), "{other}");
    let text = std::fs::read_to_string(&proof).unwrap();
    let changed = shelf.put("changed", text.replace(&format!("index {index}\n"), &format!("index {}\n", index + 1)));
    let changed = refused(&auditor, ["audit", "check-proof", &changed, "--vkey", &vkey], 1);
    assert!(changed.contains("does not prove its record"), "{changed}");
}

#[test]
fn what_is_not_in_the_log_is_neither_shown_nor_proven() {
    let setup = patient();
    let nothing = refused(&setup, ["audit", "prove", "0"], 1);
    assert!(nothing.contains("there is no audit log in"), "{nothing}");
    refused(&setup, ["audit", "show", "0"], 74);
    refused(&setup, ["audit", "checkpoint"], 1);
    assert!(refused(&setup, ["audit", "vkey"], 1).contains("there is no audit log in"));
    assert!(setup.start().stop().success());
    printed(&setup, ["audit", "prove", "0"]);
    for index in ["1000", &u64::MAX.to_string()] {
        assert!(refused(&setup, ["audit", "show", index], 1).contains(index));
        assert!(refused(&setup, ["audit", "prove", index], 1).contains(index));
    }
    for index in ["-1", "x", "18446744073709551616"] {
        refused(&setup, ["audit", "show", index], 2);
        refused(&setup, ["audit", "prove", index], 2);
    }
}
