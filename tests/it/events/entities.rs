//! Entities that are written and deleted.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{ADMIN, audit, events, revisions, size, until};
use crate::faults::disk::Faults;
use crate::harness::{Answer, Connection, Request, Setup};

fn path(id: &str) -> String {
    format!("/v1/entities/Tool/{id}")
}

fn tool(id: &str, risk: u64) -> Value {
    json!({"uid": {"type": "Tool", "id": id}, "attrs": {"risk": risk}, "parents": []})
}

#[track_caller]
fn version(answer: &Answer) -> Value {
    answer.header("etag").unwrap().trim_matches('"').parse::<u64>().unwrap().into()
}

fn written(id: &str, risk: u64, version: &Value) -> Value {
    json!({"kind": "entity", "caller": ADMIN, "event": "written", "resource": {"type": "Tool", "id": id},
        "version": version, "entity": tool(id, risk)})
}

/// The token is that of the answer.
#[track_caller]
fn deleted(id: &str, answer: &Answer) -> Value {
    let token = answer.header("x-consistency-token").unwrap();
    let version: u64 = token.split('.').nth(1).unwrap().parse().unwrap();
    json!({"kind": "entity", "caller": ADMIN, "event": "deleted", "resource": {"type": "Tool", "id": id},
        "version": version})
}

#[test]
fn the_records_of_changes_say_what_the_database_was_at_before_and_after_each() {
    let setup = audit::setup();
    let daemon = setup.start();
    let from = size(&setup);
    let mut tokens = Vec::new();
    let mut token = |answer: &Answer| tokens.push(answer.header("x-consistency-token").unwrap().to_owned());
    token(&daemon.put(&path("saw"), &tool("saw", 1)));
    token(&daemon.post("/v1/entities/batch", &json!([tool("saw", 3), tool("axe", 4)])));
    token(&daemon.delete(&path("saw")));
    assert_eq!(daemon.post("/v1/api-keys", &json!({"name": "robot", "scopes": ["read"]})).status, 201);
    token(&daemon.put(&path("saw"), &tool("saw", 5)));
    let of = revisions(&setup, from);
    // The entities of the batch are stored together.
    assert_eq!((of.len(), &of[1]), (6, &of[2]), "{of:?}");
    for next in [[0, 1], [2, 3], [3, 4], [4, 5]] {
        assert_eq!(of[next[0]][1], of[next[1]][0], "{of:?}");
    }
    assert_eq!([0, 1, 3, 5].map(|nth: usize| of[nth][1].clone()), tokens[..]);
}

#[test]
fn every_change_is_recorded_whole_when_it_is_answered_and_nothing_else_is() {
    let setup = audit::setup();
    let daemon = setup.start();
    let mut from = size(&setup);
    let mut check = |expected: &[Value]| {
        assert_eq!(events(&setup, from), expected);
        from += expected.len() as u64;
    };
    let created = daemon.put(&path("saw"), &tool("saw", 1));
    check(&[written("saw", 1, &version(&created))]);
    let replaced = daemon.put(&path("saw"), &tool("saw", 2));
    check(&[written("saw", 2, &version(&replaced))]);
    let batch = json!([tool("saw", 3), tool("axe \u{1}é", 4)]);
    let stored = daemon.post("/v1/entities/batch", &batch).json();
    let versions = [0, 1].map(|nth| {
        let etag = stored["items"][nth]["etag"].as_str().unwrap();
        etag.trim_matches('"').parse::<u64>().unwrap().into()
    });
    check(&[written("saw", 3, &versions[0]), written("axe \u{1}é", 4, &versions[1])]);
    let removed = daemon.delete(&path("saw"));
    check(&[deleted("saw", &removed)]);

    let stale = Request::put(&path("axe%20%01%C3%A9")).json(&json!({})).header("If-None-Match", "*");
    for (request, status) in [
        (Request::delete(&path("saw")), 404),
        (stale, 412),
        (Request::put(&path("saw")).json(&json!({"attrs": {"risk": "high"}})), 422),
        (Request::put(&path("saw")).json(&json!([])), 400),
        (Request::post("/v1/entities/batch").json(&json!([tool("a", 1), tool("a", 2)])), 400),
        (Request::post("/v1/entities/batch").json(&json!([])), 200),
        (Request::get(&path("saw")), 404),
    ] {
        assert_eq!(daemon.ask(&request).status, status, "{request:?}");
    }
    check(&[]);
    daemon.kill();
    assert_eq!(size(&setup), from);
}

#[test]
fn an_entity_that_no_entry_has_room_for_is_recorded_whole() {
    let setup = Setup::new();
    let daemon = setup.start();
    let from = size(&setup);
    let parents: Vec<Value> = (0..3_000).map(|nth| json!({"type": "Team", "id": format!("team-{nth}")})).collect();
    let answer = daemon.put("/v1/entities/Agent/crowd", &json!({"parents": parents}));
    assert_eq!(answer.status, 201, "{answer}");
    let recorded = events(&setup, from);
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0]["resource"], json!({"type": "Agent", "id": "crowd"}));
    assert_eq!(recorded[0]["version"], version(&answer));
    assert!(recorded[0]["entity"]["parents"] == json!(parents), "all of them");
}

#[test]
fn digested_changes_name_the_entity_and_nothing_of_it() {
    let setup = audit::setup().set("audit.request", "digest");
    let daemon = setup.start();
    let from = size(&setup);
    let created = daemon.put(&path("saw"), &tool("saw", 1));
    assert_eq!(daemon.post("/v1/entities/batch", &json!([tool("axe", 2)])).status, 200);
    let removed = daemon.delete(&path("saw"));
    let named = |id: &str, version: Value| {
        let mut event = written(id, 0, &version);
        event.as_object_mut().unwrap().remove("entity");
        event
    };
    let next = version(&daemon.get(&path("axe")));
    assert_eq!(events(&setup, from), [named("saw", version(&created)), named("axe", next), deleted("saw", &removed)]);
}

#[test]
fn an_entity_is_not_stored_before_its_record_is_written() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(audit::setup()).set("http.request_timeout_ms", 20_000);
    let daemon = setup.start();
    let mut from = size(&setup);
    faults.set("write delay 500 .log");
    let batch = Request::post("/v1/entities/batch").json(&json!([tool("saw", 3), tool("axe", 3)]));
    for (request, seen, records) in [
        (Request::put(&path("saw")).json(&tool("saw", 1)), json!(1), 1),
        (batch, json!(3), 2),
        (Request::delete(&path("saw")), Value::Null, 1),
    ] {
        let mut connection = daemon.connect();
        let asking = thread::spawn(move || connection.ask(&request).status);
        let mut looking = daemon.connect();
        let mut looked = 0;
        until("to be seen", || {
            looked += 1;
            let shown = looking.ask(&Request::get(&path("saw"))).json();
            (shown["attrs"]["risk"] == seen).then_some(())
        });
        assert_eq!(size(&setup), from + records, "{seen}");
        assert!(looked > 1, "it was stored before anybody could look");
        assert!(asking.join().unwrap() < 300);
        from += records;
    }
    faults.clear();
    assert!(daemon.stop().success());
}

/// A writer's view of an entity of its own: its acknowledged states in order, and the unacknowledged one, if there is
/// one.
#[derive(Default)]
struct Told {
    answered: Vec<Option<u64>>,
    unanswered: Vec<Option<u64>>,
}

fn write(connection: &mut Connection, id: &str, ending: &AtomicBool) -> Told {
    let mut told = Told::default();
    for risk in 0.. {
        if ending.load(Ordering::Relaxed) {
            break;
        }
        // Every third is a delete.
        let state = (risk % 3 != 2).then_some(risk);
        let request = match state {
            Some(risk) => Request::put(&path(id)).json(&tool(id, risk)),
            None => Request::delete(&path(id)),
        };
        match connection.try_ask(&request) {
            Ok(answer) if answer.status < 300 => told.answered.push(state),
            Ok(answer) => assert_eq!((answer.status, state), (404, None), "{answer}"),
            Err(_) => {
                told.unanswered.push(state);
                break;
            }
        }
    }
    told
}

#[test]
fn whatever_is_stored_after_a_kill_is_in_the_log_and_every_answered_change_too() {
    let setup = audit::setup();
    let mut unanswered = HashMap::new();
    for round in 0..8 {
        let daemon = setup.start();
        let from = size(&setup);
        let ending = Arc::new(AtomicBool::new(false));
        let writers = [0, 1, 2].map(|writer| {
            let (mut connection, ending) = (daemon.connect(), Arc::clone(&ending));
            let id = format!("tool-{round}-{writer}");
            (id.clone(), thread::spawn(move || write(&mut connection, &id, &ending)))
        });
        // No event is waited for: the moment has to be a random one.
        thread::sleep(Duration::from_micros(rand::random_range(20_000..200_000)));
        daemon.kill();
        ending.store(true, Ordering::Relaxed);
        let told = writers.map(|(id, writer)| (id, writer.join().unwrap()));
        let recorded = events(&setup, from);
        let daemon = setup.start();
        for (id, told) in told {
            let of_it = recorded.iter().filter(|record| record["resource"]["id"] == *id);
            let states: Vec<Option<u64>> = of_it.map(|record| record["entity"]["attrs"]["risk"].as_u64()).collect();
            let before = told.answered.last().copied().flatten();
            let stored = daemon.get(&path(&id)).json()["attrs"]["risk"].as_u64();
            if states == told.answered {
                assert_eq!(stored, before, "stored, and not recorded");
            } else {
                assert_eq!(states, [&*told.answered, &told.unanswered].concat(), "{id}");
                assert!(stored == before || told.unanswered.contains(&stored), "{stored:?} after {states:?}");
                *unanswered.entry("recorded").or_insert(0) += 1;
                *unanswered.entry("stored").or_insert(0) += u32::from(stored != before);
            }
        }
        assert!(daemon.stop().success());
    }
    println!("changes without an answer: {unanswered:?}");
    audit::verify(&setup);
}
