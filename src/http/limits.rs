//! How often one address may try its luck with secrets: where a token or a login is asked for.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::problem::{Problem, TOO_MANY};
use crate::auth::network::bucket;

/// Requests a second, in the long run.
const RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);

/// Requests at once.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(199);

/// How many addresses are remembered before those that have been quiet are forgotten.
const REMEMBERED: usize = 1 << 16;

/// The limit that was met (draft-ietf-httpapi-ratelimit-headers).
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Counts by address, IPv6 by its /64; shared by all clones.
#[derive(Debug, Clone)]
pub struct Limits(Arc<DefaultKeyedRateLimiter<Option<IpAddr>>>);

impl Limits {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(RateLimiter::keyed(Quota::per_second(RATE).allow_burst(BURST))))
    }

    /// Lets a request through, or says when to come again. All callers on Unix sockets count as one.
    pub fn check(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        if self.0.len() > REMEMBERED {
            self.0.retain_recent();
        }
        self.0.check_key(&address.map(bucket)).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now()) + Duration::from_secs(1);
            let policy = format!("\"address\";q={BURST};w={}", BURST.get() / RATE.get());
            let policy = HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static(""));
            Problem::new(&TOO_MANY, "too many requests for tokens from one address")
                .with_header(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()))
                .with_header(POLICY, policy)
        })
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_limited_and_its_neighbours_are_not() {
        let limits = Limits::new();
        let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let passed = (0..1_000).filter(|_| limits.check(address("2001:db8::1")).is_ok()).count();
        assert!((200..400).contains(&passed), "{passed}");
        assert!(limits.check(address("2001:db8::2")).is_err(), "the same /64");
        assert!(limits.check(address("2001:db8:0:1::1")).is_ok());
        assert!(limits.check(address("192.0.2.1")).is_ok() && limits.check(None).is_ok());
    }
}
