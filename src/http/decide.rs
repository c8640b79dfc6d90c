//! From questions to recorded decisions: a place in the audit log, a decision, a durable record, and only then an answer.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use actix_web::{HttpResponse, HttpResponseBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::door::{CONSTITUTIONAL_HASH, claimed_hash, hash_value};
use super::front::Front;
use super::problem::{Problem, UNAVAILABLE};
use crate::actors::active::Active;
use crate::actors::audit_logger::{FirstIndex, Record};
use crate::actors::audit_queue::AuditError;
use crate::actors::validator::{Decide, DecideError, Decided, Decisions};
use crate::domain::Evaluation;
use crate::ledger::{Batch, DecisionRecord};

/// The most bytes that the records of one request may have together; so long a request repeats itself.
const MAX_RECORDED: usize = 8 << 20;

/// A record of so many bytes is kept whole however many a batch has.
const MIN_RECORD: usize = 2 << 10;

/// Who asks, until there is authentication.
const CALLER: &str = "anonymous";

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
    let job = decide_and_record(front, evaluations.into(), stop_at);
    match tokio::time::timeout(front.deadline(), job).await {
        Ok(recorded) => recorded,
        Err(_) => Err(Problem::new(&UNAVAILABLE, "no decision was recorded in time")),
    }
}

async fn decide_and_record(
    front: &Front,
    evaluations: Arc<[Evaluation]>,
    stop_at: Option<bool>,
) -> Result<Recorded, Problem> {
    // INVARIANT: the place is taken before anything is decided, so that no decision is made that cannot be recorded.
    let place = front.shared.audit_queue.reserve(evaluations.len())?;
    let decide = Decide { evaluations: Arc::clone(&evaluations), stop_at };
    let Decisions { active, decided } = front.validator.send(decide).await.map_err(DecideError::from)??;
    let (records, ids) = records(front, &active, &evaluations, &decided)?;
    let first: FirstIndex = front.audit.send(Record { records, place }).await.map_err(AuditError::from)??;
    let indices = (0..).map(|nth| first.map(|first| first + nth));
    let decisions = decided.into_iter().zip(ids).zip(indices);
    let decisions = decisions.map(|((decided, id), index)| RecordedDecision { decided, id, index }).collect();
    Ok(Recorded { active, decisions })
}

fn records(
    front: &Front,
    active: &Active,
    evaluations: &[Evaluation],
    decided: &[Decided],
) -> Result<(Batch, Vec<Uuid>), Problem> {
    let at = OffsetDateTime::now_utc();
    let limit = (MAX_RECORDED / decided.len().max(1)).max(MIN_RECORD);
    let mut batch = Batch::default();
    let mut ids = Vec::with_capacity(decided.len());
    for (evaluation, decided) in evaluations.iter().zip(decided) {
        let id = decision_id(at);
        let record = DecisionRecord {
            id,
            at,
            caller: CALLER,
            evaluation,
            verdict: &decided.verdict,
            hash: active.constitution.hash(),
            digest: &active.digest,
            entities: decided.entities.as_deref(),
            cached: decided.cached,
        };
        record.push(front.shared.settings.audit.request, limit, &mut batch).map_err(|error| {
            tracing::error!(%error, "a decision cannot be recorded");
            Problem::new(&UNAVAILABLE, "the decision cannot be recorded")
        })?;
        ids.push(id);
    }
    Ok((batch, ids))
}

/// A `UUIDv7`: the time in milliseconds, and random bits.
fn decision_id(at: OffsetDateTime) -> Uuid {
    let millis = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}
