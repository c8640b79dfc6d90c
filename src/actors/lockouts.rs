//! Who has to wait before the next password.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use time::OffsetDateTime;

use crate::auth::lockout::{Failures, Lockout};
use crate::domain::bucket;

/// How many names, and names at an address, are remembered. What is pushed out was tried longest ago.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add((1 << 16) - 1);

/// Counts wrong passwords; shared by all clones. They are forgotten with the process.
#[derive(Debug, Clone)]
pub struct Lockouts(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    rules: Lockout,
    at_address: LruCache<(Box<str>, Option<IpAddr>), Failures>,
    anywhere: LruCache<Box<str>, Failures>,
}

impl Lockouts {
    /// Locks a name at an address after so many wrong passwords.
    #[must_use]
    pub fn new(attempts: NonZeroU32, time: Duration) -> Self {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 64);
        let rules = Lockout { attempts: attempts.get(), seconds };
        let (at_address, anywhere) = (LruCache::new(REMEMBERED), LruCache::new(REMEMBERED));
        Self(Arc::new(Mutex::new(Counts { rules, at_address, anywhere })))
    }

    /// How long to wait for the next attempt at a name; `None` where it may be made.
    #[must_use]
    pub fn wait(&self, name: &str, address: Option<IpAddr>) -> Option<Duration> {
        let now = now();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = counts.rules;
        let at_address = counts.at_address.get(&key(name, address)).map_or(0, |count| rules.at_address(*count, now));
        let anywhere = counts.anywhere.get(name).map_or(0, |count| rules.anywhere(*count, now));
        let seconds = at_address.max(anywhere);
        (seconds > 0).then(|| Duration::from_secs(seconds.unsigned_abs()))
    }

    /// A password was wrong.
    pub fn fail(&self, name: &str, address: Option<IpAddr>) {
        let now = now();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = counts.rules;
        let more = |before: Failures| {
            let before = if rules.is_over(before, now) { Failures::default() } else { before };
            before.and_one(now)
        };
        let failures = counts.at_address.get_or_insert_mut(key(name, address), Failures::default);
        // Of guesses that came all at once, those that are found wrong after the lock fell must not lift it.
        if rules.at_address(*failures, now) == 0 {
            *failures = more(*failures);
        }
        let failures = counts.anywhere.get_or_insert_mut(name.into(), Failures::default);
        *failures = more(*failures);
    }

    /// A password was right: what was wrong at that address no longer counts.
    pub fn forget(&self, name: &str, address: Option<IpAddr>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.at_address.pop(&key(name, address));
    }
}

fn key(name: &str, address: Option<IpAddr>) -> (Box<str>, Option<IpAddr>) {
    (name.into(), address.map(bucket))
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
