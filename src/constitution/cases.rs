//! The bundle's own test cases: expected verdicts, and the policies that must decide.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::bundle::Bundle;
use super::fault::{Fault, Faults};
use super::{Constitution, Source};
use crate::domain::{Entity, EntityUid, Evaluation, Finding, Json, Object, Reason, UnknownMembers, Verdict};
use crate::settings::RequestProperties;

/// One case, ready to be run.
#[derive(Debug, Clone)]
pub struct Case {
    /// The expectation, as a sentence.
    pub name: String,
    /// The file it is in.
    pub file: String,
    /// The line it begins at.
    pub line: usize,
    evaluation: Evaluation,
    entities: Vec<Entity>,
    expected: Expected,
}

/// The expected verdict; a missing member may have any value.
#[derive(Debug, Clone)]
struct Expected {
    decision: bool,
    reason: Option<Reason>,
    policies: Option<BTreeSet<String>>,
    warnings: Option<BTreeSet<String>>,
}

/// The outcome of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseOutcome {
    /// The case's name.
    pub name: String,
    /// Its place: `file:line`.
    pub place: String,
    /// Every expectation that did not hold; none if it passed.
    pub failures: Vec<String>,
}

/// Which policies the cases reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// How many policies there are.
    pub policies: usize,
    /// The policies that decided no passing case.
    pub missed: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    subject: Json,
    action: Json,
    resource: Json,
    context: Option<Json>,
    #[serde(default)]
    entities: Vec<Entity>,
    decision: bool,
    reason: Option<Reason>,
    policies: Option<BTreeSet<String>>,
    warnings: Option<BTreeSet<String>>,
}

impl Bundle {
    /// The cases of the bundle; the error is every fault in their files.
    pub fn cases(&self) -> Result<Vec<Case>, Faults> {
        let mut faults = Vec::new();
        let cases = self.cases.iter().flat_map(|source| parse(source, &mut faults)).collect();
        if faults.is_empty() { Ok(cases) } else { Err(Faults(faults)) }
    }
}

fn parse(source: &Source, faults: &mut Vec<Fault>) -> Vec<Case> {
    let at = |offset, detail: &str| Fault::at(&source.file, &source.text, offset, detail);
    let (mut root, errors) = DeTable::parse_recoverable(&source.text);
    if !errors.is_empty() {
        faults.extend(errors.iter().map(|error| at(error.span().map_or(0, |span| span.start), error.message())));
        return Vec::new();
    }
    let written = root.get_mut().remove("case");
    for key in root.get_ref().keys() {
        faults.push(at(key.span().start, &format!("`{}` is unknown; a case is written as `[[case]]`", key.get_ref())));
    }
    let Some(DeValue::Array(items)) = written.map(toml::Spanned::into_inner) else {
        faults.push(Fault::of_file(&source.file, "has no `[[case]]`"));
        return Vec::new();
    };
    let mut cases = Vec::new();
    for item in items {
        let start = item.span().start;
        match Written::deserialize(ValueDeserializer::from(item)) {
            Err(error) => faults.push(at(error.span().map_or(start, |span| span.start), error.message())),
            Ok(written) => match ready(written) {
                Ok((name, evaluation, entities, expected)) => {
                    let line = at(start, "").line.unwrap_or_default();
                    cases.push(Case { name, file: source.file.clone(), line, evaluation, entities, expected });
                }
                Err(details) => faults.extend(details.iter().map(|detail| at(start, detail))),
            },
        }
    }
    cases
}

fn ready(written: Written) -> Result<(String, Evaluation, Vec<Entity>, Expected), Vec<String>> {
    let mut members: Vec<(Box<str>, Json)> = vec![
        ("action".into(), written.action),
        ("resource".into(), written.resource),
        ("subject".into(), written.subject),
    ];
    members.extend(written.context.map(|context| ("context".into(), context)));
    let request = Object::from_members(members).unwrap_or_default();
    let evaluation = Evaluation::from_object(&request, UnknownMembers::Refused)
        .map_err(|faults| faults.iter().map(|fault| format!("case `{}`: {fault}", written.name)).collect::<Vec<_>>())?;
    let expected = Expected {
        decision: written.decision,
        reason: written.reason,
        policies: written.policies,
        warnings: written.warnings,
    };
    Ok((written.name, evaluation, written.entities, expected))
}

impl Constitution {
    /// Runs cases, each with the seed entities and its own. Also returns the coverage of policies.
    #[must_use]
    pub fn run_cases(&self, cases: &[Case]) -> (Vec<CaseOutcome>, Coverage) {
        let mut reached = BTreeSet::new();
        let outcomes = cases.iter().map(|case| self.run_case(case, &mut reached)).collect();
        let missed = self.rules.iter().filter(|rule| !reached.contains(&*rule.id)).map(|rule| rule.id.to_string());
        (outcomes, Coverage { policies: self.rules.len(), missed: missed.collect() })
    }

    fn run_case(&self, case: &Case, reached: &mut BTreeSet<String>) -> CaseOutcome {
        let faulty = case.entities.iter().filter_map(|entity| {
            self.check_entity(entity)
                .err()
                .map(|detail| format!("entity `{}` does not fit the schema: {detail}", entity.uid))
        });
        let mut failures: Vec<String> = faulty.collect();
        let entities: HashMap<&EntityUid, &Entity> =
            self.seed.iter().chain(&case.entities).map(|entity| (&entity.uid, entity)).collect();
        let verdict = self.decide(RequestProperties::Merge, &case.evaluation, |uid| entities.get(uid).copied());
        failures.extend(case.expected.differences(&verdict));
        if failures.is_empty() {
            reached.extend(verdict.policies.iter().map(ToString::to_string));
            reached.extend(ids(&verdict.warnings));
        }
        CaseOutcome { name: case.name.clone(), place: format!("{}:{}", case.file, case.line), failures }
    }
}

impl Expected {
    fn differences(&self, verdict: &Verdict) -> Vec<String> {
        let mut found = Vec::new();
        if self.decision != verdict.permits() {
            found.push(format!("decision is {}, not {}", verdict.permits(), self.decision));
        }
        if let Some(reason) = self.reason.filter(|reason| *reason != verdict.reason) {
            found.push(format!("reason is `{}`, not `{}`", verdict.reason.as_str(), reason.as_str()));
        }
        let policies = verdict.policies.iter().map(ToString::to_string).collect();
        found.extend(difference("policies", self.policies.as_ref(), &policies));
        found.extend(difference("warnings", self.warnings.as_ref(), &ids(&verdict.warnings)));
        if let (Some(detail), false) = (&verdict.detail, found.is_empty()) {
            found.push(detail.clone());
        }
        found
    }
}

fn difference(what: &str, expected: Option<&BTreeSet<String>>, found: &BTreeSet<String>) -> Option<String> {
    expected.filter(|expected| *expected != found).map(|expected| format!("{what} are {found:?}, not {expected:?}"))
}

fn ids(findings: &[Finding]) -> BTreeSet<String> {
    findings.iter().flat_map(|finding| &finding.policies).map(ToString::to_string).collect()
}
