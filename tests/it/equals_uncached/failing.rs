//! Questions whose facts cannot be gathered: every request is answered, each question of a batch in its place, with the
//! same verdict as a fresh evaluation or with a deny that names the cause.

use std::time::{Duration, Instant};

use acgs::actors::decision::validator::{DecideError, Decided};
use acgs::domain::{Consistency, Entity, Evaluation, Reason, UnknownMembers};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::archive::{Stored, Write, reference};
use super::workers::{Capacities, Workers};

const CAPACITIES: [Capacities; 2] =
    [Capacities { requests: 0, entities: 0 }, Capacities { requests: 1000, entities: 100_000 }];

fn question(user: &str, context: &Value) -> Evaluation {
    let question = json!({
        "subject": {"type": "User", "id": user},
        "action": {"name": "read"},
        "resource": {"type": "Document", "id": "1"},
        "context": context,
    });
    Evaluation::from_object(&serde_json::from_value(question).unwrap(), UnknownMembers::Refused).unwrap()
}

fn entity(kind: &str, id: &str, attrs: &Value, parents: usize) -> Entity {
    let parents: Vec<Value> = (0..parents).map(|team| json!({"type": "Team", "id": format!("{id}-{team}")})).collect();
    serde_json::from_value(json!({"uid": {"type": kind, "id": id}, "attrs": attrs, "parents": parents})).unwrap()
}

/// Asks the questions in every combination: in one batch with each of them three times, up to the decision that ends
/// it, in two concurrent batches, and one by one.
async fn ask(workers: &Workers, questions: &[Evaluation]) -> Vec<Vec<Decided>> {
    let thrice = [questions, questions, questions].concat();
    let mut answers = vec![workers.ask(0, &thrice, None).await];
    answers.extend(join_all((0..2).map(|_| workers.ask(0, &thrice, None))).await);
    answers.push(workers.ask(0, &thrice, Some(true)).await);
    answers.extend(join_all(questions.iter().map(|one| workers.ask(0, std::slice::from_ref(one), Some(false)))).await);
    answers
}

fn each_capacity<F: Future<Output = ()>>(case: impl Fn(Workers) -> F) {
    for capacities in CAPACITIES {
        actix::System::new().block_on(async { case(Workers::start(1, capacities)).await });
    }
}

#[test]
fn a_stored_entity_that_does_not_fit_the_schema_denies_each_time_it_is_asked_about() {
    each_capacity(|workers| async move {
        let misfits = [
            entity("User", "tags", &json!({"level": "high"}), 1),
            entity("User", "refers", &json!({"manager": {"__entity": {"type": "Team", "id": "0"}}}), 0),
            entity("User", "leads", &json!({"manager": {"__entity": {"type": "User", "id": "tags"}}}), 0),
        ];
        workers.write(&Write::Put(misfits.to_vec())).await;
        let stored: Stored = misfits.into_iter().map(|entity| (entity.uid.clone(), entity)).collect();
        let friend = json!({"friend": {"__entity": {"type": "User", "id": "refers"}}});
        let none = json!({});
        let questions = [("tags", &none), ("ann", &none), ("refers", &none), ("ann", &friend), ("leads", &none)]
            .map(|(user, context)| question(user, context));
        for answer in ask(&workers, &questions).await {
            for (nth, decided) in answer.iter().enumerate() {
                if answer.len() == 1 {
                    continue;
                }
                let asked = &questions[nth % questions.len()];
                assert_eq!(*decided.verdict, reference(&workers.constitution, &stored, asked), "{asked:?}");
                // The recorded entities are those of the decision, so that it can be replayed.
                let is_misfit = decided.verdict.reason == Reason::InvalidProperties;
                assert!(!is_misfit || decided.entities.is_some(), "{decided:?}");
            }
        }
    });
}

#[test]
fn a_question_that_reads_too_many_entities_is_denied_each_time() {
    each_capacity(|workers| async move {
        workers.write(&Write::Put(vec![entity("User", "many", &json!({}), 5_000)])).await;
        // Each question may read that many entities, but not all of them together.
        let large = (0..9).map(|nth| entity("User", &format!("large{nth}"), &json!({}), 4_000));
        let large: Vec<Entity> = large.collect();
        workers.write(&Write::Put(large.clone())).await;
        for answer in ask(&workers, &[question("many", &json!({}))]).await {
            let denied = |decided: &Decided| decided.verdict.reason == Reason::Unavailable && !decided.is_cached();
            assert!(!answer.is_empty() && answer.iter().all(denied), "{answer:?}");
        }
        let questions: Vec<_> = large.iter().map(|entity| question(&entity.uid.id, &json!({}))).collect();
        let twice = [questions.clone(), questions.clone()].concat();
        let (together, alone) = tokio::join!(
            workers.ask(0, &twice, None),
            join_all(questions.iter().map(|one| workers.ask(0, std::slice::from_ref(one), None)))
        );
        assert_eq!(together.len(), twice.len());
        for (nth, decided) in together.iter().enumerate() {
            assert_eq!(decided.verdict, together[nth % questions.len()].verdict);
        }
        // The limit of a batch does not affect other requests with one of its questions.
        assert!(alone.iter().flatten().all(|decided| decided.verdict.reason == Reason::NoPermit), "{alone:?}");
    });
}

#[test]
fn where_the_store_cannot_be_read_each_question_is_denied_each_time() {
    each_capacity(|workers| async move {
        // Types without any stored entity are not queried.
        workers.write(&Write::Put(vec![entity("User", "any", &json!({}), 0)])).await;
        workers.break_store();
        let questions = [question("ann", &json!({})), question("bob", &json!({})), question("ann", &json!({"n": 1}))];
        for answer in ask(&workers, &questions).await {
            let denied = |decided: &Decided| decided.verdict.reason == Reason::Unavailable && !decided.is_cached();
            assert!(!answer.is_empty() && answer.iter().all(denied), "{answer:?}");
        }
    });
}

#[test]
fn work_ends_at_its_deadline() {
    each_capacity(|workers| async move {
        workers.write(&Write::Put(vec![entity("User", "any", &json!({}), 0)])).await;
        let questions = vec![question("ann", &json!({})); 3];
        for consistency in [Consistency::Usual, Consistency::Full] {
            let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
            let late = workers.decide(0, &questions, consistency, past).await;
            assert_eq!(late.unwrap_err(), DecideError::Late);
        }
        let decided = workers.ask(0, &questions, None).await;
        assert!(decided.iter().all(|decided| decided.verdict.reason == Reason::NoPermit), "{decided:?}");
    });
}
