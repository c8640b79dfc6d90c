//! Reads records, from the archive or from segments.

use std::io;
use std::ops::Range;

use super::archive::{self, Archive};
use super::batch::Payload;
use super::fault::{Fault, LedgerError, Problem};
use super::frame::{self, BLOCK, Header};
use super::scan::{Segment, Window};
use super::segment;
use super::storage::{Storage, StorageFile, read_full};

/// How often segments are listed anew when one of them is gone.
const LISTINGS: u32 = 5;

/// The records with these indices, in order, as far as the log has them.
///
/// Holds one frame in memory at a time. Frames that are read are checked by their checksums, not by the tree, which
/// [`verify`](super::verify()) does. Finding the first record takes a number of reads that grows with the logarithm of
/// the segment's size only. Takes no lock: the log may be growing meanwhile.
pub fn records<S: Storage>(storage: &S, indices: Range<u64>) -> Records<'_, S> {
    Records {
        storage,
        indices,
        source: Source::Log,
        reading: None,
        looked_again: false,
        archive: None,
        before: 0,
        window: Window::default(),
        payload: Vec::new(),
        position: 0,
        next: 0,
    }
}

/// The same records, from the archive alone.
pub(super) fn archived_records<S: Storage>(storage: &S, indices: Range<u64>) -> Records<'_, S> {
    Records { source: Source::Archive, ..records(storage, indices) }
}

/// Where records are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// From segments, or else from the archive.
    Log,
    Archive,
}

/// Whether a folder contains no segment of a log.
pub fn is_new<S: Storage>(storage: &S) -> Result<bool, LedgerError> {
    Ok(segment::list(storage)?.is_empty())
}

/// The record with that index; `None` where the log does not have it yet.
pub fn record<S: Storage>(storage: &S, index: u64) -> Result<Option<Vec<u8>>, LedgerError> {
    let found = records(storage, index..index.saturating_add(1)).next().transpose()?;
    Ok(found.map(|(_, record)| record))
}

/// Iterates over records with their indices; ends after the first error.
#[derive(Debug)]
pub struct Records<'s, S: Storage> {
    storage: &'s S,
    indices: Range<u64>,
    source: Source,
    /// The segment being read, and how far.
    reading: Option<(Segment<S::File>, u64)>,
    /// Whether the end of that segment was read again after a later segment was found.
    looked_again: bool,
    /// The archive being read, and the first record that was in a segment when it was opened.
    archive: Option<Archive<S::File>>,
    before: u64,
    window: Window,
    /// Of the frame, or the block of the archive, being read.
    payload: Vec<u8>,
    /// In the payload.
    position: usize,
    /// The index of the record at the position.
    next: u64,
}

impl<S: Storage> Iterator for Records<'_, S> {
    type Item = Result<(u64, Vec<u8>), LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.advance().map(|found| found.map(|(index, record)| (index, record.to_vec())));
        found.transpose()
    }
}

impl<S: Storage> Records<'_, S> {
    /// Extends the range, since the log may have grown.
    pub fn extend_to(&mut self, end: u64) {
        self.indices.end = end;
    }

    /// The next record, without copying it; `None` at the end of the range, or of the log so far.
    pub fn advance(&mut self) -> Result<Option<(u64, &[u8])>, LedgerError> {
        let found = self.find();
        if found.is_err() {
            self.indices.end = 0;
        }
        let Some((index, place)) = found? else { return Ok(None) };
        Ok(self.payload.get(place).map(|record| (index, record)))
    }

    /// The index and the place in the payload of the next record that is wanted.
    fn find(&mut self) -> Result<Option<(u64, Range<usize>)>, LedgerError> {
        while self.indices.start < self.indices.end {
            let length = Payload(self.payload.get(self.position..).unwrap_or_default()).next();
            match length.map(|record| record.map(<[u8]>::len)) {
                Some(Ok(length)) => {
                    let (index, from) = (self.next, self.position + 2);
                    self.position = from + length;
                    self.next += 1;
                    if index == self.indices.start {
                        self.indices.start += 1;
                        return Ok(Some((index, from..self.position)));
                    }
                }
                None if self.fill()? => {}
                // Frames and blocks were checked when they were read.
                Some(Err(_)) | None => break,
            }
        }
        Ok(None)
    }

    /// Reads the frame or block with the next record that is wanted. Returns false at the log's end.
    fn fill(&mut self) -> Result<bool, LedgerError> {
        self.payload.clear();
        self.position = 0;
        loop {
            if let Some((segment, offset)) = &mut self.reading {
                let wanted = Wanted { from: self.indices.start, next: self.next };
                if let Some(end) = wanted.read(segment, offset, &mut self.window, &mut self.payload)? {
                    self.looked_again = false;
                    if self.payload.is_empty() {
                        self.next = end;
                        continue;
                    }
                    return Ok(true);
                }
                // Prefetched bytes may have been written since.
                self.window = Window::default();
            }
            let at = if self.reading.is_some() { self.next } else { self.indices.start };
            if !self.open(at)? {
                return Ok(!self.payload.is_empty());
            }
        }
    }

    /// Opens the segment that contains a record, unless it is the one being read. False if there is none, or if the
    /// record was read from the archive.
    fn open(&mut self, index: u64) -> Result<bool, LedgerError> {
        if index < self.before && self.archive.as_ref().is_some_and(|archive| archive.has(index)) {
            return self.open_archive(index).map(|()| false);
        }
        for _ in 1..LISTINGS {
            match self.open_listed(index) {
                // The segment was archived after it was listed.
                Err(error) if error.is_missing_file() => {}
                opened => return opened,
            }
        }
        self.open_listed(index)
    }

    fn open_listed(&mut self, index: u64) -> Result<bool, LedgerError> {
        if self.source == Source::Archive {
            self.before = u64::MAX;
            return self.open_archive(index).map(|()| false);
        }
        let firsts = segment::list(self.storage)?;
        let place = firsts.partition_point(|first| *first <= index);
        let Some(first) = place.checked_sub(1).and_then(|place| firsts.get(place)).copied() else {
            return match firsts.first() {
                Some(first) => {
                    self.before = *first;
                    self.open_archive(index).map(|()| false)
                }
                None => Ok(false),
            };
        };
        if self.reading.as_ref().is_some_and(|(segment, _)| segment.name == segment::name(first)) {
            return match firsts.get(place) {
                // Frames may have been appended before the writer changed to the next segment.
                Some(_) if !self.looked_again => {
                    self.looked_again = true;
                    Ok(true)
                }
                Some(found) => {
                    let problem = Problem::Gap { expected: index, found: *found };
                    Err(Fault { index, segment: segment::name(*found), offset: 0, problem }.into())
                }
                None => Ok(false),
            };
        }
        let name = segment::name(first);
        let file = self.storage.open_to_read(&name).map_err(LedgerError::disk("open", &name))?;
        let (segment, cursor) = Segment::check(file, first)?;
        let (offset, next) = seek(&segment, first, index).map_err(LedgerError::disk("read", &name))?;
        debug_assert!(offset >= cursor.offset);
        self.next = next;
        self.reading = Some((segment, offset));
        self.window = Window::default();
        Ok(true)
    }

    fn open_archive(&mut self, index: u64) -> Result<(), LedgerError> {
        let archive = match self.archive.take().filter(|archive| archive.has(index)) {
            Some(archive) => archive,
            None => archive::find(self.storage, index)?,
        };
        self.reading = None;
        self.next = self.archive.insert(archive).read(index, &mut self.payload)?;
        Ok(())
    }
}

/// The offset and first record of the last frame that begins with the record or an earlier one.
///
/// Frames begin at multiples of 4096 and cannot be mistaken for payload, nor can unwritten space, so they are found by
/// binary search, without an index.
pub(super) fn seek<F: StorageFile>(segment: &Segment<F>, first: u64, index: u64) -> io::Result<(u64, u64)> {
    let mut block = [0; BLOCK];
    let mut found = (BLOCK as u64, first);
    let mut end = segment.size;
    while end - found.0 > BLOCK as u64 {
        let blocks = (end - found.0) / BLOCK as u64;
        let middle = found.0 + blocks / 2 * BLOCK as u64;
        let mut later = None;
        for offset in (middle..end).step_by(BLOCK) {
            let read = read_full(&segment.file, &mut block, offset)?;
            let block = block.get(..read).unwrap_or_default();
            if let Ok(header) = Header::parse(block) {
                later = Some((offset, header.first));
                break;
            }
            if frame::is_zero(block) {
                break;
            }
        }
        match later {
            Some((offset, first)) if first <= index => found = (offset, first),
            _ => end = middle,
        }
    }
    Ok(found)
}

struct Wanted {
    /// The first record that is wanted at all.
    from: u64,
    /// The first record of the frame that comes next.
    next: u64,
}

impl Wanted {
    /// Reads the frame at the offset, which moves behind it; returns the index behind its last record.
    ///
    /// `None` if no whole frame is there. The payload stays empty if no record of the frame is wanted.
    fn read<F: StorageFile>(
        &self,
        segment: &Segment<F>,
        offset: &mut u64,
        window: &mut Window,
        payload: &mut Vec<u8>,
    ) -> Result<Option<u64>, LedgerError> {
        if *offset >= segment.size {
            return Ok(None);
        }
        let fault = |offset, problem| Fault { index: self.next, segment: segment.name.clone(), offset, problem };
        let block = window.read(&segment.file, *offset, BLOCK).map_err(LedgerError::disk("read", &segment.name))?;
        let header = match Header::parse(block) {
            Ok(header) => header,
            Err(_) if frame::is_header_torn(block) => return Ok(None),
            Err(problem) => return Err(fault(*offset, problem).into()),
        };
        if header.first != self.next {
            return Err(fault(*offset, Problem::FrameIndex(header.first)).into());
        }
        if header.end() > self.from {
            let bytes = window.read(&segment.file, *offset, header.length());
            let bytes = bytes.map_err(LedgerError::disk("read", &segment.name))?;
            match header.open(bytes) {
                Ok(frame) => payload.extend_from_slice(frame.payload),
                Err(Problem::FrameBody) if header.is_body_torn(bytes) => return Ok(None),
                Err(problem) => return Err(fault(*offset, problem).into()),
            }
        }
        *offset += header.length() as u64;
        Ok(Some(header.end()))
    }
}
