//! Decides: one validator an HTTP worker, each distinct question evaluated once.

mod cache_key;
mod entity_sets;
mod evaluator;
mod explaining;
mod fleet;
mod item;
mod single_flight;
mod timeslice;
mod warming;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix::{Actor, Addr, Context, Handler, MailboxError, Message, ResponseFuture};

use crate::actors::active::Active;
use crate::actors::cache::application_cache::EntityReader;
use crate::actors::cache::hit_rates::HitCounters;
use crate::actors::cache::request_cache::{CachedVerdict, RequestCache};
use crate::actors::cache::service_cache::SharedVerdicts;
use crate::domain::{Consistency, Evaluation, Verdict};
use crate::ledger::EntitySet;
use crate::metrics::EvaluationTimes;
pub use cache_key::cache_key;
use evaluator::Evaluator;
pub use explaining::{Explain, Explanation};
pub use timeslice::Timeslice;

/// How many questions are evaluated before they are asked, at most.
pub const HOTTEST: usize = 1_000;

/// Decides for one HTTP worker. Its state is shared with the decisions in progress, which are futures of their own.
#[derive(Debug)]
pub struct Validator(Rc<Evaluator>);

/// One decision, not yet recorded.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The verdict.
    pub verdict: Arc<Verdict>,
    /// The stored entities that were read; `None` if none was.
    pub entities: Option<Arc<EntitySet>>,
    /// The most expensive source that the decision needed.
    pub source: Source,
}

/// Where a decision is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It needed nothing but the question: such as where the caller names another constitution.
    Question,
    /// The verdict was made before, for the same question, here or elsewhere.
    Verdicts,
    /// It was evaluated, and the database was not asked for anything.
    Entities,
    /// The database was asked for entities.
    Database,
}

impl Decided {
    /// A decision that read no entity.
    fn without_entities(verdict: Verdict) -> Self {
        Self { verdict: Arc::new(verdict), entities: None, source: Source::Question }
    }

    /// A decision by a cached verdict.
    fn cached(verdict: &CachedVerdict) -> Self {
        let (entities, source) = (verdict.entities.clone(), Source::Verdicts);
        Self { verdict: Arc::clone(&verdict.verdict), entities, source }
    }

    /// Whether the verdict was made before, for the same question.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        self.source == Source::Verdicts
    }

    /// The same decision for an equal question later in the batch.
    fn repeated(&self) -> Self {
        let is_kept = !self.verdict.reason.is_transient();
        Self { source: if is_kept { Source::Verdicts } else { self.source }, ..self.clone() }
    }
}

/// Decisions under one constitution.
#[derive(Debug)]
pub struct Decisions {
    /// The constitution.
    pub active: Arc<Active>,
    /// The decisions, in the order of the questions, up to the one that ended the batch.
    pub decided: Vec<Decided>,
}

/// Why there is no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// The deadline of the questions has passed.
    #[error("no decision was reached in time")]
    Late,
    /// The validator has ended.
    #[error("the validator has ended")]
    Ended,
    /// The constitution or the entities changed during each attempt.
    #[error("the constitution or the entities kept changing while the question was being decided")]
    Unsettled,
    /// The changes that the caller demands could not be applied here.
    #[error("the data here is not as new as the request demands: {0}")]
    Outdated(String),
    /// The caller demands a revision that the database has lost.
    #[error("{0}")]
    Lost(String),
}

impl From<MailboxError> for DecideError {
    fn from(error: MailboxError) -> Self {
        match error {
            MailboxError::Closed => Self::Ended,
            MailboxError::Timeout => Self::Late,
        }
    }
}

impl Validator {
    /// Starts the validator of this worker. It must be registered with the registry, to be given each new constitution.
    #[must_use]
    pub fn start(
        active: Arc<Active>,
        cache: Addr<RequestCache>,
        entities: EntityReader,
        shared: Option<SharedVerdicts>,
        counters: Arc<HitCounters>,
        times: Arc<EvaluationTimes>,
    ) -> Addr<Self> {
        let entities = entities.counting(&counters);
        Actor::start(Self(Rc::new(Evaluator::new(active, cache, entities, shared, counters, times))))
    }
}

impl Actor for Validator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(crate::actors::MAILBOX_CAPACITY);
    }
}

/// A constitution to decide under from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Activate(pub Arc<Active>);

impl Handler<Activate> for Validator {
    type Result = ();

    fn handle(&mut self, Activate(active): Activate, _: &mut Self::Context) {
        let evaluator = Rc::clone(&self.0);
        evaluator.activate(Arc::clone(&active));
        actix::spawn(async move { warming::warm(&evaluator, &active, evaluator.hottest().await.iter()).await });
    }
}

/// Decides these questions in advance, one at a time. If the message is lost, they are decided when they are asked.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Warm(pub Arc<[Arc<str>]>);

impl Handler<Warm> for Validator {
    type Result = ();

    fn handle(&mut self, Warm(questions): Warm, _: &mut Self::Context) {
        let (evaluator, active) = (Rc::clone(&self.0), self.0.active());
        actix::spawn(async move { warming::warm(&evaluator, &active, questions.iter()).await });
    }
}

/// Decides questions that share one scope: one hash check, one load of entities.
#[derive(Debug, Message)]
#[rtype(result = "Result<Decisions, DecideError>")]
pub struct Decide {
    /// The questions.
    pub evaluations: Arc<[Evaluation]>,
    /// Stop after the first decision that is this one.
    pub stop_at: Option<bool>,
    /// The demand on the age of the data.
    pub consistency: Consistency,
    /// The purpose of the decisions.
    pub purpose: Purpose,
    /// When work on the questions ends, whether or not a caller still waits.
    pub deadline: Instant,
}

/// The purpose of decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be answered.
    Answer,
    /// To be there when it is asked for.
    Warming,
}

impl Handler<Decide> for Validator {
    type Result = ResponseFuture<Result<Decisions, DecideError>>;

    fn handle(&mut self, decide: Decide, _: &mut Self::Context) -> Self::Result {
        let evaluator = Rc::clone(&self.0);
        Box::pin(async move { evaluator.decide(&decide).await })
    }
}
