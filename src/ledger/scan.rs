//! Walks the frames of one segment, and tells a torn end from corruption.

use std::io;

use super::fault::{Fault, LedgerError, Problem};
use super::frame::{self, BLOCK, Frame, Tip};
use super::segment;
use super::storage::{StorageFile, read_full};

/// Part of a file in memory, read in large pieces.
#[derive(Debug, Default)]
pub(super) struct Window {
    start: u64,
    /// How many bytes of the buffer are the file's.
    length: usize,
    buffer: Vec<u8>,
}

impl Window {
    const LENGTH: usize = 256 << 10;

    /// Reads `length` bytes at an offset, fewer at the end of the file.
    pub(super) fn read(&mut self, file: &impl StorageFile, offset: u64, length: usize) -> io::Result<&[u8]> {
        if self.part(offset, length).is_none() {
            if self.buffer.len() < length.max(Self::LENGTH) {
                self.buffer = vec![0; length.max(Self::LENGTH)];
            }
            // Nothing counts as read if reading fails.
            self.length = 0;
            self.length = read_full(file, &mut self.buffer, offset)?;
            self.start = offset;
        }
        Ok(self.part(offset, length).or(self.buffer.get(..self.length)).unwrap_or_default())
    }

    fn part(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.buffer.get(..self.length)?.get(from..)?.get(..length)
    }
}

/// The remains of an incomplete frame. Its records were never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The index that its first record would have had.
    pub index: u64,
    /// The segment's file name.
    pub segment: String,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// How far it goes, in bytes.
    pub bytes: u64,
}

/// An open segment with a readable header.
#[derive(Debug)]
pub(super) struct Segment<F> {
    pub(super) file: F,
    pub(super) name: String,
    pub(super) size: u64,
}

impl<F: StorageFile> Segment<F> {
    /// Checks header and length of the segment that begins with record `first`; returns the position of its first
    /// frame.
    pub(super) fn check(file: F, first: u64) -> Result<(Self, Cursor), LedgerError> {
        let name = segment::name(first);
        let fault = |offset, problem| Fault { index: first, segment: segment::name(first), offset, problem };
        let mut block = [0; BLOCK];
        let read = read_full(&file, &mut block, 0).map_err(LedgerError::disk("read", &name))?;
        let header = segment::Header::decode(block.get(..read).unwrap_or_default());
        let header = header.map_err(|problem| fault(0, problem))?;
        let length = file.length().map_err(LedgerError::disk("read the length of", &name))?;
        if length != header.size {
            return Err(fault(length, Problem::Length { expected: header.size, found: length }).into());
        }
        if header.tip.tree.size() != first {
            return Err(fault(0, Problem::Name(header.tip.tree.size())).into());
        }
        let cursor = Cursor { offset: BLOCK as u64, tip: header.tip, frames: 0, last: None };
        Ok((Self { file, name, size: length }, cursor))
    }

    /// Visits each frame from the cursor on, which moves past every frame that `visit` accepts.
    ///
    /// `visit` gets the state of the log before the frame. Returns the torn frame after the last one, if there is one.
    pub(super) fn scan(
        &self,
        cursor: &mut Cursor,
        mut visit: impl FnMut(&Tip, &Frame<'_>) -> Result<(), Problem>,
    ) -> Result<Option<Torn>, LedgerError> {
        let mut window = Window::default();
        while cursor.offset < self.size {
            let step = self.step(&mut window, cursor, &mut visit).map_err(LedgerError::disk("read", &self.name))?;
            match step {
                Step::Frame { length, tip } => {
                    cursor.last = Some((cursor.offset, length));
                    cursor.offset += length as u64;
                    cursor.tip = tip;
                    cursor.frames += 1;
                }
                Step::End => return self.tail(&mut window, cursor),
                Step::Fault(problem) => return Err(self.fault(cursor, problem).into()),
            }
        }
        Ok(None)
    }

    fn step(
        &self,
        window: &mut Window,
        cursor: &Cursor,
        visit: &mut impl FnMut(&Tip, &Frame<'_>) -> Result<(), Problem>,
    ) -> io::Result<Step> {
        let block = window.read(&self.file, cursor.offset, BLOCK)?;
        let header = match frame::Header::parse(block) {
            Ok(header) => header,
            Err(_) if frame::is_header_torn(block) => return Ok(Step::End),
            Err(problem) => return Ok(Step::Fault(problem)),
        };
        if let Err(problem) = header.follows(&cursor.tip) {
            return Ok(Step::Fault(problem));
        }
        let length = header.length();
        if cursor.offset + length as u64 > self.size {
            return Ok(Step::Fault(Problem::FrameHeader("it says that the frame goes beyond the segment")));
        }
        let bytes = window.read(&self.file, cursor.offset, length)?;
        Ok(match header.open(bytes) {
            Ok(frame) => match visit(&cursor.tip, &frame) {
                Ok(()) => Step::Frame { length, tip: frame.tip },
                Err(problem) => Step::Fault(problem),
            },
            Err(Problem::FrameBody) if header.is_body_torn(bytes) => Step::End,
            Err(problem) => Step::Fault(problem),
        })
    }

    /// The space after the last frame: empty, or with a torn frame.
    ///
    /// A payload cannot look like a header, which always has two zero bytes in a row. So a header in a later block is
    /// that of a complete frame, and the frames before it cannot have been torn.
    fn tail(&self, window: &mut Window, cursor: &Cursor) -> Result<Option<Torn>, LedgerError> {
        let mut end = cursor.offset;
        for offset in (cursor.offset..self.size).step_by(BLOCK) {
            let block = window.read(&self.file, offset, BLOCK).map_err(LedgerError::disk("read", &self.name))?;
            if frame::is_zero(block) {
                continue;
            }
            if offset > cursor.offset && frame::Header::parse(block).is_ok() {
                return Err(self.fault(cursor, Problem::Lost(offset)).into());
            }
            end = offset + BLOCK as u64;
        }
        let bytes = end - cursor.offset;
        let Cursor { offset, tip, .. } = cursor;
        Ok((bytes > 0).then(|| Torn { index: tip.tree.size(), segment: self.name.clone(), offset: *offset, bytes }))
    }

    /// A fault of the frame at the cursor.
    pub(super) fn fault(&self, cursor: &Cursor, problem: Problem) -> Fault {
        Fault { index: cursor.tip.tree.size(), segment: self.name.clone(), offset: cursor.offset, problem }
    }
}

/// How far a segment was read.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    /// Behind the last frame, in bytes.
    pub(super) offset: u64,
    /// The state of the log there.
    pub(super) tip: Tip,
    /// How many frames were read.
    pub(super) frames: u64,
    /// Offset and length of the last frame in bytes.
    pub(super) last: Option<(u64, usize)>,
}

enum Step {
    Frame { length: usize, tip: Tip },
    End,
    Fault(Problem),
}
