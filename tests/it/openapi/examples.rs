//! Every example of the document is sent to a daemon, and its answers are as described.

use serde_json::{Map, Value, json};

use super::{Document, Operation};
use crate::harness::{Answer, Request, Setup, TestDaemon, issuer};

/// Operations whose example cannot succeed, since it names what is not there, or a secret that nobody has.
const REFUSED: &[(&str, u16)] = &[
    ("grantTokens", 401),
    ("revokeToken", 401),
    ("refresh", 401),
    ("confirmSecondFactor", 400),
    ("endSession", 404),
    ("changeClient", 404),
    ("removeClient", 404),
    ("revokeApiKey", 404),
    ("showWrite", 404),
    ("showDecision", 404),
    ("showWitnessedCheckpoint", 404),
    // Only browsers are sent elsewhere.
    ("goToDashboard", 404),
    ("goToDashboardPath", 302),
];

/// An answer that goes on for ten minutes; it is tested in `monitor`.
const ENDLESS: &str = "streamPerformance";

/// Operations in the order in which each finds what it needs; others come in between.
const FIRST: [&str; 3] = ["addUser", "storeEntity", "logIn"];
const LAST: [&str; 3] = ["changePassword", "deleteEntity", "removeUser"];

/// Operations on the session of the user whom the examples name.
const OF_A_SESSION: [&str; 9] = [
    "logOut",
    "signOut",
    "logOutEverywhere",
    "changePassword",
    "listSessions",
    "endSession",
    "enrolSecondFactor",
    "confirmSecondFactor",
    "removeSecondFactor",
];

fn place(operation: &Operation<'_>) -> usize {
    let id = operation.id();
    let last = LAST.iter().position(|last| *last == id).map(|place| place + FIRST.len() + 1);
    FIRST.iter().position(|first| *first == id).or(last).unwrap_or(FIRST.len())
}

/// The example of a media type.
fn example(media: &Value) -> Option<&Value> {
    media.get("example").or_else(|| media["examples"].as_object()?.values().next()?.get("value"))
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The request that the examples of an operation make.
fn request(operation: &Operation<'_>, token: &str) -> Request {
    let (mut path, mut query) = (operation.path.to_owned(), Vec::new());
    for parameter in operation.description["parameters"].as_array().into_iter().flatten() {
        let Some(name) = parameter["name"].as_str() else { continue };
        match (parameter["in"].as_str().unwrap(), parameter.get("example")) {
            ("path", Some(value)) => path = path.replace(&format!("{{{name}}}"), &text(value).replace(' ', "%20")),
            ("query", Some(value)) => query.push(format!("{name}={}", escaped(&text(value)))),
            (place, _) => assert_ne!(
                parameter["required"],
                json!(true),
                "{}: the {place} parameter `{name}` has no example",
                operation.name()
            ),
        }
    }
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let request = Request::new(&operation.method, &path);
    let needs_token = operation.description["security"]
        .as_array()
        .is_some_and(|any| any.iter().any(|one| one.get("token").is_some()));
    let request = if needs_token { request.token(token) } else { request.anonymous() };
    let Some(content) = operation.description["requestBody"]["content"].as_object() else { return request };
    let (kind, media) = content.iter().next().unwrap();
    let body = example(media).unwrap_or_else(|| panic!("{}: the body has no example", operation.name()));
    if kind == "application/json" {
        return request.json(body);
    }
    let fields = body.as_object().unwrap().iter().map(|(name, value)| format!("{name}={}", escaped(&text(value))));
    request.header("Content-Type", kind).body(fields.collect::<Vec<_>>().join("&"))
}

/// The token of a new session of the user whom the examples name.
fn session(daemon: &TestDaemon, document: &Document) -> String {
    let answer = daemon.ask(&request(&document.operation("logIn"), ""));
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn every_example_gets_the_answer_that_is_described() {
    let daemon = Setup::new().start();
    let document = Document::of(&daemon);
    let mut operations: Vec<Operation<'_>> =
        document.operations().filter(|operation| operation.id() != ENDLESS).collect();
    operations.sort_by_key(place);
    let mut wrong = Vec::new();
    for operation in &operations {
        let id = operation.id();
        let token = if OF_A_SESSION.contains(&id) { session(&daemon, &document) } else { issuer::admin().to_owned() };
        let answer: Answer = daemon.ask(&request(operation, &token));
        if let Err(fault) = std::panic::catch_unwind(|| document.check(operation, &answer)) {
            wrong.push(format!("{id}: {:?}", fault.downcast_ref::<String>()));
        }
        let refused = REFUSED.iter().find(|(refused, _)| *refused == id).map(|(_, status)| *status);
        if refused.unwrap_or(answer.status) != answer.status
            || refused.is_none() && !(200..300).contains(&answer.status)
        {
            wrong.push(format!("{id}: {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for id in REFUSED.iter().map(|(id, _)| *id).chain([ENDLESS]) {
        document.operation(id);
    }
}

#[test]
fn every_example_conforms_to_its_schema() {
    let document = Document::of(&TestDaemon::start());
    let mut wrong = Vec::new();
    for operation in document.operations() {
        let responses = operation.description["responses"].as_object().unwrap();
        let bodies = responses.values().chain([&operation.description["requestBody"]]);
        for content in
            bodies.map(|body| document.resolve(body)).filter_map(|body| body["content"].as_object()).flat_map(Map::iter)
        {
            let (kind, media) = content;
            let named =
                media["examples"].as_object().into_iter().flat_map(Map::values).map(|example| &example["value"]);
            for example in media.get("example").into_iter().chain(named) {
                let faults = document.faults(&media["schema"], example);
                if !faults.is_empty() {
                    wrong.push(format!("{}, {kind}: {faults:#?} in {example}", operation.name()));
                }
            }
        }
        let main = responses.iter().find(|(status, _)| status.starts_with('2')).map(|(_, response)| response);
        let media = main.and_then(|main| main["content"]["application/json"].as_object());
        if media.is_some_and(|media| example(&Value::Object(media.clone())).is_none())
            && operation.path != "/openapi.json"
        {
            wrong.push(format!("{} has no example", operation.name()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
