//! Delays for password guessing.
//!
//! Failures are counted twice. Those of one name from one address lock that address out of that name, which stops the
//! attacker and not the user, who is elsewhere. Those of one name from all addresses only slow attempts down: many
//! addresses together must not lock out an administrator.

/// How often the longest time of a lock is the shortest one.
const MOST_ROUNDS: u32 = 4;
/// How many times `attempts` failures a name may have from everywhere before it slows down.
const NAME_FACTOR: u32 = 10;
/// The seconds between two attempts at a name that is guessed from everywhere.
const NAME_PAUSE_S: i64 = 3;

/// When and for how long attempts are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    attempts: u32,
    base_s: i64,
}

/// Failures in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the last one was, in seconds since 1970.
    pub last_at: i64,
}

/// Whether an attempt is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockState {
    /// The attempt may be made.
    Allowed,
    /// Not before this time, in seconds since 1970; the password is not checked.
    LockedUntil(i64),
}

impl Lockout {
    /// Locks for `base_s` seconds after `attempts` failures.
    #[must_use]
    pub fn new(attempts: u32, base_s: u32) -> Self {
        Self { attempts: attempts.max(1), base_s: i64::from(base_s) }
    }

    /// Whether an address may try a name, by the failures of that name from that address.
    ///
    /// After `attempts` failures it may not for `base_s`, and then may try once at a time. Each further `attempts`
    /// double the time, up to four times `base_s`.
    #[must_use]
    pub fn of_address(&self, failures: Failures, now: i64) -> LockState {
        let rounds = failures.count / self.attempts;
        if rounds == 0 || self.is_forgotten(failures, now) {
            return LockState::Allowed;
        }
        let factor = 1_u32.checked_shl(rounds - 1).map_or(MOST_ROUNDS, |factor| factor.clamp(1, MOST_ROUNDS));
        until(failures.last_at.saturating_add(self.base_s.saturating_mul(i64::from(factor))), now)
    }

    /// Whether a name may be tried from any address, by the failures of that name from all addresses.
    ///
    /// With ten times `attempts` failures there are three seconds between attempts, and never more.
    #[must_use]
    pub fn of_name(&self, failures: Failures, now: i64) -> LockState {
        if failures.count < self.attempts.saturating_mul(NAME_FACTOR) || self.is_forgotten(failures, now) {
            return LockState::Allowed;
        }
        // A clock that was set back must not lengthen the pause.
        until(failures.last_at.min(now).saturating_add(NAME_PAUSE_S), now)
    }

    /// The failures with one more.
    #[must_use]
    pub fn failed(&self, failures: Failures, now: i64) -> Failures {
        let count = if self.is_forgotten(failures, now) { 0 } else { failures.count };
        Failures { count: count.saturating_add(1), last_at: now }
    }

    /// Whether failures are too old to count: four times `base_s`.
    ///
    /// Failures that lie as far in the future, from before a wrong clock was corrected, do not count either: they would
    /// lock for good.
    #[must_use]
    pub fn is_forgotten(&self, failures: Failures, now: i64) -> bool {
        let longest = self.base_s.saturating_mul(i64::from(MOST_ROUNDS)).unsigned_abs();
        now.abs_diff(failures.last_at) >= longest
    }
}

fn until(at: i64, now: i64) -> LockState {
    if now < at { LockState::LockedUntil(at) } else { LockState::Allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKOUT: Lockout = Lockout { attempts: 5, base_s: 900 };

    fn failures(count: u32, last_at: i64) -> Failures {
        Failures { count, last_at }
    }

    #[test]
    fn an_address_is_locked_out_longer_each_round_but_never_for_good() {
        for (count, locked_s) in [
            (0, 0),
            (4, 0),
            (5, 900),
            (9, 900),
            (10, 1_800),
            (14, 1_800),
            (15, 3_600),
            (1_000, 3_600),
            (u32::MAX, 3_600),
        ] {
            let failures = failures(count, 10_000);
            let locked = LockState::LockedUntil(10_000 + locked_s);
            if locked_s > 0 {
                assert_eq!(LOCKOUT.of_address(failures, 10_000), locked, "{count}");
                assert_eq!(LOCKOUT.of_address(failures, 10_000 + locked_s - 1), locked, "{count}");
            }
            assert_eq!(LOCKOUT.of_address(failures, 10_000 + locked_s), LockState::Allowed, "{count}");
        }
    }

    #[test]
    fn a_name_that_is_guessed_from_everywhere_only_slows_down() {
        assert_eq!(LOCKOUT.of_name(failures(49, 10_000), 10_000), LockState::Allowed);
        for count in [50, 1_000, u32::MAX] {
            let failures = failures(count, 10_000);
            assert_eq!(LOCKOUT.of_name(failures, 10_002), LockState::LockedUntil(10_003), "{count}");
            assert_eq!(LOCKOUT.of_name(failures, 10_003), LockState::Allowed, "{count}");
        }
    }

    #[test]
    fn failures_in_a_row_add_up_until_they_are_forgotten() {
        let mut all = Failures::default();
        for now in 10_000..10_005 {
            assert_eq!(LOCKOUT.of_address(all, now), LockState::Allowed, "{now}");
            all = LOCKOUT.failed(all, now);
        }
        assert_eq!(all, failures(5, 10_004));
        assert_eq!(LOCKOUT.of_address(all, 10_005), LockState::LockedUntil(10_904));
        assert_eq!(LOCKOUT.failed(all, 10_904), failures(6, 10_904));
        assert_eq!(LOCKOUT.failed(all, 10_004 + 3_600), failures(1, 13_604));
        assert!(!LOCKOUT.is_forgotten(all, 13_603));
        assert!(LOCKOUT.is_forgotten(all, 13_604));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_lock_for_good() {
        let ahead = failures(u32::MAX, 2_000_000);
        assert_eq!(LOCKOUT.of_address(ahead, 10_000), LockState::Allowed);
        assert_eq!(LOCKOUT.of_name(ahead, 10_000), LockState::Allowed);
        assert_eq!(LOCKOUT.of_address(failures(5, 10_000), 9_999), LockState::LockedUntil(10_900));
        assert_eq!(LOCKOUT.of_name(failures(50, 10_000), 9_000), LockState::LockedUntil(9_003));
    }

    #[test]
    fn no_attempts_at_all_count_as_one() {
        let lockout = Lockout::new(0, 60);
        assert_eq!(lockout.of_address(failures(0, 0), 0), LockState::Allowed);
        assert_eq!(lockout.of_address(failures(1, 0), 0), LockState::LockedUntil(60));
    }
}
