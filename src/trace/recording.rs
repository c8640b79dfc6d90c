//! The moments of a sampled request, kept while it is handled.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::context::TraceContext;

/// A part of the handling of a request, which becomes a span below that of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The body is read and parsed.
    Decode,
    /// The caller is authenticated and its scope is checked.
    Authenticate,
    /// The questions are decided.
    Decide,
    /// The records of the decisions become durable.
    Commit,
    /// The answer is written.
    Encode,
}

impl Phase {
    /// All phases.
    pub(super) const ALL: [Self; 5] = [Self::Decode, Self::Authenticate, Self::Decide, Self::Commit, Self::Encode];

    /// The name of its span.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Authenticate => "authenticate",
            Self::Decide => "decide",
            Self::Commit => "commit",
            Self::Encode => "encode",
        }
    }
}

/// The decision of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionNote {
    /// A request with one question.
    One {
        /// Whether it is permitted.
        permits: bool,
        /// The reason.
        reason: &'static str,
        /// The index of its record, if the answer waited for it.
        audit_index: Option<u64>,
    },
    /// A batch, with the number of its decisions.
    Batch(usize),
}

/// The moments of one sampled request.
#[derive(Debug)]
pub struct Recording {
    pub(super) context: TraceContext,
    /// The beginning of the request.
    pub(super) since: Instant,
    /// One moment by both clocks.
    pub(super) clocks: (Instant, SystemTime),
    /// The beginning and the end of each phase, in the order of [`Phase::ALL`].
    pub(super) phases: [Option<(Instant, Option<Instant>)>; Phase::ALL.len()],
    pub(super) decision: Option<DecisionNote>,
}

impl Recording {
    /// A request whose first byte was read at `since`.
    #[must_use]
    pub fn new(context: TraceContext, since: Instant) -> Self {
        let clocks = (Instant::now(), SystemTime::now());
        Self { context, since, clocks, phases: [None; Phase::ALL.len()], decision: None }
    }

    /// The trace of the request.
    #[must_use]
    pub fn context(&self) -> &TraceContext {
        &self.context
    }

    /// Notes the beginning of a phase, at its first call.
    pub fn begin(&mut self, phase: Phase) {
        if let Some(moments) = self.phases.get_mut(phase as usize) {
            moments.get_or_insert_with(|| (Instant::now(), None));
        }
    }

    /// Notes the end of a phase; the last call counts.
    pub fn end(&mut self, phase: Phase) {
        if let Some(Some((_, end))) = self.phases.get_mut(phase as usize) {
            *end = Some(Instant::now());
        }
    }

    /// Notes the decision.
    pub fn decided(&mut self, decision: DecisionNote) {
        self.decision = Some(decision);
    }
}

/// A sampled request that was answered.
#[derive(Debug)]
pub struct Finished {
    /// The moments of the request.
    pub recording: Box<Recording>,
    /// When the last byte of its answer was handed to the socket.
    pub end: Instant,
    /// The method.
    pub method: &'static str,
    /// The template of its route; `None` if there is none.
    pub route: Option<Arc<str>>,
    /// The status of the answer.
    pub status: u16,
}

impl Finished {
    /// The number of its spans.
    pub(super) fn spans(&self) -> u64 {
        1 + self.recording.phases.iter().flatten().count() as u64
    }
}
