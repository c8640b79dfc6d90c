//! Schemas of explanations, for the API document. They describe: the answer is written as text.
#![expect(dead_code, reason = "the types only describe JSON")]

use serde::Serialize;
use utoipa::ToSchema;

use super::decision_schema::DecisionContext;
use crate::constitution::PolicyOutcome;
use crate::domain::Reason;

/// The answer that a question would get now, and its reasons. It is not a decision: nothing is recorded.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "dry_run": true, "decision": true, "reason": "permitted",
    "context": {
        "reason": "permitted", "policies": ["anyone-calls-low-risk-tools"], "violations": [], "warnings": []
    },
    "constitution": {
        "hash": "cdd01ef066bc6cf2", "digest": "6a3f0c1e5b7d9824af06e1d2c3b4a5968778695a4b3c2d1e0f1e2d3c4b5a6978"
    },
    "policies": [{
        "id": "anyone-calls-low-risk-tools", "principle": null, "effect": "permit", "outcome": "satisfied",
        "detail": null, "text": "permit (principal, action == Action::\"call_tool\", resource) when { resource.risk <= 3 };"
    }],
    "policies_left_out": 0,
    "entities": [{"type": "Agent", "id": "helper", "version": 3}]
})))]
pub struct Explanation {
    /// Always true.
    dry_run: bool,
    /// Whether the action would be permitted.
    decision: bool,
    reason: Reason,
    /// As in the answer of a decision, but without `id` and `audit_index`.
    context: DecisionContext,
    constitution: ExplainedConstitution,
    /// The part that each policy has, in the order of the constitution.
    policies: Vec<ExplainedPolicy>,
    /// How many policies are not listed, since there are too many.
    policies_left_out: usize,
    /// The stored entities that the answer depends on.
    entities: Vec<ExplainedEntity>,
}

/// The constitution that answers.
#[derive(Serialize, ToSchema)]
pub struct ExplainedConstitution {
    #[schema(pattern = "^[0-9a-f]{16}$")]
    hash: String,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
}

/// A policy's part in the answer.
#[derive(Serialize, ToSchema)]
pub struct ExplainedPolicy {
    id: String,
    /// The id of its principle.
    #[schema(required)]
    principle: Option<String>,
    effect: PolicyEffect,
    outcome: PolicyOutcome,
    /// The condition that does not hold, or the reason why one has no value.
    #[schema(required)]
    detail: Option<String>,
    /// Its text.
    text: String,
}

/// The effect of a satisfied policy.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyEffect {
    Permit,
    Forbid,
}

/// An entity, and the version of it that was read.
#[derive(Serialize, ToSchema)]
pub struct ExplainedEntity {
    r#type: String,
    id: String,
    /// Null if it is not stored.
    #[schema(required)]
    version: Option<i64>,
}
