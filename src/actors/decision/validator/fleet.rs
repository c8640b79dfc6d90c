//! A worker's use of the fleet's shared verdicts: only if that is expected to be cheaper than evaluating.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use crate::actors::cache::request_cache::{CachedVerdict, Key};
use crate::actors::cache::service_cache::SharedVerdicts;
use crate::actors::cache::service_cache::lease::{Lease, LeaseOutcome};
use crate::actors::decision::cost_model::CostModel;
use crate::domain::Revision;

/// Longer evaluations are made by one node for all that ask at the same time.
const EXPENSIVE: Duration = Duration::from_millis(5);

/// The verdicts of the fleet, as one worker uses them.
#[derive(Debug)]
pub(super) struct Fleet {
    shared: SharedVerdicts,
    cost_model: RefCell<CostModel>,
}

impl Fleet {
    pub(super) fn new(shared: SharedVerdicts) -> Self {
        Self { shared, cost_model: RefCell::default() }
    }

    /// The verdicts found for these questions. For a single expensive question, also the lease to evaluate it.
    pub(super) async fn find(&self, keys: &[Key]) -> (Vec<(Key, CachedVerdict)>, Option<Lease>) {
        let [first, others @ ..] = keys else { return (Vec::new(), None) };
        let began = Instant::now();
        if !self.shared.is_usable() || !self.cost_model.borrow_mut().should_look_up(began) {
            return (Vec::new(), None);
        }
        let found = self.shared.fetch(keys).await;
        let found: Vec<_> = keys.iter().zip(found).filter_map(|(key, kept)| Some((*key, kept?))).collect();
        // Whole batches count as one.
        self.cost_model.borrow_mut().asked(began.elapsed(), !found.is_empty());
        let expensive = self.cost_model.borrow().evaluation().filter(|evaluation| *evaluation > EXPENSIVE);
        match expensive {
            Some(evaluation) if found.is_empty() && others.is_empty() => {
                match self.shared.claim(first, evaluation).await {
                    LeaseOutcome::Granted(claimed) => (Vec::new(), Some(claimed)),
                    LeaseOutcome::Found(kept) => (vec![(*first, kept)], None),
                    LeaseOutcome::Unavailable => (Vec::new(), None),
                }
            }
            _ => (found, None),
        }
    }

    /// Writes new verdicts to the shared cache, as of a revision, if a hit would be cheaper than evaluating for `took`.
    pub(super) fn tell(&self, made: &[(Key, CachedVerdict)], as_of: Revision, took: Duration) {
        let should_write = {
            let mut cost_model = self.cost_model.borrow_mut();
            cost_model.evaluated(took);
            cost_model.should_write()
        };
        if should_write {
            self.shared.put(made, as_of);
        }
    }
}
