//! Fresh evaluations of a question: as dry runs that bypass every cache.

use serde_json::{Map, Value};

use super::api::Api;
use super::error::BenchError;

/// The members of a decision's context that belong to the decision, and not to its verdict.
const OWN: [&str; 2] = ["id", "audit_index"];

/// A verdict: whether it permits, and the rest of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether the action is permitted.
    pub decision: bool,
    /// Reason, policies, violations, warnings and explanations.
    pub context: Map<String, Value>,
}

impl Verdict {
    /// The verdict of a decision or of a dry run; `None` if it is neither.
    #[must_use]
    pub fn read(mut answer: Value) -> Option<Self> {
        let decision = answer.get("decision")?.as_bool()?;
        let Value::Object(mut context) = answer.get_mut("context")?.take() else { return None };
        for member in OWN {
            context.remove(member);
        }
        Some(Self { decision, context })
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.context.get("reason").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it is about a moment in which something was unavailable.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        is_transient(self.reason())
    }
}

/// Whether a reason is about a moment in which something was unavailable.
#[must_use]
pub fn is_transient(reason: &str) -> bool {
    crate::domain::Reason::ALL.into_iter().any(|one| one.is_transient() && one.as_str() == reason)
}

/// A fresh evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Fresh {
    /// The verdict.
    pub verdict: Verdict,
    /// What it depends on besides the question: the constitution's digest, and entities with their versions.
    pub basis: Value,
}

impl Fresh {
    /// Evaluates a question; `headers` are lines with their ends.
    pub fn evaluate(api: &mut Api, headers: &str, question: &[u8]) -> Result<Self, BenchError> {
        let mut answer = api.post_json("/v1/explain", &format!("X-Consistency: full\r\n{headers}"), question)?;
        let mut take = |member: &str| answer.pointer_mut(member).map(Value::take).unwrap_or_default();
        let basis = Value::Array(vec![take("/constitution/digest"), take("/entities")]);
        let verdict = Verdict::read(answer);
        let no_verdict = || BenchError::Failed("an answer of `/v1/explain` has no verdict".to_owned());
        Ok(Self { verdict: verdict.ok_or_else(no_verdict)?, basis })
    }
}
