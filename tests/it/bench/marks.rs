//! `X-ACGS-Bench` marks decisions, and whatever reads records takes the mark.

use serde_json::json;

use super::{marked, permitted};
use crate::audit::Exported;
use crate::harness::{Request, Setup};

#[test]
fn marked_decisions_are_recorded_verified_replayed_and_found() {
    let setup = Setup::new();
    let daemon = setup.start();
    let question = permitted();
    let ask = |path: &str| Request::post(path).header("X-ACGS-Bench", "run-1");
    let single = daemon.ask(&ask("/access/v1/evaluation").json(&question));
    assert_eq!(single.status, 200, "{single}");
    assert_eq!(daemon.ask(&ask("/v1/validate").json(&question)).status, 200);
    // A sound item, one that cannot be read, and one that is recorded in parts.
    let large = json!({"context": {"padding": vec!["x".repeat(1_000); 70]}});
    let batch = json!({"subject": question["subject"], "action": question["action"], "resource": question["resource"],
        "evaluations": [{}, {"resource": 3}, large]});
    assert_eq!(daemon.ask(&ask("/access/v1/evaluations").json(&batch)).status, 200);
    assert_eq!(daemon.post("/access/v1/evaluation", &question).status, 200);
    let id = single.json()["context"]["id"].as_str().unwrap().to_owned();
    let shown = daemon.get(&format!("/v1/decisions/{id}"));
    assert_eq!(shown.json()["record"]["bench"], "run-1", "{shown}");
    daemon.stop();
    assert_eq!(marked(&setup, &json!("run-1")).len(), 5);
    let decisions = Exported::from(&setup, 0).decisions();
    assert_eq!(decisions, 6, "the last one has no mark");
    for command in [["audit", "verify"], ["audit", "replay"]] {
        let output = setup.run(command);
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
}

#[test]
fn a_digested_record_has_the_mark() {
    let setup = Setup::new().set("audit.request", "digest");
    let daemon = setup.start();
    let request = Request::post("/access/v1/evaluation").header("X-ACGS-Bench", "d");
    assert_eq!(daemon.ask(&request.json(&permitted())).status, 200);
    daemon.stop();
    assert_eq!(marked(&setup, &json!("d")).len(), 1);
}

#[test]
fn a_name_that_is_none_is_refused_and_nothing_is_decided() {
    let setup = Setup::new();
    let daemon = setup.start();
    let question = permitted();
    let before = Exported::from(&setup, 0).decisions();
    for wrong in ["", "a b", "a\"b", "ä", &"x".repeat(65)] {
        let request = Request::post("/access/v1/evaluation").header("X-ACGS-Bench", wrong).json(&question);
        let answer = daemon.ask(&request);
        assert_eq!(answer.status, 400, "{wrong}: {answer}");
        assert!(answer.text().contains("X-ACGS-Bench"), "{answer}");
    }
    let twice = Request::post("/access/v1/evaluation").header("X-ACGS-Bench", "a").header("X-ACGS-Bench", "b");
    assert_eq!(daemon.ask(&twice.json(&question)).status, 400);
    assert_eq!(Exported::from(&setup, 0).decisions(), before);
}
