//! Tells whether what was read from the store may have changed since, without asking the store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::EntityUid;

/// Counters that move whenever an entity may have changed; shared by all clones.
///
/// Each entity has one of 65,536 slots. Two entities may share a slot; then a change of one makes the other look
/// changed too, which costs a needless reload and nothing else.
///
/// INVARIANT: a writer bumps after its commit and before its write is answered; a reader takes the stamp before it
/// reads. So what was read before a commit has a stamp from before the bump, and is not current once the write is
/// answered. What was read between commit and bump looks old and is read again. An entity that is not stored has a
/// stamp too: its creation bumps it.
#[derive(Clone)]
pub struct Versions(Arc<[AtomicU64]>);

/// The counter of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot(u16);

/// What an entity's counter was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    slot: Slot,
    value: u64,
}

impl Slot {
    /// The counter with that number.
    #[must_use]
    pub fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number, the same in every process.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

impl Stamp {
    /// The counter it was taken of.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }
}

impl Versions {
    /// Counters that start at zero. They mean nothing outside this process.
    #[must_use]
    pub fn new() -> Self {
        Self((0..=u16::MAX).map(|_| AtomicU64::new(0)).collect())
    }

    /// The counter of an entity: the same in every process and at all times.
    #[must_use]
    pub fn slot(uid: &EntityUid) -> Slot {
        let [a, b, ..] = absorb(absorb(SEED, &uid.kind), &uid.id).to_le_bytes();
        Slot(u16::from_le_bytes([a, b]))
    }

    /// The counter as it is now. Take it before the entity is read.
    #[must_use]
    pub fn stamp(&self, uid: &EntityUid) -> Stamp {
        self.stamp_of(Self::slot(uid))
    }

    /// A counter as it is now.
    #[must_use]
    pub fn stamp_of(&self, slot: Slot) -> Stamp {
        // Acquire: whoever sees a bump also sees the commit before it, so the read that follows finds the new data.
        let value = self.counter(slot).map_or(0, |counter| counter.load(Ordering::Acquire));
        Stamp { slot, value }
    }

    /// Whether no entity of that slot was changed since the stamp was taken.
    #[must_use]
    pub fn is_current(&self, stamp: &Stamp) -> bool {
        self.counter(stamp.slot).is_some_and(|counter| counter.load(Ordering::Acquire) == stamp.value)
    }

    /// The version of the store up to which every change is in the counters.
    #[must_use]
    pub fn applied(&self) -> i64 {
        0
    }

    /// Whether no entity of that slot was changed after the store had that version.
    #[must_use]
    pub fn is_unchanged_since(&self, slot: Slot, version: i64) -> bool {
        version >= 0 && self.counter(slot).is_some_and(|counter| counter.load(Ordering::Acquire) == 0)
    }

    /// Says that an entity may have changed. Call it after the commit and before the write is answered.
    pub fn bump(&self, uid: &EntityUid) {
        if let Some(counter) = self.counter(Self::slot(uid)) {
            counter.fetch_add(1, Ordering::Release);
        }
    }

    /// Says that every entity may have changed: where it is not known which did.
    pub fn bump_all(&self) {
        for counter in self.0.iter() {
            counter.fetch_add(1, Ordering::Release);
        }
    }

    /// Every slot has a counter; `None` does not come up.
    fn counter(&self, slot: Slot) -> Option<&AtomicU64> {
        self.0.get(usize::from(slot.0))
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Versions({} slots)", self.0.len())
    }
}

/// Digits of π, as odd numbers.
const SEED: u64 = 0x243f_6a88_85a3_08d3;
const FACTOR: u64 = 0x1319_8a2e_0370_7345;

/// Mixes text into a hash. Texts come from writers who gain nothing by collisions, so it need not be keyed.
fn absorb(hash: u64, text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let hash = words.iter().fold(hash, |hash, word| fold(hash ^ u64::from_le_bytes(*word)));
    let tail = rest.iter().fold(0, |tail, byte| (tail << 8) | u64::from(*byte));
    // The length keeps `ab`+`c` and `a`+`bc` apart.
    fold(fold(hash ^ tail) ^ (text.len() as u64))
}

/// The two halves of a wide product, laid over each other: every bit of the input reaches every bit of the result.
fn fold(word: u64) -> u64 {
    let wide = u128::from(word ^ SEED) * u128::from(FACTOR);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are what is wanted")]
    let halves = (wide as u64, (wide >> 64) as u64);
    halves.0 ^ halves.1
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn user(id: &str) -> EntityUid {
        EntityUid::new("User", id)
    }

    #[test]
    fn a_stamp_is_current_until_its_entity_is_bumped() {
        let versions = Versions::new();
        let (ann, bob) = (versions.stamp(&user("ann")), versions.stamp(&user("bob")));
        assert!(versions.is_current(&ann));
        versions.clone().bump(&user("ann"));
        assert!(!versions.is_current(&ann));
        assert!(versions.is_current(&bob));
        assert!(versions.is_current(&versions.stamp(&user("ann"))));
    }

    #[test]
    fn no_stamp_is_current_after_all_are_bumped() {
        let versions = Versions::new();
        let stamps = ["ann", "bob", ""].map(|id| versions.stamp(&user(id)));
        versions.bump_all();
        assert!(stamps.iter().all(|stamp| !versions.is_current(stamp)));
    }

    #[test]
    fn names_spread_over_the_slots() {
        let names = (0..65_536).map(|n| user(&format!("agent-{n:06}")));
        let slots = names.map(|uid| Versions::slot(&uid)).collect::<HashSet<_>>();
        // Of random throws, 1 - 1/e of the slots are hit: 41,427.
        assert!((41_000..42_000).contains(&slots.len()), "{}", slots.len());
    }

    #[test]
    fn type_and_id_do_not_run_together() {
        let slots = [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", "")].map(|(t, id)| EntityUid::new(t, id));
        assert_eq!(slots.iter().map(Versions::slot).collect::<HashSet<_>>().len(), 4);
    }
}
