//! How long those wait who guess passwords.
//!
//! Who fails too often from one address is locked out there, each time for longer, up to four times as long. Who fails
//! from ever other addresses is only slowed down: a name can be tried once in some seconds, by whomever, so that nobody
//! is kept out for good by strangers who know the name.

/// Wrong passwords in a row, and since when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// The last one, in Unix seconds.
    pub last: i64,
}

impl Failures {
    /// With one more.
    #[must_use]
    pub fn and_one(self, now: i64) -> Self {
        Self { count: self.count.saturating_add(1), last: now }
    }
}

/// When the next attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    /// Wrong passwords that are let pass.
    pub attempts: u32,
    /// How long the first lockout lasts, in seconds.
    pub seconds: i64,
}

impl Lockout {
    /// How much longer than the first a lockout may last.
    const LONGEST: i64 = 4;

    /// How many times as many attempts a name has as a name at one address.
    const SPREAD: u32 = 4;

    /// Seconds between attempts at a name that is tried from everywhere.
    const SLOWED: i64 = 3;

    /// Seconds to wait for the next attempt at a name from one address; 0 for none.
    #[must_use]
    pub fn at_address(self, failures: Failures, now: i64) -> i64 {
        let Some(rounds) = failures.count.checked_div(self.attempts) else { return 0 };
        if rounds == 0 || !failures.count.is_multiple_of(self.attempts) {
            return 0;
        }
        let times = 1_i64.checked_shl(rounds - 1).unwrap_or(Self::LONGEST).clamp(1, Self::LONGEST);
        (failures.last + self.seconds * times - now).max(0)
    }

    /// Seconds to wait for the next attempt at a name from anywhere; 0 for none.
    #[must_use]
    pub fn anywhere(self, failures: Failures, now: i64) -> i64 {
        if failures.count < self.attempts.saturating_mul(Self::SPREAD) {
            return 0;
        }
        (failures.last + Self::SLOWED - now).max(0)
    }

    /// Whether failures are so long ago that they no longer count.
    #[must_use]
    pub fn is_over(self, failures: Failures, now: i64) -> bool {
        now > failures.last + self.seconds * Self::LONGEST * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKOUT: Lockout = Lockout { attempts: 5, seconds: 900 };

    fn failures(count: u32) -> Failures {
        Failures { count, last: 1_000 }
    }

    #[test]
    fn the_fifth_wrong_password_locks_and_each_round_for_longer() {
        for (count, wait) in [(0, 0), (1, 0), (4, 0), (5, 900), (6, 0), (9, 0), (10, 1_800), (15, 3_600), (20, 3_600)] {
            assert_eq!(LOCKOUT.at_address(failures(count), 1_000), wait, "{count}");
        }
        assert_eq!(LOCKOUT.at_address(failures(5), 1_899), 1);
        assert_eq!(LOCKOUT.at_address(failures(5), 1_900), 0, "the next attempt is let pass");
    }

    #[test]
    fn a_name_that_is_tried_from_everywhere_is_only_slowed_down() {
        assert_eq!(LOCKOUT.anywhere(failures(19), 1_000), 0);
        for count in [20, 1_000_000, u32::MAX] {
            assert_eq!(LOCKOUT.anywhere(failures(count), 1_000), 3);
            assert_eq!(LOCKOUT.anywhere(failures(count), 1_003), 0);
        }
    }

    #[test]
    fn failures_are_forgotten_in_the_end() {
        assert!(!LOCKOUT.is_over(failures(5), 1_900) && LOCKOUT.is_over(failures(5), 10_000));
        assert_eq!(failures(u32::MAX).and_one(2_000), Failures { count: u32::MAX, last: 2_000 });
    }
}
