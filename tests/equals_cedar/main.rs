//! The constitution's evaluator against Cedar's own: for random policies, entities and requests both say the same.
//!
//! Each random constitution is asked several questions. The cases are the same at every run, unless
//! `ACGS_PROPERTY_CASES` gives their number: then they are new ones. A failing case is kept in
//! `tests/equals_cedar/main.regressions` and tried first from then on.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where it fails")]

mod choices;
mod grammar;
mod paths;
mod policy;
mod reference;
mod schema;
mod world;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use acgs::constitution::{Bundle, Constitution, Source};
use acgs::domain::{Entity, EntityUid, Evaluation, Finding, Object, UnknownMembers, Verdict};
use acgs::settings::RequestProperties;
use cedar_policy::Schema;
use proptest::prelude::any;
use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Value as Json, json};

use choices::Choices;
use policy::{Environments, PRINCIPLES, Policy};
use reference::{Expected, Reference, Violation};
use schema::AUDIT;
use world::{Question, Store, Uid, plain};

/// Constitutions to try where the environment does not say: a few seconds in a debug build.
const CASES: u32 = 100;
const QUESTIONS: usize = 16;
/// So many new cases have everything among them.
const MANY: u32 = 1000;

/// What the accepted policies must have had among them by the end of a run.
const LANGUAGE: &str = "&& || ! if == != < <= > >= + - * (-( in has like is contains( containsAll containsAny isEmpty \
    hasTag getTag ip( isInRange isIpv4 isIpv6 isLoopback isMulticast decimal( lessThan( greaterThanOrEqual datetime( \
    offset durationSince toDate toTime duration( toMilliseconds toDays unless Org:: Colour:: principal== \
    action==Action action==Org action-in action-in-[ is-in-scope context.about.doc. principal.manager. home.deep \
    named.attribute named.attribute.attribute named.hasTag( named.getTag( named-has named-in named-is";

/// What is certain to occur only among many.
const RARE: [&str; 2] = ["toDays", "named.getTag("];

/// How often everything happened.
#[derive(Default)]
struct Tally(BTreeMap<String, usize>);

impl Tally {
    fn count(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }

    fn of(&self, what: &str) -> usize {
        self.0.get(what).copied().unwrap_or(0)
    }
}

#[test]
fn every_verdict_is_the_one_that_cedar_comes_to() {
    let asked: Option<u32> = std::env::var("ACGS_PROPERTY_CASES").ok().map(|cases| cases.parse().unwrap());
    let cases = asked.unwrap_or(CASES);
    let persistence = FileFailurePersistence::WithSource("regressions");
    let config = Config {
        cases,
        source_file: Some(file!()),
        failure_persistence: Some(Box::new(persistence)),
        max_shrink_time: 30_000,
        ..Config::default()
    };
    let (schema, _) = Schema::from_cedarschema_str(schema::SCHEMA).unwrap();
    let environments = Environments::new();
    let tally = RefCell::new(Tally::default());
    let bytes = proptest::collection::vec(any::<u8>(), 0..12_000);
    let mut runner = match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    runner
        .run(&bytes, |bytes| check(&bytes, &schema, &environments, &mut tally.borrow_mut()))
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert_everything_occurred(&tally.into_inner(), asked);
}

/// One constitution and its questions.
fn check(bytes: &[u8], schema: &Schema, environments: &Environments, tally: &mut Tally) -> Result<(), TestCaseError> {
    let mut choices = Choices::new(bytes);
    let most = if choices.chance(30) { 3 } else { 24 };
    let count = 1 + choices.below(most);
    let store = world::store(&mut choices);
    let among = environments.some(&mut choices);
    let mut questions = Vec::new();
    for _ in 0..QUESTIONS {
        let env = choices.pick(&among);
        questions.push(world::question(&mut choices, environments.get(env)));
    }
    let mut written = Vec::new();
    for number in 0..count {
        let env = choices.pick(&among);
        written.push(environments.policy(&mut choices, env, number));
    }
    let policies: Vec<Policy> = written.into_iter().filter(|policy| accepted(schema, policy, tally)).collect();
    if policies.is_empty() {
        return Ok(());
    }
    let reference = Reference::new(&policies);
    let entities: HashMap<EntityUid, Entity> = store.keys().map(|uid| stored(&store, *uid)).collect();
    let bundle = bundle(&policies);
    let mut constitution = Constitution::from_bundle(&bundle)
        .map_err(|faults| TestCaseError::fail(format!("{faults}\n{:#?}", bundle.policies)))?;
    tally.count(&format!("level {}", constitution.level()));
    let answers: Vec<Expected> = questions.iter().map(|question| reference.decide(&store, question)).collect();
    for parallel_from in [1, usize::MAX] {
        constitution = constitution.parallel_from(parallel_from);
        for (question, expected) in questions.iter().zip(&answers) {
            let mode = if question.merge { RequestProperties::Merge } else { RequestProperties::Ignore };
            let verdict = constitution.decide(mode, &evaluation(question), |uid| entities.get(uid));
            if said(&verdict) != *expected {
                let texts: Vec<&str> = policies.iter().map(|policy| policy.text.as_str()).collect();
                let world = format!("{}\n{question:#?}\n{store:#?}", texts.join("\n"));
                let found = (said(&verdict), &verdict.detail);
                return Err(TestCaseError::fail(format!("cedar: {expected:#?}\nhere: {found:#?}\n{world}")));
            }
            tally.count(expected.reason);
            if !expected.warnings.is_empty() {
                tally.count("warned");
            }
            if expected.reason == "permitted" && !expected.warnings.is_empty() {
                tally.count("permitted and warned");
            }
        }
    }
    Ok(())
}

fn accepted(schema: &Schema, policy: &Policy, tally: &mut Tally) -> bool {
    let valid = reference::is_valid(schema, policy);
    tally.count(if valid { "valid" } else { "invalid" });
    for word in LANGUAGE.split_whitespace().filter(|word| valid && contains(&policy.text, word)) {
        tally.count(word);
    }
    valid
}

/// Whether a policy has a part of the language; a word of the list may stand for a form of scope.
fn contains(text: &str, word: &str) -> bool {
    match word {
        "principal==" => text.contains("(principal == "),
        "action==Action" => text.contains(", action == Action::"),
        "action==Org" => text.contains(", action == Org::Action::"),
        "action-in" => text.contains(", action in Action::"),
        "action-in-[" => text.contains(", action in ["),
        "is-in-scope" => text.contains("(principal is User in "),
        "<" | ">" | "in" | "is" | "has" | "like" | "+" | "-" | "*" => text.contains(&format!(" {word} ")),
        "named-has" | "named-in" | "named-is" => {
            after_named(text).any(|rest| rest.starts_with(&word.replace("named-", " ")))
        }
        "named.attribute" => attributes_of_named(text).any(|count| count > 0),
        "named.attribute.attribute" => attributes_of_named(text).any(|count| count > 1),
        "named.hasTag(" | "named.getTag(" => after_named(text).any(|rest| rest.starts_with(&word["named".len()..])),
        word => text.contains(word),
    }
}

/// What follows each entity that a policy names.
fn after_named(text: &str) -> impl Iterator<Item = &str> {
    text.split("::\"").skip(1).filter_map(|rest| rest.split_once('"').map(|(_, after)| after))
}

/// How many attributes of each entity that a policy names are read.
fn attributes_of_named(text: &str) -> impl Iterator<Item = usize> {
    let is_path = |letter: char| letter == '.' || letter.is_ascii_alphanumeric();
    after_named(text)
        .map(move |rest| rest.chars().take_while(|letter| is_path(*letter)).filter(|letter| *letter == '.').count())
}

fn assert_everything_occurred(tally: &Tally, asked: Option<u32>) {
    assert!(tally.of("valid") > 9 * tally.of("invalid"), "too few policies are valid: {:#?}", tally.0);
    assert!(tally.of("valid") > 5 * asked.unwrap_or(CASES) as usize, "too few policies: {:#?}", tally.0);
    // Where the cases are new ones, rare things are certain only among many.
    if asked.is_none_or(|cases| cases >= MANY) {
        let outcomes = "evaluation_error forbidden no_permit permitted warned".split_whitespace();
        let rare: Vec<&str> = outcomes.filter(|outcome| tally.of(outcome) < 20).collect();
        assert!(rare.is_empty(), "{rare:?} hardly occur: {:#?}", tally.0);
        let reached = (0..=4).map(|level| format!("level {level}"));
        let language = LANGUAGE.split_whitespace().map(str::to_owned).chain(reached);
        let certain = language.filter(|what| asked.is_some() || !RARE.contains(&what.as_str()));
        let missing: Vec<String> = certain.filter(|what| tally.of(what) == 0).collect();
        assert!(missing.is_empty(), "{missing:?} never occurred: {:#?}", tally.0);
        assert!(tally.of("permitted and warned") > 0, "no warning let anything pass: {:#?}", tally.0);
    }
}

fn bundle(policies: &[Policy]) -> Bundle {
    let principles = PRINCIPLES.map(|(id, enforcement, severity, weight)| {
        format!(
            "[[principle]]\nid = \"{id}\"\ntitle = \"t\"\ntext = \"t\"\ncategory = \"c\"\nseverity = \"{severity}\"\n\
             enforcement = \"{enforcement}\"\nweight = {weight}\n"
        )
    });
    let manifest = format!("name = \"random\"\nversion = \"1\"\n{}", principles.concat());
    let source = |file: &str, text: String| Source { file: file.to_owned(), text };
    let file = |policies: &[Policy]| policies.iter().map(Policy::annotated).collect::<Vec<_>>().join("\n");
    let (first, second) = policies.split_at(policies.len() / 2);
    Bundle {
        manifest: source("constitution.toml", manifest),
        schema: source("schema.cedarschema", schema::SCHEMA.to_owned()),
        policies: vec![source("policies/a.cedar", file(first)), source("policies/b/c.cedar", file(second))],
        entities: None,
        cases: Vec::new(),
    }
}

fn stored(store: &Store, uid: Uid) -> (EntityUid, Entity) {
    let stored = &store[&uid];
    let reference = |(kind, id): Uid| json!({"type": kind, "id": id});
    let tags: serde_json::Map<_, _> = stored.tags.iter().map(|(name, value)| (name.clone(), value.plain())).collect();
    let parents: Vec<Json> = stored.parents.iter().copied().map(reference).collect();
    let json = json!({"uid": reference(uid), "attrs": plain(&stored.attrs), "parents": parents, "tags": tags});
    (EntityUid::new(uid.0, uid.1), serde_json::from_value(json).unwrap())
}

fn evaluation(question: &Question) -> Evaluation {
    let party = |(kind, id): Uid, properties| json!({"type": kind, "id": id, "properties": plain(properties)});
    // An action of the root namespace goes by its id, any other by its full name.
    let name = match question.env.action {
        AUDIT => AUDIT,
        action => action.trim_start_matches("Action::").trim_matches('"'),
    };
    let mut action = json!({"name": name});
    if let Some(properties) = &question.action_properties {
        action["properties"] = plain(properties);
    }
    let request = json!({
        "subject": party(question.subject, &question.subject_properties),
        "action": action,
        "resource": party(question.resource, &question.resource_properties),
        "context": plain(&question.context),
    });
    let request: Object = serde_json::from_value(request).unwrap();
    Evaluation::from_object(&request, UnknownMembers::Refused).unwrap()
}

fn said(verdict: &Verdict) -> Expected {
    Expected {
        reason: verdict.reason.as_str(),
        policies: verdict.policies.iter().map(ToString::to_string).collect(),
        violations: violations(&verdict.violations),
        warnings: violations(&verdict.warnings),
        score: verdict.score,
    }
}

fn violations(findings: &[Finding]) -> Vec<Violation> {
    let texts = |items: &[std::sync::Arc<str>]| items.iter().map(ToString::to_string).collect();
    let violation = |finding: &Finding| Violation {
        principle: finding.principle.to_string(),
        severity: json!(finding.severity).as_str().unwrap().to_owned(),
        policies: texts(&finding.policies),
        advice: texts(&finding.advice),
    };
    findings.iter().map(violation).collect()
}
