//! Which segments of the log may be moved into its archive: those whose records are in tiles, signed, and in the search
//! index for good. `ledger/archiver.rs` says how they are moved.

use crate::ledger::{self, LedgerError, Storage, WIDTH};
use crate::store::StoreError;

/// Why segments stay that could go.
#[derive(Debug, thiserror::Error)]
pub enum ArchivingError {
    /// The log cannot be read, or the archive not be written.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The database cannot say that it has the records for good.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Archives the oldest segment; false if it has to stay.
///
/// INVARIANT: a segment is removed only if all its records are below `safe`, up to which tiles, a signed checkpoint and
/// index entries exist, and after `sync` has made the index durable.
pub fn archive_oldest<S: Storage>(
    storage: &S,
    safe: u64,
    sync: impl Fn() -> Result<(), StoreError>,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, ArchivingError> {
    match ledger::oldest_segment_end(storage)? {
        // Archives have whole bundles.
        Some(end) if end.next_multiple_of(WIDTH) <= safe => {}
        Some(_) | None => return Ok(false),
    }
    sync()?;
    Ok(ledger::retire(storage, safe, goes_on)?.is_some())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use time::OffsetDateTime;

    use super::*;
    use crate::ledger::testing::{no_hurry, write_tiles};
    use crate::ledger::{Batch, DiskStorage, Event, EventKind, Ledger, Options, SegmentSize, records, verify};

    /// A log of small segments, in tiles.
    fn log(folder: &tempfile::TempDir) -> (DiskStorage, u64) {
        let storage = DiskStorage::at(folder.path());
        let options = Options { segment_size: SegmentSize::new(32 << 10).unwrap() };
        let (mut ledger, _) = Ledger::open(storage.clone(), options).unwrap();
        for _ in 0..60 {
            let mut batch = Batch::default();
            let event = Event::new(EventKind::Entity, "ann").name("event", "x".repeat(100));
            (0..20).for_each(|_| event.push(OffsetDateTime::now_utc(), &mut batch).unwrap());
            ledger.append(&batch).unwrap();
        }
        write_tiles(&storage);
        (storage, ledger.size())
    }

    #[test]
    fn nothing_goes_that_is_not_signed_and_in_tiles_and_database() {
        let folder = tempfile::tempdir().unwrap();
        let (storage, size) = log(&folder);
        let sound = || Ok(());
        let first = ledger::oldest_segment_end(&storage).unwrap().unwrap();
        assert!(!archive_oldest(&storage, first - 1, sound, &no_hurry).unwrap());
        assert!(!archive_oldest(&storage, 0, sound, &no_hurry).unwrap());
        let refused = archive_oldest(&storage, size, || Err(StoreError::Busy("a reader".to_owned())), &no_hurry);
        assert!(matches!(refused, Err(ArchivingError::Store(_))));
        assert!(!archive_oldest(&storage, size, sound, &|| false).unwrap());
        let tiles = folder.path().join("tiles-0");
        fs::rename(&tiles, folder.path().join("away")).unwrap();
        let refused = archive_oldest(&storage, size, sound, &no_hurry);
        assert!(matches!(refused, Err(ArchivingError::Ledger(LedgerError::NoTile(_)))), "{refused:?}");
        fs::rename(folder.path().join("away"), &tiles).unwrap();
        assert_eq!(ledger::archived(&storage).unwrap(), 0);
        assert_eq!(ledger::oldest_segment_end(&storage).unwrap(), Some(first));

        let synced = Cell::new(0);
        let sync = || {
            synced.set(synced.get() + 1);
            Ok(())
        };
        let mut archived = 0;
        while archive_oldest(&storage, size, sync, &no_hurry).unwrap() {
            archived += 1;
            assert!(synced.get() >= archived);
        }
        assert!(archived > 2, "{archived}");
        assert_eq!(records(&storage, 0..u64::MAX).count() as u64, size);
        assert_eq!(verify(&storage).unwrap().size, size);
    }
}
