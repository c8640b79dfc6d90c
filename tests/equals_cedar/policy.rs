//! Random policies: every form of scope, around a random condition.

use crate::choices::Choices;
use crate::grammar::{Grammar, uid};
use crate::paths::Path;
use crate::schema::{AUDIT, Env, action_groups, environments, ids, parents};

/// The principles of every random constitution: id, enforcement, severity, weight.
pub const PRINCIPLES: [(&str, &str, &str, f64); 4] = [
    ("safety", "block", "critical", 0.4),
    ("privacy", "warn", "high", 0.1),
    ("fairness", "block", "low", 0.3),
    ("openness", "warn", "medium", 0.2),
];

/// One policy.
#[derive(Debug, Clone)]
pub struct Policy {
    pub id: String,
    pub forbids: bool,
    /// Its place in `PRINCIPLES`.
    pub principle: Option<usize>,
    pub advice: Option<String>,
    /// Scope and conditions, without annotations.
    pub text: String,
}

/// Every environment with its paths.
pub struct Environments {
    all: Vec<(Env, Vec<Path>)>,
    /// Paths from entities that a condition names.
    named: Vec<Path>,
}

impl Environments {
    pub fn new() -> Self {
        let all = environments().into_iter().map(|env| (env.clone(), Path::all(&env))).collect();
        Self { all, named: Path::named() }
    }

    /// A few environments, so that questions and policies of one constitution meet often.
    pub fn some(&self, choices: &mut Choices) -> Vec<usize> {
        (0..=choices.below(3)).map(|_| choices.below(self.all.len())).collect()
    }

    /// The environment of that number.
    pub fn get(&self, number: usize) -> &Env {
        &self.all[number].0
    }

    pub fn policy(&self, choices: &mut Choices, env: usize, number: usize) -> Policy {
        let (env, paths) = &self.all[env];
        let forbids = choices.chance(40);
        let principle = (forbids || choices.chance(10)).then(|| choices.below(PRINCIPLES.len()));
        let advice = choices.chance(40).then(|| format!("ask for {number}"));
        let (principal, principal_is_known) = scope(choices, "principal", env.principal);
        let (resource, resource_is_known) = scope(choices, "resource", env.resource);
        let (action, action_is_known) = action(choices, env);
        let effect = if forbids { "forbid" } else { "permit" };
        let mut conditions = String::new();
        if choices.chance(85) {
            let depth = choices.below(3);
            let mut grammar = Grammar::new(choices, paths, &self.named, env);
            let condition = grammar.condition(depth);
            let environment = grammar.environment();
            conditions = match (principal_is_known && resource_is_known && action_is_known, choices.below(3)) {
                (true, 0) => format!(" unless {{ {condition} }}"),
                (true, _) => format!(" when {{ {condition} }}"),
                (false, 0) => format!(" when {{ {environment} }} when {{ {condition} }}"),
                (false, 1) => format!(" when {{ {environment} }} unless {{ {condition} }}"),
                (false, _) => format!(" when {{ {environment} && {condition} }}"),
            };
        }
        let text = format!("{effect} ({principal}, {action}, {resource}){conditions};");
        Policy { id: format!("p{number}"), forbids, principle, advice, text }
    }
}

impl Policy {
    /// As it stands in a file.
    pub fn annotated(&self) -> String {
        let annotations = [
            ("id", Some(self.id.as_str())),
            ("principle", self.principle.map(|place| PRINCIPLES[place].0)),
            ("advice", self.advice.as_deref()),
        ];
        let written = annotations.iter().filter_map(|(name, value)| Some(format!("@{name}({:?}) ", (*value)?)));
        written.collect::<String>() + &self.text
    }
}

/// What the scope says of principal or resource, and whether that fixes its type.
fn scope(choices: &mut Choices, variable: &str, kind: &'static str) -> (String, bool) {
    let mut groups = parents(kind).to_vec();
    groups.push(kind);
    let group = choices.pick(&groups);
    let group = uid((group, choices.pick(ids(group))));
    match choices.below(7) {
        0 | 1 => (variable.to_owned(), false),
        2 | 3 => (format!("{variable} is {kind}"), true),
        4 => (format!("{variable} == {}", uid((kind, choices.pick(ids(kind))))), true),
        5 => (format!("{variable} in {group}"), false),
        _ => (format!("{variable} is {kind} in {group}"), true),
    }
}

/// What the scope says of the action, and whether that fixes it.
fn action(choices: &mut Choices, env: &Env) -> (String, bool) {
    let action = env.action;
    let group = action_groups(action).first().map_or_else(|| action.to_owned(), |name| format!("Action::\"{name}\""));
    match choices.below(6) {
        0 | 1 => ("action".to_owned(), false),
        2 => (format!("action == {action}"), true),
        3 => (format!("action in {action}"), true),
        4 if action == AUDIT => (format!("action in [{action}]"), true),
        4 => (format!("action in [Action::\"view\", {action}]"), false),
        _ => (format!("action in {group}"), false),
    }
}
