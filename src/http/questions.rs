//! The questions of one request. Unreadable items are answered and recorded in their places, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::actors::decision::validator::{Decided, Source};
use crate::domain::{Evaluation, FaultyItem, Reason, Verdict};

/// The questions of one request.
#[derive(Debug)]
pub struct Questions {
    /// The readable questions, in order.
    pub sound: Vec<Evaluation>,
    /// The unreadable items, by their positions in the request.
    faulty: BTreeMap<usize, Box<FaultyItem>>,
    /// The number of both together.
    count: usize,
    /// The decision that ends the request (AuthZEN's short-circuit semantics), if one does. An unreadable item counts
    /// as a deny.
    pub stop_at: Option<bool>,
}

/// A question, in the form in which it is recorded.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// A question that was decided.
    Sound(&'a Evaluation),
    /// An item that could not be read.
    Faulty(&'a FaultyItem),
}

impl Questions {
    /// A single question.
    #[must_use]
    pub fn one(question: Evaluation) -> Self {
        Self { sound: vec![question], faulty: BTreeMap::new(), count: 1, stop_at: None }
    }

    /// No question yet; `stop_at` is the decision that ends the request.
    #[must_use]
    pub fn new(stop_at: Option<bool>) -> Self {
        Self { sound: Vec::new(), faulty: BTreeMap::new(), count: 0, stop_at }
    }

    /// Adds an item of a batch, unless an earlier item has ended the batch.
    pub fn push(&mut self, item: Result<Evaluation, Box<FaultyItem>>) {
        if self.stop_at == Some(false) && !self.faulty.is_empty() {
            return;
        }
        match item {
            Ok(evaluation) => self.sound.push(evaluation),
            Err(faulty) => drop(self.faulty.insert(self.count, faulty)),
        }
        self.count += 1;
    }

    /// The most decisions that there can be.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Merges the decisions on the readable questions with denies for the others, in order, up to the one that ends the
    /// request.
    #[must_use]
    pub fn merge<'a>(&'a self, sound: &'a [Evaluation], decided: Vec<Decided>) -> Vec<(Asked<'a>, Decided)> {
        let (mut sound, mut merged) = (sound.iter().zip(decided), Vec::with_capacity(self.count));
        for place in 0..self.count {
            let next = match self.faulty.get(&place) {
                Some(faulty) => Some((Asked::Faulty(faulty), denied(faulty))),
                None => sound.next().map(|(evaluation, decided)| (Asked::Sound(evaluation), decided)),
            };
            // The decided questions end where the batch ended.
            let Some(next) = next else { break };
            let stop = self.stop_at == Some(next.1.verdict.permits());
            merged.push(next);
            if stop {
                break;
            }
        }
        merged
    }
}

fn denied(faulty: &FaultyItem) -> Decided {
    let verdict = Arc::new(Verdict::deny(Reason::InvalidRequest, faulty.to_string()));
    Decided { verdict, entities: None, source: Source::Question }
}
