//! From questions to recorded decisions: a place in the audit log, a decision, a durable record, and only then an answer.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use actix_web::{HttpResponse, HttpResponseBuilder};
use uuid::Uuid;

use super::consistency;
use super::door::{CONSTITUTIONAL_HASH, claimed_hash, hash_value};
use super::front::Front;
use super::gate::Who;
use super::problem::{Problem, UNAVAILABLE};
use super::recording::Recording;
use crate::actors::active::Active;
use crate::actors::audit_logger::{FirstIndex, Record};
use crate::actors::audit_queue::AuditError;
use crate::actors::validator::{Decide, DecideError, Decided, Decisions, Purpose};
use crate::domain::Evaluation;

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

/// Decides questions and records the decisions; all of them, or up to the first that is `stop_at`.
pub async fn decide(
    front: &Front,
    who: &Who,
    headers: &HeaderMap,
    mut evaluations: Vec<Evaluation>,
    stop_at: Option<bool>,
) -> Result<Recorded, Problem> {
    if let Some(claim) = claimed_hash(headers) {
        let claim: Box<str> = claim.into();
        for evaluation in &mut evaluations {
            evaluation.claims.header = Some(claim.clone());
        }
    }
    let decide = Decide {
        evaluations: evaluations.into(),
        stop_at,
        consistency: consistency::demanded(headers)?,
        purpose: Purpose::Answer,
    };
    let job = decide_and_record(front, who, decide);
    match tokio::time::timeout(front.deadline(), job).await {
        Ok(recorded) => recorded,
        Err(_) => Err(Problem::new(&UNAVAILABLE, "no decision was recorded in time")),
    }
}

async fn decide_and_record(front: &Front, who: &Who, decide: Decide) -> Result<Recorded, Problem> {
    let evaluations = Arc::clone(&decide.evaluations);
    // INVARIANT: the place is taken before anything is decided, so that no decision is made that cannot be recorded.
    let place = front.shared.audit_queue.reserve(evaluations.len())?;
    let Decisions { active, decided } = front.validator.send(decide).await.map_err(DecideError::from)??;
    let form = front.shared.settings.audit.request;
    let recording = Recording::new(who.name(), &active, &evaluations, &decided, form, &front.recorded_sets);
    let mut recording = recording.map_err(|error| {
        tracing::error!(%error, "a decision cannot be recorded");
        Problem::new(&UNAVAILABLE, "the decision cannot be recorded")
    })?;
    let records = std::mem::take(&mut recording.records);
    let first: FirstIndex = front.audit.send(Record { records, place }).await.map_err(AuditError::from)??;
    let decisions = decided.into_iter().zip(recording.done()).map(|(decided, (id, before))| {
        let index = first.map(|first| first + before);
        RecordedDecision { decided, id, index }
    });
    Ok(Recorded { active, decisions: decisions.collect() })
}
