//! One policy, ready to be asked.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::{
    self, ActionConstraint, Effect, EntityReference, Expr, ExprKind, PrincipalOrResourceConstraint, UnaryOp,
};
use cedar_policy_core::parser::Loc;
use smol_str::SmolStr;

use super::evaluate::EvaluationError;
use super::expression::{self, CompileError, Node};
use super::facts::Facts;
use super::value::Value;
use super::vocabulary::Vocabulary;
use crate::domain::EntityUid;

/// The most conjuncts of a condition that are distinguished.
const MAX_PARTS: usize = 1_000;

/// The most characters shown of a conjunct.
const MAX_TEXT: usize = 200;

/// A compiled policy.
#[derive(Debug)]
pub struct Rule {
    /// Its `@id`.
    pub id: Arc<str>,
    /// `permit` or `forbid`.
    pub effect: Effect,
    /// The place of its `@principle` among the principles.
    pub principle: Option<usize>,
    /// Its `@advice`.
    pub advice: Option<Arc<str>>,
    /// The scope on the principal.
    pub principal: Scope,
    /// Which actions it is about.
    pub action: ActionScope,
    /// The scope on the resource.
    pub resource: Scope,
    /// The condition in addition to the scope.
    pub condition: Option<Condition>,
    /// Its text.
    pub text: Arc<str>,
}

/// A policy's condition in addition to its scope.
#[derive(Debug)]
pub struct Condition {
    /// The whole condition.
    pub node: Node,
    /// The positions of its conjuncts in the policy's text, in the order of evaluation.
    parts: Vec<Part>,
}

/// A conjunct of a condition, in the text of its policy.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: u32,
    end: u32,
    /// Whether it is negated, by `unless`.
    is_negated: bool,
}

/// A policy's scope on the principal or the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Anything.
    Any,
    /// An entity of that type.
    Is(SmolStr),
    /// That entity.
    Eq(EntityUid),
    /// That entity, or a descendant of it; of that type, if one is given.
    In(EntityUid, Option<SmolStr>),
}

/// A policy's scope on the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionScope {
    /// Any action.
    Any,
    /// One of these, groups resolved.
    Only(HashSet<EntityUid>),
}

impl Rule {
    /// Whether the scope matches.
    pub fn applies(&self, facts: &Facts) -> bool {
        self.principal.holds(facts.principal(), facts)
            && self.resource.holds(facts.resource(), facts)
            && self.action.holds(facts.action())
    }

    /// Whether scope and conditions hold.
    pub fn holds(&self, facts: &Facts) -> Result<bool, EvaluationError> {
        if !self.applies(facts) {
            return Ok(false);
        }
        self.condition.as_ref().map_or(Ok(true), |condition| condition.node.holds(facts))
    }

    /// The failed parts of a policy that does not hold, in its own text: those of its scope, and its first failed
    /// condition. With the distance: the smaller, the nearer did the policy come. `None` if it is for another type.
    pub fn shortfall(&self, facts: &Facts) -> Option<(usize, Vec<String>)> {
        let mut failed = Vec::new();
        for (scope, name, value) in
            [(&self.principal, "principal", facts.principal()), (&self.resource, "resource", facts.resource())]
        {
            if !scope.fits(value) {
                return None;
            }
            if !scope.holds(value, facts) {
                failed.push(scope.written(name));
            }
        }
        // A failed part of the scope counts more than any condition.
        let mut distance = failed.len() * MAX_PARTS;
        if let Some(Condition { node, parts }) = &self.condition {
            let mut operands = Vec::new();
            node.operands(&mut operands);
            if let Some(at) = operands.iter().position(|operand| operand.holds(facts) != Ok(true)) {
                distance += (operands.len() - at).min(MAX_PARTS - 1);
                failed.push(parts.get(at).map_or_else(|| "its condition".to_owned(), |part| part.written(&self.text)));
            }
        }
        Some((distance, failed))
    }

    /// The parts of a static policy that decide: scope and condition.
    pub fn compile(
        policy: &ast::Policy,
        vocabulary: &Vocabulary,
    ) -> Result<(Scope, ActionScope, Scope, Option<Condition>), CompileError> {
        let condition = match policy.non_scope_constraints() {
            Some(expr) => {
                let start = policy.loc().map_or(0, Loc::start);
                let parts = expression::operands(expr).iter().filter_map(|expr| Part::new(expr, start)).collect();
                Some(Condition { node: Node::compile(expr)?, parts })
            }
            None => None,
        };
        Ok((
            Scope::new(policy.principal_constraint().as_inner())?,
            ActionScope::new(policy.action_constraint(), vocabulary),
            Scope::new(policy.resource_constraint().as_inner())?,
            condition,
        ))
    }
}

impl Part {
    /// The position of an expression in its policy, which begins at the offset `policy` of its file.
    fn new(expr: &Expr, policy: usize) -> Option<Self> {
        let loc = expr.source_loc()?;
        let within = |at: usize| u32::try_from(at.checked_sub(policy)?).ok();
        let is_not = matches!(expr.expr_kind(), ExprKind::UnaryApp { op: UnaryOp::Not, .. });
        let is_negated = is_not && !loc.snippet()?.trim_start().starts_with('!');
        Some(Self { start: within(loc.start())?, end: within(loc.end())?, is_negated })
    }

    fn written(self, policy: &str) -> String {
        let text = policy.get(self.start as usize..self.end as usize).unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let clause = text.strip_prefix("unless").map(str::trim_start).and_then(|rest| rest.strip_prefix('{'));
        let clause = clause.and_then(|rest| rest.strip_suffix('}')).map_or(&*text, str::trim);
        let mut text = if self.is_negated { format!("!({clause})") } else { text };
        if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
            text.truncate(end);
            text.push('…');
        }
        text
    }
}

impl Scope {
    /// Whether an entity is of the scope's type.
    fn fits(&self, value: &Value) -> bool {
        let Value::Entity(uid) = value else { return false };
        match self {
            Self::Any | Self::In(_, None) => true,
            Self::Is(kind) | Self::In(_, Some(kind)) => uid.kind == *kind,
            Self::Eq(entity) => uid.kind == entity.kind,
        }
    }

    /// The scope as policies write it.
    fn written(&self, name: &str) -> String {
        match self {
            Self::Any => name.to_owned(),
            Self::Is(kind) => format!("{name} is {kind}"),
            Self::Eq(entity) => format!("{name} == {entity}"),
            Self::In(group, None) => format!("{name} in {group}"),
            Self::In(group, Some(kind)) => format!("{name} is {kind} in {group}"),
        }
    }

    fn new(constraint: &PrincipalOrResourceConstraint) -> Result<Self, CompileError> {
        let uid = |reference: &EntityReference| match reference {
            EntityReference::EUID(uid) => Ok(uid.as_ref().into()),
            EntityReference::Slot(_) => Err(CompileError::NotStatic),
        };
        Ok(match constraint {
            PrincipalOrResourceConstraint::Any => Self::Any,
            PrincipalOrResourceConstraint::Is(kind) => Self::Is(kind.to_string().into()),
            PrincipalOrResourceConstraint::Eq(reference) => Self::Eq(uid(reference)?),
            PrincipalOrResourceConstraint::In(reference) => Self::In(uid(reference)?, None),
            PrincipalOrResourceConstraint::IsIn(kind, reference) => {
                Self::In(uid(reference)?, Some(kind.to_string().into()))
            }
        })
    }

    fn holds(&self, value: &Value, facts: &Facts) -> bool {
        matches!(value, Value::Entity(uid) if self.covers(uid, |group| facts.is_member(uid, group)))
    }

    /// Whether the scope matches an entity; `is_in` says whether that is a descendant of another one.
    pub fn covers(&self, uid: &EntityUid, is_in: impl FnOnce(&EntityUid) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Is(kind) => uid.kind == *kind,
            Self::Eq(entity) => uid == entity,
            Self::In(group, kind) => kind.as_ref().is_none_or(|kind| uid.kind == *kind) && is_in(group),
        }
    }
}

impl ActionScope {
    fn new(constraint: &ActionConstraint, vocabulary: &Vocabulary) -> Self {
        let named: HashSet<EntityUid> = match constraint {
            ActionConstraint::Any => return Self::Any,
            ActionConstraint::Eq(uid) => return Self::Only(HashSet::from([uid.as_ref().into()])),
            ActionConstraint::In(uids) => uids.iter().map(|uid| uid.as_ref().into()).collect(),
        };
        let within =
            vocabulary.actions().filter(|action| named.contains(&action.uid) || !action.ancestors.is_disjoint(&named));
        Self::Only(within.map(|action| action.uid.clone()).collect())
    }

    /// Whether the scope matches the action of a request.
    pub fn holds(&self, action: &Value) -> bool {
        matches!(action, Value::Entity(uid) if self.covers(uid))
    }

    /// Whether the scope matches an action.
    pub fn covers(&self, action: &EntityUid) -> bool {
        match self {
            Self::Any => true,
            Self::Only(actions) => actions.contains(action),
        }
    }
}
