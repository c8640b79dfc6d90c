//! Which segments of the log may be moved into its archive.

use std::num::NonZeroU32;
use std::time::Duration;

use time::OffsetDateTime;

use crate::ledger::{self, LedgerError, RecordView, Storage};
use crate::store::StoreError;

/// Why segments stay that could go.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The log cannot be read, or the archive not be written.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The database cannot say that it has the records for good.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Archives the oldest segments, if all their records are older than `days` days; returns how many.
///
/// INVARIANT: a segment is removed only if all its records are below `safe`, up to which tiles and index entries exist,
/// and after `sync` has made the index durable.
pub fn retire<S: Storage>(
    storage: &S,
    days: NonZeroU32,
    safe: u64,
    sync: impl Fn() -> Result<(), StoreError>,
) -> Result<usize, RetentionError> {
    let age = Duration::from_secs(u64::from(days.get()) * 24 * 60 * 60);
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000;
    let oldest = now - i128::try_from(age.as_micros()).unwrap_or(i128::MAX);
    let mut retired = 0;
    while let Some(end) = ledger::oldest_segment_end(storage)? {
        let last = ledger::record(storage, end.saturating_sub(1))?;
        let made = last.and_then(|record| Some(RecordView::parse(&record).ok()?.micros()));
        // A record whose time cannot be read is never old.
        let is_old = made.is_some_and(|made| made > 0 && i128::from(made) < oldest);
        if end > safe || !is_old {
            break;
        }
        sync()?;
        if ledger::retire(storage, safe)?.is_none() {
            break;
        }
        retired += 1;
    }
    Ok(retired)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::ledger::{Batch, DiskStorage, Event, EventKind, Ledger, Options, SegmentSize, records, verify};

    /// A log of small segments whose records were made at one time, a long while ago or just now.
    fn log(folder: &tempfile::TempDir, made: OffsetDateTime) -> (DiskStorage, u64) {
        let storage = DiskStorage::at(folder.path());
        let options = Options { segment_size: SegmentSize::new(32 << 10).unwrap() };
        let (mut ledger, _) = Ledger::open(storage.clone(), options).unwrap();
        for _ in 0..60 {
            let mut batch = Batch::default();
            let event = Event::new(EventKind::Entity, "ann").name("event", "x".repeat(100));
            (0..20).for_each(|_| event.push(made, &mut batch).unwrap());
            ledger.append(&batch).unwrap();
        }
        (storage, ledger.size())
    }

    const DAY: NonZeroU32 = NonZeroU32::MIN;

    #[test]
    fn nothing_goes_that_is_not_in_tiles_and_database_or_not_old() {
        let folder = tempfile::tempdir().unwrap();
        let (storage, size) = log(&folder, OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1));
        let first = ledger::oldest_segment_end(&storage).unwrap().unwrap();
        assert_eq!(retire(&storage, DAY, first - 1, || Ok(())).unwrap(), 0);
        assert_eq!(retire(&storage, DAY, 0, || Ok(())).unwrap(), 0);
        let refused = retire(&storage, DAY, size, || Err(StoreError::Busy("a reader".to_owned())));
        assert!(matches!(refused, Err(RetentionError::Store(_))));
        assert_eq!(ledger::archived(&storage).unwrap(), 0);
        let synced = Cell::new(0);
        let retired = retire(&storage, DAY, size, || {
            synced.set(synced.get() + 1);
            Ok(())
        });
        let retired = retired.unwrap();
        assert!(retired > 2 && synced.get() >= retired, "{retired}");
        assert_eq!(records(&storage, 0..u64::MAX).count() as u64, size);
        assert_eq!(verify(&storage).unwrap().size, size);

        let young = tempfile::tempdir().unwrap();
        let (storage, size) = log(&young, OffsetDateTime::now_utc());
        assert_eq!(retire(&storage, DAY, size, || Ok(())).unwrap(), 0);
    }
}
