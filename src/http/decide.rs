//! Decides questions: reserves a place in the audit log, decides, waits for a durable record, and only then answers.

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::HeaderMap;
use actix_web::{HttpResponse, HttpResponseBuilder};
use uuid::Uuid;

use super::authorization::RequestCaller;
use super::claimed_hash::{CONSTITUTIONAL_HASH, hash_value};
use super::consistency;
use super::decision_records::{AskedBy, DecisionRecords};
use super::problem::{Problem, TOO_LARGE, UNAVAILABLE};
use super::questions::{Asked, Questions};
use super::request_id::{REQUEST_ID, id_value};
use super::worker_state::WorkerState;
use crate::actors::active::Active;
use crate::actors::audit::logger::{Indices, Record};
use crate::actors::audit::queue::AuditError;
use crate::actors::decision::validator::{Decide, DecideError, Decided, Decisions, Purpose};
use crate::actors::monitor::compliance::Sample;
use crate::domain::{Consistency, Evaluation, Revision};
use crate::ledger::SharedMembers;

/// The most bytes in the questions of one request: their records always fit one frame of the log.
const MAX_QUESTIONS: usize = 8 << 20;

/// Decisions that are in the audit log; only these are answered.
#[derive(Debug)]
pub struct RecordedDecisions {
    /// The constitution they were made under.
    pub active: Arc<Active>,
    /// The decisions, in the order of the questions.
    pub decisions: Vec<RecordedDecision>,
}

impl RecordedDecisions {
    /// An answer that names the constitution of the decisions, and the request by its first decision.
    pub fn respond(&self) -> HttpResponseBuilder {
        let mut response = HttpResponse::Ok();
        if let Some(first) = self.decisions.first() {
            response.insert_header((REQUEST_ID, id_value(first.id)));
        }
        response.insert_header((CONSTITUTIONAL_HASH, hash_value(self.active.constitution.hash())));
        response
    }
}

/// A decision, and the index of its record in the log.
#[derive(Debug)]
pub struct RecordedDecision {
    /// The decision.
    pub decided: Decided,
    /// Its id.
    pub id: Uuid,
    /// Its index in the audit log; none in `async` mode, where the answer does not wait for one.
    pub index: Option<u64>,
}

/// Decides questions until a deadline and records the decisions: all of them, or up to the first that ends the request.
pub async fn decide(
    state: &WorkerState,
    caller: &RequestCaller,
    headers: &HeaderMap,
    questions: Questions,
    deadline: Instant,
) -> Result<RecordedDecisions, Problem> {
    let request_id = headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok());
    let asked_by = AskedBy { caller: caller.name(), request_id };
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
        state.validator.send(decide).await.map_err(DecideError::from)??
    };
    let decided = questions.merge(&evaluations, decided);
    let form = state.app.settings.audit.request;
    let written = DecisionRecords::new(asked_by, &active, &decided, &shared, form, &state.recorded_sets);
    let mut written = written.map_err(|error| {
        tracing::error!(%error, "a decision cannot be recorded and is answered with an error");
        Problem::new(&UNAVAILABLE, format!("the decision cannot be recorded: {error}"))
    })?;
    let records = std::mem::take(&mut written.records);
    let recorded: Option<Indices> = state.audit.send(Record { records, place }).await.map_err(AuditError::from)??;
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
    count_compliance(state, &recorded, &began_under);
    if let Some(revision) = sampled {
        compare_one(state, &recorded, &questions, revision);
    }
    Ok(recorded)
}

/// Counts whether the decisions were made under a constitution that was in force since the request began, and whether
/// their records are durable.
fn count_compliance(state: &WorkerState, recorded: &RecordedDecisions, began_under: &Arc<Active>) {
    let RecordedDecisions { active, decisions } = recorded;
    let app = &state.app;
    let is_lawful = Arc::ptr_eq(active, began_under) || Arc::ptr_eq(active, &app.decision.in_force.get());
    let durable = app.audit.queue.durable();
    // In `async` mode an answer does not wait for its record.
    let is_missing = |decision: &&RecordedDecision| decision.index.is_some_and(|index| index >= durable);
    app.compliance.answered(decisions.len(), decisions.iter().filter(is_missing).count(), !is_lawful);
}

/// Has one of the decisions, any of them, decided again without caches.
fn compare_one(state: &WorkerState, recorded: &RecordedDecisions, questions: &[Asked<'_>], revision: Revision) {
    let asked = recorded.decisions.iter().zip(questions);
    let sound: Vec<_> = asked
        .filter_map(|(decision, asked)| match asked {
            Asked::Sound(evaluation) => Some((decision, *evaluation)),
            Asked::Faulty(_) => None,
        })
        .collect();
    if sound.is_empty() {
        return;
    }
    if let Some((decision, evaluation)) = sound.get(rand::random_range(0..sound.len())) {
        state.app.compliance.compare(Sample {
            evaluation: Evaluation::clone(evaluation),
            verdict: Arc::clone(&decision.decided.verdict),
            entities: decision.decided.entities.clone(),
            active: Arc::clone(&recorded.active),
            revision,
            id: decision.id,
            index: decision.index,
        });
    }
}
