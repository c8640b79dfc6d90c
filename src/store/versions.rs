//! Tells whether data read from the store may have changed since, without a query.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::changes::Versioned;
use super::revisions::Commit;
use crate::domain::{EntityUid, Revision};

/// The known changes of entities; shared by all clones.
///
/// Each entity has one of 65,536 slots. Two entities may share a slot; then a change of one makes the other look
/// changed, too, which costs a needless reload and nothing else. A slot contains the version of the last known change,
/// and a count of changes with unknown versions.
///
/// INVARIANT: a writer bumps the slot after its commit and before its write is answered; a reader takes the stamp
/// before it reads. So data read before a commit has a stamp from before the bump, and is not current once the write is
/// answered. Data read between commit and bump looks outdated and is read again. An entity that is not stored has a
/// stamp, too: its creation bumps it.
///
/// INVARIANT: a bump always changes the slot, even if its version is not greater than the slot's, as after a restore of
/// the database.
///
/// INVARIANT: [`applied`](Self::applied) is never ahead of the slots.
#[derive(Clone)]
pub struct Versions(Arc<Known>);

struct Known {
    slots: Box<[AtomicU64]>,
    newest: AtomicI64,
    /// The revision up to which all changes are in the slots. Writers hold the lock; readers use the three atomics
    /// below.
    applied: Mutex<Revision>,
    incarnation: AtomicI64,
    version: AtomicI64,
    /// The nonces of the newest versions, in a ring buffer indexed by version.
    nonces: Box<[AtomicI64]>,
}

/// The place of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot(u16);

/// The value of an entity's slot at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    slot: Slot,
    value: u64,
}

/// The bits of a slot that count changes with unknown versions. If the count overflows, the slot looks one version
/// newer than it is.
const UNKNOWN_BITS: u32 = 8;

/// The number of versions whose nonces are kept; a power of two.
const NONCES: usize = 1 << 16;

impl Versions {
    /// With every entity considered changed up to the newest revision.
    #[must_use]
    pub fn new(newest: Revision) -> Self {
        let slots = (0..=u16::MAX).map(|_| AtomicU64::new(value_of(newest.version))).collect();
        let versions = Self(Arc::new(Known {
            slots,
            newest: AtomicI64::new(newest.version),
            applied: Mutex::new(newest),
            incarnation: AtomicI64::new(newest.incarnation),
            version: AtomicI64::new(newest.version),
            nonces: (0..NONCES).map(|_| AtomicI64::new(0)).collect(),
        }));
        versions.learn(newest.version, newest.nonce);
        versions
    }

    /// With this version as the newest of a database; for tests.
    #[cfg(test)]
    #[must_use]
    pub fn at_version(version: i64) -> Self {
        Self::new(Revision { version, ..Revision::default() })
    }

    /// The slot of an entity: the same in every process and at all times.
    #[must_use]
    pub fn slot(uid: &EntityUid) -> Slot {
        let [a, b, ..] = absorb(absorb(SEED, &uid.kind), &uid.id).to_le_bytes();
        Slot(u16::from_le_bytes([a, b]))
    }

    /// The present value of the slot. Take it before the entity is read.
    #[must_use]
    pub fn stamp(&self, uid: &EntityUid) -> Stamp {
        self.stamp_of(Self::slot(uid))
    }

    /// The present value of a slot.
    #[must_use]
    pub fn stamp_of(&self, slot: Slot) -> Stamp {
        // Acquire: a thread that sees a bump also sees the commit before it, so the read that follows finds the new
        // data.
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

    /// The revision up to which all changes are in the slots, read without a lock. During a concurrent update it may be
    /// a mixture of two revisions; no node knows that one, so it matches nothing.
    #[must_use]
    pub fn applied(&self) -> Revision {
        let incarnation = self.0.incarnation.load(Ordering::Acquire);
        let version = self.0.version.load(Ordering::Acquire);
        let nonce = self.nonce_at(version).map_or(0, |nonce| nonce.load(Ordering::Acquire));
        Revision { incarnation, version, nonce }
    }

    /// The newest version that is known, whether or not all before it are.
    #[must_use]
    pub fn known(&self) -> i64 {
        self.0.newest.load(Ordering::Acquire).max(self.applied().version)
    }

    /// Whether all changes up to a revision are in the slots; false if the revision is too old for its nonce to be
    /// kept.
    #[must_use]
    pub fn contains(&self, revision: &Revision) -> bool {
        let applied = self.applied();
        revision.incarnation == applied.incarnation
            && revision.version <= applied.version
            && self.nonce_at(revision.version).is_some_and(|nonce| nonce.load(Ordering::Acquire) == revision.nonce)
    }

    /// Sets that an entity changed at this version. To be called after the commit and before the write is answered.
    pub fn bump(&self, uid: &EntityUid, version: i64) {
        self.0.newest.fetch_max(version, Ordering::AcqRel);
        if let Some(value) = self.at(Self::slot(uid)) {
            move_to(value, version);
        }
    }

    /// Sets that an entity may have changed, at an unknown version.
    pub fn bump_unknown(&self, uid: &EntityUid) {
        if let Some(value) = self.at(Self::slot(uid)) {
            value.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Sets that every entity may have changed, up to this version.
    pub fn bump_all(&self, version: i64) {
        for value in &self.0.slots {
            move_to(value, version);
        }
    }

    /// The revision up to which all changes are in the slots, read under a lock.
    #[must_use]
    pub fn followed(&self) -> Revision {
        *self.lock()
    }

    /// Sets that all changes up to a revision are in the slots. Only for a caller that applies changes in order.
    pub(super) fn set_applied(&self, revision: Revision) {
        self.apply(&mut self.lock(), revision);
    }

    /// Advances past a commit whose changes are in the slots. False if changes before it are missing.
    pub(super) fn committed(&self, commit: &Commit) -> bool {
        let mut applied = self.lock();
        let is_next = *applied == commit.before;
        if is_next {
            for version in commit.before.version + 1..commit.after.version {
                self.learn(version, commit.after.nonce);
            }
            self.apply(&mut applied, commit.after);
        }
        is_next
    }

    /// Advances past changes that are in the slots, unless another thread has advanced further than `from`.
    pub(super) fn follow(&self, from: &Revision, changes: &[Versioned]) {
        let mut applied = self.lock();
        if *applied == *from
            && let Some(last) = changes.last()
        {
            for change in changes {
                self.learn(change.version, change.nonce);
            }
            self.apply(&mut applied, Revision { version: last.version, nonce: last.nonce, ..*from });
        }
    }

    /// Keeps the nonce of a version.
    pub(super) fn learn(&self, version: i64, nonce: i64) {
        if let Some(place) = self.nonce_at(version) {
            place.store(nonce, Ordering::Release);
        }
    }

    /// INVARIANT: the nonce is stored before the version, and both before the incarnation, so that no reader assembles
    /// a revision that is newer than the slots.
    fn apply(&self, applied: &mut Revision, revision: Revision) {
        self.learn(revision.version, revision.nonce);
        self.0.version.store(revision.version, Ordering::Release);
        self.0.incarnation.store(revision.incarnation, Ordering::Release);
        *applied = revision;
    }

    fn lock(&self) -> MutexGuard<'_, Revision> {
        self.0.applied.lock()
    }

    fn nonce_at(&self, version: i64) -> Option<&AtomicI64> {
        let place = usize::try_from(version).ok()? % NONCES;
        self.0.nonces.get(place)
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

/// Sets a slot to a version; if it is there already, or further, increments it.
fn move_to(slot: &AtomicU64, version: i64) {
    let next = |now: u64| Some(value_of(version).max(now.wrapping_add(1)));
    let _ = slot.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
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

/// Mixes text into a hash. It need not be keyed, since writers gain nothing by collisions.
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
        let versions = Versions::at_version(7);
        let (ann, bob) = (versions.stamp(&user("ann")), versions.stamp(&user("bob")));
        assert!(versions.is_current(&ann));
        versions.clone().bump(&user("ann"), 8);
        assert!(!versions.is_current(&ann));
        assert!(versions.is_current(&bob));
        for version in [9, 9, 8, 1] {
            let again = versions.stamp(&user("ann"));
            versions.bump(&user("ann"), version);
            assert!(!versions.is_current(&again), "also where the version is none that is new");
        }
        let again = versions.stamp(&user("ann"));
        versions.bump_unknown(&user("ann"));
        assert!(!versions.is_current(&again));
    }

    #[test]
    fn a_revision_is_contained_only_with_its_incarnation_and_its_nonce() {
        let first = Revision { incarnation: 1, version: 7, nonce: 70 };
        let versions = Versions::new(first);
        assert!(versions.contains(&first));
        let second = Revision { version: 9, nonce: 90, ..first };
        assert!(!versions.contains(&second));
        assert!(versions.committed(&Commit { before: first, after: second }));
        assert!(!versions.committed(&Commit { before: first, after: second }), "it is further already");
        let between = Revision { version: 8, ..second };
        for contained in [first, between, second] {
            assert!(versions.contains(&contained));
            for other in [
                Revision { incarnation: 2, ..contained },
                Revision { nonce: 1, ..contained },
                Revision { version: 10, ..contained },
                Revision { version: 1, ..contained },
            ] {
                assert!(!versions.contains(&other), "{other}");
            }
        }
        let far = i64::try_from(NONCES).unwrap();
        let change = Versioned { version: 9 + far, nonce: 5, change: super::super::changes::Change::Callers };
        versions.follow(&second, &[change]);
        assert_eq!(versions.applied(), Revision { version: 9 + far, nonce: 5, ..first });
        assert!(!versions.contains(&second), "it is not recent any more");
        assert_eq!(versions.applied(), versions.followed());
    }

    #[test]
    fn no_stamp_is_current_after_all_are_bumped() {
        let versions = Versions::at_version(7);
        let stamps = ["ann", "bob", ""].map(|id| versions.stamp(&user(id)));
        versions.bump_all(7);
        assert!(stamps.iter().all(|stamp| !versions.is_current(stamp)));
    }

    #[test]
    fn a_slot_is_as_new_as_its_last_known_change() {
        let versions = Versions::at_version(7);
        let (ann, bob) = (Versions::slot(&user("ann")), Versions::slot(&user("bob")));
        assert_eq!([6, 7, 8].map(|version| versions.is_unchanged_since(ann, version)), [false, true, true]);
        versions.bump(&user("ann"), 9);
        versions.bump(&user("ann"), 8);
        versions.bump_unknown(&user("ann"));
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
