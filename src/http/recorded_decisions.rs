//! Decisions whose records are in the audit log.

use std::sync::Arc;

use actix_web::{HttpResponse, HttpResponseBuilder};
use uuid::Uuid;

use super::claimed_hash::{CONSTITUTIONAL_HASH, hash_value};
use crate::actors::active::Active;
use crate::actors::decision::validator::Decided;

/// Decisions that are in the audit log; only these are answered.
#[derive(Debug)]
pub struct RecordedDecisions {
    /// The constitution they were made under.
    pub active: Arc<Active>,
    /// The decisions, in the order of the questions.
    pub decisions: Vec<RecordedDecision>,
}

impl RecordedDecisions {
    /// An answer that names the constitution of the decisions.
    pub fn respond(&self) -> HttpResponseBuilder {
        let mut response = HttpResponse::Ok();
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
