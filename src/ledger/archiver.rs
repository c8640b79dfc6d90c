//! Moves the oldest records from their segments into the archive.
//!
//! Frames are padded to 4 KiB, so a segment takes 4 KiB a decision where one is made at a time; the archive takes a few
//! dozen bytes. A segment is archived as soon as the log has a later one and all its records are in tiles, signed, and
//! in the search index. At rest, so, there are two segments: the one that is appended to, and the one prepared behind it.
//!
//! 1. The records are compressed into `archive-next.tmp`, which is synced every MiB and at the end.
//! 2. That file is read again, each block is decompressed, and each record is compared with its leaf in the tiles. A
//!    segment whose records differ from what was signed stays, and so does the evidence.
//! 3. The file gets its name, and the folder is synced.
//! 4. The segment is removed, and the folder is synced.
//! 5. Small archives are joined: see `archive_joiner.rs`.
//!
//! After a crash before step 3 there is a file that is no part of the log, and that the next start removes. After a
//! crash before step 4 archive and segment are both there: readers prefer the segment, and the next round compares both
//! and removes the segment. No step is lost, and none is done twice in a way that matters.

use std::ops::Range;

use super::archive::{self, Archive, BLOCK, TEMPORARY, archived};
use super::archive_joiner;
use super::archive_writer::ArchiveWriter;
use super::batch::Payload;
use super::fault::{Fault, LedgerError, Problem};
use super::records::{archived_records, records};
use super::segment;
use super::storage::Storage;
use super::tile::{TileKind, TileName, WIDTH};
use super::tiles::TileReader;
use super::tree::Hash;

/// Moves the records of the oldest segment into an archive and removes the segment. Returns the index after the last
/// record that is in no segment any more, or `None` if the segment has to stay.
///
/// It has to stay if it is the last one, if a bundle of 256 would need records from `limit` on, or if `goes_on` says
/// that there is no time. The tiles of the first `limit` records must exist; a record that differs from its leaf there
/// is [`LedgerError::Corrupt`].
pub fn retire<S: Storage>(storage: &S, limit: u64, goes_on: &dyn Fn() -> bool) -> Result<Option<u64>, LedgerError> {
    archive_joiner::complete(storage)?;
    let firsts = segment::list(storage)?;
    let (Some(first), Some(end)) = (firsts.first(), firsts.get(1)) else { return Ok(None) };
    let bundles = archived(storage)?..end.next_multiple_of(WIDTH);
    if bundles.end > limit {
        return Ok(None);
    }
    agree(storage, *first..*end)?;
    // If it was archived before and only its removal failed, there is nothing left to write.
    if !bundles.is_empty() {
        let written = write(storage, bundles, goes_on);
        if !matches!(written, Ok(true)) {
            // It takes space, which may be what is missing.
            segment::discard(storage, TEMPORARY);
        }
        if !written? {
            return Ok(None);
        }
    }
    // An earlier process may have given the archive its name and not have made that durable.
    storage.sync_folder().map_err(LedgerError::disk("sync", "."))?;
    let name = segment::name(*first);
    storage.remove(&name).map_err(LedgerError::disk("remove", &name))?;
    storage.sync_folder().map_err(LedgerError::disk("sync", "."))?;
    archive_joiner::join(storage, goes_on)?;
    Ok(Some(*end))
}

/// Whether the archive has the same records as the segments, as far as both have these: when the segments go, it speaks
/// for them.
pub(super) fn agree<S: Storage>(storage: &S, indices: Range<u64>) -> Result<(), LedgerError> {
    let end = archived(storage)?.min(indices.end);
    let mut found = records(storage, indices.start..end);
    let mut kept = archived_records(storage, indices.start..end);
    while let Some((index, record)) = found.advance()? {
        if kept.advance()?.is_none_or(|(_, kept)| kept != record) {
            let problem = Problem::Archive("it has another record than the segment");
            let segment = format!("archive from {} on", indices.start);
            return Err(Fault { index, segment, offset: 0, problem }.into());
        }
    }
    Ok(())
}

/// The index after the last record of the oldest segment; `None` if there is only one.
pub fn oldest_segment_end<S: Storage>(storage: &S) -> Result<Option<u64>, LedgerError> {
    Ok(segment::list(storage)?.get(1).copied())
}

/// Writes an archive, durably, before it has its name. Returns false if there was no time for it.
fn write<S: Storage>(storage: &S, indices: Range<u64>, goes_on: &dyn Fn() -> bool) -> Result<bool, LedgerError> {
    let name = archive::name(indices.start);
    let mut writer = ArchiveWriter::create(storage, &indices)?;
    let mut block = Vec::new();
    let mut found = records(storage, indices.clone());
    for index in indices.clone() {
        let Some((_, record)) = found.advance()? else { return Err(LedgerError::Gone(index)) };
        // Records are at most 65,535 bytes.
        block.extend_from_slice(&u16::try_from(record.len()).unwrap_or(u16::MAX).to_be_bytes());
        block.extend_from_slice(record);
        if (index + 1).is_multiple_of(BLOCK) {
            if !goes_on() {
                return Ok(false);
            }
            writer.push(&block)?;
            block.clear();
        }
    }
    writer.finish()?;
    let written = Archive::open_named(storage, TEMPORARY.to_owned(), indices.start)?;
    if written.end() != indices.end {
        return Err(written.damaged(indices.start, 0, "it was written incompletely"));
    }
    if !matches_tiles(storage, &written, goes_on)? {
        return Ok(false);
    }
    storage.rename(TEMPORARY, &name).map_err(LedgerError::disk("make", &name))?;
    Ok(true)
}

/// Checks that the records of an archive have the leaves that are in the tiles. Returns false if there was no time for
/// it.
fn matches_tiles<S: Storage>(
    storage: &S,
    archive: &Archive<S::File>,
    goes_on: &dyn Fn() -> bool,
) -> Result<bool, LedgerError> {
    let tiles = TileReader::new(storage, archive.end());
    let mut block = Vec::new();
    let mut leaves = Vec::new();
    for first in (archive.first()..archive.end()).step_by(usize::try_from(BLOCK).unwrap_or(1)) {
        if !goes_on() {
            return Ok(false);
        }
        if first.is_multiple_of(WIDTH) {
            leaves = tiles.tile(&TileName { kind: TileKind::Hashes(0), index: first / WIDTH, width: WIDTH })?;
        }
        archive.read(first, &mut block)?;
        let of_block = leaves.as_chunks().0.iter().skip(usize::try_from(first % WIDTH).unwrap_or_default());
        for ((index, leaf), record) in (first..).zip(of_block).zip(Payload(&block)) {
            if record.ok().map(Hash::leaf) != Some(Hash::from(*leaf)) {
                return Err(archive.damaged(index, 0, "the record is not the one that was signed; its segment stays"));
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ledger::testing::{no_hurry, write_tiles};
    use crate::ledger::{Batch, DiskStorage, Ledger, Options, SegmentSize, record, verify};

    /// A log of small segments with so many records.
    fn log(folder: &tempfile::TempDir, count: u64) -> DiskStorage {
        let storage = DiskStorage::at(folder.path());
        let options = Options { segment_size: SegmentSize::new(64 << 10).unwrap() };
        let (mut ledger, _) = Ledger::open(storage.clone(), options).unwrap();
        let mut batch = Batch::default();
        for index in 0..count {
            batch.push(format!("record {index} {}", "x".repeat(400)).as_bytes()).unwrap();
            if batch.count() == 10 || index + 1 == count {
                ledger.append(&batch).unwrap();
                batch.clear();
            }
        }
        write_tiles(&storage);
        storage
    }

    #[test]
    fn what_was_retired_is_read_and_verified_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let storage = log(&folder, 2_000);
        let before = verify(&storage).unwrap();
        let all = |from| records(&storage, from..u64::MAX).map(Result::unwrap).collect::<Vec<_>>();
        let (whole, part) = (all(0), all(300));
        let mut retired = Vec::new();
        while let Some(end) = retire(&storage, 2_000, &no_hurry).unwrap() {
            retired.push(end);
            assert_eq!(all(0), whole);
            assert_eq!(all(300), part);
            let after = verify(&storage).unwrap();
            assert_eq!((after.size, after.root), (before.size, before.root));
        }
        assert!(retired.len() > 5 && archived(&storage).unwrap() >= *retired.last().unwrap(), "{retired:?}");
        for index in [0, 255, 256, retired[0], 1_999] {
            assert_eq!(record(&storage, index).unwrap().unwrap(), whole[usize::try_from(index).unwrap()].1);
        }
        assert_eq!(record(&storage, 2_000).unwrap(), None);
    }

    #[test]
    fn a_segment_stays_until_its_last_bundle_is_below_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let storage = log(&folder, 600);
        let end = oldest_segment_end(&storage).unwrap().unwrap();
        let needed = end.next_multiple_of(WIDTH);
        assert_eq!(retire(&storage, needed - 1, &no_hurry).unwrap(), None);
        assert!(archived(&storage).unwrap() == 0 && fs::exists(folder.path().join(segment::name(0))).unwrap());
        assert_eq!(retire(&storage, needed, &no_hurry).unwrap(), Some(end));
        assert!(!fs::exists(folder.path().join(segment::name(0))).unwrap());
    }

    #[test]
    fn a_removal_that_was_cut_short_is_made_up_for() {
        let folder = tempfile::tempdir().unwrap();
        let storage = log(&folder, 600);
        let first = segment::name(0);
        let kept = fs::read(folder.path().join(&first)).unwrap();
        let end = retire(&storage, 600, &no_hurry).unwrap();
        fs::write(folder.path().join(&first), kept).unwrap();
        assert_eq!(retire(&storage, 600, &no_hurry).unwrap(), end);
        assert!(!fs::exists(folder.path().join(first)).unwrap());
        verify(&storage).unwrap();
    }

    #[test]
    fn no_byte_of_an_archive_can_change_unnoticed() {
        let folder = tempfile::tempdir().unwrap();
        let storage = log(&folder, 600);
        retire(&storage, 600, &no_hurry).unwrap().unwrap();
        let path = folder.path().join(archive::name(0));
        let sound = fs::read(&path).unwrap();
        for place in (0..sound.len()).step_by(7) {
            let mut damaged = sound.clone();
            damaged[place] ^= 1;
            fs::write(&path, damaged).unwrap();
            // What gzip reads over, such as the time in its header, changes no record.
            let read: Result<Vec<_>, _> = records(&storage, 0..600).collect();
            match verify(&storage) {
                Ok(summary) => assert_eq!((summary.size, read.is_ok()), (600, true), "byte {place}"),
                Err(error) => assert!(matches!(error, LedgerError::Corrupt(_)), "byte {place}: {error}"),
            }
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(verify(&storage), Err(LedgerError::Corrupt(_))));
        assert!(matches!(records(&storage, 0..600).next(), Some(Err(LedgerError::Gone(0)))));
    }
}
