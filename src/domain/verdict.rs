//! Verdicts and their reasons.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::excerpt::cut;
use super::explanation;

/// The longest detail, in bytes; longer ones are cut. The record and the answer of every item of a batch have one.
const MAX_DETAIL: usize = 1024;

/// The reason for a verdict: the first that applies, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// An item of a batch could not be parsed.
    #[serde(skip_deserializing)]
    InvalidRequest,
    /// The caller must claim the constitution in force, and did not.
    ConstitutionHashRequired,
    /// The caller claims another constitution than the one in force.
    ConstitutionMismatch,
    /// The schema does not know the action.
    UnknownAction,
    /// The schema does not know the subject's or resource's type, or the action does not apply to it.
    UnknownType,
    /// An attribute has another type than the schema declares.
    InvalidProperties,
    /// Entities could not be loaded.
    Unavailable,
    /// A policy errored.
    EvaluationError,
    /// A blocking `forbid` holds.
    Forbidden,
    /// No `permit` holds.
    NoPermit,
    /// The only reason of a permit.
    Permitted,
}

impl Reason {
    /// All reasons, in the order of precedence.
    pub const ALL: [Self; Self::Permitted as usize + 1] = [
        Self::InvalidRequest,
        Self::ConstitutionHashRequired,
        Self::ConstitutionMismatch,
        Self::UnknownAction,
        Self::UnknownType,
        Self::InvalidProperties,
        Self::Unavailable,
        Self::EvaluationError,
        Self::Forbidden,
        Self::NoPermit,
        Self::Permitted,
    ];

    /// Whether the same question may be answered otherwise at once, though neither constitution nor entities change.
    /// Such a verdict is not cached, shared or replayed.
    #[must_use]
    pub fn is_transient(self) -> bool {
        match self {
            Self::Unavailable => true,
            Self::InvalidRequest
            | Self::ConstitutionHashRequired
            | Self::ConstitutionMismatch
            | Self::UnknownAction
            | Self::UnknownType
            | Self::InvalidProperties
            | Self::EvaluationError
            | Self::Forbidden
            | Self::NoPermit
            | Self::Permitted => false,
        }
    }

    /// The reason's name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::ConstitutionHashRequired => "constitution_hash_required",
            Self::ConstitutionMismatch => "constitution_mismatch",
            Self::UnknownAction => "unknown_action",
            Self::UnknownType => "unknown_type",
            Self::InvalidProperties => "invalid_properties",
            Self::Unavailable => "unavailable",
            Self::EvaluationError => "evaluation_error",
            Self::Forbidden => "forbidden",
            Self::NoPermit => "no_permit",
            Self::Permitted => "permitted",
        }
    }
}

/// Derived, it would lack the reason that cannot be read.
impl PartialSchema for Reason {
    fn schema() -> RefOr<Schema> {
        let names = Self::ALL.map(Self::as_str);
        let about = "The reason for a decision: the first that applies, in this order.";
        ObjectBuilder::new().schema_type(Type::String).description(Some(about)).enum_values(Some(names)).into()
    }
}

impl ToSchema for Reason {}

/// How bad the violation of a principle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worst.
    Critical,
    /// Serious.
    High,
    /// Notable.
    Medium,
    /// Minor.
    Low,
}

impl Severity {
    /// All severities, the worst first.
    pub const ALL: [Self; Self::Low as usize + 1] = [Self::Critical, Self::High, Self::Medium, Self::Low];
}

/// The effect of violating a principle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// It denies.
    Block,
    /// It is reported and does not deny.
    Warn,
}

/// A principle that the action violates, and by which policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// The principle's id.
    #[schema(value_type = String)]
    pub principle: Arc<str>,
    /// Its severity.
    pub severity: Severity,
    /// The `forbid` policies that hold.
    #[schema(value_type = Vec<String>)]
    pub policies: Vec<Arc<str>>,
    /// The advice of those policies to the caller.
    #[schema(value_type = Vec<String>)]
    pub advice: Vec<Arc<str>>,
}

/// A permit that does not hold, with the parts of it that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NearMiss {
    /// The policy's id.
    #[schema(value_type = String)]
    pub policy: Arc<str>,
    /// The failed parts of its scope, and the first failed condition, in the policy's own text.
    #[schema(value_type = Vec<String>)]
    pub failed: Vec<Arc<str>>,
    /// The policy's `@advice`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub advice: Option<Arc<str>>,
}

/// The outcome of one evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Why.
    pub reason: Reason,
    /// The ids of the determining policies, in the order of the bundle.
    pub policies: Vec<Arc<str>>,
    /// Violated principles that block.
    pub violations: Vec<Finding>,
    /// Violated principles that only warn.
    pub warnings: Vec<Finding>,
    /// Sum of the weights of the principles that are not violated, blocking or warning alike: 0 to 1.
    pub score: f64,
    /// The details, if the reason alone does not say everything.
    pub detail: Option<String>,
    /// If no policy permits: the permits that came nearest, nearest first.
    pub nearest: Vec<NearMiss>,
    members: Box<str>,
    explanation: Box<str>,
}

impl Verdict {
    /// A verdict of the policies.
    #[must_use]
    pub fn of_policies(
        reason: Reason,
        policies: Vec<Arc<str>>,
        violations: Vec<Finding>,
        warnings: Vec<Finding>,
        score: f64,
        detail: Option<String>,
    ) -> Self {
        let detail = detail.map(|detail| cut(detail, MAX_DETAIL));
        let members = members(reason, &policies, &violations, &warnings, detail.as_deref());
        let explanation = Box::default();
        let nearest = Vec::new();
        Self { reason, policies, violations, warnings, score, detail, nearest, members, explanation }.explained()
    }

    /// The same verdict with the permits that came nearest.
    #[must_use]
    pub fn with_nearest(self, nearest: Vec<NearMiss>) -> Self {
        Self { nearest, ..self }.explained()
    }

    fn explained(self) -> Self {
        Self { explanation: explanation::members(&self), ..self }
    }

    /// A deny that comes before any policy is asked; nothing was found compliant, so the score is 0.
    pub fn deny(reason: Reason, detail: impl Into<String>) -> Self {
        Self::of_policies(reason, Vec::new(), Vec::new(), Vec::new(), 0.0, Some(detail.into()))
    }

    /// The memory that the verdict takes, in bytes, estimated. Ids and advice belong to the constitution.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let findings = self.violations.iter().chain(&self.warnings);
        let in_finding = |finding: &Finding| {
            size_of::<Finding>() + (finding.policies.len() + finding.advice.len()) * size_of::<Arc<str>>()
        };
        let detail = self.detail.as_ref().map_or(0, String::len);
        size_of::<Self>()
            + self.policies.len() * size_of::<Arc<str>>()
            + findings.map(in_finding).sum::<usize>()
            + self
                .nearest
                .iter()
                .map(|near| size_of::<NearMiss>() + near.failed.len() * size_of::<Arc<str>>())
                .sum::<usize>()
            + detail
            + self.members.len()
            + self.explanation.len()
    }

    /// Whether the action may be done.
    #[must_use]
    pub fn permits(&self) -> bool {
        self.reason == Reason::Permitted
    }

    /// The JSON members `reason`, `policies`, `violations`, `warnings` and, if there is one, `detail`, without braces.
    /// Answers and audit records contain the same text, made once for each verdict.
    #[must_use]
    pub fn members(&self) -> &str {
        &self.members
    }

    /// The JSON members that explain a deny, each preceded by a comma; empty for a permit. They are derived from the
    /// other members, so answers contain them and records do not.
    #[must_use]
    pub fn explanation(&self) -> &str {
        &self.explanation
    }

    /// Like [`members`](Self::members) without `detail`, which may quote the request or an entity.
    #[must_use]
    pub fn members_without_detail(&self) -> Box<str> {
        members(self.reason, &self.policies, &self.violations, &self.warnings, None)
    }
}

fn members(
    reason: Reason,
    policies: &[Arc<str>],
    violations: &[Finding],
    warnings: &[Finding],
    detail: Option<&str>,
) -> Box<str> {
    let mut text = format!("\"reason\":\"{}\",\"policies\":{}", reason.as_str(), json(&policies));
    let _ = write!(text, ",\"violations\":{},\"warnings\":{}", json(&violations), json(&warnings));
    if let Some(detail) = detail {
        let _ = write!(text, ",\"detail\":{}", json(&detail));
    }
    text.into()
}

/// JSON text of a value that has no map keys to fail on.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_reason_is_the_serialized_one() {
        for reason in Reason::ALL {
            assert_eq!(json(&reason), format!("\"{}\"", reason.as_str()));
        }
    }

    #[test]
    fn a_long_detail_is_cut() {
        let verdict = Verdict::deny(Reason::UnknownType, "é".repeat(5_000));
        assert_eq!(verdict.detail, Some(format!("{}…", "é".repeat(512))));
        assert!(verdict.members().len() < 1_200 && verdict.explanation().len() < 3_000);
    }

    #[test]
    fn the_members_of_a_verdict_are_json() {
        let verdict = Verdict::deny(Reason::UnknownType, "type `\"x\"` is unknown");
        let text = format!("{{{}}}", verdict.members());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            serde_json::json!({"reason": "unknown_type", "policies": [], "violations": [], "warnings": [],
                "detail": "type `\"x\"` is unknown"})
        );
    }
}
