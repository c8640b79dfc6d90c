//! The policy files: parsed, annotated, validated; every fault with its file and line.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use cedar_policy_core::ast;
use cedar_policy_core::parser::Loc;
use miette::Diagnostic;

use super::access::AccessTree;
use super::bundle::Source;
use super::fault::Fault;
use super::manifest::Principle;
use super::rule::Rule;
use super::vocabulary::Vocabulary;

/// The annotations that mean something; any other is taken for a typing error.
const ANNOTATIONS: [&str; 3] = ["id", "principle", "advice"];

/// One policy as it was written.
#[derive(Debug)]
struct Written<'a> {
    source: &'a Source,
    offset: usize,
    policy: Policy,
    principle: Option<usize>,
}

/// All policies of a bundle, without faults.
#[derive(Debug)]
pub struct Policies {
    /// The compiled policies, in the order of files and lines.
    pub rules: Vec<Rule>,
    /// Which entities they look into.
    pub tree: AccessTree,
    /// What Cedar warns of, such as a policy that can never hold.
    pub warnings: Vec<Fault>,
}

impl Policies {
    /// Reads policy files against the schema; what is wrong with them goes to `faults`.
    pub fn parse(
        sources: &[Source],
        schema: &Schema,
        vocabulary: &Vocabulary,
        principles: Option<&[Principle]>,
        faults: &mut Vec<Fault>,
    ) -> Option<Self> {
        let before = faults.len();
        let mut written = BTreeMap::new();
        for source in sources {
            for (offset, policy) in parse_file(source, faults) {
                annotate(source, offset, &policy, principles, &mut written, faults);
            }
        }
        if sources.is_empty() {
            faults.push(Fault::of_file("policies", "has no `*.cedar` file"));
        }
        // Compiled first: what nests too deep for that is nothing for the validator either.
        let mut rules: Vec<(&str, usize, Rule)> = Vec::new();
        written.retain(|id, written| match compile(id, written, vocabulary) {
            Ok(rule) => {
                rules.push((&written.source.file, written.offset, rule));
                true
            }
            Err(error) => {
                faults.push(written.fault(&format!("policy `{id}` {error}")));
                false
            }
        });
        let mut warnings = Vec::new();
        validate(schema, &written, &mut warnings, faults);
        rules.sort_by_key(|(file, offset, _)| (*file, *offset));
        let rules: Vec<Rule> = rules.into_iter().map(|(_, _, rule)| rule).collect();
        let tree = AccessTree::new(&rules);
        let tree = tree.map_err(|error| faults.push(Fault::of_file("policies", error.to_string()))).ok()?;
        (faults.len() == before).then_some(Self { rules, tree, warnings })
    }
}

impl Written<'_> {
    fn fault(&self, detail: &str) -> Fault {
        Fault::at(&self.source.file, &self.source.text, self.offset, detail)
    }
}

fn parse_file(source: &Source, faults: &mut Vec<Fault>) -> Vec<(usize, Policy)> {
    let set = match PolicySet::from_str(&source.text) {
        Ok(set) => set,
        Err(errors) => {
            faults.extend(errors.iter().map(|error| diagnostic(source, 0, error)));
            return Vec::new();
        }
    };
    for template in set.templates() {
        let offset = AsRef::<ast::Template>::as_ref(template).loc().map_or(0, Loc::start);
        let detail = "is a template: only policies without slots are taken";
        faults.push(Fault::at(&source.file, &source.text, offset, detail));
    }
    let offset = |policy: &Policy| AsRef::<ast::Policy>::as_ref(policy).loc().map_or(0, Loc::start);
    let mut policies: Vec<_> = set.policies().map(|policy| (offset(policy), policy.clone())).collect();
    policies.sort_by_key(|(offset, _)| *offset);
    policies
}

/// Checks a policy's annotations and files it under its id.
fn annotate<'a>(
    source: &'a Source,
    offset: usize,
    policy: &Policy,
    principles: Option<&[Principle]>,
    written: &mut BTreeMap<String, Written<'a>>,
    faults: &mut Vec<Fault>,
) {
    let mut fault = |detail: String| faults.push(Fault::at(&source.file, &source.text, offset, detail));
    for (name, _) in policy.annotations().filter(|(name, _)| !ANNOTATIONS.contains(name)) {
        fault(format!("annotation `@{name}` is unknown; known are `@id`, `@principle` and `@advice`"));
    }
    let id = policy.annotation("id").unwrap_or_default().to_owned();
    if id.is_empty() {
        return fault("the policy has no `@id`".to_owned());
    }
    let principle = match (policy.annotation("principle"), principles) {
        (Some(name), Some(principles)) => {
            let place = principles.iter().position(|principle| &*principle.id == name);
            if place.is_none() {
                fault(format!("policy `{id}` names principle `{name}`, which does not exist"));
            }
            place
        }
        (None, _) if policy.effect() == Effect::Forbid => {
            fault(format!("policy `{id}` forbids, but names no `@principle`"));
            None
        }
        _ => None,
    };
    if let Some(first) = written.get(&id) {
        let place = first.fault("").to_string();
        return fault(format!("policy `{id}` is there twice, first at {}", place.trim_end_matches(": ")));
    }
    let policy = policy.clone().new_id(PolicyId::new(&id));
    written.insert(id, Written { source, offset, policy, principle });
}

/// Validates all policies in strict mode.
fn validate(
    schema: &Schema,
    written: &BTreeMap<String, Written<'_>>,
    warnings: &mut Vec<Fault>,
    faults: &mut Vec<Fault>,
) {
    let set = match PolicySet::from_policies(written.values().map(|written| written.policy.clone())) {
        Ok(set) => set,
        Err(error) => return faults.push(Fault::of_file("policies", error.to_string())),
    };
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let errors = result.validation_errors();
    faults.extend(errors.filter_map(|error| located(written, error.policy_id().as_ref(), error)));
    let found = result.validation_warnings();
    warnings.extend(found.filter_map(|warning| located(written, warning.policy_id().as_ref(), warning)));
}

fn located(written: &BTreeMap<String, Written<'_>>, id: &str, error: &dyn Diagnostic) -> Option<Fault> {
    let written = written.get(id)?;
    Some(diagnostic(written.source, written.offset, error))
}

/// A fault from one of Cedar's, at the place it points to, else at `offset`.
pub fn diagnostic(source: &Source, offset: usize, error: &dyn Diagnostic) -> Fault {
    let offset = error.labels().and_then(|mut labels| labels.next()).map_or(offset, |label| label.offset());
    let detail = match error.help() {
        Some(help) => format!("{error} ({help})"),
        None => error.to_string(),
    };
    Fault::at(&source.file, &source.text, offset, detail)
}

fn compile(id: &str, written: &Written<'_>, vocabulary: &Vocabulary) -> Result<Rule, super::expression::CompileError> {
    let policy: &ast::Policy = written.policy.as_ref();
    let (principal, action, resource, condition) = Rule::compile(policy, vocabulary)?;
    let text = policy.loc().and_then(|loc| written.source.text.get(loc.start()..loc.end())).unwrap_or_default();
    Ok(Rule {
        id: id.into(),
        effect: policy.effect(),
        principle: written.principle,
        advice: written.policy.annotation("advice").filter(|advice| !advice.is_empty()).map(Arc::from),
        principal,
        action,
        resource,
        condition,
        text: text.into(),
    })
}
