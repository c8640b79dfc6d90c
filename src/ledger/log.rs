//! The open log: one writer that appends batches.

use std::io;
use std::mem;

use super::batch::Batch;
use super::fault::{AppendError, LedgerError};
use super::frame::{self, BLOCK, Tip};
use super::recovery::{self, Recovery};
use super::scan::{Cursor, Segment};
use super::segment::{self, FilledSegment, NextSegment, SegmentSize};
use super::storage::{Storage, StorageFile, write_all, write_zeros};
use super::tree::{Hash, Tree};

/// How a log is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The size of new segments; existing ones keep theirs.
    pub segment_size: SegmentSize,
}

/// The open log. Only one exists for a folder at a time, in whatever process.
#[derive(Debug)]
pub struct Ledger<S: Storage> {
    storage: S,
    options: Options,
    /// The segment that is appended to.
    segment: Segment<S::File>,
    /// The end of its last frame, in bytes.
    // INVARIANT: from here to `dirty` there may be anything, behind that only zeros.
    end: u64,
    dirty: u64,
    tip: Tip,
    state: State,
    next: Option<FilledSegment<S::File>>,
    /// How many segments were ordered, by number so that no two share a temporary name.
    ordered: u64,
    /// Reused from batch to batch.
    tree: Tree,
    leaves: Vec<Hash>,
    buffer: Vec<u8>,
    /// Held, never read.
    _lock: S::File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Frames that fit go into the segment.
    Open,
    /// The change to the next segment failed and must be completed first: the next segment may have its name already,
    /// in which case a restart would lose a frame appended to the old one.
    Starved,
    /// A sync failed.
    Ended,
}

impl<S: Storage> Ledger<S> {
    /// Opens the log in the folder, or begins one there.
    ///
    /// A torn last frame is cut off and reported. Reads only the last segment, however long the log is.
    pub fn open(storage: S, options: Options) -> Result<(Self, Recovery), LedgerError> {
        let lock = storage.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => LedgerError::Locked,
            _ => LedgerError::disk("lock", ".")(error),
        })?;
        storage.hold_folder().map_err(LedgerError::disk("open", "."))?;
        let recovery::Recovered { segment, cursor, torn } = recovery::recover(&storage, options)?;
        let Cursor { offset: end, tip, .. } = cursor;
        let recovery = Recovery { size: tip.tree.size(), torn };
        let ledger = Self {
            storage,
            options,
            segment,
            end,
            dirty: end,
            tree: tip.tree.clone(),
            tip,
            state: State::Open,
            next: None,
            ordered: 1,
            leaves: Vec::new(),
            buffer: Vec::new(),
            _lock: lock,
        };
        Ok((ledger, recovery))
    }

    /// Appends a batch as one frame with one write and one sync; returns the index of its first record.
    ///
    /// When this returns, all of it is durable. After an error none of it is acknowledged, though a restart may find
    /// it. If the error is not final, appending again is safe: the disk is brought in order first.
    pub fn append(&mut self, batch: &Batch) -> Result<u64, AppendError> {
        if batch.is_empty() {
            return Err(AppendError::Empty);
        }
        let (bytes, limit) = (batch.bytes().len(), self.capacity());
        if bytes > limit {
            return Err(AppendError::TooLarge { bytes, limit });
        }
        self.repair()?;
        self.leaves.clear();
        self.leaves.extend(batch.records().map(Hash::leaf));
        self.tree.copy_from(&self.tip.tree);
        self.leaves.iter().for_each(|leaf| self.tree.push(*leaf));
        let hash = frame::encode(&mut self.buffer, batch, &self.tree, self.tip.frame);
        if self.end + self.buffer.len() as u64 > self.segment.size {
            self.rotate()?;
        }
        let end = self.end + self.buffer.len() as u64;
        self.dirty = end;
        let written = write_all(&self.segment.file, &self.buffer, self.end);
        written.map_err(|source| write_failed(&self.segment, self.end, source))?;
        self.sync()?;

        let first = self.tip.tree.size();
        mem::swap(&mut self.tip.tree, &mut self.tree);
        self.tip.frame = hash;
        self.end = end;
        Ok(first)
    }

    /// Repairs the disk after a failed append; also a probe for whether the disk works again.
    ///
    /// Zeroes the remains of a failed write, and creates the next segment if that failed. Does nothing if the log
    /// [`is_clean`](Self::is_clean).
    pub fn repair(&mut self) -> Result<(), AppendError> {
        if self.state == State::Ended {
            return Err(AppendError::Ended);
        }
        if self.dirty > self.end {
            let zeroed = write_zeros(&self.segment.file, self.end, self.dirty);
            zeroed.map_err(|source| write_failed(&self.segment, self.end, source))?;
            self.sync()?;
            self.dirty = self.end;
        }
        match self.state {
            State::Starved => self.rotate(),
            State::Open | State::Ended => Ok(()),
        }
    }

    /// Whether nothing is left over from a failed append.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.state == State::Open && self.dirty == self.end
    }

    /// How many records there are: the index that the next one gets.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tip.tree.size()
    }

    /// The name and the file of the segment to which records are appended.
    #[must_use]
    pub fn segment(&self) -> (&str, &S::File) {
        (&self.segment.name, &self.segment.file)
    }

    /// The root of the tree of all records.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tip.tree.root()
    }

    /// The tree of all records.
    #[must_use]
    pub const fn tree(&self) -> &Tree {
        &self.tip.tree
    }

    /// The leaf hashes of the batch appended last; after a failed append, of that batch.
    #[must_use]
    pub fn leaves(&self) -> &[Hash] {
        &self.leaves
    }

    /// The most bytes a batch may have, lengths included: as much as one frame in a segment of its own may hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        let room = self.options.segment_size.bytes().saturating_sub(BLOCK as u64);
        frame::payload_limit(usize::try_from(room).unwrap_or(usize::MAX)).min(Batch::MAX_BYTES)
    }

    /// Whether a prefilled segment should be available and is not: less than half a segment is left.
    ///
    /// Stays true until [`adopt`](Self::adopt), so the caller must remember that it has ordered one.
    #[must_use]
    pub fn needs_next_segment(&self) -> bool {
        let left = self.segment.size.saturating_sub(self.end);
        self.next.is_none() && left < self.options.segment_size.bytes() / 2
    }

    /// An order for the next segment: to be filled on another thread, through another handle of the same folder.
    ///
    /// If filling fails, forget it and order again. If the ledger needs a segment before it gets this one, it makes
    /// one itself.
    pub fn order_next_segment(&mut self) -> NextSegment {
        self.ordered += 1;
        NextSegment::new(self.ordered, self.options.segment_size.bytes())
    }

    /// Takes a filled segment for when the current one is full.
    pub fn adopt(&mut self, filled: FilledSegment<S::File>) {
        if let Some(surplus) = self.next.replace(filled) {
            segment::discard(&self.storage, &surplus.name);
        }
    }

    /// Changes to the next segment.
    fn rotate(&mut self) -> Result<(), AppendError> {
        self.state = State::Starved;
        let name = segment::name(self.tip.tree.size());
        let failed = |source| AppendError::NextSegment { segment: name.clone(), source };
        let filled = match self.next.take() {
            Some(filled) => filled,
            None => self.order_next_segment().fill(&self.storage).map_err(failed)?,
        };
        // Until it has its name it is no part of the log, so even a failed sync costs only this file.
        if let Err(error) = filled.begin(&self.tip) {
            segment::discard(&self.storage, &filled.name);
            return Err(failed(error));
        }
        // If the current segment has no frame yet, the new one has the same name and replaces it.
        let renamed = self.storage.hold_folder().and_then(|()| self.storage.rename(&filled.name, &name));
        if let Err(error) = renamed {
            segment::discard(&self.storage, &filled.name);
            return Err(failed(error));
        }
        if let Err(source) = self.storage.sync_folder() {
            self.state = State::Ended;
            return Err(AppendError::Sync { name: ".".to_owned(), source });
        }
        self.segment = Segment { file: filled.file, name, size: filled.size };
        self.end = BLOCK as u64;
        self.dirty = self.end;
        self.state = State::Open;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), AppendError> {
        self.segment.file.sync().map_err(|source| {
            self.state = State::Ended;
            AppendError::Sync { name: self.segment.name.clone(), source }
        })
    }
}

fn write_failed<F>(segment: &Segment<F>, offset: u64, source: io::Error) -> AppendError {
    AppendError::Write { segment: segment.name.clone(), offset, source }
}
