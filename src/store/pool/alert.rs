//! Alerts about a pool that is nearly or completely in use.

use time::OffsetDateTime;

/// The consecutive checks below the threshold after which an alert ends, so that it does not flap with each burst.
const CALM: u32 = 10;

/// How much of a pool is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolLoad {
    /// There is enough.
    Ok,
    /// As much as the settings call high, of all connections that there can be.
    High,
    /// Everything.
    Exhausted,
}

/// Remembers how much of a pool is in use, and since when.
#[derive(Debug, Clone)]
pub struct Alert {
    percent: f64,
    load: PoolLoad,
    since: OffsetDateTime,
    /// Looks in a row that found less, and the most that one of them found.
    calmer: (u32, PoolLoad),
}

/// That an alert began, ended or is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertChange {
    /// The load until now.
    pub from: PoolLoad,
    /// The present load.
    pub to: PoolLoad,
}

impl Alert {
    /// Without an alert; the load is high above `percent` of all connections.
    #[must_use]
    pub fn new(percent: f64, now: OffsetDateTime) -> Self {
        Self { percent, load: PoolLoad::Ok, since: now, calmer: (0, PoolLoad::Ok) }
    }

    /// How much is in use.
    #[must_use]
    pub fn load(&self) -> PoolLoad {
        self.load
    }

    /// Since when that is so.
    #[must_use]
    pub fn since(&self) -> OffsetDateTime {
        self.since
    }

    /// Evaluates the peak of used connections since the last check.
    pub fn look(&mut self, busy: u32, capacity: u32, now: OffsetDateTime) -> Option<AlertChange> {
        let found = if busy >= capacity {
            PoolLoad::Exhausted
        } else if f64::from(busy) * 100.0 >= self.percent * f64::from(capacity) {
            PoolLoad::High
        } else {
            PoolLoad::Ok
        };
        let (looks, most) = self.calmer;
        let to = if found >= self.load {
            found
        } else if looks + 1 < CALM {
            self.calmer = (looks + 1, most.max(found));
            return None;
        } else {
            most.max(found)
        };
        self.calmer = (0, PoolLoad::Ok);
        let from = std::mem::replace(&mut self.load, to);
        if from == to {
            return None;
        }
        self.since = now;
        Some(AlertChange { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::PoolLoad::{Exhausted, High, Ok};
    use super::*;

    #[test]
    fn an_alert_begins_at_once_and_ends_when_it_stays_calm() {
        let at = |second| OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(second);
        let mut alert = Alert::new(90.0, at(0));
        let mut second = 0;
        let mut look = |alert: &mut Alert, busy| {
            second += 1;
            alert.look(busy, 50, at(second)).map(|change| (change.from, change.to))
        };
        assert_eq!([44, 45, 49].map(|busy| look(&mut alert, busy)), [None, Some((Ok, High)), None]);
        assert_eq!([50, 49].map(|busy| look(&mut alert, busy)), [Some((High, Exhausted)), None]);
        // Calm, but not for long enough.
        (0..8).for_each(|_| assert_eq!(look(&mut alert, 0), None));
        assert_eq!(look(&mut alert, 50), None);
        assert_eq!((alert.load(), alert.since()), (Exhausted, at(4)));
        assert_eq!(look(&mut alert, 47), None);
        (0..8).for_each(|_| assert_eq!(look(&mut alert, 3), None));
        assert_eq!(look(&mut alert, 3), Some((Exhausted, High)));
        (0..9).for_each(|_| assert_eq!(look(&mut alert, 3), None));
        assert_eq!(look(&mut alert, 3), Some((High, Ok)));
        assert_eq!((alert.load(), alert.since()), (Ok, at(34)));
    }
}
