//! The verdicts that follow from the holding policies alone. Each is made once and shared by all decisions with the
//! same holding policies.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::domain::Verdict;

/// The most verdicts in the table. Those of further combinations of policies are made for each decision.
const MAX_VERDICTS: usize = 1024;

/// The largest verdict in the table, in bytes: thousands of policies can hold for one decision.
const MAX_BYTES: usize = 8 << 10;

/// Verdicts by the positions of the policies that hold, in the order of the bundle. Readers do not block.
#[derive(Debug, Default)]
pub(super) struct VerdictTable(ArcSwap<HashMap<Box<[u32]>, Arc<Verdict>>>);

impl VerdictTable {
    pub(super) fn get(&self, holding: &[u32]) -> Option<Arc<Verdict>> {
        self.0.load().get(holding).map(Arc::clone)
    }

    /// Adds a verdict, unless it is large or the table is full.
    pub(super) fn insert(&self, holding: &[u32], verdict: &Arc<Verdict>) {
        if verdict.bytes() + size_of_val(holding) <= MAX_BYTES && self.0.load().len() < MAX_VERDICTS {
            self.0.rcu(|table| {
                let mut table = HashMap::clone(table);
                table.insert(holding.into(), Arc::clone(verdict));
                table
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Reason;

    #[test]
    fn a_large_verdict_is_not_kept() {
        let (table, verdict) = (VerdictTable::default(), Arc::new(Verdict::deny(Reason::Forbidden, "no")));
        let policies = (0..4_000).collect::<Vec<u32>>();
        table.insert(&policies, &verdict);
        assert!(table.get(&policies).is_none());
        let ids = policies.iter().map(|id| format!("policy-{id}").into()).collect();
        let large = Verdict::of_policies(Reason::Permitted, ids, Vec::new(), Vec::new(), 1.0, None);
        table.insert(&[1], &Arc::new(large));
        assert!(table.get(&[1]).is_none());
    }

    #[test]
    fn the_table_has_a_limit() {
        let (table, verdict) = (VerdictTable::default(), Arc::new(Verdict::deny(Reason::Forbidden, "no")));
        for position in 0..2 * MAX_VERDICTS {
            table.insert(&[u32::try_from(position).unwrap(), 7], &verdict);
        }
        assert_eq!(table.0.load().len(), MAX_VERDICTS);
        assert!(table.get(&[0, 7]).is_some() && table.get(&[0]).is_none() && table.get(&[2_000, 7]).is_none());
    }
}
