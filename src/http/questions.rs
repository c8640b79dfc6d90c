//! The questions of one request, those that cannot be read included: each is answered and recorded in its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::actors::validator::{Decided, Source};
use crate::domain::{Evaluation, FaultyItem, Reason, Verdict};

/// The questions of one request.
#[derive(Debug)]
pub struct Questions {
    /// Those that can be read, in their order.
    pub sound: Vec<Evaluation>,
    /// The others, by their places among all.
    faulty: BTreeMap<usize, Box<FaultyItem>>,
    /// How many they are together.
    count: usize,
    /// The decision that ends the request, where one does. A faulty item counts as a deny.
    pub stop_at: Option<bool>,
}

/// A question as it is recorded.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// One that was decided.
    Sound(&'a Evaluation),
    /// One that cannot be read.
    Faulty(&'a FaultyItem),
}

impl Questions {
    /// A single question.
    #[must_use]
    pub fn one(question: Evaluation) -> Self {
        Self { sound: vec![question], faulty: BTreeMap::new(), count: 1, stop_at: None }
    }

    /// No question yet.
    #[must_use]
    pub fn new(stop_at: Option<bool>) -> Self {
        Self { sound: Vec::new(), faulty: BTreeMap::new(), count: 0, stop_at }
    }

    /// Adds an item of a batch. One behind the end of the batch is left out.
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

    /// How many decisions there will be at most.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// All decisions in their order up to the one that ends the request, from those on the sound questions.
    #[must_use]
    pub fn merge<'a>(&'a self, sound: &'a [Evaluation], decided: Vec<Decided>) -> Vec<(Asked<'a>, Decided)> {
        let (mut sound, mut merged) = (sound.iter().zip(decided), Vec::with_capacity(self.count));
        for place in 0..self.count {
            let next = match self.faulty.get(&place) {
                Some(faulty) => Some((Asked::Faulty(faulty), denied(faulty))),
                None => sound.next().map(|(evaluation, decided)| (Asked::Sound(evaluation), decided)),
            };
            // The sound questions end where the batch ends.
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
