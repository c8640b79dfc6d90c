//! Moves the oldest records from their segments into the archive.

use std::io::{self, Write as _};
use std::ops::Range;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::archive::{self, MAGIC, VERSION, archived};
use super::batch::Payload;
use super::fault::{Fault, LedgerError, Problem};
use super::records::records;
use super::segment;
use super::storage::{Storage, StorageFile, write_all};
use super::tile::WIDTH;

/// Moves the records of the oldest segment into an archive and removes the segment. Returns the index after the last
/// record that is in no segment any more, or `None` if the segment has to stay.
///
/// It has to stay if it is the last one, or if a bundle would need records from `limit` on.
pub fn retire<S: Storage>(storage: &S, limit: u64) -> Result<Option<u64>, LedgerError> {
    let firsts = segment::list(storage)?;
    let (Some(first), Some(end)) = (firsts.first(), firsts.get(1)) else { return Ok(None) };
    let bundles = archived(storage)?..end.next_multiple_of(WIDTH);
    if bundles.end > limit {
        return Ok(None);
    }
    agree(storage, *first..*end)?;
    // If it was archived before and only its removal failed, there is nothing left to write.
    if !bundles.is_empty() {
        write(storage, bundles)?;
    }
    let name = segment::name(*first);
    storage.remove(&name).map_err(LedgerError::disk("remove", &name))?;
    storage.sync_folder().map_err(LedgerError::disk("sync", "."))?;
    Ok(Some(*end))
}

/// Whether the archive has the same records as the segments, as far as both have these: when the segments go, it speaks
/// for them.
pub(super) fn agree<S: Storage>(storage: &S, indices: Range<u64>) -> Result<(), LedgerError> {
    let end = archived(storage)?.min(indices.end);
    let mut found = records(storage, indices.start..end);
    let mut bundle = Vec::new();
    while let Some((index, record)) = found.advance()? {
        if bundle.is_empty() || index.is_multiple_of(WIDTH) {
            archive::read(storage, index, &mut bundle)?;
        }
        let place = usize::try_from(index % WIDTH).unwrap_or(usize::MAX);
        if Payload(&bundle).nth(place) != Some(Ok(record)) {
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

/// Writes an archive, durably, before it has its name.
fn write<S: Storage>(storage: &S, indices: Range<u64>) -> Result<(), LedgerError> {
    let temporary = "archive-next.tmp";
    let name = archive::name(indices.start);
    let mut lengths = Vec::new();
    let mut bundles = Vec::new();
    let mut bundle = Vec::new();
    let mut found = records(storage, indices.clone());
    for index in indices.clone() {
        let Some((_, record)) = found.advance()? else { return Err(LedgerError::Gone(index)) };
        // Records are at most 65,535 bytes.
        bundle.extend_from_slice(&u16::try_from(record.len()).unwrap_or(u16::MAX).to_be_bytes());
        bundle.extend_from_slice(record);
        if (index + 1).is_multiple_of(WIDTH) {
            let before = bundles.len();
            let compressed = compress(&bundle, &mut bundles);
            compressed.map_err(LedgerError::disk("compress", &name))?;
            lengths.push(u32::try_from(bundles.len() - before).unwrap_or(u32::MAX));
            bundle.clear();
        }
    }
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&VERSION.to_be_bytes());
    head.extend_from_slice(&u32::try_from(lengths.len()).unwrap_or(u32::MAX).to_be_bytes());
    head.extend_from_slice(&indices.start.to_be_bytes());
    for length in &lengths {
        head.extend_from_slice(&length.to_be_bytes());
    }
    head.extend_from_slice(&crc32c::crc32c(&head).to_be_bytes());
    let written = storage.create(temporary).and_then(|file| {
        write_all(&file, &head, 0)?;
        write_all(&file, &bundles, head.len() as u64)?;
        file.sync()
    });
    written.map_err(LedgerError::disk("write to", temporary))?;
    storage.rename(temporary, &name).map_err(LedgerError::disk("make", &name))?;
    storage.sync_folder().map_err(LedgerError::disk("sync", "."))
}

fn compress(bundle: &[u8], into: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = GzEncoder::new(into, Compression::default());
    encoder.write_all(bundle)?;
    encoder.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
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
        while let Some(end) = retire(&storage, 2_000).unwrap() {
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
        assert_eq!(retire(&storage, needed - 1).unwrap(), None);
        assert!(archived(&storage).unwrap() == 0 && fs::exists(folder.path().join(segment::name(0))).unwrap());
        assert_eq!(retire(&storage, needed).unwrap(), Some(end));
        assert!(!fs::exists(folder.path().join(segment::name(0))).unwrap());
    }

    #[test]
    fn a_removal_that_was_cut_short_is_made_up_for() {
        let folder = tempfile::tempdir().unwrap();
        let storage = log(&folder, 600);
        let first = segment::name(0);
        let kept = fs::read(folder.path().join(&first)).unwrap();
        let end = retire(&storage, 600).unwrap();
        fs::write(folder.path().join(&first), kept).unwrap();
        assert_eq!(retire(&storage, 600).unwrap(), end);
        assert!(!fs::exists(folder.path().join(first)).unwrap());
        verify(&storage).unwrap();
    }

    #[test]
    fn no_byte_of_an_archive_can_change_unnoticed() {
        let folder = tempfile::tempdir().unwrap();
        let storage = log(&folder, 600);
        retire(&storage, 600).unwrap().unwrap();
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
