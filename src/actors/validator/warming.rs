//! Evaluates questions before they are asked again: after a start, and under a new constitution, under which no verdict is
//! kept yet.

use std::rc::Rc;
use std::sync::Arc;

use super::bench::Bench;
use super::{Decide, HOTTEST, Purpose};
use crate::actors::active::Active;
use crate::domain::{Consistency, Evaluation, Object, Reason, UnknownMembers};

/// Evaluates the first of these questions in their canonical form, one at a time: whatever is asked meanwhile comes first.
/// It ends where another constitution comes into force, or what they need is not available.
pub(super) async fn warm(bench: &Rc<Bench>, active: &Arc<Active>, questions: impl Iterator<Item = &Arc<str>>) {
    for question in questions.take(HOTTEST) {
        tokio::task::yield_now().await;
        if !Arc::ptr_eq(&bench.active(), active) {
            return;
        }
        let Some(mut evaluation) = parse(question) else { continue };
        // Callers may have to name the constitution; here it is known which one is meant.
        evaluation.claims.header = Some(active.constitution.hash().as_str().into());
        let evaluations = Arc::from([evaluation]);
        let decide = Decide { evaluations, stop_at: None, consistency: Consistency::Usual, purpose: Purpose::Warming };
        // What could not be decided is decided when it is asked.
        let decided = bench.decide(active, &decide).await.unwrap_or_default();
        if decided.iter().any(|decided| decided.verdict.reason == Reason::Unavailable) {
            return;
        }
    }
}

/// A question from its canonical form, which is without braces.
fn parse(canonical: &str) -> Option<Evaluation> {
    let object: Object = serde_json::from_str(&format!("{{{canonical}}}")).ok()?;
    Evaluation::from_object(&object, UnknownMembers::Ignored).ok()
}
