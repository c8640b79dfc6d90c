//! How often one address may try its luck with secrets, and how often one caller may manage things.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use nonzero_ext::nonzero;
use smol_str::SmolStr;

use super::problem::{Problem, TOO_MANY};
use crate::auth::network::ClientAddress;

/// The limit that was exceeded, and when to retry (draft-ietf-httpapi-ratelimit-headers).
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The number of tracked callers above which inactive ones are dropped.
const REMEMBERED: usize = 1 << 16;

/// A rate limit: requests per second in the long run, and in a burst.
#[derive(Debug, Clone, Copy)]
struct Bound {
    /// Its name in headers.
    name: &'static str,
    rate: NonZeroU32,
    burst: NonZeroU32,
}

/// Tokens and logins, by address.
const ADDRESS: Bound = Bound { name: "address", rate: nonzero!(20_u32), burst: nonzero!(200_u32) };

/// The limit per caller for all routes except decisions: far more than a user or a script needs, and less than would
/// occupy the database.
const CALLER: Bound = Bound { name: "caller", rate: nonzero!(1_000_u32), burst: nonzero!(2_000_u32) };

/// Counts requests; shared by all clones.
#[derive(Debug, Clone)]
pub struct Limits(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// Keyed by [`ClientAddress::bucket`].
    addresses: DefaultKeyedRateLimiter<ClientAddress>,
    callers: DefaultKeyedRateLimiter<SmolStr>,
}

impl Limits {
    /// Without any request counted.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Counts { addresses: ADDRESS.limiter(), callers: CALLER.limiter() }))
    }

    /// Counts a request for a token or a login. The error says when to retry.
    pub fn check_address(&self, address: ClientAddress) -> Result<(), Problem> {
        ADDRESS.check(&self.0.addresses, &address.bucket())
    }

    /// Counts a caller's request. The error says when to retry.
    pub fn check_caller(&self, name: &SmolStr) -> Result<(), Problem> {
        CALLER.check(&self.0.callers, name)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl Bound {
    fn limiter<K: Hash + Eq + Clone>(self) -> DefaultKeyedRateLimiter<K> {
        RateLimiter::keyed(Quota::per_second(self.rate).allow_burst(self.burst))
    }

    fn check<K: Hash + Eq + Clone>(self, limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), Problem> {
        if limiter.len() > REMEMBERED {
            limiter.retain_recent();
        }
        limiter.check_key(key).map_err(|not_until: NotUntil<_>| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            too_many(&format!("too many requests from one {}", self.name), self.name, self.burst, wait)
        })
    }
}

/// 429, with the limit that was met and when to come again.
pub fn too_many(detail: &str, name: &str, burst: NonZeroU32, wait: Duration) -> Problem {
    let seconds = wait.as_secs().saturating_add(1);
    let text = |text: String| HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
    Problem::new(&TOO_MANY, detail)
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
        .with_header(POLICY, text(format!("\"{name}\";q={burst}")))
        .with_header(LIMIT, text(format!("\"{name}\";r=0;t={seconds}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_limited_and_its_neighbours_are_not() {
        let limits = Limits::new();
        let address = |text: &str| ClientAddress::Ip(text.parse().unwrap());
        let passed = (0..1_000).filter(|_| limits.check_address(address("2001:db8::1")).is_ok()).count();
        assert!((200..400).contains(&passed), "{passed}");
        assert!(limits.check_address(address("2001:db8::2")).is_err(), "the same /64");
        assert!(limits.check_address(address("2001:db8:0:1::1")).is_ok());
        assert!(limits.check_address(address("192.0.2.1")).is_ok());
        while limits.check_address(ClientAddress::Unknown).is_ok() {}
        assert!(limits.check_address(ClientAddress::Unix).is_ok(), "whose address is unknown has a bucket of its own");
    }

    #[test]
    fn a_caller_is_limited_and_another_is_not() {
        let limits = Limits::new();
        let passed = (0..10_000).filter(|_| limits.check_caller(&"user:ann".into()).is_ok()).count();
        assert!((2_000..10_000).contains(&passed), "{passed}");
        assert!(limits.check_caller(&"user:bob".into()).is_ok());
    }
}
