//! Evaluates questions in advance: after a start, and under a new constitution, for which no verdict is cached yet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::evaluator::Evaluator;
use super::{Decide, HOTTEST, Purpose};
use crate::actors::active::Active;
use crate::domain::{Consistency, Evaluation, Object, UnknownMembers};

/// A question that takes longer is left to be decided when it is asked.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Evaluates the first of these questions, given in their canonical form, one at a time, behind requests. It ends if
/// another constitution comes into force, or if entities are unavailable.
pub(super) async fn warm(evaluator: &Evaluator, active: &Arc<Active>, questions: impl Iterator<Item = &Arc<str>>) {
    for question in questions.take(HOTTEST) {
        tokio::task::yield_now().await;
        if !evaluator.is_in_force(active) {
            return;
        }
        let Some(mut evaluation) = parse(question) else { continue };
        // Callers may be required to name the constitution; here it is the one in force.
        evaluation.claims.header = Some(active.constitution.hash().as_str().into());
        let evaluations = Arc::from([evaluation]);
        let (consistency, purpose) = (Consistency::Usual, Purpose::Warming);
        let deadline = Instant::now() + TIMEOUT;
        let decide = Decide { evaluations, stop_at: None, consistency, purpose, deadline };
        // A question that could not be decided is decided when it is asked.
        let decided = evaluator.attempt(active, &decide).await.ok().flatten().unwrap_or_default();
        if decided.iter().any(|decided| decided.verdict.reason.is_transient()) {
            return;
        }
    }
}

/// A question from its canonical form, which is without braces.
fn parse(canonical: &str) -> Option<Evaluation> {
    let object: Object = serde_json::from_str(&format!("{{{canonical}}}")).ok()?;
    Evaluation::from_object(&object, UnknownMembers::Ignored).ok()
}
