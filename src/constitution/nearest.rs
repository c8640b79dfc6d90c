//! Near misses: if no permit holds, the permits that came nearest, and their failed parts.

use std::sync::Arc;

use super::Constitution;
use super::facts::Facts;
use super::value::Value;
use crate::domain::NearMiss;

/// The most permits in a verdict.
const SHOWN: usize = 3;

impl Constitution {
    /// The permits of the action that lack the least, nearest first; equally near ones in the order of the bundle. Only
    /// a limited number is examined, so that a deny costs little more than a permit.
    pub(super) fn nearest(&self, facts: &Facts) -> Vec<NearMiss> {
        let Value::Entity(action) = facts.action() else { return Vec::new() };
        let rules = self.index.permits(action).filter_map(|position| self.rules.get(position as usize));
        let mut found: Vec<_> = rules.filter_map(|rule| Some((rule, rule.shortfall(facts)?))).collect();
        found.sort_by_key(|(_, (distance, _))| *distance);
        let near = found.into_iter().take(SHOWN).map(|(rule, (_, failed))| NearMiss {
            policy: Arc::clone(&rule.id),
            failed: failed.into_iter().map(Arc::from).collect(),
            advice: rule.advice.clone(),
        });
        near.collect()
    }
}
