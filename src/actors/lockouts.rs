//! Who has to wait before the next password.
//!
//! An attempt counts as a failure from before its password is hashed, and until it turns out to be right: many that come at
//! once are counted as if they had come one after another.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use time::OffsetDateTime;

use crate::auth::lockout::{Failures, Lockout, Standing};
use crate::auth::network::ClientAddress;

/// How many names, and names at an address, are remembered. What is pushed out was tried longest ago.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add((1 << 16) - 1);

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

/// An attempt that is counted as a failure. It stays one unless something else is said, also where it is dropped because its
/// client went away.
#[derive(Debug)]
#[must_use]
pub struct Attempt {
    lockouts: Lockouts,
    key: Key,
    /// The failures before it, at the address and anywhere.
    before: (Failures, Failures),
    /// When it was counted.
    at: i64,
}

impl Lockouts {
    /// Locks a name at an address after so many wrong passwords.
    #[must_use]
    pub fn new(attempts: NonZeroU32, time: Duration) -> Self {
        let rules = Lockout::new(attempts.get(), u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
        let (at_address, anywhere) = (LruCache::new(REMEMBERED), LruCache::new(REMEMBERED));
        Self(Arc::new(Mutex::new(Counts { rules, at_address, anywhere })))
    }

    /// Begins an attempt at a name; an error is how long to wait before the next one may be made.
    pub fn begin(&self, name: &str, address: ClientAddress) -> Result<Attempt, Duration> {
        let (now, key) = (now(), (name.into(), address.bucket()));
        let mut counts = self.counts();
        let rules = counts.rules;
        let at_address = counts.at_address.get(&key).copied().unwrap_or_default();
        let anywhere = counts.anywhere.get(name).copied().unwrap_or_default();
        let standings = [rules.of_address(at_address, now), rules.of_name(anywhere, now)];
        let until = standings.into_iter().filter_map(|standing| match standing {
            Standing::Allowed => None,
            Standing::LockedUntil(at) => Some(at),
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// The password was right: what was wrong at that address no longer counts.
    pub fn succeed(self) {
        let mut counts = self.lockouts.counts();
        counts.at_address.pop(&self.key);
        self.forget_anywhere(&mut counts);
    }

    /// The password was not looked at: neither right nor wrong.
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

    /// One failure less; others may have come since.
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
