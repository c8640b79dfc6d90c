//! Denials by minute, for a day, to be compared with the usual ones.

use std::collections::VecDeque;

use time::OffsetDateTime;

/// The number of minutes that are compared.
const COMPARED_MINUTES: usize = 10;

/// The number of minutes that are kept: a day, and the compared ones.
const KEPT: usize = 24 * 60 + COMPARED_MINUTES;

/// The least number of denials in the compared minutes that can be a surge.
const MIN_DENIALS: u64 = 100;

/// Denials by minute.
#[derive(Debug, Default)]
pub(super) struct DenialHistory {
    /// The oldest first; the last one is of the present minute.
    minutes: VecDeque<u64>,
    minute: Option<i64>,
    /// The counter at the last look.
    seen: u64,
}

impl DenialHistory {
    /// Adds the counter of denials at a moment.
    pub(super) fn push(&mut self, at: OffsetDateTime, denied: u64) {
        let minute = at.unix_timestamp().div_euclid(60);
        // After a jump of the clock, minutes follow each other as before.
        let passed = self.minute.map_or(1, |last| (minute - last).clamp(0, 2));
        for _ in 0..passed {
            self.minutes.push_back(0);
        }
        while self.minutes.len() > KEPT {
            self.minutes.pop_front();
        }
        if passed > 0 || self.minute.is_some_and(|last| minute < last) {
            self.minute = Some(minute);
        }
        if let Some(last) = self.minutes.back_mut() {
            *last += denied.saturating_sub(self.seen);
        }
        self.seen = denied;
    }

    /// The denials of the last ten minutes, as a multiple of those in the same ten minutes of the day before, or of the
    /// average of ten minutes in the hour before, whichever are more. `None` with fewer than 100 denials, or without
    /// ten minutes to compare with.
    pub(super) fn surge(&self) -> Option<f64> {
        let recent: u64 = self.minutes.iter().rev().take(COMPARED_MINUTES).sum();
        let is_day_known = self.minutes.len() == KEPT;
        let day_before: u64 = if is_day_known { self.minutes.iter().take(COMPARED_MINUTES).sum() } else { 0 };
        let hour: Vec<u64> = self.minutes.iter().rev().skip(COMPARED_MINUTES).take(60).copied().collect();
        if recent < MIN_DENIALS || hour.len() < COMPARED_MINUTES {
            return None;
        }
        let hour_before = hour.iter().sum::<u64>() * COMPARED_MINUTES as u64 / hour.len() as u64;
        #[expect(clippy::cast_precision_loss, reason = "counts of minutes")]
        let times = recent as f64 / day_before.max(hour_before).max(1) as f64;
        Some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(minutes: impl IntoIterator<Item = u64>) -> DenialHistory {
        let (mut history, mut total) = (DenialHistory::default(), 0);
        for (minute, denied) in (0..).zip(minutes) {
            let at = OffsetDateTime::UNIX_EPOCH + time::Duration::minutes(minute);
            history.push(at, total);
            total += denied;
            history.push(at + time::Duration::seconds(59), total);
        }
        history
    }

    #[test]
    fn a_surge_is_one_against_the_hour_and_the_day_before() {
        let quiet = std::iter::repeat_n(10, 60);
        assert_eq!(history(quiet.clone().chain(std::iter::repeat_n(50, 10))).surge(), Some(5.0));
        assert_eq!(history(quiet.clone().chain(std::iter::repeat_n(5, 10))).surge(), None, "few");
        assert_eq!(history(std::iter::repeat_n(500, 10)).surge(), None, "nothing is known from before");
        // Nineteen minutes of 10 are 100 in ten minutes, although they are no two times ten minutes.
        assert_eq!(history(std::iter::repeat_n(10, 19).chain(std::iter::repeat_n(20, 10))).surge(), Some(2.0));
        assert_eq!(history(std::iter::repeat_n(10, 9).chain(std::iter::repeat_n(20, 10))).surge(), None, "too short");
        let day = std::iter::repeat_n(50, 10).chain(std::iter::repeat_n(10, 24 * 60 - 10));
        assert_eq!(history(day.chain(std::iter::repeat_n(50, 10))).surge(), Some(1.0), "as every day");
    }

    #[test]
    fn a_jump_of_the_clock_neither_repeats_nor_loses_denials() {
        let mut history = history(std::iter::repeat_n(10, 20));
        let seen = history.seen;
        history.push(OffsetDateTime::UNIX_EPOCH + time::Duration::days(9), seen + 10);
        history.push(OffsetDateTime::UNIX_EPOCH, seen + 20);
        history.push(OffsetDateTime::UNIX_EPOCH + time::Duration::minutes(1), seen + 30);
        assert_eq!(history.minutes.iter().sum::<u64>(), 230);
        assert!(history.minutes.len() <= 24, "{}", history.minutes.len());
    }
}
