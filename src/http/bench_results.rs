//! `/v1/bench-results`: what a run of `acgs bench` found is recorded, so that it is seen where the daemon is watched.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::authorization::RequestCaller;
use super::body;
use super::problem::{BAD_REQUEST, Problem, UNAVAILABLE};
use super::worker_state::WorkerState;
use crate::domain::BenchRun;
use crate::ledger::{Event, EventKind};

/// The most tests of a run, and the most figures of a test.
const MAX_ITEMS: usize = 32;

/// The longest name, in bytes.
const MAX_NAME: usize = 64;

/// What a run of `acgs bench` found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"run": "load-20261124T093000-1f2e", "conclusion": "passed", "tests": [{
    "test": "load", "rate_per_s": 150, "duration_s": 3600.0, "conclusion": "passed",
    "figures": [{"name": "p99", "value": 0.94, "unit": "ms", "target": "< 5 ms", "outcome": "met"}],
}]})))]
struct BenchResult {
    /// The run's name: 1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`. Records of its decisions have it as `bench`.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    run: String,
    /// How it ended.
    conclusion: BenchConclusion,
    /// Its tests, at most 32.
    #[schema(max_items = 32)]
    tests: Vec<BenchTest>,
}

/// How a run or a test ended: `undecided` if the machine did not allow to tell, `not_compared` if there was no baseline.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum BenchConclusion {
    NotCompared,
    Passed,
    Undecided,
    Missed,
}

/// A test of a run.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BenchTest {
    /// Its name, of 1 to 64 bytes.
    #[schema(min_length = 1, max_length = 64)]
    test: String,
    /// Requests a second.
    #[schema(minimum = 0)]
    rate_per_s: f64,
    /// How long requests were due, in seconds.
    #[schema(minimum = 0)]
    duration_s: f64,
    /// How it ended.
    conclusion: BenchConclusion,
    /// Its figures, at most 32.
    #[schema(max_items = 32)]
    figures: Vec<BenchFigure>,
}

/// A figure against its target.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BenchFigure {
    /// Its name, of 1 to 64 bytes.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// The value; null if it could not be measured.
    #[schema(required)]
    value: Option<f64>,
    /// The unit, of up to 64 bytes.
    #[schema(max_length = 64)]
    unit: String,
    /// The target in words, of up to 64 bytes.
    #[schema(max_length = 64)]
    target: String,
    /// `met`, `missed`, or `open` if the machine did not allow to tell.
    outcome: BenchOutcome,
}

/// Whether a target is met.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum BenchOutcome {
    Met,
    Missed,
    Open,
}

impl BenchResult {
    /// The event that records it, or what is wrong with it.
    fn event(&self, caller: &str) -> Result<Event, Problem> {
        let run = BenchRun::new(&self.run).map_err(|wrong| Problem::fault("/run", wrong.to_string()))?;
        bounded("/tests", self.tests.len())?;
        for (index, test) in self.tests.iter().enumerate() {
            let path = format!("/tests/{index}");
            named(&format!("{path}/test"), &test.test)?;
            positive(&format!("{path}/rate_per_s"), test.rate_per_s)?;
            positive(&format!("{path}/duration_s"), test.duration_s)?;
            bounded(&format!("{path}/figures"), test.figures.len())?;
            for (index, figure) in test.figures.iter().enumerate() {
                let path = format!("{path}/figures/{index}");
                named(&format!("{path}/name"), &figure.name)?;
                short(&format!("{path}/unit"), &figure.unit)?;
                short(&format!("{path}/target"), &figure.target)?;
            }
        }
        let tests = serde_json::to_value(&self.tests).unwrap_or(Value::Null);
        let conclusion = serde_json::to_value(self.conclusion).unwrap_or(Value::Null);
        let event = Event::new(EventKind::Bench, caller).name("event", "finished");
        Ok(event.name("run", run.as_str()).name("conclusion", conclusion).detail("tests", tests))
    }
}

fn bounded(path: &str, items: usize) -> Result<(), Problem> {
    if items <= MAX_ITEMS {
        return Ok(());
    }
    Err(Problem::fault(path, format!("has {items} items; at most {MAX_ITEMS} are taken")))
}

fn positive(path: &str, number: f64) -> Result<(), Problem> {
    if number >= 0.0 { Ok(()) } else { Err(Problem::fault(path, "must be a number from 0 on")) }
}

fn named(path: &str, name: &str) -> Result<(), Problem> {
    if name.is_empty() { Err(Problem::fault(path, "is empty")) } else { short(path, name) }
}

fn short(path: &str, text: &str) -> Result<(), Problem> {
    if text.len() <= MAX_NAME {
        return Ok(());
    }
    Err(Problem::fault(path, format!("has {} bytes; at most {MAX_NAME} are taken", text.len())))
}

/// Record the result of a benchmark
///
/// `acgs bench` sends what a run found. It is recorded in the audit log with the kind `bench`.
#[utoipa::path(
    post, path = "/v1/bench-results", operation_id = "recordBenchResult", tag = "operation",
    request_body = BenchResult, responses((status = 204, description = "It is recorded.")),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, UNAVAILABLE.slug]))),
)]
pub async fn record(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let result: BenchResult = body::object(&request, payload, state.bounds()).await?;
    let event = result.event(caller.name())?;
    let journal = state.app.audit.journal.clone();
    let recorded = actix_web::rt::task::spawn_blocking(move || journal.record(&[event])).await;
    recorded.map_err(|error| Problem::new(&UNAVAILABLE, error.to_string()))??;
    Ok(HttpResponse::NoContent().finish())
}
