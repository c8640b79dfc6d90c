//! Caches are an optimisation: whatever they keep, every answer is what a fresh evaluation over what is stored at that
//! moment gives.
//!
//! `ACGS_PROPERTY_CASES` changes how many seeds are tried; a failure names its seed.

mod archive;
mod failing;
mod workers;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use acgs::domain::{Evaluation, Reason};
use archive::{Chance, Stored, reference};
use futures_util::future::join_all;
use workers::{Capacities, Workers};

const WORKERS: usize = 3;

/// Both caches, neither, one of them, and so small that they keep throwing out.
const CAPACITIES: [Capacities; 5] = [
    Capacities { requests: 1000, entities: 1000 },
    Capacities { requests: 0, entities: 0 },
    Capacities { requests: 0, entities: 1000 },
    Capacities { requests: 1000, entities: 0 },
    Capacities { requests: 2, entities: 2 },
];

fn cases() -> u64 {
    std::env::var("ACGS_PROPERTY_CASES").map_or(4, |cases| cases.parse().unwrap())
}

#[test]
fn an_answer_is_that_of_a_fresh_evaluation_over_what_is_stored() {
    each_seed(one_after_the_other);
}

#[test]
fn an_answer_is_no_older_than_the_last_acknowledged_write_and_mixes_no_two_states() {
    each_seed(all_at_once);
}

fn each_seed<F: Future<Output = ()>>(case: impl Fn(u64, Capacities) -> F) {
    for seed in 0..cases() {
        for capacities in CAPACITIES {
            actix::System::new().block_on(case(seed, capacities));
        }
    }
}

async fn one_after_the_other(seed: u64, capacities: Capacities) {
    let mut chance = Chance::new(seed);
    let workers = Workers::start(WORKERS, capacities);
    let mut stored = Stored::default();
    let pool: Vec<Evaluation> = (0..12).map(|_| chance.question()).collect();
    for step in 0..150 {
        if chance.in_ten(3) {
            let write = chance.write();
            workers.write(&write).await;
            write.apply(&mut stored);
            continue;
        }
        let (worker, single) = (chance.below(WORKERS), chance.in_ten(5));
        let count = if single { 1 } else { 1 + chance.below(12) };
        let questions: Vec<Evaluation> = (0..count).map(|_| pool[chance.below(pool.len())].clone()).collect();
        let stop_at = [None, Some(true), Some(false)][if single { 0 } else { chance.below(3) }];
        let decided = workers.ask(worker, &questions, stop_at).await;
        let expected = questions.iter().map(|question| reference(&workers.constitution, &stored, question));
        let expected: Vec<_> = expected.collect();
        let end = expected.iter().position(|verdict| stop_at == Some(verdict.permits()));
        let expected = &expected[..end.map_or(expected.len(), |last| last + 1)];
        let decided: Vec<_> = decided.iter().map(|one| (*one.verdict).clone()).collect();
        assert_eq!(decided, expected, "seed {seed}, step {step}, {capacities:?}, {questions:?}");
    }
}

/// What the store went through, as one writer saw it.
struct History {
    states: RefCell<Vec<Stored>>,
    /// How many writes are acknowledged: the state of that number is stored, or a later one.
    acknowledged: Cell<usize>,
    over: Cell<bool>,
}

async fn all_at_once(seed: u64, capacities: Capacities) {
    let mut chance = Chance::new(seed);
    let workers = Rc::new(Workers::start(WORKERS, capacities));
    let history = Rc::new(History {
        states: RefCell::new(vec![Stored::default()]),
        acknowledged: Cell::new(0),
        over: Cell::new(false),
    });
    let pool: Rc<[Evaluation]> = (0..4).map(|_| chance.question()).collect();
    let askers = (0..8).map(|asker| {
        let chance = Chance::new(seed << 8 | asker);
        actix::spawn(keep_asking(chance, Rc::clone(&workers), Rc::clone(&history), Rc::clone(&pool)))
    });
    let askers: Vec<_> = askers.collect();
    for _ in 0..60 {
        // One entity at a time: between the commit of a transaction and the bump of its versions, a decision that reads
        // in several rounds may see a part of it.
        let write = chance.write_of_one();
        let mut state = history.states.borrow().last().unwrap().clone();
        write.apply(&mut state);
        history.states.borrow_mut().push(state);
        workers.write(&write).await;
        history.acknowledged.set(history.acknowledged.get() + 1);
    }
    history.over.set(true);
    for asker in join_all(askers).await {
        asker.unwrap_or_else(|error| panic!("seed {seed}, {capacities:?}: {error}"));
    }
}

/// Asks until the writer is done. Each answer must be right for one state between the last write that was acknowledged
/// before the question and the last one begun before the answer.
async fn keep_asking(mut chance: Chance, workers: Rc<Workers>, history: Rc<History>, pool: Rc<[Evaluation]>) {
    while !history.over.get() {
        let questions: Vec<_> = (0..=chance.below(3)).map(|_| pool[chance.below(pool.len())].clone()).collect();
        let oldest = history.acknowledged.get();
        let decided = workers.ask(chance.below(WORKERS), &questions, None).await;
        let states = history.states.borrow();
        for (question, decided) in questions.iter().zip(&decided) {
            let right = |state| reference(&workers.constitution, state, question) == *decided.verdict;
            let newest = states.len() - 1;
            assert!(
                states[oldest..].iter().any(right),
                "right for none of the states {oldest} to {newest}, but for {:?}: {question:?} {decided:?}",
                states.iter().position(right)
            );
        }
    }
}

#[test]
fn a_question_that_is_being_decided_is_not_decided_again() {
    actix::System::new().block_on(async {
        let mut chance = Chance::new(0);
        // Without caches, only a question that is being decided at the moment can be answered as known.
        let workers = Workers::start(1, Capacities { requests: 0, entities: 0 });
        for _ in 0..40 {
            workers.write(&chance.write()).await;
        }
        let questions: Vec<Evaluation> = (0..50).map(|_| chance.question()).collect();
        let (mut asked, mut evaluated) = (0, 0);
        for question in &questions {
            let batch = workers.ask(0, &vec![question.clone(); 8], None).await;
            // What does not fit the schema is refused without any evaluation.
            let fits = !matches!(batch[0].verdict.reason, Reason::UnknownAction | Reason::InvalidProperties);
            assert_eq!(
                batch.iter().filter(|decided| !decided.is_cached()).count(),
                if fits { 1 } else { 8 },
                "{question:?}"
            );

            let alone = join_all((0..8).map(|_| workers.ask(0, std::slice::from_ref(question), None))).await;
            if fits {
                asked += alone.len();
                evaluated += alone.iter().flatten().filter(|decided| !decided.is_cached()).count();
            }
        }
        // Some may come when the first is decided already.
        assert!(asked >= 200 && evaluated < asked / 2, "{evaluated} of {asked} were evaluated");
    });
}
