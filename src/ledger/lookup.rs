//! Reads single records in any order. Records that lie close together, as those of a search do, cost little more than
//! one of them.

use std::io;
use std::ops::Range;

use super::archive::{self, Archive};
use super::batch::Payload;
use super::fault::LedgerError;
use super::frame::{BLOCK, Header};
use super::records::{record, seek};
use super::scan::Segment;
use super::segment;
use super::storage::{Storage, StorageFile, read_full};

/// The bytes of a segment that are read together: before the beginning of a frame, and from there on. Searches go
/// backwards.
const BEFORE: u64 = 192 << 10;
const BEHIND: u64 = 64 << 10;

/// Reads single records. It lists the folder once, keeps a segment and an archive open until a record of another one is read, and
/// keeps the records of the last frame, or block of an archive.
///
/// Each frame and each block is checked as [`records`](super::records()) checks it. Takes no lock: the log may be
/// growing meanwhile.
#[derive(Debug)]
pub struct RecordLookup<'s, S: Storage> {
    storage: &'s S,
    files: Option<Files>,
    open: Option<OpenSegment<S::File>>,
    archive: Option<Archive<S::File>>,
    /// The frame or block that was read last, and where in it each of its records is.
    payload: Vec<u8>,
    places: Vec<Range<usize>>,
    /// The index of its first record.
    first: u64,
}

/// The first records of all segments and of all archives, in order.
#[derive(Debug)]
struct Files {
    segments: Vec<u64>,
    archives: Vec<u64>,
}

impl<'s, S: Storage> RecordLookup<'s, S> {
    /// Reads nothing yet.
    pub fn new(storage: &'s S) -> Self {
        Self { storage, files: None, open: None, archive: None, payload: Vec::new(), places: Vec::new(), first: 0 }
    }

    /// The record with that index; `None` where the log does not have it yet.
    pub fn get(&mut self, index: u64) -> Result<Option<&[u8]>, LedgerError> {
        if self.place(index).is_none() && !matches!(self.read(index), Ok(true)) {
            // Segments may have been begun or archived since they were listed. `record` lists them again, and names the
            // fault if there is one.
            (self.files, self.open, self.archive) = (None, None, None);
            let Some(found) = record(self.storage, index)? else { return Ok(None) };
            self.first = index;
            self.places.clear();
            self.places.push(0..found.len());
            self.payload = found;
        }
        Ok(self.place(index).and_then(|place| self.payload.get(place)))
    }

    /// The place of a record in the payload.
    fn place(&self, index: u64) -> Option<Range<usize>> {
        let number = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.places.get(number).cloned()
    }

    /// Reads the frame or block with a record. Returns false if the record is not where the listed files say.
    fn read(&mut self, index: u64) -> Result<bool, LedgerError> {
        self.places.clear();
        let files = match self.files.take() {
            Some(files) => files,
            None => Files { segments: segment::list(self.storage)?, archives: archive::list(self.storage)? },
        };
        let files = self.files.insert(files);
        let place = files.segments.partition_point(|first| *first <= index).checked_sub(1);
        let Some(first) = place.and_then(|place| files.segments.get(place)).copied() else {
            let archive = match self.archive.take().filter(|archive| archive.has(index)) {
                Some(archive) => archive,
                None => archive::find_listed(self.storage, &files.archives, index)?,
            };
            self.first = self.archive.insert(archive).read(index, &mut self.payload)?;
            self.hold();
            return Ok(true);
        };
        let open = match self.open.take().filter(|open| open.first == first) {
            Some(open) => open,
            None => OpenSegment::open(self.storage, first)?,
        };
        let frame = self.open.insert(open).frame(index).map_err(LedgerError::disk("read", &segment::name(first)))?;
        let Some((header, bytes)) = frame else { return Ok(false) };
        let Ok(frame) = header.open(bytes) else { return Ok(false) };
        self.payload.clear();
        self.payload.extend_from_slice(frame.payload);
        self.first = header.first;
        self.hold();
        Ok(true)
    }

    /// Finds the records of the payload.
    fn hold(&mut self) {
        let mut end = 0;
        // Frames and blocks are checked when they are read.
        self.places.extend(Payload(&self.payload).map_while(Result::ok).map(|record| {
            let begin = end + 2;
            end = begin + record.len();
            begin..end
        }));
    }
}

/// A segment, and a part of it in memory.
#[derive(Debug)]
struct OpenSegment<F> {
    segment: Segment<F>,
    /// The index of its first record.
    first: u64,
    bytes: Vec<u8>,
    /// The frames that begin in these bytes: where, and their headers.
    frames: Vec<(usize, Header)>,
}

impl<F: StorageFile> OpenSegment<F> {
    fn open<S: Storage<File = F>>(storage: &S, first: u64) -> Result<Self, LedgerError> {
        let name = segment::name(first);
        let file = storage.open_to_read(&name).map_err(LedgerError::disk("open", &name))?;
        let (segment, _) = Segment::check(file, first)?;
        Ok(Self { segment, first, bytes: Vec::new(), frames: Vec::new() })
    }

    /// The header and the bytes of the frame with a record; `None` if the segment does not have it.
    fn frame(&mut self, index: u64) -> io::Result<Option<(&Header, &[u8])>> {
        if self.find(index).is_none() {
            self.read_around(index)?;
        }
        Ok(self.find(index))
    }

    fn find(&self, index: u64) -> Option<(&Header, &[u8])> {
        let place = self.frames.partition_point(|(_, header)| header.first <= index).checked_sub(1)?;
        let (begin, header) = self.frames.get(place).filter(|(_, header)| index < header.end())?;
        Some((header, self.bytes.get(*begin..begin.checked_add(header.length())?)?))
    }

    /// Reads the part of the segment around the frame with a record.
    fn read_around(&mut self, index: u64) -> io::Result<()> {
        self.frames.clear();
        let (offset, _) = seek(&self.segment, self.first, index)?;
        let mut block = [0; BLOCK];
        let read = read_full(&self.segment.file, &mut block, offset)?;
        let length = Header::parse(block.get(..read).unwrap_or_default()).map_or(0, |header| header.length() as u64);
        let begin = offset.saturating_sub(BEFORE).max(BLOCK as u64);
        let end = offset.saturating_add(length.max(BEHIND)).min(self.segment.size);
        self.bytes.resize(usize::try_from(end.saturating_sub(begin)).unwrap_or_default(), 0);
        let read = read_full(&self.segment.file, &mut self.bytes, begin)?;
        self.bytes.truncate(read);
        let blocks = self.bytes.chunks(BLOCK).enumerate();
        // A header cannot be mistaken for a part of a payload.
        self.frames.extend(blocks.filter_map(|(number, block)| Some((number * BLOCK, Header::parse(block).ok()?))));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::{no_hurry, write_tiles};
    use super::super::{Batch, DiskStorage, Ledger, Options, SegmentSize, records, retire};
    use super::*;

    /// A log of small segments, whose oldest are archived, and its records.
    fn log(folder: &tempfile::TempDir) -> (Ledger<DiskStorage>, DiskStorage, Vec<Vec<u8>>) {
        let storage = DiskStorage::at(folder.path());
        let options = Options { segment_size: SegmentSize::new(512 << 10).unwrap() };
        let (mut ledger, _) = Ledger::open(storage.clone(), options).unwrap();
        let mut batch = Batch::default();
        for index in 0..4_000_usize {
            // Frames of one record and of many, some of several blocks.
            let padding = if index % 97 == 0 { 30_000 } else { 200 };
            batch.push(format!("record {index} {}", "x".repeat(padding)).as_bytes()).unwrap();
            if index % 7 == 0 || index % 100 > 60 {
                ledger.append(&batch).unwrap();
                batch.clear();
            }
        }
        assert!(batch.is_empty());
        write_tiles(&storage);
        while retire(&storage, 1_500, &no_hurry).unwrap().is_some() {}
        let all = records(&storage, 0..u64::MAX).map(|record| record.unwrap().1).collect::<Vec<_>>();
        assert_eq!(all.len(), 4_000);
        (ledger, storage, all)
    }

    #[track_caller]
    fn check(lookup: &mut RecordLookup<'_, DiskStorage>, all: &[Vec<u8>], index: usize) {
        assert_eq!(lookup.get(index as u64).unwrap(), all.get(index).map(Vec::as_slice), "{index}");
    }

    #[test]
    fn each_record_is_found_in_whatever_order() {
        let folder = tempfile::tempdir().unwrap();
        let (_ledger, storage, all) = log(&folder);
        let mut lookup = RecordLookup::new(&storage);
        (0..4_005).rev().for_each(|index| check(&mut lookup, &all, index));
        (0..4_005).for_each(|index| check(&mut lookup, &all, index));
        (0..2_000).for_each(|nth| check(&mut lookup, &all, nth * 2_477 % 4_000));
        assert_eq!(lookup.get(u64::MAX).unwrap(), None);
    }

    #[test]
    fn a_log_that_grows_or_is_archived_meanwhile_has_its_records_still() {
        let folder = tempfile::tempdir().unwrap();
        let (mut ledger, storage, mut all) = log(&folder);
        let mut lookup = RecordLookup::new(&storage);
        check(&mut lookup, &all, 3_999);
        while retire(&storage, 3_500, &no_hurry).unwrap().is_some() {}
        let mut batch = Batch::default();
        for nth in 0..40_u8 {
            batch.clear();
            batch.push(&vec![b'a' + nth % 26; 40_000]).unwrap();
            ledger.append(&batch).unwrap();
            all.push(vec![b'a' + nth % 26; 40_000]);
        }
        for index in [1_600, 4_000, 4_039, 3_000, 3_999, 4_020, 4_040] {
            check(&mut lookup, &all, index);
        }
    }

    #[test]
    fn neighbours_are_in_the_part_that_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let (_ledger, storage, all) = log(&folder);
        let mut lookup = RecordLookup::new(&storage);
        let segments = segment::list(&storage).unwrap();
        let first = usize::try_from(segments[segments.len() - 2]).unwrap();
        check(&mut lookup, &all, first + 30);
        // Neither the list of files nor a file can be read now.
        fs::rename(folder.path(), folder.path().with_extension("away")).unwrap();
        (first..first + 30).rev().for_each(|index| check(&mut lookup, &all, index));
        fs::rename(folder.path().with_extension("away"), folder.path()).unwrap();
    }

    #[test]
    fn a_damaged_record_is_an_error_and_its_neighbours_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, storage, all) = log(&folder);
        drop(ledger);
        let last = segment::name(*segment::list(&storage).unwrap().last().unwrap());
        let mut bytes = fs::read(folder.path().join(&last)).unwrap();
        let text = all.last().unwrap();
        let place = bytes.windows(text.len()).position(|window| window == text.as_slice()).unwrap();
        *bytes.get_mut(place).unwrap() ^= 1;
        fs::write(folder.path().join(&last), bytes).unwrap();
        let mut lookup = RecordLookup::new(&storage);
        check(&mut lookup, &all, 3_900);
        assert!(matches!(lookup.get(3_999), Err(LedgerError::Corrupt(_))));
        check(&mut lookup, &all, 3_900);
    }
}
