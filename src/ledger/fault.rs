//! Faults of a log, with their places.

use std::io;

use thiserror::Error;

use super::tree::Hash;

/// The fault at one place of the log.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// The segment file's length differs from the one in its header.
    #[error("the segment has `{found}` bytes instead of `{expected}`")]
    Length {
        /// The length in the header, in bytes.
        expected: u64,
        /// The file's length in bytes.
        found: u64,
    },
    /// A segment does not begin with a whole header block.
    #[error("the segment header is damaged: {0}")]
    SegmentHeader(&'static str),
    /// The segment's name and its header disagree.
    #[error("the segment header has the first record `{0}`, other than the name")]
    Name(u64),
    /// Records are missing before this segment, or a segment is there twice.
    #[error("the segment begins with record `{found}` where `{expected}` comes next")]
    Gap {
        /// The record that should come next.
        expected: u64,
        /// The segment's first record.
        found: u64,
    },
    /// The segment's header does not continue the log before it.
    #[error("the segment does not continue the segment before it")]
    SegmentChain,
    /// A frame's header cannot be read.
    #[error("the frame header is damaged: {0}")]
    FrameHeader(&'static str),
    /// A frame is where another should be.
    #[error("the frame begins with record `{0}`, which is not the next one")]
    FrameIndex(u64),
    /// A frame's hash of the one before is not that one's.
    #[error("the frame follows a frame with hash `{found}` instead of `{expected}`")]
    FrameChain {
        /// The hash of the frame before it.
        expected: Hash,
        /// The hash it has.
        found: Hash,
    },
    /// Peaks or payload of a frame do not have the header's checksum.
    #[error("the frame body is damaged: its checksum is wrong")]
    FrameBody,
    /// The checksum is right, but the payload is not the list of records that the header announces.
    #[error("the frame's payload is not the list of records that its header announces")]
    Payload,
    /// There are bytes between the end of a frame and the block's end.
    #[error("the frame's padding is not zero")]
    Padding,
    /// The checksum is right, but the records do not give the frame's tree.
    #[error("the records do not have the tree root that the frame says")]
    Tree,
    /// A frame is missing or damaged while there is a later one.
    #[error("the frame is missing or incomplete, but there is a later one at offset `{0}`")]
    Lost(u64),
    /// An archive of old records is damaged.
    #[error("the archive is damaged: {0}")]
    Archive(&'static str),
    /// The records up to a checkpoint's size do not have its root: some of them were changed since.
    #[error("the first `{size}` records do not have the root `{root}` of their checkpoint")]
    Checkpoint {
        /// The checkpoint's size.
        size: u64,
        /// The checkpoint's root.
        root: Hash,
    },
    /// The log has fewer records than a checkpoint of it.
    #[error("the log ends here, but it has a checkpoint of `{size}` records")]
    RolledBack {
        /// The checkpoint's size.
        size: u64,
    },
    /// A tile is not that of the records.
    #[error("the tile `{0}` is not that of the records")]
    Tile(String),
    /// The parts of a record are missing, or do not match its head.
    #[error("the record's parts are missing, or do not match its digest")]
    Parts,
    /// A record refers to a shared member that is not in its frame, or is another one.
    #[error("a member that the record shares is missing, or is not the one that it names by its digest")]
    Shared,
    /// An incomplete frame in a segment that is not the last one.
    #[error("the frame is incomplete, but a later segment exists")]
    Torn,
}

/// One fault of the log.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("segment `{segment}`, offset `{offset}`, record `{index}`: {problem}")]
pub struct Fault {
    /// The first record that is affected: the first of the frame or, if a whole segment is unusable, of the segment.
    pub index: u64,
    /// The segment's file name.
    pub segment: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// The fault.
    pub problem: Problem,
}

/// Why a log cannot be opened or read.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// Another process has the log open.
    #[error("another process has the audit log open; stop it first")]
    Locked,
    /// The log is damaged.
    #[error("the audit log is corrupt: {0}")]
    Corrupt(#[from] Fault),
    /// A segment size that is not allowed.
    #[error("a segment size of `{0}` bytes is not a multiple of `4096` from `16384` to `1073741824`")]
    SegmentSize(u64),
    /// A record that the log had is neither in a segment nor in an archive.
    #[error("record `{0}` is missing from the audit log")]
    Gone(u64),
    /// A part of the tree that is not there, or not there yet.
    #[error("the tree has no tile `{0}`")]
    NoTile(String),
    /// The newest checkpoint cannot be known.
    #[error("the stored checkpoint is damaged: {0}")]
    NoCheckpoint(&'static str),
    /// The disk failed.
    #[error("cannot {action} `{name}`: {source}")]
    Disk {
        /// The attempted action.
        action: &'static str,
        /// With which file.
        name: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl LedgerError {
    /// A fault of a log that is read from elsewhere.
    #[must_use]
    pub fn at(index: u64, place: &str, problem: Problem) -> Self {
        Fault { index, segment: place.to_owned(), offset: 0, problem }.into()
    }

    /// Something that a log elsewhere gave and that no log gives.
    #[must_use]
    pub fn remote(index: u64, place: &str, what: &'static str) -> Self {
        Self::at(index, place, Problem::Archive(what))
    }

    /// Whether a file is not there, or not any more.
    pub(super) fn is_missing_file(&self) -> bool {
        matches!(self, Self::Disk { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// For `map_err`: the disk's error, with the attempted action.
    pub(super) fn disk(action: &'static str, name: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { action, name: name.to_owned(), source }
    }
}

/// Why a batch was not appended. None of its records is acknowledged.
#[derive(Debug, Error)]
pub enum AppendError {
    /// There is nothing to append.
    #[error("the batch is empty")]
    Empty,
    /// The batch can never be appended; smaller ones can.
    #[error("the batch has `{bytes}` bytes, more than the limit of `{limit}`")]
    TooLarge {
        /// The batch's bytes.
        bytes: usize,
        /// The most that a frame of this log holds, in bytes.
        limit: usize,
    },
    /// Writing failed. The log stays usable; a later append works when the disk does.
    #[error("cannot write to `{segment}` at offset `{offset}`: {source}")]
    Write {
        /// The segment's file name.
        segment: String,
        /// Where, in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The next segment could not be made. The log stays usable; a later append works when the disk does.
    #[error("cannot make the next segment `{segment}`: {source}")]
    NextSegment {
        /// The name it would have had.
        segment: String,
        /// Why.
        source: io::Error,
    },
    /// A sync failed, which is final: the contents of the disk can be known only by reading it in a new process.
    #[error("cannot sync `{name}`: {source}")]
    Sync {
        /// The segment's file name, or `.` for the folder.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A sync failed earlier.
    #[error("the audit log ended with a failed sync")]
    Ended,
}

impl AppendError {
    /// Whether the process must end, since nothing more can be appended.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Sync { .. } | Self::Ended)
    }
}
