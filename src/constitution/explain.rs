//! Explains a verdict policy by policy: which of them hold, which do not, and why.

use serde::Serialize;
use utoipa::ToSchema;

use super::facts::Facts;
use super::rule::Rule;
use super::{Constitution, PolicyView};

/// The most policies in an explanation.
const SHOWN: usize = 200;

/// The outcome of one policy for some facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyOutcome {
    /// Its scope matches and its conditions hold.
    Satisfied,
    /// Its scope matches, and a condition does not hold.
    NotSatisfied,
    /// Its scope matches, and a condition has no value, so the decision is deny.
    Error,
    /// Its scope does not match.
    NotApplicable,
}

/// A policy's part in a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyReport {
    /// Its position in the constitution, for [`Constitution::policy_at`].
    pub position: usize,
    /// Its outcome.
    pub outcome: PolicyOutcome,
    /// What does not hold, or why there is no value.
    pub detail: Option<String>,
}

impl Constitution {
    /// The parts that policies have in the verdict on these facts, in the order of the bundle, and how many policies are
    /// left out: those beyond a limit, first the ones that other scopes rule out.
    #[must_use]
    pub fn explain(&self, facts: &Facts) -> (Vec<PolicyReport>, usize) {
        let candidates = self.index.candidates(facts).into_iter().map(|position| position as usize);
        let mut shown: Vec<usize> = candidates.take(SHOWN).collect();
        let is_candidate = shown.clone();
        let others = (0..self.rules.len()).filter(|position| is_candidate.binary_search(position).is_err());
        shown.extend(others.take(SHOWN - is_candidate.len()));
        shown.sort_unstable();
        let reports: Vec<_> =
            shown.into_iter().filter_map(|position| Some(report(position, self.rules.get(position)?, facts))).collect();
        let left_out = self.rules.len() - reports.len();
        (reports, left_out)
    }

    /// The policy at a position of the bundle.
    #[must_use]
    pub fn policy_at(&self, position: usize) -> Option<PolicyView<'_>> {
        self.rules.get(position).map(|rule| self.view(rule))
    }
}

fn report(position: usize, rule: &Rule, facts: &Facts) -> PolicyReport {
    let (outcome, detail) = if rule.applies(facts) {
        match rule.holds(facts) {
            Ok(true) => (PolicyOutcome::Satisfied, None),
            Ok(false) => (PolicyOutcome::NotSatisfied, failed(rule, facts)),
            Err(error) => (PolicyOutcome::Error, Some(error.to_string())),
        }
    } else {
        (PolicyOutcome::NotApplicable, failed(rule, facts))
    };
    PolicyReport { position, outcome, detail }
}

/// What does not hold, in the policy's own text; nothing where it is for another action or type.
fn failed(rule: &Rule, facts: &Facts) -> Option<String> {
    let (_, failed) = rule.shortfall(facts).filter(|_| rule.action.holds(facts.action()))?;
    let failed: Vec<String> = failed.iter().map(|part| format!("`{part}`")).collect();
    (!failed.is_empty()).then(|| format!("{} does not hold", failed.join(" and ")))
}
