//! Everything that a decision depends on is in the log, however large the question is, so that it can be replayed.

use std::collections::HashMap;

use acgs::ledger::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::archive::{Archive, decisions, replay};
use super::world::constitution;
use crate::audit::{self, Exported, verify};
use crate::harness::{Request, TestDaemon};

fn user(properties: &Value) -> Value {
    json!({"type": "User", "id": "ann", "properties": properties})
}

fn question(subject: &Value, action: &str, context: &Value) -> Value {
    json!({"subject": subject, "action": {"name": action}, "resource": {"type": "Document", "id": "a"},
        "context": context})
}

/// Questions too large for one entry of the log, each in another way.
fn large() -> Vec<(&'static str, Value)> {
    let (nothing, long) = (json!({}), "x".repeat(100_000));
    let many: HashMap<String, u32> = (0..9_000).map(|nth| (format!("member-{nth}"), nth)).collect();
    let nested = (0..40).fold(json!(1), |inner, _| json!({"a": inner}));
    vec![
        ("a declared text", question(&user(&nothing), "read", &json!({"note": long}))),
        (
            "text that grows when it is escaped",
            question(&user(&nothing), "read", &json!({"note": "\"\\\u{1}é😀".repeat(12_000)})),
        ),
        ("just over an entry", question(&user(&nothing), "read", &json!({"note": "x".repeat(65_100)}))),
        ("a declared property", question(&user(&json!({"email": long, "level": 9})), "read", &nothing)),
        ("an undeclared member", question(&user(&nothing), "read", &json!({"note": "kept", "padding": long}))),
        ("an undeclared property", question(&user(&json!({"padding": [long], "level": 9})), "write", &json!({"n": 7}))),
        ("undeclared and declared", question(&user(&json!({"padding": long})), "read", &json!({"note": long}))),
        ("many small members", question(&user(&nothing), "read", &json!(many))),
        ("numbers", question(&user(&nothing), "read", &json!({"padding": vec![1.5e300; 20_000]}))),
        ("deep members", question(&user(&nothing), "read", &json!({"padding": nested, "note": long}))),
        ("what does not fit", question(&user(&json!({"level": long})), "read", &nothing)),
        ("what does not fit in the context", question(&user(&nothing), "read", &json!({"n": [long]}))),
        ("an unknown action", question(&user(&nothing), "burn", &json!({"note": long}))),
        (
            "an unknown type",
            question(&json!({"type": "Robot", "id": "r", "properties": {"level": long}}), "read", &nothing),
        ),
        ("a claim", question(&user(&nothing), "read", &json!({"constitutional_hash": long, "note": "kept"}))),
        ("a claim that is no text", question(&user(&nothing), "read", &json!({"constitutional_hash": {"a": long}}))),
        ("a long name for a member", question(&user(&nothing), "read", &json!({long.as_str(): 1}))),
    ]
}

#[track_caller]
fn ask(daemon: &TestDaemon, what: &str, question: &Value) -> (String, u64) {
    let answer = daemon.ask(&Request::post("/access/v1/evaluation").json(question));
    assert_eq!(answer.status, 200, "{what}: {answer}");
    let context = &answer.json()["context"];
    (context["id"].as_str().unwrap().to_owned(), context["audit_index"].as_u64().unwrap())
}

/// Compares the record with the question: each member is recorded, or omitted with its digest.
#[track_caller]
fn is_recorded(what: &str, question: &Value, record: &Value) {
    assert_eq!(record["v"], 1, "{what}");
    let mut asked = question.clone();
    for party in ["subject", "action", "resource"] {
        let is_empty = asked[party]["properties"].as_object().is_some_and(serde_json::Map::is_empty);
        if is_empty {
            asked[party].as_object_mut().unwrap().remove("properties");
        }
    }
    asked["context"].as_object_mut().unwrap().remove("constitutional_hash");
    for omitted in record["omitted"].as_array().into_iter().flatten() {
        let (owner, name) = omitted["member"].as_str().unwrap().rsplit_once('/').unwrap();
        let value = asked.pointer_mut(owner).unwrap().as_object_mut().unwrap().remove(name).unwrap();
        let text = value.to_string();
        assert_eq!(omitted["bytes"], text.len(), "{what}");
        let digest = hex(&Sha256::digest(text));
        assert_eq!(omitted["sha256"], digest, "{what}");
        assert!(name == "padding" || what.starts_with("an unknown") || what.starts_with("a long"), "{what}: {name}");
    }
    for member in ["subject", "action", "resource", "context"] {
        let mut recorded = record[member].clone();
        let empty = asked[member]["properties"].as_object().is_some_and(serde_json::Map::is_empty);
        if empty && recorded["properties"].is_null() {
            recorded["properties"] = json!({});
        }
        assert!(recorded == asked[member], "{what}: {member}");
    }
    for member in ["reason", "policies", "violations", "warnings", "hash", "digest", "cached"] {
        assert!(record.get(member).is_some(), "{what}: {member}");
    }
}

#[test]
fn padding_a_question_takes_nothing_from_its_record_and_it_is_decided_again() {
    let archive = Archive::new();
    let daemon = archive.setup.clone().set("http.max_body_bytes", 1_000_000).start();
    let ann = json!({"attrs": {"level": 3}, "parents": [{"type": "Team", "id": "0"}]});
    assert_eq!(daemon.put("/v1/entities/User/ann", &ann).status, 201);
    let owned = json!({"attrs": {"owner": {"type": "User", "id": "ann"}, "score": 1}});
    assert_eq!(daemon.put("/v1/entities/Document/a", &owned).status, 201);
    let mut asked = Vec::new();
    for (what, question) in large() {
        // The same from the cache.
        for _ in 0..2 {
            asked.push((what, question.clone(), ask(&daemon, what, &question)));
        }
    }
    let items: Vec<Value> = large().into_iter().take(2).map(|(_, question)| question).collect();
    let batch = Request::post("/access/v1/evaluations").header("Prefer", "return=representation");
    let answer = daemon.ask(&batch.json(&json!({"evaluations": items})));
    assert_eq!(answer.status, 200, "{answer}");
    for (question, decision) in items.iter().zip(audit::decisions(&answer, (0, 0))) {
        asked.push(("in a batch", question.clone(), (decision.id, decision.index.unwrap())));
    }
    assert!(daemon.stop().success());

    let exported = Exported::from(&archive.setup, 0);
    for (what, question, (id, index)) in &asked {
        let record = &exported.records[usize::try_from(*index).unwrap()];
        assert_eq!((&record["id"], &record["kind"]), (&json!(id), &json!("decision")), "{what}");
        is_recorded(what, question, record);
        let shown = archive.setup.run(["audit", "show", &index.to_string()]).stdout;
        let mut shown: Value = serde_json::from_slice(&shown).unwrap();
        shown["index"] = (*index).into();
        assert!(shown == *record, "{what}");
    }
    assert!(decisions(&exported).any(|record| record["reason"] == "permitted"));
    verify(&archive.setup);
    let replayed = replay(&archive.setup, &[]);
    assert_eq!((replayed.different, replayed.undecided), (HashMap::new(), HashMap::new()));
    assert_eq!((replayed.decided, replayed.code), (asked.len(), Some(0)));
}

#[test]
fn what_is_recorded_by_its_digest_is_not_decided_by_a_constitution_that_reads_it() {
    let archive = Archive::new();
    let daemon = archive.setup.start();
    let padded = question(&user(&json!({})), "read", &json!({"padding": "x".repeat(70_000)}));
    let (_, index) = ask(&daemon, "padded", &padded);
    assert!(daemon.stop().success());
    let reading = archive.changed("reading", "resource.owner == principal };", "resource.owner == principal };");
    let schema = reading.join("schema.cedarschema");
    let text = std::fs::read_to_string(&schema)
        .unwrap()
        .replace("at?: datetime, note", "at?: datetime, padding?: String, note");
    std::fs::write(&schema, text).unwrap();
    let replayed = replay(&archive.setup, &["--constitution", reading.to_str().unwrap()]);
    let why = "it needs `/context/padding`, of which the log has only a digest".to_owned();
    assert_eq!((replayed.undecided, replayed.code), (HashMap::from([(index, why)]), Some(1)));
}

#[test]
fn a_request_that_cannot_be_recorded_is_refused_before_it_is_decided() {
    let setup = Archive::new().setup.constitution(&constitution()).set("http.max_body_bytes", 60_000_000);
    let daemon = setup.start();
    let size = |daemon: &TestDaemon| daemon.get("/v1/audit").json()["size"].as_u64().unwrap();
    let large = |length: usize| question(&user(&json!({})), "read", &json!({"note": "\"".repeat(length)}));
    let before = size(&daemon);
    for length in [4_200_000, 10_000_000] {
        let answer = daemon.ask(&Request::post("/access/v1/evaluation").json(&large(length)));
        assert_eq!(answer.status, 413, "{length}: {answer}");
    }
    assert_eq!(size(&daemon), before, "nothing was decided");
    // The largest questions are.
    let (id, index) = ask(&daemon, "8 MB", &large(4_000_000));
    assert!(daemon.stop().success());
    let exported = Exported::from(&setup, 0);
    assert_eq!(exported.place(&id), Some(index));
    verify(&setup);
    assert_eq!(replay(&setup, &[]).code, Some(0));
}

#[test]
fn a_batch_of_large_records_goes_into_several_frames_and_every_answer_has_its_index() {
    let setup = Archive::new().setup.constitution(&constitution()).set("http.max_body_bytes", 60_000_000);
    let daemon = setup.start();
    let item = |nth: u32| question(&user(&json!({})), "read", &json!({"n": nth, "note": "\"".repeat(150_000)}));
    for _ in 0..2 {
        let batch = Request::post("/access/v1/evaluations").header("Prefer", "return=representation");
        let items: Vec<Value> = (0..12).map(item).collect();
        let answer = daemon.ask(&batch.json(&json!({"evaluations": items})));
        assert_eq!(answer.status, 200, "{answer}");
        for (nth, decision) in (0..).zip(audit::decisions(&answer, (0, 0))) {
            let found = daemon.get(&format!("/v1/audit/entries/{}", decision.index.unwrap())).json();
            assert_eq!((&found["id"], &found["kind"]), (&json!(decision.id), &json!("decision")), "item {nth}");
        }
    }
    assert!(daemon.stop().success());
}
