//! One policy, ready to be asked.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::{self, ActionConstraint, Effect, EntityReference, PrincipalOrResourceConstraint};
use smol_str::SmolStr;

use super::evaluate::EvaluationError;
use super::expression::{CompileError, Node};
use super::facts::Facts;
use super::value::Value;
use super::vocabulary::Vocabulary;
use crate::domain::EntityUid;

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
    /// Who it is about.
    pub principal: Scope,
    /// Which actions it is about.
    pub action: ActionScope,
    /// What it is about.
    pub resource: Scope,
    /// What else must hold.
    pub condition: Option<Node>,
    /// Its text.
    pub text: Arc<str>,
}

/// What a policy's scope says of the principal or the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Anything.
    Any,
    /// An entity of that type.
    Is(SmolStr),
    /// That entity.
    Eq(EntityUid),
    /// That entity, or one in it; of that type, where one is given.
    In(EntityUid, Option<SmolStr>),
}

/// What a policy's scope says of the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionScope {
    /// Any action.
    Any,
    /// One of these, groups resolved.
    Only(HashSet<EntityUid>),
}

impl Rule {
    /// Whether scope and conditions hold.
    pub fn holds(&self, facts: &Facts) -> Result<bool, EvaluationError> {
        if !(self.principal.holds(facts.principal(), facts)
            && self.resource.holds(facts.resource(), facts)
            && self.action.holds(facts.action()))
        {
            return Ok(false);
        }
        self.condition.as_ref().map_or(Ok(true), |condition| condition.holds(facts))
    }

    /// The parts of a static policy that decide: scope and condition.
    pub fn compile(
        policy: &ast::Policy,
        vocabulary: &Vocabulary,
    ) -> Result<(Scope, ActionScope, Scope, Option<Node>), CompileError> {
        Ok((
            Scope::new(policy.principal_constraint().as_inner())?,
            ActionScope::new(policy.action_constraint(), vocabulary),
            Scope::new(policy.resource_constraint().as_inner())?,
            policy.non_scope_constraints().map(Node::compile).transpose()?,
        ))
    }
}

impl Scope {
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

    /// Whether it covers an entity; `is_in` says whether that is in another one.
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

    fn holds(&self, action: &Value) -> bool {
        matches!(action, Value::Entity(uid) if self.covers(uid))
    }

    /// Whether it covers an action.
    pub fn covers(&self, action: &EntityUid) -> bool {
        match self {
            Self::Any => true,
            Self::Only(actions) => actions.contains(action),
        }
    }
}
