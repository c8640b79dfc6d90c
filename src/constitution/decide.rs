//! From facts to a verdict: permit if something permits it, nothing that blocks forbids it, and nothing failed.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::Effect;
use rayon::prelude::*;

use super::batch_values::BatchValues;
use super::evaluate::EvaluationError;
use super::facts::Facts;
use super::gathering::Gathering;
use super::rule::Rule;
use super::{Constitution, Principle};
use crate::domain::{Enforcement, Entity, EntityUid, Evaluation, Finding, Reason, Verdict, cut};
use crate::settings::RequestProperties;

/// From how many policies on a slice is evaluated by several threads: below, handing out the work costs more than it
/// saves (`cargo bench --bench figures -- parallel` prints both).
pub const PARALLEL_FROM: usize = 16_384;

/// The longest message of a failed policy, in bytes: it may quote the request.
const MAX_ERROR: usize = 256;

/// The outcome of one policy.
type Outcome = Result<bool, EvaluationError>;

impl Constitution {
    /// Begins to gather the facts of a decision; a request that does not fit the schema has its verdict already.
    pub fn gather(&self, mode: RequestProperties, evaluation: &Evaluation) -> Result<Gathering, Box<Verdict>> {
        Gathering::start(&self.vocabulary, &self.tree, mode, evaluation, None)
    }

    /// The same for a question of a batch, which shares values with the others.
    pub fn gather_shared(
        &self,
        mode: RequestProperties,
        evaluation: &Evaluation,
        values: &BatchValues,
    ) -> Result<Gathering, Box<Verdict>> {
        Gathering::start(&self.vocabulary, &self.tree, mode, evaluation, Some(values))
    }

    /// Decides on facts, evaluating only the policies whose scope could match.
    #[must_use]
    pub fn judge(&self, facts: &Facts) -> Arc<Verdict> {
        let candidates = self.index.candidates(facts);
        let evaluate = |position: &u32| match self.rules.get(*position as usize)?.holds(facts) {
            Ok(false) => None,
            outcome => Some((*position, outcome)),
        };
        let outcomes: Vec<(u32, Outcome)> = if candidates.len() < self.parallel_from {
            candidates.iter().filter_map(evaluate).collect()
        } else {
            candidates.par_iter().filter_map(evaluate).collect()
        };
        let holding = outcomes.iter().map(|(position, outcome)| outcome.is_ok().then_some(*position));
        let holding: Option<Vec<u32>> = holding.collect();
        // A note is part of the detail of a deny, so it makes a verdict that is not shared.
        let is_shared = |verdict: &Verdict| verdict.permits() || facts.note().is_none();
        let known = holding.as_ref().and_then(|holding| self.verdicts.get(holding));
        if let Some(verdict) = known.filter(|verdict| is_shared(verdict)) {
            return verdict;
        }
        let rules =
            outcomes.into_iter().filter_map(|(position, outcome)| Some((self.rules.get(position as usize)?, outcome)));
        let verdict = self.verdict(&rules.collect::<Vec<_>>(), facts.note());
        if verdict.reason == Reason::NoPermit {
            return Arc::new(verdict.with_nearest(self.nearest(facts)));
        }
        let verdict = Arc::new(verdict);
        if let Some(holding) = holding.filter(|_| is_shared(&verdict)) {
            self.verdicts.insert(&holding, &verdict);
        }
        verdict
    }

    /// The same constitution, evaluating slices of `policies` and more by several threads.
    #[must_use]
    pub fn parallel_from(self, policies: usize) -> Self {
        Self { parallel_from: policies, ..self }
    }

    /// Decides a question with entities in memory.
    #[must_use]
    pub fn decide<'a>(
        &self,
        mode: RequestProperties,
        evaluation: &Evaluation,
        find: impl Fn(&EntityUid) -> Option<&'a Entity>,
    ) -> Verdict {
        let gathered = self.gather(mode, evaluation).and_then(|mut gathering| {
            while !gathering.wanted().is_empty() {
                let found: Vec<_> = gathering.wanted().iter().map(&find).collect();
                gathering.supply(found)?;
            }
            Ok(gathering.finish())
        });
        match gathered {
            Ok(facts) => Arc::unwrap_or_clone(self.judge(&facts)),
            Err(verdict) => *verdict,
        }
    }

    /// The verdict from the policies that hold or failed. `note` goes into the detail of a deny.
    fn verdict(&self, outcomes: &[(&Rule, Outcome)], note: Option<&str>) -> Verdict {
        let mut permits = Vec::new();
        let mut failures = Vec::new();
        let mut forbids: BTreeMap<usize, Vec<&Rule>> = BTreeMap::new();
        let mut detail = None;
        for (rule, outcome) in outcomes {
            match (outcome, rule.effect, rule.principle) {
                (Err(error), _, _) => {
                    detail
                        .get_or_insert_with(|| format!("policy `{}`: {}", rule.id, cut(error.to_string(), MAX_ERROR)));
                    failures.push(Arc::clone(&rule.id));
                }
                (Ok(_), Effect::Forbid, Some(principle)) => forbids.entry(principle).or_default().push(rule),
                (Ok(_), _, _) => permits.push(Arc::clone(&rule.id)),
            }
        }
        let mut violations = Vec::new();
        let mut warnings = Vec::new();
        let mut lost = 0.0;
        for (place, rules) in &forbids {
            let Some(principle) = self.principles.get(*place) else {
                continue;
            };
            lost += principle.weight;
            match principle.enforcement {
                Enforcement::Block => violations.push(finding(principle, rules)),
                Enforcement::Warn => warnings.push(finding(principle, rules)),
            }
        }
        let (reason, policies) = if !failures.is_empty() {
            (Reason::EvaluationError, failures)
        } else if !violations.is_empty() {
            (Reason::Forbidden, self.blocking(outcomes))
        } else if permits.is_empty() {
            (Reason::NoPermit, permits)
        } else {
            (Reason::Permitted, permits)
        };
        if let Some(note) = note.filter(|_| reason != Reason::Permitted) {
            detail = Some(detail.map_or_else(|| note.to_owned(), |detail: String| format!("{detail}; {note}")));
        }
        Verdict::of_policies(reason, policies, violations, warnings, score(lost), detail)
    }

    /// The blocking forbids among the policies that hold, in the order of the bundle.
    fn blocking(&self, outcomes: &[(&Rule, Outcome)]) -> Vec<Arc<str>> {
        let blocks = |rule: &Rule| {
            rule.effect == Effect::Forbid
                && self.principle_of(rule).is_some_and(|principle| principle.enforcement == Enforcement::Block)
        };
        outcomes.iter().filter(|(rule, _)| blocks(rule)).map(|(rule, _)| Arc::clone(&rule.id)).collect()
    }
}

fn finding(principle: &Principle, rules: &[&Rule]) -> Finding {
    Finding {
        principle: Arc::clone(&principle.id),
        severity: principle.severity,
        policies: rules.iter().map(|rule| Arc::clone(&rule.id)).collect(),
        advice: rules.iter().filter_map(|rule| rule.advice.clone()).collect(),
    }
}

/// The score without the weights lost, free of the dust that adding decimals leaves.
fn score(lost: f64) -> f64 {
    ((1.0 - lost).clamp(0.0, 1.0) * 1e6).round() / 1e6
}
