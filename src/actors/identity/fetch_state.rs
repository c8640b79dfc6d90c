//! When the keys of an issuer were last fetched, and whether they may be fetched again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The least time between two requests to an issuer.
const INTERVAL: Duration = Duration::from_mins(1);

/// The age at which cached keys are fetched again.
const LIFETIME: Duration = Duration::from_mins(10);

/// When an issuer's keys were last fetched.
#[derive(Debug, Default)]
pub struct FetchState {
    /// Held during a fetch.
    fetching: Mutex<()>,
    /// The time of the last fetch; held briefly only.
    last: Mutex<Option<Instant>>,
    /// Whether a request is in progress.
    is_asking: AtomicBool,
}

impl FetchState {
    /// Whether the keys are old enough to be fetched again, so that keys withdrawn by the issuer disappear.
    #[must_use]
    pub fn is_long_ago(&self) -> bool {
        self.within(LIFETIME) == Some(false)
    }

    /// Whether a caller should ask for new keys: they may be fetched again now, or are being fetched, which it then
    /// waits for.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.is_asking.load(Ordering::Acquire) || self.within(INTERVAL) != Some(true)
    }

    /// Fetches the keys, unless they were fetched within the last minute. Concurrent callers wait until they are there.
    pub(super) fn fetch<E>(&self, fetch: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let _fetching = self.fetching.lock();
        if self.within(INTERVAL) == Some(true) {
            return Ok(());
        }
        self.is_asking.store(true, Ordering::Release);
        *self.last.lock() = Some(Instant::now());
        let fetched = fetch();
        self.is_asking.store(false, Ordering::Release);
        fetched
    }

    /// With the last request at that moment.
    #[cfg(test)]
    pub(super) fn at(last: Instant) -> Self {
        Self { last: Mutex::new(Some(last)), ..Self::default() }
    }

    /// Whether the last fetch was within `time`; `None` if there was none.
    fn within(&self, time: Duration) -> Option<bool> {
        let last = self.last.lock();
        last.map(|last| last.elapsed() < time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_asked_at_most_once_a_minute() {
        let ago = |time: Duration| FetchState::at(Instant::now().checked_sub(time).unwrap());
        assert!(FetchState::default().is_due() && !FetchState::default().is_long_ago());
        assert!(!ago(Duration::ZERO).is_due() && !ago(INTERVAL / 2).is_due());
        assert!(ago(INTERVAL).is_due() && !ago(INTERVAL).is_long_ago());
        let asking = ago(Duration::ZERO);
        asking.is_asking.store(true, Ordering::Release);
        assert!(asking.is_due(), "its keys are on their way");
    }
}
