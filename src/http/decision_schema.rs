//! Schemas of questions and decisions, for the API document. They describe: questions are read by the domain, and the
//! answers to decisions are written as text.
#![expect(dead_code, reason = "the types only describe JSON")]

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Finding, NearMiss, Reason};

/// An entity that a question is about. Other members are ignored.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"type": "Agent", "id": "helper"})))]
pub struct Party {
    /// The entity type: at most 1,024 bytes.
    #[schema(min_length = 1, max_length = 1024)]
    r#type: String,
    /// The id within the type: at most 1,024 bytes.
    #[schema(min_length = 1, max_length = 1024)]
    id: String,
    /// Attributes that the stored entity does not have.
    #[schema(value_type = Object, required = false)]
    properties: (),
}

/// The action that the subject wants to perform.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"name": "call_tool"})))]
pub struct Action {
    /// The action's name: at most 1,024 bytes.
    #[schema(min_length = 1, max_length = 1024)]
    name: String,
    /// Particulars of the action, which policies see as `context.action`.
    #[schema(value_type = Object, required = false)]
    properties: (),
}

/// A question (`AuthZEN` 1.0, section 6.1): may the subject take the action on the resource?
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "subject": {"type": "Agent", "id": "helper"}, "action": {"name": "call_tool"},
    "resource": {"type": "Tool", "id": "unit-converter", "properties": {"risk": 1}}
})))]
pub struct Evaluation {
    subject: Party,
    action: Action,
    resource: Party,
    /// The circumstances; `constitutional_hash` in it is the hash that the caller expects.
    #[schema(value_type = Object, required = false)]
    context: (),
}

/// A question without members that are not named here, as `/v1/validate` takes it.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "subject": {"type": "Agent", "id": "helper"}, "action": {"name": "call_tool"},
    "resource": {"type": "Tool", "id": "unit-converter", "properties": {"risk": 1}}
})))]
pub struct StrictEvaluation {
    subject: StrictParty,
    action: StrictAction,
    resource: StrictParty,
    /// The circumstances; `constitutional_hash` in it is the hash that the caller expects.
    #[schema(value_type = Object, required = false)]
    context: (),
}

/// An entity that a question is about, without other members.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StrictParty {
    #[schema(min_length = 1, max_length = 1024)]
    r#type: String,
    #[schema(min_length = 1, max_length = 1024)]
    id: String,
    #[schema(value_type = Object, required = false)]
    properties: (),
}

/// The action that the subject wants to perform, without other members.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StrictAction {
    #[schema(min_length = 1, max_length = 1024)]
    name: String,
    #[schema(value_type = Object, required = false)]
    properties: (),
}

/// A question whose missing members come from its batch.
#[derive(Serialize, ToSchema)]
pub struct BatchItem {
    #[schema(value_type = Party, required = false)]
    subject: (),
    #[schema(value_type = Action, required = false)]
    action: (),
    #[schema(value_type = Party, required = false)]
    resource: (),
    #[schema(value_type = Object, required = false)]
    context: (),
}

/// Questions (`AuthZEN` 1.0, section 7.1). Without `evaluations`, or with none, it is one question, whose answer is a
/// single decision.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "subject": {"type": "Agent", "id": "helper"}, "action": {"name": "call_tool"},
    "evaluations": [
        {"resource": {"type": "Tool", "id": "unit-converter", "properties": {"risk": 1}}},
        {"resource": {"type": "Tool", "id": "shell", "properties": {"risk": 9}}}
    ]
})))]
pub struct Evaluations {
    /// The default of items without one.
    #[schema(value_type = Party, required = false)]
    subject: (),
    /// The default of items without one.
    #[schema(value_type = Action, required = false)]
    action: (),
    /// The default of items without one.
    #[schema(value_type = Party, required = false)]
    resource: (),
    /// The default of items without one.
    #[schema(value_type = Object, required = false)]
    context: (),
    /// At most `http.max_evaluations`. An item that cannot be read is answered with a deny in its place.
    #[serde(rename = "evaluations")]
    #[schema(value_type = Vec<BatchItem>, required = false)]
    items: (),
    #[schema(value_type = BatchOptions, required = false)]
    options: (),
}

/// How a batch is decided.
#[derive(Serialize, ToSchema)]
pub struct BatchOptions {
    #[schema(value_type = BatchSemantic, required = false)]
    evaluations_semantic: (),
}

/// Which decision ends a batch.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(default = "execute_all")]
pub enum BatchSemantic {
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

/// A decision (`AuthZEN` 1.0, section 6.2).
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "decision": true,
    "context": {
        "id": "01a20968-28e9-7570-9ff2-740f540c5b2d", "reason": "permitted",
        "policies": ["anyone-calls-low-risk-tools"], "violations": [], "warnings": [], "audit_index": 23
    }
})))]
pub struct Decision {
    /// Whether the action is permitted.
    decision: bool,
    /// Absent in bare items of a batch.
    #[schema(value_type = DecisionContext, required = false)]
    context: (),
}

/// Why. Bare items of a batch have at most `error`.
#[derive(Serialize, ToSchema)]
pub struct DecisionContext {
    /// The id of the decision, under which `/v1/decisions/{id}` shows its record.
    #[schema(value_type = String, format = "uuid", required = false)]
    id: (),
    #[schema(value_type = Reason, required = false)]
    reason: (),
    /// The determining policies.
    #[schema(value_type = Vec<String>, required = false)]
    policies: (),
    /// Violated principles that block.
    #[schema(value_type = Vec<Finding>, required = false)]
    violations: (),
    /// Violated principles that only warn.
    #[schema(value_type = Vec<Finding>, required = false)]
    warnings: (),
    /// Details that the reason alone does not tell.
    #[schema(value_type = String, required = false)]
    detail: (),
    /// If no policy permits: the permits that came nearest, nearest first.
    #[schema(value_type = Vec<NearMiss>, required = false)]
    nearest: (),
    /// Of a deny, for the user.
    #[schema(value_type = ReasonTexts, required = false)]
    reason_user: (),
    /// Of a deny, for the administrator.
    #[schema(value_type = ReasonTexts, required = false)]
    reason_admin: (),
    /// Of a deny: what can be done about it.
    #[schema(value_type = Vec<String>, required = false)]
    reasons: (),
    /// The index of the record in the audit log; absent if answers do not wait for it.
    #[schema(value_type = u64, required = false)]
    audit_index: (),
    /// Of an item of a batch that cannot be read.
    #[schema(value_type = ItemError, required = false)]
    error: (),
}

/// A text under an HTTP status and a language tag.
#[derive(Serialize, ToSchema)]
pub struct ReasonTexts {
    #[serde(rename = "403")]
    status: String,
    en: String,
}

/// Why an item of a batch cannot be read.
#[derive(Serialize, ToSchema)]
pub struct ItemError {
    status: u16,
    message: String,
}

/// Decisions, in the order of the items, up to the one that ends the batch.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"evaluations": [
    {"decision": true, "context": {
        "id": "01a20968-28e9-7570-9ff2-740f540c5b2d", "reason": "permitted",
        "policies": ["anyone-calls-low-risk-tools"], "violations": [], "warnings": [], "audit_index": 23
    }},
    {"decision": false}
]})))]
pub struct Decisions {
    evaluations: Vec<Decision>,
}

/// One decision, or those of a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum DecisionOrDecisions {
    Decision(Decision),
    Decisions(Decisions),
}
