//! Joins small archives, so that a folder has few files however small its segments were.
//!
//! Each segment gives one archive. The last two are joined if the earlier one is not much larger, and so on, as bits are
//! carried when counting: a record is copied about as often as an archive of the largest size has halves. Blocks are
//! copied as they are.
//!
//! The joined archive is written under a temporary name, synced, and compared with the two; then it takes the place of
//! the first, and the second is removed. After a crash in between, the second is still there, and the first has its
//! records too: [`complete`] compares them and removes it.

use super::archive::{self, Archive, TEMPORARY};
use super::archive_writer::ArchiveWriter;
use super::fault::LedgerError;
use super::segment;
use super::storage::{Storage, StorageFile};

/// The most records and bytes of a joined archive.
const MAX_RECORDS: u64 = 1 << 20;
const MAX_BYTES: u64 = 256 << 20;

/// Joins the last archives as far as they should be, unless `goes_on` says that there is no time.
pub(super) fn join<S: Storage>(storage: &S, goes_on: &dyn Fn() -> bool) -> Result<(), LedgerError> {
    while let Some((before, last)) = last_two(storage)? {
        if !should_join(&before, &last) {
            break;
        }
        let joined = join_two(storage, &before, &last, goes_on);
        if !matches!(joined, Ok(true)) {
            segment::discard(storage, TEMPORARY);
        }
        if !joined? {
            break;
        }
    }
    Ok(())
}

/// Removes the last archive if the one before it has the same records: a removal was cut short.
pub(super) fn complete<S: Storage>(storage: &S) -> Result<(), LedgerError> {
    let Some((before, last)) = last_two(storage)? else { return Ok(()) };
    if before.end() < last.end() || !before.is_current() {
        return Ok(());
    }
    is_part_of(&last, &before)?;
    remove(storage, last.first())
}

/// The last archive and the one before it.
type Pair<F> = (Archive<F>, Archive<F>);

fn last_two<S: Storage>(storage: &S) -> Result<Option<Pair<S::File>>, LedgerError> {
    let mut firsts = archive::list(storage)?;
    let (Some(last), Some(before)) = (firsts.pop(), firsts.pop()) else { return Ok(None) };
    Ok(Some((Archive::open(storage, before)?, Archive::open(storage, last)?)))
}

fn should_join<F: StorageFile>(before: &Archive<F>, last: &Archive<F>) -> bool {
    let records = |archive: &Archive<F>| archive.end().saturating_sub(archive.first());
    before.is_current()
        && last.is_current()
        && before.end() == last.first()
        && records(before) <= records(last) + records(last) / 2
        && records(before) + records(last) <= MAX_RECORDS
        && before.length() + last.length() <= MAX_BYTES
}

/// Returns false if there was no time for it.
fn join_two<S: Storage>(
    storage: &S,
    before: &Archive<S::File>,
    last: &Archive<S::File>,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, LedgerError> {
    let mut writer = ArchiveWriter::create(storage, &(before.first()..last.end()))?;
    for archive in [before, last] {
        for number in 0..archive.count() {
            if !goes_on() {
                return Ok(false);
            }
            writer.push_compressed(&archive.compressed(number)?.1)?;
        }
    }
    writer.finish()?;
    let joined = Archive::open_named(storage, TEMPORARY.to_owned(), before.first())?;
    if joined.end() != last.end() {
        return Err(joined.damaged(before.first(), 0, "it was written incompletely"));
    }
    is_part_of(before, &joined)?;
    is_part_of(last, &joined)?;
    let name = archive::name(before.first());
    storage.rename(TEMPORARY, &name).map_err(LedgerError::disk("make", &name))?;
    remove(storage, last.first())?;
    Ok(true)
}

/// Whether each block of an archive is in another, which begins before it.
fn is_part_of<F: StorageFile>(part: &Archive<F>, whole: &Archive<F>) -> Result<(), LedgerError> {
    let skipped = whole.count().saturating_sub(part.count());
    let shift = if part.first() == whole.first() { 0 } else { skipped };
    for number in 0..part.count() {
        let (offset, block) = whole.compressed(number + shift)?;
        if part.compressed(number)?.1 != block {
            return Err(whole.damaged(
                part.first(),
                offset,
                "it has other records than another archive of the same ones",
            ));
        }
    }
    Ok(())
}

/// Removes an archive whose records are in another, once that one has its name for good.
fn remove<S: Storage>(storage: &S, first: u64) -> Result<(), LedgerError> {
    storage.sync_folder().map_err(LedgerError::disk("sync", "."))?;
    let name = archive::name(first);
    storage.remove(&name).map_err(LedgerError::disk("remove", &name))?;
    storage.sync_folder().map_err(LedgerError::disk("sync", "."))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::ledger::testing::{no_hurry, write_tiles};
    use crate::ledger::{Batch, DiskStorage, Ledger, Options, SegmentSize, records, retire, verify};

    /// A log of small segments with so many records, the last segments of which are not archived.
    fn log(folder: &Path, count: u64, archived: u64) -> DiskStorage {
        let storage = DiskStorage::at(folder);
        let options = Options { segment_size: SegmentSize::new(64 << 10).unwrap() };
        let (mut ledger, _) = Ledger::open(storage.clone(), options).unwrap();
        let mut batch = Batch::default();
        for index in 0..count {
            batch.push(format!("record {index} {}", "x".repeat(400)).as_bytes()).unwrap();
            if batch.count() == 10 {
                ledger.append(&batch).unwrap();
                batch.clear();
            }
        }
        write_tiles(&storage);
        while retire(&storage, archived, &no_hurry).unwrap().is_some() {}
        storage
    }

    fn all(storage: &DiskStorage) -> Vec<Vec<u8>> {
        records(storage, 0..u64::MAX).map(|record| record.unwrap().1).collect()
    }

    #[test]
    fn there_are_few_archives_however_many_segments_there_were() {
        let folder = tempfile::tempdir().unwrap();
        let storage = log(folder.path(), 10_000, 10_000);
        let firsts = archive::list(&storage).unwrap();
        assert!(firsts.len() < 7, "{firsts:?}");
        assert!(archive::archived(&storage).unwrap() > 9_000);
        let expected = (0..10_000).map(|index| format!("record {index} {}", "x".repeat(400)).into_bytes());
        assert!(all(&storage) == expected.collect::<Vec<_>>());
        assert_eq!(verify(&storage).unwrap().size, 10_000);
        assert!(!folder.path().join(TEMPORARY).exists());
    }

    #[test]
    fn archives_of_earlier_versions_and_large_ones_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let storage = log(folder.path(), 3_000, 800);
        let first = Archive::open(&storage, 0).unwrap();
        assert!(first.is_current() && !should_join(&first, &first), "it does not follow itself");
        assert!(!join_two(&storage, &first, &first, &|| false).unwrap(), "there is no time");
        assert!(archive::list(&storage).unwrap().len() < 4);
    }

    #[test]
    fn a_joining_that_was_cut_short_is_completed_and_a_different_copy_stays() {
        let folder = tempfile::tempdir().unwrap();
        let storage = log(folder.path(), 3_000, 520);
        assert_eq!(archive::list(&storage).unwrap(), [0]);
        let before = all(&storage);
        let path = |first: u64| folder.path().join(archive::name(first));
        let part = Archive::open(&storage, 0).unwrap();
        // What the second of two joined archives was: the last bundles of the one that has both.
        let (middle, end) = (part.end() - 256, part.end());
        let mut writer = ArchiveWriter::create(&storage, &(middle..end)).unwrap();
        for number in (middle - part.first()) / archive::BLOCK..part.count() {
            writer.push_compressed(&part.compressed(number).unwrap().1).unwrap();
        }
        writer.finish().unwrap();
        fs::rename(folder.path().join(TEMPORARY), path(middle)).unwrap();
        let copy = fs::read(path(middle)).unwrap();
        assert!(all(&storage) == before);
        verify(&storage).unwrap();
        complete(&storage).unwrap();
        assert!(!path(middle).exists() && path(0).exists());
        assert!(all(&storage) == before);

        let mut forged = copy;
        let last = forged.len() - 20;
        *forged.get_mut(last).unwrap() ^= 1;
        fs::write(path(middle), forged).unwrap();
        assert!(matches!(complete(&storage), Err(LedgerError::Corrupt(_))));
        assert!(matches!(retire(&storage, 3_000, &no_hurry), Err(LedgerError::Corrupt(_))));
        assert!(path(middle).exists() && path(0).exists(), "both are evidence");
    }
}
