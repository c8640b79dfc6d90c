//! What the verdict must be: Cedar's own authorizer over all policies, and our rules on top, written a second time.

use std::collections::BTreeSet;
use std::str::FromStr;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, EntityUid, PolicyId, PolicySet, Request, Response,
    Schema, ValidationMode, Validator,
};
use serde_json::{Value as Json, json};

use crate::policy::{PRINCIPLES, Policy};
use crate::schema::{AUDIT, action_groups, environments};
use crate::world::{Attrs, Question, Store, Uid, Val, explicit};

/// What a verdict says, in a form that both sides can be brought to.
#[derive(Debug, PartialEq)]
pub struct Expected {
    pub reason: &'static str,
    pub policies: Vec<String>,
    pub violations: Vec<Violation>,
    pub warnings: Vec<Violation>,
    pub score: f64,
}

/// A violated principle.
#[derive(Debug, PartialEq)]
pub struct Violation {
    pub principle: String,
    pub severity: String,
    pub policies: Vec<String>,
    pub advice: Vec<String>,
}

/// Cedar with the policies of one constitution.
pub struct Reference<'a> {
    policies: &'a [Policy],
    all: PolicySet,
    permits: PolicySet,
    forbids: PolicySet,
}

/// Whether Cedar takes a policy as strictly as the constitution does.
pub fn is_valid(schema: &Schema, policy: &Policy) -> bool {
    let set = policy_set(std::iter::once(policy));
    Validator::new(schema.clone()).validate(&set, ValidationMode::Strict).validation_passed()
}

fn policy_set<'a>(policies: impl Iterator<Item = &'a Policy>) -> PolicySet {
    let parse = |policy: &Policy| {
        let parsed = cedar_policy::Policy::parse(Some(PolicyId::new(&policy.id)), &policy.text);
        parsed.unwrap_or_else(|error| panic!("{error:?} in {}", policy.text))
    };
    PolicySet::from_policies(policies.map(parse)).unwrap()
}

impl<'a> Reference<'a> {
    pub fn new(policies: &'a [Policy]) -> Self {
        Self {
            policies,
            all: policy_set(policies.iter()),
            permits: policy_set(policies.iter().filter(|policy| !policy.forbids)),
            forbids: policy_set(policies.iter().filter(|policy| policy.forbids)),
        }
    }

    pub fn decide(&self, store: &Store, question: &Question) -> Expected {
        let entities = entities(&merged(store, question));
        let request = request(question);
        let ask = |set| Authorizer::new().is_authorized(&request, set, &entities);
        let (all, permits, forbids) = (ask(&self.all), ask(&self.permits), ask(&self.forbids));
        let errors: BTreeSet<String> = all.diagnostics().errors().map(failed).collect();
        let permitting = holding(&permits);
        let forbidding = holding(&forbids);
        let (blocking, warning) = (self.violations(&forbidding, "block"), self.violations(&forbidding, "warn"));
        let violated = blocking.iter().chain(&warning).map(|violation| &violation.principle);
        let lost: f64 = violated
            .map(|id| PRINCIPLES.iter().find(|(principle, ..)| principle == id).map_or(0.0, |(.., weight)| *weight))
            .sum();
        let (reason, policies) = if !errors.is_empty() {
            ("evaluation_error", errors)
        } else if !blocking.is_empty() {
            ("forbidden", blocking.iter().flat_map(|violation| violation.policies.clone()).collect())
        } else if permitting.is_empty() {
            ("no_permit", BTreeSet::new())
        } else {
            ("permitted", permitting)
        };
        if reason != "evaluation_error" && warning.is_empty() {
            // Without errors and warnings our verdict is nothing but Cedar's decision.
            assert_eq!(all.decision() == Decision::Allow, reason == "permitted");
        }
        Expected {
            reason,
            policies: self.in_order(&policies),
            violations: blocking,
            warnings: warning,
            score: ((1.0 - lost) * 1e6).round() / 1e6,
        }
    }

    fn in_order(&self, ids: &BTreeSet<String>) -> Vec<String> {
        self.policies.iter().filter(|policy| ids.contains(&policy.id)).map(|policy| policy.id.clone()).collect()
    }

    fn violations(&self, forbidding: &BTreeSet<String>, enforced: &str) -> Vec<Violation> {
        let mut found = Vec::new();
        for (place, (principle, enforcement, severity, _)) in PRINCIPLES.iter().enumerate() {
            let violating: Vec<&Policy> = self
                .policies
                .iter()
                .filter(|policy| policy.principle == Some(place) && forbidding.contains(&policy.id))
                .collect();
            if *enforcement == enforced && !violating.is_empty() {
                found.push(Violation {
                    principle: (*principle).to_owned(),
                    severity: (*severity).to_owned(),
                    policies: violating.iter().map(|policy| policy.id.clone()).collect(),
                    advice: violating.iter().filter_map(|policy| policy.advice.clone()).collect(),
                });
            }
        }
        found
    }
}

fn failed(error: &AuthorizationError) -> String {
    match error {
        AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
    }
}

/// The policies that hold, in an answer over permits alone or forbids alone.
fn holding(response: &Response) -> BTreeSet<String> {
    response.diagnostics().reason().map(ToString::to_string).collect()
}

/// The store, with the request's properties where the store has nothing.
fn merged(store: &Store, question: &Question) -> Store {
    let mut merged = store.clone();
    if question.merge {
        let given =
            [(question.subject, &question.subject_properties), (question.resource, &question.resource_properties)];
        for (uid, properties) in given {
            for (name, value) in properties {
                let entity = merged.entry(uid).or_default();
                entity.attrs.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    merged
}

fn entities(store: &Store) -> Entities {
    let reference = |(kind, id): &Uid| json!({"type": kind, "id": id});
    let mut all: Vec<Json> = store
        .iter()
        .map(|(uid, stored)| {
            let parents: Vec<Json> = stored.parents.iter().map(reference).collect();
            let (attrs, tags) = (explicit(&stored.attrs), explicit(&stored.tags));
            json!({"uid": reference(uid), "attrs": attrs, "parents": parents, "tags": tags})
        })
        .collect();
    let actions: BTreeSet<&str> = environments().iter().map(|env| env.action).collect();
    for action in actions {
        let uid = EntityUid::from_str(action).unwrap();
        let uid = json!({"type": uid.type_name().to_string(), "id": uid.id().unescaped()});
        let parents: Vec<Json> = action_groups(action).iter().map(|group| reference(&("Action", group))).collect();
        all.push(json!({"uid": uid, "attrs": {}, "parents": parents}));
    }
    Entities::from_json_value(all.into(), None).unwrap()
}

fn request(question: &Question) -> Request {
    let uid = |(kind, id): Uid| EntityUid::from_json(json!({"type": kind, "id": id})).unwrap();
    let action = EntityUid::from_str(question.env.action).unwrap();
    let mut context: Attrs = question.context.clone();
    if let Some(properties) = question.action_properties.as_ref().filter(|_| question.env.action != AUDIT) {
        context.insert("action".to_owned(), Val::Record(properties.clone()));
    }
    let context = Context::from_json_value(explicit(&context), None).unwrap();
    Request::new(uid(question.subject), action, uid(question.resource), context, None).unwrap()
}
