//! Whether the decisions of a request comply: counted for each, and compared for a sample.

use std::sync::Arc;

use super::questions::Asked;
use super::recorded_decisions::{RecordedDecision, RecordedDecisions};
use super::worker_state::WorkerState;
use crate::actors::active::Active;
use crate::actors::monitor::compliance::Sample;
use crate::domain::{Evaluation, Revision};

/// Counts whether the decisions were made under a constitution that was in force since the request began, and whether
/// their records are durable.
pub(super) fn count(state: &WorkerState, recorded: &RecordedDecisions, began_under: &Arc<Active>) {
    let RecordedDecisions { active, decisions } = recorded;
    let app = &state.app;
    let was_in_force = Arc::ptr_eq(active, began_under) || Arc::ptr_eq(active, &app.decision.in_force.get());
    let durable = app.audit.queue.durable();
    // In `async` mode an answer does not wait for its record.
    let is_missing = |decision: &&RecordedDecision| decision.index.is_some_and(|index| index >= durable);
    app.compliance.answered(decisions.len(), decisions.iter().filter(is_missing).count(), !was_in_force);
}

/// Has one of the decisions, any of them, decided again without caches.
pub(super) fn compare_one(
    state: &WorkerState,
    recorded: &RecordedDecisions,
    questions: &[Asked<'_>],
    revision: Revision,
) {
    let asked = recorded.decisions.iter().zip(questions);
    let sound: Vec<_> = asked
        .filter_map(|(decision, asked)| match asked {
            Asked::Sound(evaluation) => Some((decision, *evaluation)),
            Asked::Faulty(_) => None,
        })
        .collect();
    if sound.is_empty() {
        return;
    }
    if let Some((decision, evaluation)) = sound.get(rand::random_range(0..sound.len())) {
        state.app.compliance.compare(Sample {
            evaluation: Evaluation::clone(evaluation),
            verdict: Arc::clone(&decision.decided.verdict),
            entities: decision.decided.entities.clone(),
            active: Arc::clone(&recorded.active),
            revision,
            id: decision.id,
            index: decision.index,
        });
    }
}
