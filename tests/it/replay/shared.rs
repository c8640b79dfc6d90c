//! A batch's members are recorded once, and every item's record has them all the same.

use std::collections::HashMap;

use acgs::ledger::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::archive::{Archive, replay};
use crate::audit::{self, Answered, Exported, verify};
use crate::harness::{Request, Setup, TestDaemon};

const MEMBERS: [&str; 4] = ["subject", "action", "resource", "context"];

/// A batch with its items. `context` has about 7 KB.
fn batch(items: &[Value]) -> Value {
    json!({
        "subject": {"type": "User", "id": "ann", "properties": {"level": 9}},
        "action": {"name": "read"},
        "resource": {"type": "Document", "id": "a"},
        "context": {"note": "x".repeat(7_000), "n": 1},
        "evaluations": items,
    })
}

/// With a member in place of the batch's own one.
fn with(mut batch: Value, member: &str, value: Value) -> Value {
    batch[member] = value;
    batch
}

#[track_caller]
fn ask(daemon: &TestDaemon, batch: &Value) -> Vec<Answered> {
    let request = Request::post("/access/v1/evaluations").header("Prefer", "return=representation").json(batch);
    let answer = daemon.ask(&request);
    assert_eq!(answer.status, 200, "{answer}");
    let items = answer.json()["evaluations"].as_array().unwrap().len();
    let decisions = audit::decisions(&answer, (0, 0));
    assert!(decisions.len() <= items);
    decisions
}

/// The bytes and the texts of the entries from one index to another.
fn entries(setup: &Setup, from: u64, to: u64) -> (usize, Vec<Value>) {
    let arguments = ["audit", "export", "--raw", "--from", &from.to_string(), "--to", &to.to_string()];
    let output = setup.run(arguments);
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<&[u8]> = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let bytes = lines.iter().map(|line| line.len()).sum();
    (bytes, lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect())
}

/// What an item asks, with what it has from its batch, as it is recorded.
fn asked(batch: &Value, item: &Value) -> Value {
    let member = |name: &&str| {
        let mut member = item.get(*name).unwrap_or(&batch[*name]).clone();
        if let Some(object) = member.as_object_mut().filter(|_| *name == "context") {
            object.remove("constitutional_hash");
        }
        ((*name).to_owned(), member)
    };
    Value::Object(MEMBERS.iter().map(member).collect())
}

fn size(daemon: &TestDaemon) -> u64 {
    daemon.get("/v1/audit").json()["size"].as_u64().unwrap()
}

#[test]
fn a_batch_records_its_members_once_and_they_are_in_every_record() {
    let archive = Archive::new();
    let daemon = archive.setup.clone().set("http.max_body_bytes", 1_000_000).start();
    let own = json!({"note": "y".repeat(700), "n": 2});
    let mut many = vec![json!({}); 300];
    many[7] = json!({"context": own});
    many[8] = json!({"subject": {"type": "User", "id": "bob"}, "action": {"name": "write"}});
    many[9] = json!({"resource": {"type": "Document", "id": "b", "properties": {"score": 7}}});
    let faulty = vec![json!({}), json!({"resource": 3}), json!(7), json!({}), json!({"context": []}), json!({})];
    let (level, long) = (json!({"level": 9, "email": "m".repeat(3_000)}), "n".repeat(1_000));
    let few = || batch(&[json!({}), json!({"resource": {"type": "Document", "id": "b"}}), json!({})]);
    let large_item = json!({"subject": {"type": "User", "id": "ann", "properties": {"email": "m".repeat(90_000)}}});
    let batches = [
        batch(&many),
        batch(&faulty),
        with(with(batch(&faulty[1..4]), "subject", json!({"type": "User", "id": long})), "context", json!({"n": 1})),
        // Each of the four, and the claim in the context.
        with(few(), "subject", json!({"type": "User", "id": "ann", "properties": level})),
        with(few(), "subject", json!({"type": "User", "id": long})),
        with(few(), "resource", json!({"type": "Document", "id": "a", "properties": {"score": 1, "padding": long}})),
        with(few(), "action", json!({"name": "read", "properties": {"padding": long}})),
        with(few(), "context", json!({"constitutional_hash": long, "note": "kept".repeat(100), "n": 1})),
        // Members and items that no entry has room for, and members that the schema does not declare.
        with(few(), "context", json!({"note": "é\"".repeat(40_000), "n": 1})),
        with(batch(&[json!({}), large_item.clone(), large_item]), "context", json!({"note": "z".repeat(80_000)})),
        with(few(), "context", json!({"note": "kept", "padding": "p".repeat(30_000)})),
        // One item shares nothing.
        batch(&[json!({})]),
    ];
    let mut places = Vec::new();
    for batch in &batches {
        let before = size(&daemon);
        let answered = ask(&daemon, batch);
        places.push((before, size(&daemon), answered));
    }
    // Found by its id, while the daemon runs.
    for (batch, (_, _, answered)) in batches.iter().zip(&places) {
        let last = answered.last().unwrap();
        let found = daemon.get(&format!("/v1/decisions/{}", last.id)).json();
        let item = batch["evaluations"].as_array().unwrap().last().unwrap();
        assert!(found["record"]["context"] == asked(batch, item)["context"], "{found}");
    }
    assert!(daemon.stop().success());

    let exported = Exported::from(&archive.setup, 0);
    for (nth, (batch, (from, to, answered))) in batches.iter().zip(&places).enumerate() {
        let items = batch["evaluations"].as_array().unwrap();
        let body = batch.to_string().len();
        let (bytes, raw) = entries(&archive.setup, *from, *to);
        let of_kind = |kind: &str| raw.iter().filter(|entry| entry["kind"] == kind).count();
        assert_eq!(of_kind("decision"), items.len(), "batch {nth}");
        assert!(bytes < 2 * body + items.len() * 1_536, "batch {nth}: {bytes} bytes for {body} bytes of {items:?}");
        if nth == 0 {
            assert!(bytes < body + items.len() * 1_536, "{bytes}");
            assert_eq!(of_kind("shared"), 1);
            let names = json!({"type": "User", "id": "ann", "properties": {"level": 9}});
            assert_eq!((&raw[1]["v"], &raw[1]["subject"], &raw[1]["context"]), (&json!(2), &names, &json!(null)));
        }
        let shares = nth + 1 < batches.len();
        assert_eq!(of_kind("shared") > 0, shares, "batch {nth}");
        let mut answered = answered.iter();
        let (from, to) = (usize::try_from(*from).unwrap(), usize::try_from(*to).unwrap());
        let records = exported.records[from..to].iter().filter(|record| record["kind"] == "decision");
        for (item, record) in items.iter().zip(records) {
            assert_eq!(record["v"], 1, "batch {nth}");
            if record["reason"] == "invalid_request" {
                assert!(!item.is_object() || record["subject"]["id"] == batch["subject"]["id"], "batch {nth}");
                continue;
            }
            let decision = answered.next().unwrap();
            assert_eq!((&record["id"], record["index"].as_u64()), (&json!(decision.id), decision.index), "batch {nth}");
            let expected = asked(batch, item);
            for member in MEMBERS {
                assert!(record[member] == expected[member], "batch {nth}, {member}: {record}");
            }
            assert!(record.get("shared").is_none() && record.get("omitted").is_none(), "batch {nth}");
            let claim = item.get("context").unwrap_or(&batch["context"]).get("constitutional_hash");
            let recorded = record.get("claimed_in_context").map(|claim| claim.as_str().unwrap().to_owned());
            let shortened = claim.map(|claim| {
                let claim = claim.as_str().unwrap();
                format!("{}… ({} bytes, SHA-256 {})", &claim[..64], claim.len(), hex(&Sha256::digest(claim)))
            });
            assert_eq!(recorded, shortened, "batch {nth}");
        }
        assert!(answered.next().is_none());
        let (id, index) = (&places[nth].2[0].id, places[nth].2[0].index.unwrap());
        let shown = archive.setup.run(["audit", "show", id]).stdout;
        let mut shown: Value = serde_json::from_slice(&shown).unwrap();
        shown["index"] = index.into();
        assert!(shown == exported.records[usize::try_from(index).unwrap()], "batch {nth}");
    }
    verify(&archive.setup);
    let replayed = replay(&archive.setup, &[]);
    assert_eq!((replayed.different, replayed.undecided), (HashMap::new(), HashMap::new()));
    assert_eq!(replayed.code, Some(0));
    // From the middle of a batch on.
    let from = places[0].2[150].index.unwrap().to_string();
    let to = places[0].2[160].index.unwrap().to_string();
    let part = replay(&archive.setup, &["--from", &from, "--to", &to]);
    assert_eq!((part.decided, part.code), (10, Some(0)));
}

#[test]
fn a_batch_that_ends_early_and_one_that_is_recorded_by_digests_are_recorded_as_they_are() {
    let archive = Archive::new();
    let daemon = archive.setup.start();
    let ending = with(batch(&vec![json!({}); 5]), "options", json!({"evaluations_semantic": "deny_on_first_deny"}));
    let denied = with(ending, "action", json!({"name": "burn"}));
    assert_eq!(ask(&daemon, &denied).len(), 1);
    assert!(daemon.stop().success());
    let exported = Exported::from(&archive.setup, 0);
    let record = exported.records.iter().find(|record| record["kind"] == "decision").unwrap();
    assert_eq!((&record["v"], &record["context"]), (&json!(1), &denied["context"]));
    assert_eq!(replay(&archive.setup, &[]).code, Some(0));

    let digested = archive.setup.clone().set("audit.request", "digest").start();
    let before = size(&digested);
    ask(&digested, &batch(&vec![json!({}); 5]));
    let after = size(&digested);
    assert!(digested.stop().success());
    let (_, raw) = entries(&archive.setup, before, after);
    assert!(raw.len() == 5 && raw.iter().all(|entry| entry["v"] == 1 && entry["context"].is_null()), "{raw:?}");
    verify(&archive.setup);
}
