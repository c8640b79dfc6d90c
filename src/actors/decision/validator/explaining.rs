//! Decides a question only to explain the answer: nothing is recorded, cached or counted.

use std::sync::Arc;
use std::time::Instant;

use actix::{Handler, Message, ResponseFuture};
use tokio::time::timeout_at;

use super::entity_sets::EntitySets;
use super::evaluator::{ATTEMPTS, Evaluator};
use super::{DecideError, Validator};
use crate::actors::active::Active;
use crate::constitution::PolicyReport;
use crate::domain::{Consistency, EntityUid, Evaluation, Reason, Verdict};

/// Explains the answer that a question would get.
#[derive(Debug, Message)]
#[rtype(result = "Result<Explanation, DecideError>")]
pub struct Explain {
    /// The question.
    pub evaluation: Evaluation,
    /// The demand on the age of the data.
    pub consistency: Consistency,
    /// When work on it ends.
    pub deadline: Instant,
}

/// The explanation of an answer.
#[derive(Debug)]
pub struct Explanation {
    /// The constitution.
    pub active: Arc<Active>,
    /// The verdict.
    pub verdict: Arc<Verdict>,
    /// The policies' parts in it; none if it follows from the request alone, or the entities cannot be read.
    pub policies: Vec<PolicyReport>,
    /// How many policies are left out.
    pub left_out: usize,
    /// The entities that were read, with their versions; none for one that is not stored.
    pub entities: Vec<(EntityUid, Option<i64>)>,
}

impl Handler<Explain> for Validator {
    type Result = ResponseFuture<Result<Explanation, DecideError>>;

    fn handle(&mut self, explain: Explain, _: &mut Self::Context) -> Self::Result {
        let evaluator = std::rc::Rc::clone(&self.0);
        Box::pin(async move {
            evaluator.catch_up(explain.consistency).await?;
            for _ in 0..ATTEMPTS {
                if let Some(explanation) = attempt(&evaluator, &explain).await? {
                    return Ok(explanation);
                }
                if Instant::now() >= explain.deadline {
                    return Err(DecideError::Late);
                }
            }
            Err(DecideError::Unsettled)
        })
    }
}

/// Makes one attempt; `None` if the constitution or an entity changed meanwhile.
async fn attempt(evaluator: &Evaluator, explain: &Explain) -> Result<Option<Explanation>, DecideError> {
    let (active, evaluation) = (evaluator.active(), &explain.evaluation);
    let (constitution, mode) = (&active.constitution, active.request_properties);
    let mut explanation = Explanation {
        active: Arc::clone(&active),
        verdict: Arc::new(Verdict::deny(Reason::Unavailable, "nothing was decided")),
        policies: Vec::new(),
        left_out: 0,
        entities: Vec::new(),
    };
    let denied = |explanation: Explanation, verdict: Verdict| {
        Ok(Some(Explanation { verdict: Arc::new(verdict), ..explanation }))
    };
    if let Some(verdict) = active.deny_claim(evaluation) {
        return denied(explanation, verdict);
    }
    let mut gathering = match constitution.gather(mode, evaluation) {
        Ok(gathering) => gathering,
        Err(verdict) => return denied(explanation, *verdict),
    };
    let reader = evaluator.uncounted_entities();
    let mut reads = Vec::new();
    while !gathering.wanted().is_empty() {
        let wanted = gathering.wanted().to_vec();
        let reading = async {
            match explain.consistency {
                Consistency::Full => reader.read_stored(&wanted).await,
                Consistency::Usual | Consistency::AtLeast(_) => reader.read(&wanted).await,
            }
        };
        let found = match timeout_at(explain.deadline.into(), reading).await {
            Err(_) => return Err(DecideError::Late),
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "entities cannot be read from the database; a question cannot be explained");
                let detail = "the entities that the decision needs cannot be read";
                return denied(explanation, Verdict::deny(Reason::Unavailable, detail));
            }
        };
        let versions = found.iter().map(|read| read.entity.as_ref().map(|stored| stored.version));
        explanation.entities.extend(wanted.into_iter().zip(versions));
        let supplied = gathering.supply(found.iter().map(|read| read.entity.as_ref().map(|stored| &stored.entity)));
        reads.extend(found);
        if let Err(verdict) = supplied {
            return denied(explanation, *verdict);
        }
    }
    // INVARIANT: all entities were current together at this moment, under the constitution in force.
    if !evaluator.is_in_force(&active) || !reader.is_current(&reads) {
        return Ok(None);
    }
    if let Err(too_much) = EntitySets::new(false).of(&reads) {
        return denied(explanation, Verdict::deny(Reason::Unavailable, too_much.to_string()));
    }
    let facts = gathering.finish();
    explanation.verdict = constitution.judge(&facts);
    (explanation.policies, explanation.left_out) = constitution.explain(&facts);
    Ok(Some(explanation))
}
