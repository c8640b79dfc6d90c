//! A log with a bit of everything, and the naive filter.

use std::time::Instant;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::audit::{Clients, Exported};
use crate::harness::{Connection, PATIENCE, Request, Setup, TestDaemon, Tiers};
use crate::replay::world::{Callers, Chance, constitution, escaped, patient};

/// Answers that clients get.
const ANSWERS: usize = 800;

/// Ids that are hard to write in an address, in JSON or in SQL.
pub fn hard_ids() -> Vec<String> {
    let mut ids: Vec<String> = [
        "with space",
        "100%",
        "%41",
        "a+b",
        "a&b=c",
        "\"quoted\"",
        "it's; DROP TABLE",
        "'",
        "é",
        "😀",
        "\0",
        "a\0b",
        "null",
        "\u{202e}",
        "%",
        "_",
        "A",
        "a",
        "x,y",
        "-1",
        "#",
        "?",
    ]
    .map(str::to_owned)
    .to_vec();
    ids.push("l".repeat(1_024));
    ids.push("é".repeat(512));
    ids
}

/// A daemon whose log has decisions and events of all kinds.
pub fn lived() -> (Setup, TestDaemon) {
    let setup = patient(Setup::new()).constitution(&constitution());
    let daemon = setup.start();
    assert!(daemon.stop().success());
    let daemon = setup.start();
    let hash = daemon.get("/livez").header("x-constitutional-hash").unwrap().to_owned();
    let callers = Callers { claim: 3, hashes: vec![hash, "0123456789abcdef".to_owned()] };
    let mut chance = Chance::new(7);
    for _ in 0..150 {
        daemon.ask(&chance.write());
    }
    for id in hard_ids() {
        let answer = daemon.put(&format!("/v1/entities/User/{}", escaped(&id)), &json!({"attrs": {"level": 9}}));
        // PostgreSQL has no text with a zero character in it.
        let is_refused = Tiers::current() != Tiers::Sqlite && id.contains('\0');
        assert_eq!(answer.status >= 300, is_refused, "{answer}");
        let user = json!({"type": "User", "id": id});
        let question = json!({"subject": user, "action": {"name": "read"}, "resource": {"type": "Folder", "id": id}});
        assert_eq!(daemon.post("/access/v1/evaluation", &question).status, 200);
        // The same id has another type; and an action is no action.
        let question = json!({"subject": {"type": "Team", "id": id}, "action": {"name": id}, "resource": user});
        assert_eq!(daemon.post("/access/v1/evaluation", &question).status, 200);
    }
    let clients = Clients::start(&daemon, 2, move |number| Chance::ask(number, &callers));
    clients.wait_for(ANSWERS, 200);
    clients.end();
    assert_eq!(daemon.ask(&Request::post("/v1/constitution/reload")).status, 200);
    (setup, daemon)
}

/// Waits until the whole log is indexed, and its origin is known, which comes with the first checkpoint.
#[track_caller]
pub fn copied(daemon: &TestDaemon) -> Value {
    let since = Instant::now();
    let mut connection = daemon.connect();
    loop {
        let status = connection.ask(&Request::get("/v1/audit")).json();
        let lag = &status["database"]["lag"];
        if *lag == 0 && status["database"]["size"] == status["size"] && status["origin"].is_string() {
            return status;
        }
        assert!(since.elapsed() < PATIENCE, "the log is not copied: {status}");
        // Who asks too often is refused, and the refusals would be copied too.
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// All records, the newest first.
pub fn newest_first(setup: &Setup) -> Vec<Value> {
    let mut records = Exported::from(setup, 0).records;
    records.reverse();
    records
}

/// A search: parameters and what they have to be.
pub type Sought = Vec<(&'static str, String)>;

/// Whether a record has everything that is sought.
pub fn has(record: &Value, sought: &Sought) -> bool {
    let party = |member: &str, part: &str, value: &str| record[member][part] == *value;
    sought.iter().all(|(name, value)| match *name {
        "from" => nanos(record["ts"].as_str().unwrap()) >= nanos(value),
        "to" => nanos(record["ts"].as_str().unwrap()) < nanos(value),
        "subject" | "resource" => party(name, "id", value),
        "subject_type" => party("subject", "type", value),
        "resource_type" => party("resource", "type", value),
        "action" if record["kind"] == "decision" => party("action", "name", value),
        "action" => record["event"] == **value,
        "decision" => record["decision"].as_bool().is_some_and(|decision| decision.to_string() == *value),
        "principle" => ["violations", "warnings"].iter().any(|member| {
            record[*member].as_array().is_some_and(|found| found.iter().any(|one| one["principle"] == **value))
        }),
        "reason" | "kind" | "caller" | "request_id" => record[*name] == **value,
        other => panic!("no parameter `{other}`"),
    })
}

pub fn nanos(time: &str) -> i128 {
    OffsetDateTime::parse(time, &Rfc3339).unwrap().unix_timestamp_nanos()
}

pub fn address(sought: &Sought) -> String {
    let pairs: Vec<String> = sought.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    format!("/v1/audit/entries?{}", pairs.join("&"))
}

/// Goes through all pages of a search. No page may have more than its limit.
#[track_caller]
pub fn find(
    connection: &mut Connection,
    origin: &str,
    sought: &Sought,
    mut limit: impl FnMut() -> usize,
) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let limit = limit();
        let address = format!("{}&limit={limit}{cursor}", address(sought));
        let answer = connection.ask(&Request::get(&address));
        assert_eq!(answer.status, 200, "{address}: {answer}");
        let page = answer.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{address}: {} items", items.len());
        for item in items {
            assert_eq!(item["origin"], origin);
            let mut record = item["record"].clone();
            record["index"] = item["index"].clone();
            found.push(record);
        }
        let Some(next) = page["next_cursor"].as_str() else { return found };
        assert!(!items.is_empty() || cursor != format!("&cursor={next}"), "{address}: no way on");
        cursor = format!("&cursor={next}");
    }
}

/// What a search finds must be what the filter finds, in order.
#[track_caller]
pub fn check(found: &[Value], all: &[Value], sought: &Sought) {
    let expected: Vec<&Value> = all.iter().filter(|record| has(record, sought)).collect();
    // Short, where thousands are found.
    let nth = found.iter().zip(&expected).position(|(found, expected)| found != *expected);
    let nth = nth.unwrap_or(found.len().min(expected.len()));
    assert_eq!(found.get(nth), expected.get(nth).copied(), "{sought:?}: number {nth}");
}
