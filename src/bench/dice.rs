//! Chance that is the same in every run.

use super::zipf::{scramble, share};

/// A sequence of numbers that seem to be chosen by chance.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// The sequence that belongs to a number.
    pub(super) fn new(seed: u64) -> Self {
        Self(scramble(seed))
    }

    /// The next share, from 0 to below 1.
    pub(super) fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(1);
        share(self.0)
    }

    /// Whether something happens whose probability is this.
    pub(super) fn is_less_than(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    /// A number below `end`, which is at least 1.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(1);
        usize::try_from(scramble(self.0) % (end.max(1) as u64)).unwrap_or(0)
    }

    /// One of these; `None` if there are none.
    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}
