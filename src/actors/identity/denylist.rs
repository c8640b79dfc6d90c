//! Revocations: ids of tokens, sessions, keys and callers that are denied although they have not expired.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use smol_str::{SmolStr, format_smolstr};

use crate::store::ended_tokens::HELD_S;

/// The least time for which an id is denied, from its own commit, by a monotonic clock.
const HELD: Duration = Duration::from_secs(HELD_S.unsigned_abs());

/// The denied ids; shared by all clones.
///
/// INVARIANT: the epoch moves after an id is added and before its withdrawal is answered. An authenticator compares the
/// epoch before it uses a cached caller, so nothing that was withdrawn is accepted after that answer.
///
/// INVARIANT: an id is removed only when `HELD` has passed since its commit by the monotonic clock *and* the wall clock
/// is past its expiry: a wall clock that jumps removes nothing. An id that is not committed is never removed.
#[derive(Debug, Clone, Default)]
pub struct Denylist(Arc<DeniedIds>);

#[derive(Debug, Default)]
struct DeniedIds {
    ids: RwLock<HashMap<SmolStr, Denial>>,
    epoch: AtomicU64,
}

/// How long one id is denied.
#[derive(Debug, Clone, Copy)]
struct Denial {
    /// When everything with this id has expired, in Unix seconds.
    until: i64,
    /// When the id was committed or read from the database; `None` while it is in memory only.
    since: Option<Instant>,
}

impl Denial {
    fn is_over(&self, wall: i64, at: Instant) -> bool {
        self.until < wall && self.since.is_some_and(|since| at.saturating_duration_since(since) >= HELD)
    }
}

impl Denylist {
    /// A counter that changes with every id that is added or lifted.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Acquire)
    }

    /// Adds ids whose withdrawal is committed, each with its expiry in Unix seconds; `at` is the time of the commit.
    pub fn add(&self, ids: impl IntoIterator<Item = (SmolStr, i64)>, at: Instant) {
        self.change(|known| {
            for (id, until) in ids {
                let denial = known.entry(id).or_insert(Denial { until, since: None });
                denial.until = if denial.since.is_some() { denial.until.max(until) } else { until };
                denial.since.get_or_insert(at);
            }
        });
    }

    /// Denies ids whose withdrawal is not committed yet, until it is. Answers the ids that were not denied before, for
    /// [`Self::remove_uncommitted`].
    pub fn add_uncommitted(&self, ids: impl IntoIterator<Item = SmolStr>) -> Vec<SmolStr> {
        let mut held = Vec::new();
        self.change(|known| {
            for id in ids {
                known.entry(id).or_insert_with_key(|id| {
                    held.push(id.clone());
                    Denial { until: i64::MAX, since: None }
                });
            }
        });
        held
    }

    /// Denies ids whose withdrawal the database has lost, until it is committed again.
    pub fn add_lost(&self, ids: impl IntoIterator<Item = SmolStr>) {
        self.change(|known| known.extend(ids.into_iter().map(|id| (id, Denial { until: i64::MAX, since: None }))));
    }

    /// Removes ids that were added by [`Self::add_uncommitted`] or [`Self::add_lost`] and have not been committed
    /// since.
    pub fn remove_uncommitted(&self, held: &[SmolStr]) {
        self.change(|known| {
            for id in held {
                if known.get(id).is_some_and(|denial| denial.since.is_none()) {
                    known.remove(id);
                }
            }
        });
    }

    /// Removes expired ids; `wall` is in Unix seconds.
    pub fn forget(&self, wall: i64, at: Instant) {
        let mut known = self.0.ids.write();
        known.retain(|_, denial| !denial.is_over(wall, at));
    }

    /// Whether any of these ids is denied.
    #[must_use]
    pub fn has_any<'i>(&self, ids: impl IntoIterator<Item = &'i SmolStr>) -> bool {
        let known = self.0.ids.read();
        ids.into_iter().any(|id| known.contains_key(id))
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<SmolStr, Denial>)) {
        change(&mut self.0.ids.write());
        self.0.epoch.fetch_add(1, Ordering::Release);
    }
}

/// How ids are formed.
impl Denylist {
    /// The id of one token.
    #[must_use]
    pub fn token(issuer: &str, id: &str) -> SmolStr {
        format_smolstr!("jti:{issuer}:{id}")
    }

    /// The id of an assertion with which a client proved its identity.
    #[must_use]
    pub fn assertion(client: &str, id: &str) -> SmolStr {
        format_smolstr!("assertion:{client}:{id}")
    }

    /// The id of all tokens of a session.
    #[must_use]
    pub fn session(id: &str) -> SmolStr {
        format_smolstr!("sid:{id}")
    }

    /// The id of an API key, and of every key that was made with it.
    #[must_use]
    pub fn api_key(id: &str) -> SmolStr {
        format_smolstr!("key:{id}")
    }

    /// The id of all tokens signed with a signing key.
    #[must_use]
    pub fn signing_key(kid: &str) -> SmolStr {
        format_smolstr!("kid:{kid}")
    }

    /// The id of all tokens of a user or client, and of the API keys that come from it; `name` is its name in records.
    #[must_use]
    pub fn holder(name: &str) -> SmolStr {
        format_smolstr!("all:{name}")
    }

    /// The id of all tokens of a user or client; `name` is its name in records.
    #[must_use]
    pub fn sessions_of(name: &str) -> SmolStr {
        format_smolstr!("sessions:{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn id() -> SmolStr {
        Denylist::session("a")
    }

    #[test]
    fn a_wall_clock_that_jumps_forgets_nothing() {
        let (denied, start) = (Denylist::default(), Instant::now());
        denied.add([(id(), 1_000)], start);
        for (wall, elapsed, is_denied) in [
            (i64::MAX, Duration::ZERO, true),
            (i64::MIN, HELD * 2, true),
            (1_000, HELD * 2, true),
            (i64::MAX, HELD.checked_sub(Duration::from_secs(1)).unwrap(), true),
            // A second withdrawal while the wall clock is ahead or behind.
            (500_000, HOUR, true),
            (1_001, HELD, false),
        ] {
            denied.add([(Denylist::session("b"), wall)], start + elapsed);
            denied.forget(wall, start + elapsed);
            assert_eq!(denied.has_any([&id()]), is_denied, "{wall} {elapsed:?}");
        }
    }

    #[test]
    fn what_is_read_again_is_not_held_longer_and_what_is_committed_later_is_held_from_then() {
        let (denied, start) = (Denylist::default(), Instant::now());
        denied.add([(id(), 0)], start);
        denied.add([(id(), 0)], start + HELD.saturating_sub(HOUR));
        denied.forget(1, start + HELD);
        assert!(!denied.has_any([&id()]));

        assert_eq!(denied.add_uncommitted([id()]), [id()]);
        denied.forget(i64::MAX, start + HELD * 100);
        assert!(denied.has_any([&id()]), "it is not committed");
        denied.add([(id(), 0)], start + HELD * 100);
        denied.forget(1, start + (HELD * 101).saturating_sub(HOUR));
        assert!(denied.has_any([&id()]), "it was committed an hour less ago");
        denied.forget(1, start + HELD * 101);
        assert!(!denied.has_any([&id()]));
    }

    #[test]
    fn what_is_held_can_be_lifted_and_what_is_committed_cannot() {
        let (denied, start) = (Denylist::default(), Instant::now());
        denied.add([(id(), 0)], start);
        let other = Denylist::session("b");
        let before = denied.epoch();
        assert_eq!(denied.add_uncommitted([id(), other.clone()]), std::slice::from_ref(&other));
        assert!(denied.has_any([&other]) && denied.epoch() > before);
        denied.remove_uncommitted(&[id(), other.clone()]);
        assert_eq!([denied.has_any([&other]), denied.has_any([&id()])], [false, true]);
        denied.add_uncommitted([other.clone()]);
        denied.add([(other.clone(), 0)], start);
        denied.remove_uncommitted(std::slice::from_ref(&other));
        assert!(denied.has_any([&other]), "it was committed meanwhile");
        denied.add_lost([other.clone()]);
        denied.forget(i64::MAX, start + HELD * 100);
        assert!(denied.has_any([&other]), "the commit is lost");
        denied.add([(other.clone(), 0)], start + HELD * 100);
        denied.remove_uncommitted(std::slice::from_ref(&other));
        denied.forget(i64::MAX, start + HELD * 100);
        assert!(denied.has_any([&other]), "it was committed again");
    }
}
