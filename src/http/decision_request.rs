//! A request for decisions: its body, its slot among the large requests, and its deadline.

use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::web::Payload;
use serde::de::DeserializeOwned;
use smol_str::format_smolstr;
use tokio::time::timeout_at;

use super::authorization::RequestCaller;
use super::body;
use super::claimed_hash::claimed_hash;
use super::consistency;
use super::current_request;
use super::decide::decide;
use super::forwarded::address;
use super::problem::Problem;
use super::questions::Questions;
use super::recorded_decisions::RecordedDecisions;
use super::worker_state::WorkerState;
use crate::actors::decision::large_requests::Turn;
use crate::actors::decision::validator::{DecideError, Explain, Explanation};
use crate::domain::{Claims, Evaluation};
use crate::trace::Phase;

/// A request with a larger body in bytes, or with more than [`LARGE_BATCH`] evaluations, is large: a worker handles
/// only a few of them at once.
const LARGE_BODY: usize = 16 << 10;
/// See [`LARGE_BODY`].
pub const LARGE_BATCH: usize = 64;

/// A request for decisions.
#[derive(Debug)]
pub struct DecisionRequest<'a> {
    request: &'a HttpRequest,
    caller: &'a RequestCaller,
    state: &'a WorkerState,
    /// When the request is answered at the latest.
    pub deadline: Instant,
    /// The constitution that the caller claims in a header.
    claim: Option<Arc<str>>,
    /// The slot of a large request, held until it is answered.
    turn: Option<Turn>,
}

impl<'a> DecisionRequest<'a> {
    /// A request that has just arrived.
    #[must_use]
    pub fn new(request: &'a HttpRequest, caller: &'a RequestCaller, state: &'a WorkerState) -> Self {
        let deadline = Instant::now() + state.deadline();
        let claim = claimed_hash(request.headers()).map(|claim| Claims::stated(&claim));
        Self { request, caller, state, deadline, claim, turn: None }
    }

    /// Reads the body, and parses it once the request has its slot.
    pub async fn read<T: DeserializeOwned>(&mut self, payload: Payload) -> Result<T, Problem> {
        let body = body::read(self.request, payload, self.state.bounds()).await?;
        if body.len() > LARGE_BODY {
            self.take_turn().await?;
        }
        body::parse_json(self.request, &body)
    }

    /// Waits, once, for a slot among the large requests of the worker. No work is done for the request until then.
    pub async fn take_turn(&mut self) -> Result<(), Problem> {
        if self.turn.is_some() {
            return Ok(());
        }
        // Anonymous callers are told apart by address.
        let by_address = || format_smolstr!("{:?}", address(self.request).bucket());
        let caller = self.caller.authenticated().map_or_else(by_address, |caller| caller.name.clone());
        let turn = timeout_at(self.deadline.into(), self.state.large_requests.turn(&caller)).await;
        self.turn =
            Some(turn.map_err(|_| Problem::overloaded("the request did not get a slot for large requests in time"))??);
        Ok(())
    }

    /// How many bytes the claim in a header adds to the record of each decision.
    #[must_use]
    pub fn claimed_bytes(&self) -> usize {
        self.claim.as_ref().map_or(0, |claim| claim.len())
    }

    /// Decides a question to explain the answer, without recording anything.
    pub async fn explain(&self, mut evaluation: Evaluation) -> Result<Explanation, Problem> {
        evaluation.claims.header.clone_from(&self.claim);
        let consistency = consistency::demanded(self.request.headers())?;
        let explain = Explain { evaluation, consistency, deadline: self.deadline };
        let explained = timeout_at(self.deadline.into(), self.state.validator.send(explain)).await;
        let explained = explained.map_err(|_| DecideError::Late)?;
        Ok(explained.map_err(DecideError::from)??)
    }

    /// Decides the questions and records the decisions.
    pub async fn decide(&self, mut questions: Questions) -> Result<RecordedDecisions, Problem> {
        current_request::end(Phase::Decode);
        for evaluation in &mut questions.sound {
            evaluation.claims.header.clone_from(&self.claim);
        }
        decide(self.state, self.caller, self.request.headers(), questions, self.deadline).await
    }
}
