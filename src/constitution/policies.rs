//! Parses the policy files, checks annotations, compiles the policies, and validates them against the schema. Every
//! fault has its file and line.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{
    Effect, Policy, PolicyId, PolicySet, Schema, ValidationError, ValidationMode, ValidationWarning, Validator,
};
use cedar_policy_core::ast;
use cedar_policy_core::parser::Loc;
use miette::Diagnostic;

use super::access::AccessTree;
use super::bounds::{self, MAX_TOKENS, PolicyText};
use super::bundle::Source;
use super::fault::Fault;
use super::manifest::Principle;
use super::rule::Rule;
use super::vocabulary::Vocabulary;

/// The annotations that mean something; any other is taken for a typing error.
const ANNOTATIONS: [&str; 3] = ["id", "principle", "advice"];

/// A parsed policy and its place.
#[derive(Debug)]
struct ParsedPolicy<'a> {
    source: &'a Source,
    /// The byte offset, in the file, of the text that was parsed; Cedar's positions count from it.
    base: usize,
    /// The byte offset, in the file, of the policy.
    offset: usize,
    /// Its `@id`, or its position if it has none.
    id: String,
    policy: Policy,
    /// The index of its principle.
    principle: Option<usize>,
}

/// All policies of a bundle, without faults.
#[derive(Debug)]
pub struct Policies {
    /// The compiled policies, in the order of files and lines.
    pub rules: Vec<Rule>,
    /// The entities that they read.
    pub tree: AccessTree,
    /// Policies that can match no request.
    pub impossible: Vec<Fault>,
    /// Other warnings of Cedar, such as confusable characters.
    pub warnings: Vec<Fault>,
}

impl Policies {
    /// Parses policy files, and validates them against the schema if there is one. Faults are added to `faults`.
    pub fn parse(
        sources: &[Source],
        schema: Option<(&Schema, &Vocabulary)>,
        principles: Option<&[Principle]>,
        faults: &mut Vec<Fault>,
    ) -> Option<Self> {
        let before = faults.len();
        if sources.is_empty() {
            faults.push(Fault::of_file("policies", "has no `*.cedar` file"));
        }
        let parsed = parse_files(sources, principles, faults);
        let (schema, vocabulary) = schema?;
        // Policies are compiled first: one that nests too deep for that is too deep for the validator, too.
        let mut rules = Vec::with_capacity(parsed.len());
        let mut compiled = Vec::with_capacity(parsed.len());
        for policy in &parsed {
            match compile(policy, vocabulary) {
                Ok(rule) => {
                    rules.push(rule);
                    compiled.push(policy);
                }
                Err(error) => faults.push(policy.fault(&format!("policy `{}` {error}", policy.id))),
            }
        }
        let (mut impossible, mut warnings) = (Vec::new(), Vec::new());
        for policies in without_duplicates(&compiled) {
            faults.extend(validate(schema, &policies, &mut impossible, &mut warnings));
        }
        let tree = AccessTree::new(&rules);
        let tree = tree.map_err(|error| faults.push(Fault::of_file("policies", error.to_string()))).ok()?;
        (faults.len() == before).then_some(Self { rules, tree, impossible, warnings })
    }
}

impl ParsedPolicy<'_> {
    fn fault(&self, detail: &str) -> Fault {
        Fault::at(&self.source.file, &self.source.text, self.offset, detail)
    }

    /// Converts one of Cedar's errors into a fault.
    fn diagnostic(&self, error: &dyn Diagnostic) -> Fault {
        diagnostic(self.source, self.base, self.offset - self.base, error)
    }
}

/// Parses all policies one by one, in the order of files and lines: a syntax error in one policy hides no faults of
/// others.
fn parse_files<'a>(
    sources: &'a [Source],
    principles: Option<&[Principle]>,
    faults: &mut Vec<Fault>,
) -> Vec<ParsedPolicy<'a>> {
    let mut texts = Vec::new();
    let mut tokens = 0;
    for source in sources {
        let (found, count) = bounds::policies(source, faults);
        texts.extend(found.into_iter().map(|text| (source, text)));
        tokens += count;
    }
    if tokens > MAX_TOKENS {
        let detail = format!("have {tokens} tokens together, more than {MAX_TOKENS}");
        faults.push(Fault::of_file("policies", detail));
        return Vec::new();
    }
    let mut parsed = Vec::with_capacity(texts.len());
    let mut first_places = HashMap::new();
    for (source, text) in texts {
        for (offset, policy) in parse(source, text, faults) {
            parsed.push(check_annotations(source, text.offset, offset, &policy, principles, &mut first_places, faults));
        }
    }
    parsed
}

/// Parses one piece of a file, which is one policy if it is valid.
fn parse(
    source: &Source,
    PolicyText { offset, text }: PolicyText<'_>,
    faults: &mut Vec<Fault>,
) -> Vec<(usize, Policy)> {
    let set = match PolicySet::from_str(text) {
        Ok(set) => set,
        Err(errors) => {
            faults.extend(errors.iter().map(|error| diagnostic(source, offset, 0, error)));
            return Vec::new();
        }
    };
    for template in set.templates() {
        let within = AsRef::<ast::Template>::as_ref(template).loc().map_or(0, Loc::start);
        let detail = "is a template: only policies without slots are taken";
        faults.push(Fault::at(&source.file, &source.text, offset + within, detail));
    }
    let within = |policy: &Policy| AsRef::<ast::Policy>::as_ref(policy).loc().map_or(0, Loc::start);
    set.policies().map(|policy| (offset + within(policy), policy.clone())).collect()
}

/// Checks a policy's annotations, and takes its id and principle from them. `first_places` maps each id to the place
/// where it is first used.
fn check_annotations<'a>(
    source: &'a Source,
    base: usize,
    offset: usize,
    policy: &Policy,
    principles: Option<&[Principle]>,
    first_places: &mut HashMap<String, String>,
    faults: &mut Vec<Fault>,
) -> ParsedPolicy<'a> {
    let here = Fault::at(&source.file, &source.text, offset, "");
    let place = here.to_string().trim_end_matches(": ").to_owned();
    let mut fault = |detail: String| faults.push(Fault { detail, ..here.clone() });
    for (name, _) in policy.annotations().filter(|(name, _)| !ANNOTATIONS.contains(name)) {
        fault(format!("annotation `@{name}` is unknown; known are `@id`, `@principle` and `@advice`"));
    }
    let id = match policy.annotation("id") {
        None | Some("") => {
            fault("the policy has no `@id`".to_owned());
            place.clone()
        }
        Some(id) => {
            if let Some(first) = first_places.get(id) {
                fault(format!("policy `{id}` is there twice, first at {first}"));
            } else {
                first_places.insert(id.to_owned(), place.clone());
            }
            id.to_owned()
        }
    };
    let principle = match (policy.annotation("principle"), principles) {
        (Some(name), Some(principles)) => {
            let index = principles.iter().position(|principle| &*principle.id == name);
            if index.is_none() {
                fault(format!("policy `{id}` names principle `{name}`, which does not exist"));
            }
            index
        }
        (None, _) if policy.effect() == Effect::Forbid => {
            fault(format!("policy `{id}` forbids, but names no `@principle`"));
            None
        }
        _ => None,
    };
    let policy = policy.new_id(PolicyId::new(&id));
    ParsedPolicy { source, base, offset, id, policy, principle }
}

/// Groups policies by id so that no id occurs twice in a group: Cedar refuses a policy set with a duplicate id.
fn without_duplicates<'p, 'a>(policies: &[&'p ParsedPolicy<'a>]) -> Vec<BTreeMap<&'p str, &'p ParsedPolicy<'a>>> {
    let mut groups = vec![BTreeMap::new()];
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for policy in policies {
        let count = seen.entry(policy.id.as_str()).or_default();
        if *count == groups.len() {
            groups.push(BTreeMap::new());
        }
        if let Some(group) = groups.get_mut(*count) {
            group.insert(policy.id.as_str(), *policy);
        }
        *count += 1;
    }
    groups
}

/// Validates policies in strict mode, and returns the errors. Policies that can match no request go to `impossible`.
fn validate(
    schema: &Schema,
    policies: &BTreeMap<&str, &ParsedPolicy<'_>>,
    impossible: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Vec<Fault> {
    let set = match PolicySet::from_policies(policies.values().map(|parsed| parsed.policy.clone())) {
        Ok(set) => set,
        Err(error) => return vec![Fault::of_file("policies", error.to_string())],
    };
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    for warning in result.validation_warnings() {
        let id: &str = warning.policy_id().as_ref();
        let Some(policy) = policies.get(id) else { continue };
        match warning {
            ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) => {
                impossible.push(policy.diagnostic(warning));
            }
            _ => warnings.push(policy.diagnostic(warning)),
        }
    }
    let fault = |error: &ValidationError| {
        let id: &str = error.policy_id().as_ref();
        policies.get(id).map(|policy| policy.diagnostic(error))
    };
    result.validation_errors().filter_map(fault).collect()
}

/// Converts one of Cedar's errors about the text at `base` of a file into a fault: at the position that it names, or
/// else at `offset` of that text.
pub fn diagnostic(source: &Source, base: usize, offset: usize, error: &dyn Diagnostic) -> Fault {
    let offset = error.labels().and_then(|mut labels| labels.next()).map_or(offset, |label| label.offset());
    let detail = match error.help() {
        Some(help) => format!("{error} ({help})"),
        None => error.to_string(),
    };
    Fault::at(&source.file, &source.text, base + offset, detail)
}

fn compile(parsed: &ParsedPolicy<'_>, vocabulary: &Vocabulary) -> Result<Rule, super::expression::CompileError> {
    let policy: &ast::Policy = parsed.policy.as_ref();
    let (principal, action, resource, condition) = Rule::compile(policy, vocabulary)?;
    let text = policy.loc().and_then(|loc| parsed.source.text.get(parsed.base + loc.start()..parsed.base + loc.end()));
    Ok(Rule {
        id: parsed.id.as_str().into(),
        effect: policy.effect(),
        principle: parsed.principle,
        advice: parsed.policy.annotation("advice").filter(|advice| !advice.is_empty()).map(Arc::from),
        principal,
        action,
        resource,
        condition,
        text: text.unwrap_or_default().into(),
    })
}
