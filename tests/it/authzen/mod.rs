//! The decisions of the AuthZEN interoperability scenario, asked of the real binary.

use std::fs;

use crate::harness::{Setup, TestDaemon, repository};
use serde_json::{Value, json};

/// The interoperability working group's vectors; nothing, with a message, where they are not there.
fn vectors() -> Option<Value> {
    let file = "../shared/vectors/authzen/authzen-todo-backend/test/decisions-authorization-api-1_0-02.json";
    match fs::read(repository().join(file)) {
        Ok(text) => Some(serde_json::from_slice(&text).unwrap()),
        Err(error) => {
            crate::harness::skip(&format!("since `{file}` cannot be read: {error}"));
            None
        }
    }
}

fn todo_application() -> TestDaemon {
    Setup::new().constitution(&repository().join("tests/it/authzen/constitution")).start()
}

#[test]
fn every_single_decision_is_as_expected() {
    let Some(vectors) = vectors() else { return };
    let vectors = vectors["evaluation"].as_array().unwrap();
    assert_eq!(vectors.len(), 40);
    let daemon = todo_application();
    for vector in vectors {
        let answer = daemon.post("/access/v1/evaluation", &vector["request"]);
        assert_eq!((answer.status, &answer.json()["decision"]), (200, &vector["expected"]), "{answer} for {vector}");
    }
}

/// An answer without the contexts, which the standard leaves to implementations.
fn bare(answer: &Value) -> Value {
    let mut answer = answer.clone();
    for item in answer.get_mut("evaluations").and_then(Value::as_array_mut).unwrap() {
        item.as_object_mut().unwrap().remove("context");
    }
    answer
}

#[test]
fn every_batch_of_decisions_is_as_expected() {
    let Some(vectors) = vectors() else { return };
    let vectors = vectors["evaluations"].as_array().unwrap();
    assert_eq!(vectors.len(), 3);
    let daemon = todo_application();
    for vector in vectors {
        let answer = daemon.post("/access/v1/evaluations", &vector["request"]);
        assert_eq!(
            (answer.status, bare(&answer.json())),
            (200, json!({"evaluations": vector["expected"]})),
            "for {vector}"
        );
    }
}

#[test]
fn all_single_decisions_at_once_are_as_one_by_one() {
    let Some(vectors) = vectors() else { return };
    let vectors = vectors["evaluation"].as_array().unwrap();
    let requests: Vec<&Value> = vectors.iter().map(|vector| &vector["request"]).collect();
    let expected: Value = vectors.iter().map(|vector| json!({"decision": vector["expected"]})).collect();
    let answer = todo_application().post("/access/v1/evaluations", &json!({"evaluations": requests}));
    assert_eq!((answer.status, bare(&answer.json())), (200, json!({"evaluations": expected})));
}
