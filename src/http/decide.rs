//! From questions to recorded decisions: a place in the audit log, a decision, a durable record, and only then an answer.

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::HeaderMap;
use actix_web::{HttpResponse, HttpResponseBuilder};
use uuid::Uuid;

use super::consistency;
use super::door::{CONSTITUTIONAL_HASH, claimed_hash, hash_value};
use super::front::Front;
use super::gate::Who;
use super::problem::{Problem, UNAVAILABLE};
use super::questions::Questions;
use super::recording::Recording;
use crate::actors::active::Active;
use crate::actors::audit_logger::{FirstIndex, Record};
use crate::actors::audit_queue::AuditError;
use crate::actors::validator::{Decide, DecideError, Decided, Decisions, Purpose};
use crate::domain::{Consistency, Evaluation};

/// Decisions that are in the audit log; only these are answered.
#[derive(Debug)]
pub struct Recorded {
    /// The constitution they were made under.
    pub active: Arc<Active>,
    /// The decisions, in the order of the questions.
    pub decisions: Vec<RecordedDecision>,
}

impl Recorded {
    /// An answer that names the constitution of the decisions.
    pub fn respond(&self) -> HttpResponseBuilder {
        let mut response = HttpResponse::Ok();
        response.insert_header((CONSTITUTIONAL_HASH, hash_value(self.active.constitution.hash())));
        response
    }
}

/// One decision and where it is in the log.
#[derive(Debug)]
pub struct RecordedDecision {
    /// The decision.
    pub decided: Decided,
    /// Its id.
    pub id: Uuid,
    /// Its index in the audit log; none in `async` mode, where the answer does not wait for one.
    pub index: Option<u64>,
}

/// Decides questions and records the decisions until a deadline; all of them, or up to the first that ends the request.
pub async fn decide(
    front: &Front,
    who: &Who,
    headers: &HeaderMap,
    mut questions: Questions,
    deadline: Instant,
) -> Result<Recorded, Problem> {
    if let Some(claim) = claimed_hash(headers) {
        let claim: Arc<str> = claim.into();
        for evaluation in &mut questions.sound {
            evaluation.claims.header = Some(Arc::clone(&claim));
        }
    }
    let job = decide_and_record(front, who, consistency::demanded(headers)?, questions, deadline);
    match tokio::time::timeout_at(deadline.into(), job).await {
        Ok(recorded) => recorded,
        Err(_) => Err(Problem::new(&UNAVAILABLE, "no decision was recorded in time")),
    }
}

async fn decide_and_record(
    front: &Front,
    who: &Who,
    consistency: Consistency,
    mut questions: Questions,
    deadline: Instant,
) -> Result<Recorded, Problem> {
    // INVARIANT: the place is taken before anything is decided, so that no decision is made that cannot be recorded.
    let queue = &front.shared.audit_queue;
    let place = match questions.count() {
        1 => queue.reserve(1)?,
        count => queue.reserve_batch(count)?,
    };
    let evaluations: Arc<[Evaluation]> = std::mem::take(&mut questions.sound).into();
    let Decisions { active, decided } = if evaluations.is_empty() {
        Decisions { active: front.shared.in_force.get(), decided: Vec::new() }
    } else {
        let (stop_at, purpose) = (questions.stop_at, Purpose::Answer);
        let decide = Decide { evaluations: Arc::clone(&evaluations), stop_at, consistency, purpose, deadline };
        front.validator.send(decide).await.map_err(DecideError::from)??
    };
    let decided = questions.merge(&evaluations, decided);
    let form = front.shared.settings.audit.request;
    let recording = Recording::new(who.name(), &active, &decided, form, &front.recorded_sets);
    let mut recording = recording.map_err(|error| {
        tracing::error!(%error, "a decision cannot be recorded");
        Problem::new(&UNAVAILABLE, "the decision cannot be recorded")
    })?;
    let records = std::mem::take(&mut recording.records);
    let first: FirstIndex = front.audit.send(Record { records, place }).await.map_err(AuditError::from)??;
    let decisions = decided.into_iter().zip(recording.done()).map(|((_, decided), (id, before))| {
        let index = first.map(|first| first + before);
        RecordedDecision { decided, id, index }
    });
    Ok(Recorded { active, decisions: decisions.collect() })
}
