//! Reads records back, for export and for those who follow the log.

use std::ops::Range;
use std::vec;

use super::batch::Payload;
use super::fault::{Fault, LedgerError, Problem};
use super::frame::{self, BLOCK};
use super::scan::{Segment, Window};
use super::segment;
use super::storage::{Storage, StorageFile};

/// The records with these indices, in order, as far as the log has them.
///
/// Holds one frame in memory at a time. Frames that are read are checked by their checksums, not by the tree, which
/// [`verify`](super::verify) does. Fails if the first of them is no longer there. Takes no lock: the log may be
/// growing meanwhile.
pub fn records<S: Storage>(storage: &S, indices: Range<u64>) -> Result<Records<'_, S>, LedgerError> {
    let mut firsts = segment::list(storage)?;
    if let Some(first) = firsts.first().copied().filter(|first| *first > indices.start && !indices.is_empty()) {
        return Err(LedgerError::Gone { wanted: indices.start, first });
    }
    firsts.drain(..firsts.partition_point(|first| *first <= indices.start).saturating_sub(1));
    let next = firsts.first().copied().unwrap_or_default();
    Ok(Records {
        storage,
        indices,
        segments: firsts.into_iter(),
        reading: None,
        window: Window::default(),
        payload: Vec::new(),
        position: 0,
        next,
    })
}

/// Iterates over records with their indices; ends after the first error.
#[derive(Debug)]
pub struct Records<'s, S: Storage> {
    storage: &'s S,
    indices: Range<u64>,
    segments: vec::IntoIter<u64>,
    /// The segment being read, and how far.
    reading: Option<(Segment<S::File>, u64)>,
    window: Window,
    /// Of the frame being read.
    payload: Vec<u8>,
    /// In the payload.
    position: usize,
    /// The index of the record at the position.
    next: u64,
}

impl<S: Storage> Iterator for Records<'_, S> {
    type Item = Result<(u64, Vec<u8>), LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.indices.end {
            match Payload(self.payload.get(self.position..).unwrap_or_default()).next() {
                Some(Ok(record)) => {
                    let index = self.next;
                    self.position += 2 + record.len();
                    self.next += 1;
                    if index >= self.indices.start {
                        return Some(Ok((index, record.to_vec())));
                    }
                }
                Some(Err(_)) => break,
                None => match self.next_frame() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        self.indices.end = 0;
                        return Some(Err(error));
                    }
                },
            }
        }
        None
    }
}

impl<S: Storage> Records<'_, S> {
    /// Goes to the next frame, whose payload is read only if it is wanted. Returns false at the log's end.
    fn next_frame(&mut self) -> Result<bool, LedgerError> {
        self.payload.clear();
        self.position = 0;
        loop {
            if let Some((segment, offset)) = &mut self.reading {
                let frame = Wanted { from: self.indices.start, next: self.next };
                let end = frame.read(segment, offset, &mut self.window, &mut self.payload)?;
                if let Some(end) = end {
                    if self.payload.is_empty() {
                        self.next = end;
                    }
                    return Ok(true);
                }
            }
            let Some(first) = self.segments.next() else { return Ok(false) };
            self.open(first)?;
        }
    }

    fn open(&mut self, first: u64) -> Result<(), LedgerError> {
        let name = segment::name(first);
        if first != self.next {
            let problem = Problem::Gap { expected: self.next, found: first };
            return Err(Fault { index: self.next.min(first), segment: name, offset: 0, problem }.into());
        }
        let file = self.storage.open_to_read(&name).map_err(LedgerError::disk("open", &name))?;
        let (segment, cursor) = Segment::check(file, first)?;
        self.reading = Some((segment, cursor.offset));
        self.window = Window::default();
        Ok(())
    }
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
        let header = match frame::Header::parse(block) {
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
