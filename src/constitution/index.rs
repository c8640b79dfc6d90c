//! The scope index: finds the policies that may apply to a request, however many others there are.
//!
//! Every policy is filed once for each of its actions, under the narrowest constraint of its scope on an entity: equal
//! to one, a descendant of one, or of a type. A request looks under its own entities, their ancestors and their types;
//! policies filed elsewhere cannot match it.

use std::collections::HashMap;

use cedar_policy::Effect;
use smol_str::SmolStr;

use super::facts::Facts;
use super::rule::{ActionScope, Rule, Scope};
use super::value::Value;
use crate::domain::EntityUid;

/// The most permits of one action that are examined for near misses.
const PERMITS: usize = 64;

/// Positions of rules, by scope.
#[derive(Debug, Default)]
pub struct ScopeIndex {
    any_action: Bucket,
    by_action: HashMap<EntityUid, Bucket>,
    any_action_permits: Vec<u32>,
    permits: HashMap<EntityUid, Vec<u32>>,
}

/// The rules of one action, or of all.
#[derive(Debug, Default)]
struct Bucket {
    by_principal: HashMap<EntityUid, Vec<u32>>,
    by_resource: HashMap<EntityUid, Vec<u32>>,
    by_types: HashMap<SmolStr, ByResourceType>,
    any_principal_type: ByResourceType,
}

#[derive(Debug, Default)]
struct ByResourceType {
    of_type: HashMap<SmolStr, Vec<u32>>,
    of_any: Vec<u32>,
}

impl ScopeIndex {
    /// Files every rule under its position.
    pub fn new<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Self {
        let mut index = Self::default();
        for (position, rule) in (0..).zip(rules) {
            if rule.effect == Effect::Permit {
                index.file_permit(rule, position);
            }
            match &rule.action {
                ActionScope::Any => index.any_action.file(rule, position),
                ActionScope::Only(actions) => {
                    for action in actions {
                        index.by_action.entry(action.clone()).or_default().file(rule, position);
                    }
                }
            }
        }
        index
    }

    fn file_permit(&mut self, rule: &Rule, position: u32) {
        let file = |positions: &mut Vec<u32>| {
            if positions.len() < PERMITS {
                positions.push(position);
            }
        };
        match &rule.action {
            ActionScope::Any => file(&mut self.any_action_permits),
            ActionScope::Only(actions) => {
                for action in actions {
                    file(self.permits.entry(action.clone()).or_default());
                }
            }
        }
    }

    /// The positions of the first permits for an action, whatever their scope on principal and resource: those that
    /// name the action, then those for any action.
    pub fn permits(&self, action: &EntityUid) -> impl Iterator<Item = u32> {
        self.permits.get(action).into_iter().flatten().chain(&self.any_action_permits).take(PERMITS).copied()
    }

    /// The positions of all rules that could hold for these facts, ascending, each once.
    #[must_use]
    pub fn candidates(&self, facts: &Facts) -> Vec<u32> {
        let (Value::Entity(principal), Value::Entity(action), Value::Entity(resource)) =
            (facts.principal(), facts.action(), facts.resource())
        else {
            return Vec::new();
        };
        let mut found = Vec::with_capacity(32);
        for bucket in [Some(&self.any_action), self.by_action.get(action)].into_iter().flatten() {
            bucket.find(principal, resource, facts, &mut found);
        }
        found.sort_unstable();
        found
    }
}

impl Bucket {
    fn file(&mut self, rule: &Rule, position: u32) {
        let place = match (&rule.principal, &rule.resource) {
            (_, Scope::Eq(uid)) => self.by_resource.entry(uid.clone()).or_default(),
            (Scope::Eq(uid), _) => self.by_principal.entry(uid.clone()).or_default(),
            (_, Scope::In(uid, _)) => self.by_resource.entry(uid.clone()).or_default(),
            (Scope::In(uid, _), _) => self.by_principal.entry(uid.clone()).or_default(),
            (Scope::Is(kind), resource) => self.by_types.entry(kind.clone()).or_default().place(resource),
            (Scope::Any, resource) => self.any_principal_type.place(resource),
        };
        place.push(position);
    }

    fn find(&self, principal: &EntityUid, resource: &EntityUid, facts: &Facts, found: &mut Vec<u32>) {
        by_entity(&self.by_principal, principal, facts, found);
        by_entity(&self.by_resource, resource, facts, found);
        self.any_principal_type.find(resource, found);
        if let Some(typed) = self.by_types.get(&principal.kind) {
            typed.find(resource, found);
        }
    }
}

impl ByResourceType {
    fn place(&mut self, resource: &Scope) -> &mut Vec<u32> {
        match resource {
            Scope::Is(kind) => self.of_type.entry(kind.clone()).or_default(),
            // Scopes that name an entity are filed under it, so that only `Any` comes here.
            Scope::Any | Scope::Eq(_) | Scope::In(..) => &mut self.of_any,
        }
    }

    fn find(&self, resource: &EntityUid, found: &mut Vec<u32>) {
        found.extend_from_slice(&self.of_any);
        if let Some(typed) = self.of_type.get(&resource.kind) {
            found.extend_from_slice(typed);
        }
    }
}

/// Under the entity itself and everything it is in. A small index is walked instead of a large ancestry.
fn by_entity(filed: &HashMap<EntityUid, Vec<u32>>, uid: &EntityUid, facts: &Facts, found: &mut Vec<u32>) {
    if filed.is_empty() {
        return;
    }
    let ancestors = facts.ancestors(uid);
    if ancestors.is_some_and(|ancestors| ancestors.len() > filed.len()) {
        let within = filed.iter().filter(|(entity, _)| facts.is_member(uid, entity));
        within.for_each(|(_, positions)| found.extend_from_slice(positions));
        return;
    }
    let own = std::iter::once(uid).chain(ancestors.into_iter().flatten().filter(|ancestor| *ancestor != uid));
    own.filter_map(|entity| filed.get(entity)).for_each(|positions| found.extend_from_slice(positions));
}
