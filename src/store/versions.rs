//! Tells whether what was read from the store may have changed since, without asking the store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::domain::EntityUid;

/// What is known of changes to entities; shared by all clones.
///
/// Each entity has one of 65,536 slots. Two entities may share a slot; then a change of one makes the other look
/// changed too, which costs a needless reload and nothing else. A slot has the version of the last change that is known,
/// and a count of those whose version is not.
///
/// INVARIANT: a writer bumps after its commit and before its write is answered; a reader takes the stamp before it
/// reads. So what was read before a commit has a stamp from before the bump, and is not current once the write is
/// answered. What was read between commit and bump looks old and is read again. An entity that is not stored has a
/// stamp too: its creation bumps it.
///
/// INVARIANT: [`applied`](Self::applied) never says more than what is in the slots.
#[derive(Clone)]
pub struct Versions(Arc<Known>);

struct Known {
    slots: Box<[AtomicU64]>,
    applied: AtomicI64,
    newest: AtomicI64,
}

/// The place of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot(u16);

/// What an entity's slot was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    slot: Slot,
    value: u64,
}

/// The bits of a slot that count changes of which the version is not known. Where there are more than they can count, the
/// slot looks one version newer than it is.
const UNKNOWN_BITS: u32 = 8;

impl Versions {
    /// Everything may have changed up to the newest version there is.
    #[must_use]
    pub fn new(newest: i64) -> Self {
        let slots = (0..=u16::MAX).map(|_| AtomicU64::new(value_of(newest))).collect();
        Self(Arc::new(Known { slots, applied: AtomicI64::new(newest), newest: AtomicI64::new(newest) }))
    }

    /// The slot of an entity: the same in every process and at all times.
    #[must_use]
    pub fn slot(uid: &EntityUid) -> Slot {
        let [a, b, ..] = absorb(absorb(SEED, &uid.kind), &uid.id).to_le_bytes();
        Slot(u16::from_le_bytes([a, b]))
    }

    /// The slot as it is now. Take it before the entity is read.
    #[must_use]
    pub fn stamp(&self, uid: &EntityUid) -> Stamp {
        self.stamp_of(Self::slot(uid))
    }

    /// A slot as it is now.
    #[must_use]
    pub fn stamp_of(&self, slot: Slot) -> Stamp {
        // Acquire: whoever sees a bump also sees the commit before it, so the read that follows finds the new data.
        let value = self.at(slot).map_or(0, |value| value.load(Ordering::Acquire));
        Stamp { slot, value }
    }

    /// Whether no entity of that slot was changed since the stamp was taken.
    #[must_use]
    pub fn is_current(&self, stamp: &Stamp) -> bool {
        self.at(stamp.slot).is_some_and(|value| value.load(Ordering::Acquire) == stamp.value)
    }

    /// Whether no entity of that slot is known to have changed after that version.
    #[must_use]
    pub fn is_unchanged_since(&self, slot: Slot, version: i64) -> bool {
        let last = self.at(slot).map(|value| value.load(Ordering::Acquire) >> UNKNOWN_BITS);
        last.is_some_and(|last| i64::try_from(last).is_ok_and(|last| last <= version))
    }

    /// All changes up to this version are in the slots.
    #[must_use]
    pub fn applied(&self) -> i64 {
        self.0.applied.load(Ordering::Acquire)
    }

    /// The newest version that is known, whether or not all before it are.
    #[must_use]
    pub fn known(&self) -> i64 {
        self.0.newest.load(Ordering::Acquire).max(self.applied())
    }

    /// Says that an entity changed at this version. Call it after the commit and before the write is answered.
    pub fn bump(&self, uid: &EntityUid, version: i64) {
        self.0.newest.fetch_max(version, Ordering::AcqRel);
        if let Some(value) = self.at(Self::slot(uid)) {
            value.fetch_max(value_of(version), Ordering::AcqRel);
        }
    }

    /// Says that an entity may have changed, at a version that is not known.
    pub fn disturb(&self, uid: &EntityUid) {
        if let Some(value) = self.at(Self::slot(uid)) {
            value.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Says that every entity may have changed, up to this version.
    pub fn bump_all(&self, version: i64) {
        for value in &self.0.slots {
            value.fetch_add(1, Ordering::AcqRel);
            value.fetch_max(value_of(version), Ordering::AcqRel);
        }
    }

    /// Says that all changes up to this version are in the slots. Only who follows the changes in their order knows.
    pub(super) fn set_applied(&self, version: i64) {
        self.0.applied.store(version, Ordering::Release);
    }

    /// Says that the versions from `first` to `last` are in the slots: whether those before were, so that nothing is
    /// missing.
    pub(super) fn apply(&self, first: i64, last: i64) -> bool {
        self.0.applied.compare_exchange(first - 1, last, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Every slot is there; `None` does not come up.
    fn at(&self, slot: Slot) -> Option<&AtomicU64> {
        self.0.slots.get(usize::from(slot.0))
    }
}

impl Slot {
    /// The slot of that number.
    #[must_use]
    pub fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

impl Stamp {
    /// The slot that it is of.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }
}

/// Versions are not negative.
fn value_of(version: i64) -> u64 {
    version.unsigned_abs() << UNKNOWN_BITS
}

impl fmt::Debug for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Versions({} slots, applied {})", self.0.slots.len(), self.applied())
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
        let versions = Versions::new(7);
        let (ann, bob) = (versions.stamp(&user("ann")), versions.stamp(&user("bob")));
        assert!(versions.is_current(&ann));
        versions.clone().bump(&user("ann"), 8);
        assert!(!versions.is_current(&ann));
        assert!(versions.is_current(&bob));
        let again = versions.stamp(&user("ann"));
        // To hear of the same change twice changes nothing; to hear that there was one does.
        versions.bump(&user("ann"), 8);
        assert!(versions.is_current(&again));
        versions.disturb(&user("ann"));
        assert!(!versions.is_current(&again));
    }

    #[test]
    fn no_stamp_is_current_after_all_are_bumped() {
        let versions = Versions::new(7);
        let stamps = ["ann", "bob", ""].map(|id| versions.stamp(&user(id)));
        versions.bump_all(7);
        assert!(stamps.iter().all(|stamp| !versions.is_current(stamp)));
    }

    #[test]
    fn a_slot_is_as_new_as_its_last_known_change() {
        let versions = Versions::new(7);
        let (ann, bob) = (Versions::slot(&user("ann")), Versions::slot(&user("bob")));
        assert_eq!([6, 7, 8].map(|version| versions.is_unchanged_since(ann, version)), [false, true, true]);
        versions.bump(&user("ann"), 9);
        versions.bump(&user("ann"), 8);
        versions.disturb(&user("ann"));
        assert_eq!([8, 9, 10].map(|version| versions.is_unchanged_since(ann, version)), [false, true, true]);
        assert!(versions.is_unchanged_since(bob, 7));
        versions.bump_all(10);
        assert_eq!([9, 10].map(|version| versions.is_unchanged_since(bob, version)), [false, true]);
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
