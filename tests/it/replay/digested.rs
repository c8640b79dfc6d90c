//! Digests in place of requests: nothing of what callers or entities say is in the log, and replay says so.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::archive::{Archive, decisions, replay, why_undecided};
use super::world::escaped;
use crate::audit::Exported;
use crate::harness::{Request, Setup};

/// Nothing with one of these may be in the log.
const SECRETS: [&str; 4] = ["hush", "73196455", "2031-07-03", "31.4159"];

fn question(subject: &Value, resource: &Value, context: &Value) -> Value {
    json!({"subject": subject, "action": {"name": "read", "properties": {"why": "hush"}}, "resource": resource,
        "context": context})
}

/// Questions that end in every way there is, with something in each that is nobody's business.
fn questions() -> Vec<Value> {
    let user = |properties: Value| json!({"type": "User", "id": "ann", "properties": properties});
    let document = |properties: Value| json!({"type": "Document", "id": "a", "properties": properties});
    let (nothing, score) = (json!({}), json!({"score": 9}));
    let level = json!({"level": 73_196_455});
    let mut questions = vec![
        question(&user(level.clone()), &document(nothing.clone()), &json!({"note": "hush"})),
        question(&user(nothing.clone()), &document(score), &json!({"n": 73_196_455})),
        question(&user(json!({"email": "hush@example.org"})), &document(nothing.clone()), &json!({"note": "hush"})),
        question(&json!({"type": "Robot", "id": "ann", "properties": level}), &document(nothing.clone()), &nothing),
        question(&user(nothing.clone()), &document(nothing.clone()), &json!({"note": "x".repeat(70_000) + "hush"})),
    ];
    // What does not fit the schema is told to the caller, and to nobody else.
    for properties in [
        json!({"level": "hush"}),
        json!({"limit": "hush"}),
        json!({"limit": "31.4159265"}),
        json!({"limit": {"__extn": {"fn": "decimal", "arg": "hush"}}}),
        json!({"manager": {"type": "hush", "id": "hush"}}),
        json!({"team": {"type": "User", "id": "hush"}}),
    ] {
        questions.push(question(&user(properties), &document(json!({})), &json!({})));
    }
    for context in [json!({"at": "2031-07-03T25:00:00Z"}), json!({"amount": "hush"}), json!({"friend": "hush"})] {
        questions.push(question(&user(json!({})), &document(json!({})), &context));
    }
    for claim in [json!("hush"), json!({"hush": 73_196_455}), json!(73_196_455)] {
        questions.push(question(&user(json!({})), &document(json!({})), &json!({"constitutional_hash": claim})));
    }
    questions
}

fn digested() -> (Archive, Setup) {
    let archive = Archive::new();
    let setup = archive.setup.clone().set("audit.request", "digest");
    (archive, setup)
}

#[test]
fn no_property_and_no_attribute_is_in_a_digested_log_but_names_are() {
    let (_archive, setup) = digested();
    let daemon = setup.start();
    let ann = json!({"attrs": {"level": 73_196_455, "email": "hush", "limit": {"__extn": {"fn": "decimal", "arg": "31.4159"}}},
        "tags": {"role": "hush"}, "parents": [{"type": "Team", "id": "0"}]});
    let secret = "a name is no secret: ünd";
    let paths = ["User/ann".to_owned(), format!("User/{}", escaped(secret))];
    for path in paths.map(|path| format!("/v1/entities/{path}")) {
        assert_eq!(daemon.put(&path, &ann).status, 201);
        assert_eq!(daemon.put(&path, &ann).status, 200);
    }
    let until =
        json!({"until": {"__extn": {"fn": "datetime", "arg": "2031-07-03"}}, "owner": {"type": "User", "id": "ann"}});
    let batch =
        json!([{"uid": {"type": "Document", "id": "a"}, "attrs": until, "parents": [{"type": "Folder", "id": "0"}]}]);
    assert_eq!(daemon.post("/v1/entities/batch", &batch).status, 200);
    for question in questions() {
        let answer = daemon.post("/access/v1/evaluation", &question);
        assert_eq!(answer.status, 200, "{question}: {answer}");
    }
    assert_eq!(daemon.delete("/v1/entities/User/ann").status, 204);
    // Read from the entity, and not from the request.
    let again = daemon.post("/access/v1/evaluation", &questions()[0]);
    assert_eq!(again.status, 200);
    assert!(daemon.stop().success());

    let (exported, copy) = (Exported::from(&setup, 0), setup.dump_audit());
    assert!(contains(&copy, b"ann"), "names are in the copy");
    for secret in SECRETS {
        let told = exported.records.iter().find(|record| record.to_string().contains(secret));
        assert!(told.is_none(), "`{secret}` is in {}", told.unwrap());
        assert_eq!(with(&setup.data_dir().join("audit"), secret), Vec::<String>::new(), "{secret}");
        assert!(!contains(&copy, secret.as_bytes()), "`{secret}` is in the copy");
    }
    assert!(!with(&setup.data_dir().join("audit"), secret).is_empty(), "names stay");
    let reasons = ["invalid_properties", "constitution_mismatch", "unknown_type", "evaluation_error", "permitted"];
    for reason in reasons {
        assert!(decisions(&exported).any(|record| record["reason"] == reason), "{reason}");
    }
    for record in decisions(&exported) {
        assert_eq!((&record["resource"]["id"], &record["subject"]["id"]), (&json!("a"), &json!("ann")));
        assert_eq!(record["action"], json!({"name": "read"}));
        assert!(record.get("detail").is_none());
        assert!(record["request"]["sha256"].is_string(), "{record}");
    }
    let entities = exported.records.iter().filter(|record| record["kind"] == "entity");
    let events: Vec<&str> = entities.map(|record| record["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["written", "written", "written", "written", "written", "deleted"]);
}

#[test]
fn replay_says_that_digests_cannot_be_decided_again() {
    let (archive, setup) = digested();
    let daemon = setup.start();
    for question in questions() {
        daemon.ask(&Request::post("/access/v1/evaluation").json(&question));
    }
    assert!(daemon.stop().success());
    let replayed = replay(&archive.setup, &[]);
    let exported = Exported::from(&setup, 0);
    assert_eq!((replayed.decided, replayed.undecided.len()), (0, exported.decisions()));
    for (index, why) in &replayed.undecided {
        assert_eq!(Some(&**why), why_undecided(&exported.records[usize::try_from(*index).unwrap()]));
    }
    // The same log goes on with whole requests, and these can be decided again.
    let daemon = archive.setup.start();
    for question in &questions()[..4] {
        daemon.ask(&Request::post("/access/v1/evaluation").json(question));
    }
    assert!(daemon.stop().success());
    let (before, replayed) = (replayed.undecided.len(), replay(&archive.setup, &[]));
    assert_eq!((replayed.decided, replayed.different.len(), replayed.undecided.len()), (4, 0, before));
}

/// The files below a folder that contain a text.
fn with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(with(&path, text));
        } else if contains(&fs::read(&path).unwrap(), text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    // The log is mostly zeros, so look where the first byte is.
    let begins = |(at, byte): (usize, &u8)| *byte == text[0] && bytes[at..].starts_with(text);
    bytes.iter().enumerate().any(begins)
}
