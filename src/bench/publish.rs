//! Tells the daemon what a run found, which records it and shows it on its dashboard.

use serde_json::{Value, json};

use super::api::Api;
use super::result::{RunResult, TestResult};
use super::verdicts::Verdict;

/// Sends the result. The error says why the daemon does not keep it; the run's own files have it in any case.
pub fn publish(api: &mut Api, result: &RunResult) -> Result<(), String> {
    let tests: Vec<Value> = result.tests.iter().map(test).collect();
    let body = json!({"run": result.run, "conclusion": result.conclusion(), "tests": tests}).to_string();
    let answer = api.ask("POST", "/v1/bench-results", "", body.as_bytes()).map_err(|error| error.to_string())?;
    match answer.status {
        204 => Ok(()),
        401 | 403 => Err("that needs the scope `ops`".to_owned()),
        status => Err(format!("it is answered with status {status}")),
    }
}

fn test(test: &TestResult) -> Value {
    json!({
        "test": test.kind.as_str(),
        "rate_per_s": test.rate,
        "duration_s": test.duration_s,
        "conclusion": test.conclusion(),
        "figures": test.verdicts.iter().map(figure).collect::<Vec<_>>(),
    })
}

fn figure(Verdict { target, value, outcome, .. }: &Verdict) -> Value {
    let bound = target.bound.with_unit(target.unit);
    json!({"name": target.name, "value": value, "unit": target.unit, "target": bound, "outcome": outcome})
}
