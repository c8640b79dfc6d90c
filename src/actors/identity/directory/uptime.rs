//! The total time for which daemons have run on this database, by which withdrawals expire.

use std::sync::Arc;
use std::time::Instant;

use actix::{Handler, Message};
use parking_lot::Mutex;

use super::{Directory, DirectoryError, now};
use crate::store::uptime::{self, Uptime};

/// The stored uptime in seconds, and when this process last read or stored it; shared by all clones.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted(Arc<Mutex<Option<(i64, Instant)>>>);

impl Counted {
    /// A lower bound of the uptime, in seconds: the stored value and the time since.
    ///
    /// INVARIANT: however many daemons run, the uptime grows no faster than time.
    fn at(&self, at: Instant) -> Option<i64> {
        let seen = *self.0.lock();
        let (seconds, since) = seen?;
        let passed = i64::try_from(at.saturating_duration_since(since).as_secs()).unwrap_or_default();
        Some(seconds.saturating_add(passed))
    }

    /// Sets that the uptime was at least `seconds` at that moment.
    fn set(&self, seconds: i64, at: Instant) {
        let mut seen = self.0.lock();
        *seen = Some((seconds, at));
    }
}

/// Stores the uptime as this process knows it; answers the value that was stored before.
#[derive(Debug, Message)]
#[rtype(result = "Result<Uptime, DirectoryError>")]
pub struct StoreUptime;

impl Directory {
    /// Stores the uptime as this process knows it; answers the value that was stored before.
    pub fn store_uptime(&self) -> Result<Uptime, DirectoryError> {
        let at = Instant::now();
        let before = self.store.transaction(|conn| {
            let before = uptime::read(conn)?;
            uptime::advance(conn, self.uptime.at(at).unwrap_or_default(), now())?;
            Ok::<_, DirectoryError>(before)
        })?;
        let counted = self.uptime.at(at).unwrap_or_default().max(before.seconds);
        self.uptime.set(counted, Instant::now());
        Ok(before)
    }
}

impl Handler<StoreUptime> for Directory {
    type Result = Result<Uptime, DirectoryError>;

    fn handle(&mut self, StoreUptime: StoreUptime, _: &mut Self::Context) -> Self::Result {
        self.store_uptime()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_uptime_grows_as_time_does_from_where_it_was_seen() {
        let (counted, start) = (Counted::default(), Instant::now());
        assert_eq!(counted.at(start), None);
        counted.set(100, start);
        let at = |seconds| counted.at(start + Duration::from_secs(seconds));
        assert_eq!([at(0), at(59), at(60)], [Some(100), Some(159), Some(160)]);
        counted.set(500, start + Duration::from_mins(1));
        assert_eq!([at(60), at(70)], [Some(500), Some(510)]);
    }
}
