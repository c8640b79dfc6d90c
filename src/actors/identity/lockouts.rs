//! Throttles password guessing: after failed attempts a name has to wait before the next one.
//!
//! An attempt counts as failed from before its password is hashed until it is found to be right, so that concurrent
//! attempts count like consecutive ones.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use nonzero_ext::nonzero;
use parking_lot::{Mutex, MutexGuard};
use time::OffsetDateTime;

use crate::auth::lockout::{Failures, LockState, Lockout};
use crate::auth::network::ClientAddress;

/// The most names, and names at addresses, that are tracked. The least recently tried is dropped.
const REMEMBERED: NonZeroUsize = nonzero!(65_536_usize);

/// Counts wrong passwords; shared by all clones. They are forgotten with the process.
#[derive(Debug, Clone)]
pub struct Lockouts(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    rules: Lockout,
    at_address: LruCache<Key, Failures>,
    anywhere: LruCache<Box<str>, Failures>,
}

type Key = (Box<str>, ClientAddress);

/// An attempt in progress, counted as failed. It stays so unless it succeeds or is withdrawn; a dropped one, such as
/// after a client disconnected, has failed.
#[derive(Debug)]
#[must_use]
pub struct Attempt {
    lockouts: Lockouts,
    key: Key,
    /// The failures before this attempt: at its address, and at all addresses.
    before: (Failures, Failures),
    /// When the attempt was counted, in Unix seconds.
    at: i64,
}

impl Lockouts {
    /// Locks a name at an address after `attempts` wrong passwords.
    #[must_use]
    pub fn new(attempts: NonZeroU32, time: Duration) -> Self {
        let rules = Lockout::new(attempts.get(), u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
        let (at_address, anywhere) = (LruCache::new(REMEMBERED), LruCache::new(REMEMBERED));
        Self(Arc::new(Mutex::new(Counts { rules, at_address, anywhere })))
    }

    /// Begins an attempt to log in as `name`. The error is the time to wait before the next attempt.
    pub fn begin(&self, name: &str, address: ClientAddress) -> Result<Attempt, Duration> {
        let (now, key) = (now(), (name.into(), address.bucket()));
        let mut counts = self.counts();
        let rules = counts.rules;
        let at_address = counts.at_address.get(&key).copied().unwrap_or_default();
        let anywhere = counts.anywhere.get(name).copied().unwrap_or_default();
        let states = [rules.of_address(at_address, now), rules.of_name(anywhere, now)];
        let until = states.into_iter().filter_map(|state| match state {
            LockState::Allowed => None,
            LockState::LockedUntil(at) => Some(at),
        });
        if let Some(at) = until.max() {
            return Err(Duration::from_secs(u64::try_from(at - now).unwrap_or(1)));
        }
        counts.at_address.put(key.clone(), rules.failed(at_address, now));
        counts.anywhere.put(name.into(), rules.failed(anywhere, now));
        drop(counts);
        Ok(Attempt { lockouts: self.clone(), key, before: (at_address, anywhere), at: now })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock()
    }
}

impl Attempt {
    /// The password was right: earlier failures at this address no longer count.
    pub fn succeed(self) {
        let mut counts = self.lockouts.counts();
        counts.at_address.pop(&self.key);
        self.forget_anywhere(&mut counts);
    }

    /// The password was not checked, so the attempt is not counted.
    pub fn withdraw(self) {
        let mut counts = self.lockouts.counts();
        if let Some(failures) = counts.at_address.peek_mut(&self.key) {
            self.take_back(failures, self.before.0);
        }
        self.forget_anywhere(&mut counts);
    }

    /// The password was wrong.
    pub fn fail(self) {}

    fn forget_anywhere(&self, counts: &mut Counts) {
        if let Some(failures) = counts.anywhere.peek_mut(&self.key.0) {
            self.take_back(failures, self.before.1);
        }
    }

    /// Removes this attempt from the failures; there may have been others since.
    fn take_back(&self, failures: &mut Failures, before: Failures) {
        failures.count = failures.count.saturating_sub(1);
        if failures.last_at == self.at {
            failures.last_at = before.last_at;
        }
    }
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lockouts(attempts: u32) -> Lockouts {
        Lockouts::new(attempts.try_into().unwrap(), Duration::from_mins(15))
    }

    fn at(last: u8) -> ClientAddress {
        ClientAddress::Ip([192, 0, 2, last].into())
    }

    #[test]
    fn attempts_that_are_not_over_count_as_wrong_ones() {
        let lockouts = lockouts(5);
        let open: Vec<_> = (0..32).filter_map(|_| lockouts.begin("ann", at(1)).ok()).collect();
        assert_eq!(open.len(), 5);
        assert!(lockouts.begin("ann", at(2)).is_ok() && lockouts.begin("bob", at(1)).is_ok());
        drop(open);
        assert!(lockouts.begin("ann", at(1)).is_err(), "whose client went away was one all the same");
    }

    #[test]
    fn a_right_password_is_no_failure_and_one_that_was_not_looked_at_is_none() {
        let lockouts = lockouts(3);
        for _ in 0..100 {
            lockouts.begin("ann", at(1)).unwrap().succeed();
            lockouts.begin("ann", at(1)).unwrap().withdraw();
        }
        lockouts.begin("ann", at(1)).unwrap().fail();
        lockouts.begin("ann", at(1)).unwrap().withdraw();
        lockouts.begin("ann", at(1)).unwrap().fail();
        lockouts.begin("ann", at(1)).unwrap().succeed();
        let wrong = (0..10).filter_map(|_| lockouts.begin("ann", at(1)).ok()).count();
        assert_eq!(wrong, 3);
        assert_eq!((0..10).filter_map(|_| lockouts.begin("ann", ClientAddress::Unknown).ok()).count(), 3);
        assert!(lockouts.begin("ann", ClientAddress::Unix).is_ok(), "whose address is unknown are alone");
    }
}
