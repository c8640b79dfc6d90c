//! Detects jumps of the wall clock, by comparing it with the boot clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

/// The smallest difference that counts as a jump, in milliseconds.
const JUMP_MS: i64 = 2_000;

/// The fastest slewing of the wall clock that is tolerated, in milliseconds per second (NTP slews at half of that).
const SLEW_MS_PER_S: i64 = 1;

/// A reading of both clocks, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock: milliseconds since 1970.
    pub wall: i64,
    /// The boot clock: milliseconds since boot, including suspension.
    pub boot: i64,
}

impl Reading {
    /// Reads both clocks.
    #[must_use]
    pub fn now() -> Self {
        let wall = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => millis(since),
            Err(before) => -millis(before.duration()),
        };
        let boot = clock_gettime(ClockId::Boottime);
        Self { wall, boot: boot.tv_sec.saturating_mul(1_000).saturating_add(boot.tv_nsec / 1_000_000) }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Compares the wall clock with the boot clock.
#[derive(Debug)]
pub struct WallClock {
    /// The expected difference of wall and boot clock, in milliseconds; it follows slewing.
    expected: i64,
    /// The boot clock at the last look, in milliseconds.
    boot: i64,
    steady: Steady,
}

impl WallClock {
    /// With a wall clock that is considered right now.
    #[must_use]
    pub fn new(now: Reading) -> Self {
        Self { expected: now.wall - now.boot, boot: now.boot, steady: Steady::default() }
    }

    /// A view of the time since the last jump.
    #[must_use]
    pub fn steady(&self) -> Steady {
        self.steady.clone()
    }

    /// The milliseconds by which the wall clock has jumped since the last look, forwards or back; small jumps
    /// accumulate.
    pub fn look(&mut self, now: Reading) -> Option<i64> {
        let difference = (now.wall - now.boot).saturating_sub(self.expected);
        let slew = (now.boot - self.boot).max(0).saturating_mul(SLEW_MS_PER_S) / 1_000;
        self.boot = now.boot - (now.boot - self.boot).max(0) % 1_000;
        if difference.abs() >= JUMP_MS {
            self.expected = now.wall - now.boot;
            self.steady.restart();
            return Some(difference);
        }
        self.expected += difference.clamp(-slew, slew);
        None
    }
}

/// When the wall clock last jumped; shared by all clones.
#[derive(Debug, Clone)]
pub struct Steady(Arc<Jumps>);

#[derive(Debug)]
struct Jumps {
    last: Mutex<Instant>,
    count: AtomicU64,
}

impl Steady {
    /// The time since the last jump.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.last.lock().elapsed()
    }

    /// How often it has jumped.
    #[must_use]
    pub fn jumps(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    fn restart(&self) {
        *self.0.last.lock() = Instant::now();
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Default for Steady {
    fn default() -> Self {
        Self(Arc::new(Jumps { last: Mutex::new(Instant::now()), count: AtomicU64::new(0) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// The jumps found, if the wall clock advances by these milliseconds in each second.
    fn jumps(seconds: impl IntoIterator<Item = i64>) -> Vec<Option<i64>> {
        let mut now = Reading { wall: 1_700_000_000_000, boot: 1_000 };
        let mut clock = WallClock::new(now);
        let look = |passed| {
            now = Reading { wall: now.wall + passed, boot: now.boot + 1_000 };
            clock.look(now)
        };
        seconds.into_iter().map(look).collect()
    }

    #[test]
    fn a_jump_is_noticed_once_in_either_direction() {
        assert_eq!(jumps([1_000, HOUR + 1_000, 1_000]), [None, Some(HOUR), None]);
        assert_eq!(jumps([1_000, 1_000 - HOUR, 1_000]), [None, Some(-HOUR), None]);
        assert_eq!(jumps([3_000]), [Some(2_000)]);
    }

    #[test]
    fn a_clock_that_is_slewed_does_not_jump_and_many_small_jumps_are_one() {
        assert!(jumps([1_000, 1_001, 999].into_iter().cycle().take(20_000)).iter().all(Option::is_none));
        assert!(jumps(std::iter::repeat_n(1_001, 20_000)).iter().all(Option::is_none));
        let noticed = jumps(std::iter::repeat_n(1_500, 8));
        assert_eq!(noticed.iter().flatten().count(), 1, "{noticed:?}");
    }

    #[test]
    fn both_clocks_run() {
        let (first, second) = (Reading::now(), Reading::now());
        assert!(first.boot > 0 && second.boot >= first.boot && first.wall > 1_700_000_000_000);
        assert_eq!(WallClock::new(first).look(second), None);
    }
}
