//! What a run found is recorded by the daemon.

use serde_json::{Value, json};

use super::{run, url};
use crate::audit::Exported;
use crate::harness::{Request, Setup};

/// The records of results.
fn results(setup: &Setup) -> Vec<Value> {
    Exported::from(setup, 0).records.into_iter().filter(|record| record["kind"] == "bench").collect()
}

fn result() -> Value {
    let figure = json!({"name": "p99", "value": null, "unit": "ms", "target": "< 5 ms", "outcome": "missed"});
    let test =
        json!({"test": "load", "rate_per_s": 150, "duration_s": 1.5, "conclusion": "missed", "figures": [figure]});
    json!({"run": "load-1", "conclusion": "missed", "tests": [test]})
}

#[test]
fn a_run_leaves_its_result_in_the_audit_log() {
    let setup = Setup::new();
    let daemon = setup.start();
    let ended = run(&setup, &url(&daemon), &["load", "--duration", "1s"]);
    assert!(!ended.told.contains("does not record"), "{}", ended.told);
    let results = results(&setup);
    let [result] = &results[..] else { panic!("{results:?}") };
    assert_eq!((&result["run"], &result["event"]), (&ended.result["run"], &json!("finished")));
    let (test, verdicts) = (&result["tests"][0], ended.result["tests"][0]["verdicts"].as_array().unwrap());
    assert_eq!((&test["test"], test["rate_per_s"].as_f64()), (&json!("load"), Some(150.0)));
    let figures = test["figures"].as_array().unwrap();
    assert_eq!(figures.len(), verdicts.len());
    for (figure, verdict) in figures.iter().zip(verdicts) {
        assert_eq!((&figure["name"], &figure["outcome"]), (&verdict["name"], &verdict["outcome"]));
        assert_eq!(figure["value"], verdict["value"]);
    }
    let found = daemon.get("/v1/audit/entries?kind=bench");
    assert_eq!(found.status, 200, "{found}");
}

#[test]
fn a_result_that_cannot_be_one_is_refused_and_not_recorded() {
    let setup = Setup::new();
    let daemon = setup.start();
    let send = |body: &Value| daemon.ask(&Request::post("/v1/bench-results").json(body));
    assert_eq!(send(&result()).status, 204);
    assert_eq!(results(&setup).len(), 1);
    for (path, value) in [
        ("/run", json!("a b")),
        ("/run", json!("x".repeat(65))),
        ("/conclusion", json!("good")),
        ("/tests/0/test", json!("")),
        ("/tests/0/test", json!("x".repeat(65))),
        ("/tests/0/rate_per_s", json!(-1)),
        ("/tests/0/duration_s", json!(-0.5)),
        ("/tests/0/figures/0/name", json!("")),
        ("/tests/0/figures/0/target", json!("x".repeat(65))),
        ("/tests/0/figures/0/outcome", json!("good")),
        ("/tests", Value::Array(vec![result()["tests"][0].clone(); 33])),
    ] {
        let mut wrong = result();
        *wrong.pointer_mut(path).unwrap() = value;
        let answer = send(&wrong);
        assert_eq!(answer.status, 400, "{path}: {answer}");
    }
    assert_eq!(results(&setup).len(), 1);
}
