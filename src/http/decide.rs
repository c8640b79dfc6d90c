//! Decides questions: reserves a place in the audit log, decides, waits for a durable record, and only then answers.

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::HeaderMap;

use super::authorization::RequestCaller;
use super::bench_mark::bench_run;
use super::compliance;
use super::consistency;
use super::current_request;
use super::decision_records::{AskedBy, DecisionRecords};
use super::problem::{Problem, TOO_LARGE, UNAVAILABLE};
use super::questions::Questions;
use super::recorded_decisions::{RecordedDecision, RecordedDecisions};
use super::request_id::REQUEST_ID;
use super::worker_state::WorkerState;
use crate::actors::audit::logger::{Indices, Record};
use crate::actors::audit::queue::AuditError;
use crate::actors::decision::validator::{Decide, DecideError, Decisions, Purpose};
use crate::domain::{Consistency, Evaluation};
use crate::ledger::SharedMembers;
use crate::trace::{DecisionNote, Phase};

/// The most bytes in the questions of one request: their records always fit one frame of the log.
const MAX_QUESTIONS: usize = 8 << 20;

/// Decides questions until a deadline and records the decisions: all of them, or up to the first that ends the request.
pub async fn decide(
    state: &WorkerState,
    caller: &RequestCaller,
    headers: &HeaderMap,
    questions: Questions,
    deadline: Instant,
) -> Result<RecordedDecisions, Problem> {
    let request_id = headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok());
    let asked_by = AskedBy { caller: caller.name(), request_id, bench: bench_run(headers)? };
    let job = decide_and_record(state, asked_by, consistency::demanded(headers)?, questions, deadline);
    match tokio::time::timeout_at(deadline.into(), job).await {
        Ok(recorded) => recorded,
        Err(_) => Err(Problem::new(&UNAVAILABLE, "no decision was recorded in time")),
    }
}

async fn decide_and_record(
    state: &WorkerState,
    asked_by: AskedBy<'_>,
    consistency: Consistency,
    mut questions: Questions,
    deadline: Instant,
) -> Result<RecordedDecisions, Problem> {
    // INVARIANT: the place is taken before anything is decided, so that no decision is made that cannot be recorded.
    let queue = &state.app.audit.queue;
    let evaluations: Arc<[Evaluation]> = std::mem::take(&mut questions.sound).into();
    // What items have from their batch is recorded once, so it counts once.
    let shared = SharedMembers::of(&evaluations);
    let bytes = shared.recorded_bytes(&evaluations);
    if bytes > MAX_QUESTIONS {
        let detail =
            format!("the questions of one request must have at most {MAX_QUESTIONS} bytes; these have {bytes}");
        return Err(Problem::new(&TOO_LARGE, detail));
    }
    let place = match questions.count() {
        1 => queue.reserve(1, bytes)?,
        count => queue.reserve_batch(count, bytes)?,
    };
    let app = &state.app;
    let began_under = app.decision.in_force.get();
    // Before anything is decided, so that a later change is known to be later.
    let sampled = app.compliance.is_sampled(questions.count()).then(|| app.store.versions.applied());
    let Decisions { active, decided } = if evaluations.is_empty() {
        Decisions { active: state.app.decision.in_force.get(), decided: Vec::new() }
    } else {
        let (stop_at, purpose) = (questions.stop_at, Purpose::Answer);
        let decide = Decide { evaluations: Arc::clone(&evaluations), stop_at, consistency, purpose, deadline };
        current_request::begin(Phase::Decide);
        let decided = state.validator.send(decide).await.map_err(DecideError::from)??;
        current_request::end(Phase::Decide);
        decided
    };
    let decided = questions.merge(&evaluations, decided);
    let form = state.app.settings.audit.request;
    let written = DecisionRecords::new(asked_by, &active, &decided, &shared, form, &state.recorded_sets);
    let mut written = written.map_err(|error| {
        tracing::error!(%error, "a decision cannot be recorded and is answered with an error");
        Problem::new(&UNAVAILABLE, format!("the decision cannot be recorded: {error}"))
    })?;
    let records = std::mem::take(&mut written.records);
    current_request::begin(Phase::Commit);
    let recorded: Option<Indices> = state.audit.send(Record { records, place }).await.map_err(AuditError::from)??;
    current_request::end(Phase::Commit);
    current_request::begin(Phase::Encode);
    let mut questions = Vec::new();
    let decisions = decided.into_iter().zip(written.done()).map(|((asked, decided), (id, number))| {
        state.metrics.decided(&decided.verdict);
        if sampled.is_some() {
            questions.push(asked);
        }
        let index = recorded.as_ref().map(|indices| indices.of(number));
        RecordedDecision { decided, id, index }
    });
    let recorded = RecordedDecisions { active, decisions: decisions.collect() };
    current_request::decided(|| note(&recorded.decisions));
    compliance::count(state, &recorded, &began_under);
    if let Some(revision) = sampled {
        compliance::compare_one(state, &recorded, &questions, revision);
    }
    Ok(recorded)
}

/// What the span of the request says of its decisions.
fn note(decisions: &[RecordedDecision]) -> DecisionNote {
    match decisions {
        [RecordedDecision { decided, index, .. }] => DecisionNote::One {
            permits: decided.verdict.permits(),
            reason: decided.verdict.reason.as_str(),
            audit_index: *index,
        },
        batch => DecisionNote::Batch(batch.len()),
    }
}
