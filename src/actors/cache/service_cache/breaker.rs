//! A circuit breaker: while the server does not answer, it is not used.

use std::time::{Duration, Instant};

/// Consecutive failures that open the breaker.
const IN_A_ROW: u32 = 5;
/// Failures among the last 32 requests that open it.
const OF_THE_LAST: u32 = 16;
/// The least time from one probe to the next.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Closed while the server answers. It opens when requests fail, and closes when a probe in the background succeeds.
#[derive(Debug)]
pub struct Breaker {
    closed: bool,
    /// The last 32 outcomes, the newest in the lowest bit; a failure is a one.
    outcomes: u32,
    since: Instant,
    /// When the last probe began.
    probed: Option<Instant>,
    opened: u64,
}

impl Breaker {
    /// One that is open, since nothing is known of the server yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { closed: false, outcomes: 0, since: now, probed: None, opened: 0 }
    }

    /// Whether the server is asked.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// When the state last changed.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    /// How often it opened after it was closed.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// The server answered.
    pub fn succeeded(&mut self) {
        self.outcomes <<= 1;
    }

    /// The server did not answer, or not in time. Whether that opened the breaker.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.outcomes = self.outcomes << 1 | 1;
        let enough = self.outcomes.trailing_ones() >= IN_A_ROW || self.outcomes.count_ones() >= OF_THE_LAST;
        enough && self.open(now)
    }

    /// Opens it, if it is not open.
    pub fn open(&mut self, now: Instant) -> bool {
        if self.closed {
            (self.closed, self.since) = (false, now);
            self.opened += 1;
            return true;
        }
        false
    }

    /// The time until the next probe; zero if it may begin now.
    #[must_use]
    pub fn pause(&self, now: Instant) -> Duration {
        self.probed.map_or(Duration::ZERO, |probed| (probed + PROBE_INTERVAL).saturating_duration_since(now))
    }

    /// A probe begins.
    pub fn probe_begins(&mut self, now: Instant) {
        self.probed = Some(now);
    }

    /// A probe succeeded.
    pub fn close(&mut self, now: Instant) {
        if !self.closed {
            (self.closed, self.since, self.outcomes) = (true, now, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(now);
        breaker.close(now);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_probe_closes_it() {
        let now = Instant::now();
        let mut breaker = closed(now);
        assert!((1..IN_A_ROW).all(|_| !breaker.failed(now)));
        breaker.succeeded();
        assert!((1..IN_A_ROW).all(|_| !breaker.failed(now)), "an answer between them begins anew");
        assert!(breaker.failed(now) && !breaker.is_closed());
        assert!(!breaker.failed(now), "it opens once");
        assert_eq!((breaker.opened(), breaker.since()), (1, now));
        breaker.close(now);
        assert!(breaker.is_closed() && !breaker.failed(now), "what was before is forgotten");
    }

    #[test]
    fn half_of_the_asks_failing_open_it_too() {
        let now = Instant::now();
        let mut breaker = closed(now);
        let opens = (1..=32).find(|_| {
            breaker.succeeded();
            breaker.failed(now)
        });
        assert_eq!(opens, Some(16));
        let mut breaker = closed(now);
        let opens = (0..1000).any(|_| {
            breaker.succeeded();
            breaker.succeeded();
            breaker.failed(now)
        });
        assert!(!opens, "a third is borne");
    }

    #[test]
    fn probes_are_a_second_apart() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        assert!(!breaker.is_closed());
        assert_eq!(breaker.pause(now), Duration::ZERO, "the first is at once");
        breaker.probe_begins(now);
        assert_eq!(breaker.pause(now), PROBE_INTERVAL);
        assert_eq!(breaker.pause(now + PROBE_INTERVAL / 4), PROBE_INTERVAL * 3 / 4);
        assert_eq!(breaker.pause(now + PROBE_INTERVAL * 2), Duration::ZERO);
    }
}
