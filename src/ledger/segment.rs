//! A segment: a file of fixed size that holds frames, and how the next one is made ahead of need.

use std::io;
use std::time::Duration;

use super::fault::{LedgerError, Problem};
use super::frame::{BLOCK, Tip, field, hashes, put};
use super::storage::{Storage, StorageFile, write_all, write_zeros, write_zeros_gently};
use super::tree::{Hash, Tree};

const MAGIC: &[u8; 8] = b"acgs-seg";
const VERSION: u16 = 1;
/// Where the peaks begin in the header block.
const PEAKS: usize = 60;
/// Where the checksum is in the header block.
const CHECKSUM: usize = BLOCK - 4;
/// The suffix of a file that is not a segment yet.
const TEMPORARY: &str = ".tmp";

/// The size of new segments in bytes: a multiple of 4096 from 16 KiB to 1 GiB. Default: 64 MiB.
///
/// A frame must fit into one segment; for records of every allowed length take at least 128 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSize(u64);

impl SegmentSize {
    /// Fails unless the size is allowed.
    pub fn new(bytes: u64) -> Result<Self, LedgerError> {
        let allowed = (16 << 10..=1 << 30).contains(&bytes) && bytes.is_multiple_of(BLOCK as u64);
        allowed.then_some(Self(bytes)).ok_or(LedgerError::SegmentSize(bytes))
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Default for SegmentSize {
    fn default() -> Self {
        Self(64 << 20)
    }
}

/// The file name of the segment that begins with this record.
pub(super) fn name(first: u64) -> String {
    format!("segment-{first:020}.log")
}

/// The first record's index, if this is a segment's name.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".log")?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// Whether this is the name of a file that never became a segment.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with("segment-") && name.ends_with(TEMPORARY)
}

/// The first records of all segments, in order.
pub(super) fn list<S: Storage>(storage: &S) -> Result<Vec<u64>, LedgerError> {
    let names = storage.list().map_err(LedgerError::disk("list", "."))?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| parse_name(name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// The header block of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The segment's size in bytes.
    pub(super) size: u64,
    /// The state of the log before the segment's first frame.
    pub(super) tip: Tip,
}

impl Header {
    /// The block in its form on disk.
    pub(super) fn encode(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let peaks = self.tip.tree.peaks();
        put(&mut block, 0, MAGIC);
        put(&mut block, 8, &VERSION.to_be_bytes());
        put(&mut block, 10, &u16::try_from(peaks.len()).unwrap_or(u16::MAX).to_be_bytes());
        put(&mut block, 12, &self.size.to_be_bytes());
        put(&mut block, 20, &self.tip.tree.size().to_be_bytes());
        put(&mut block, 28, self.tip.frame.as_bytes());
        for (number, peak) in peaks.iter().enumerate() {
            put(&mut block, PEAKS + number * Hash::LEN, peak.as_bytes());
        }
        let checksum = crc32c::crc32c(block.get(..CHECKSUM).unwrap_or_default());
        put(&mut block, CHECKSUM, &checksum.to_be_bytes());
        block
    }

    /// Reads a block whose checksum is right.
    pub(super) fn decode(block: &[u8]) -> Result<Self, Problem> {
        let problem = Problem::SegmentHeader;
        if block.first_chunk() != Some(MAGIC) {
            return Err(problem("it does not begin with the magic number"));
        }
        let checksum = field(block, CHECKSUM).map(u32::from_be_bytes);
        if block.get(..CHECKSUM).map(crc32c::crc32c) != checksum {
            return Err(problem("its checksum is wrong"));
        }
        if field(block, 8).map(u16::from_be_bytes) != Some(VERSION) {
            return Err(problem("its version is unknown"));
        }
        Self::fields(block).ok_or(problem("its numbers contradict each other"))
    }

    fn fields(block: &[u8]) -> Option<Self> {
        let count = usize::from(u16::from_be_bytes(field(block, 10)?));
        let peaks = block.get(PEAKS..PEAKS + count * Hash::LEN)?;
        let tree = Tree::from_peaks(u64::from_be_bytes(field(block, 20)?), hashes(peaks))?;
        let frame = Hash::from(field(block, 28)?);
        Some(Self { size: u64::from_be_bytes(field(block, 12)?), tip: Tip { tree, frame } })
    }
}

/// Between two steps of filling a segment in the background.
const PAUSE_BETWEEN_WRITES: Duration = Duration::from_millis(2);

/// An order for a segment to be filled with zeros, on any thread. The ledger need not wait for it.
#[derive(Debug)]
pub struct NextSegment {
    name: String,
    size: u64,
}

impl NextSegment {
    /// `number` distinguishes the orders of one process.
    pub(super) fn new(number: u64, size: u64) -> Self {
        Self { name: format!("segment-next-{number}{TEMPORARY}"), size }
    }

    /// Creates the file under a temporary name, fills it and syncs it: 64 MiB take some tenths of a second.
    ///
    /// If it fails, the file is removed, if the disk permits.
    pub fn fill<S: Storage>(&self, storage: &S) -> io::Result<FilledSegment<S::File>> {
        self.fill_by(storage, |file| write_zeros(file, 0, self.size))
    }

    /// The same in small steps with pauses, so that appends meanwhile find the disk free: takes about a second.
    pub fn fill_gently<S: Storage>(&self, storage: &S) -> io::Result<FilledSegment<S::File>> {
        self.fill_by(storage, |file| write_zeros_gently(file, 0, self.size, PAUSE_BETWEEN_WRITES))
    }

    fn fill_by<S: Storage>(
        &self,
        storage: &S,
        write: impl FnOnce(&S::File) -> io::Result<()>,
    ) -> io::Result<FilledSegment<S::File>> {
        let made = storage.create(&self.name).and_then(|file| {
            file.claim()?;
            write(&file)?;
            // So that the sync of the header, which an append waits for, finds little left to do.
            file.sync()?;
            Ok(FilledSegment { file, name: self.name.clone(), size: self.size })
        });
        made.inspect_err(|_| discard(storage, &self.name))
    }
}

/// A segment full of zeros that has no place in the log yet.
#[derive(Debug)]
pub struct FilledSegment<F> {
    pub(super) file: F,
    pub(super) name: String,
    pub(super) size: u64,
}

impl<F: StorageFile> FilledSegment<F> {
    /// Writes and syncs the header, with the segment's position in the log.
    pub(super) fn begin(&self, tip: &Tip) -> io::Result<()> {
        let header = Header { size: self.size, tip: tip.clone() };
        write_all(&self.file, &header.encode(), 0)?;
        self.file.sync()
    }
}

/// Removes a temporary file. If that fails, the next start tries again.
pub(super) fn discard<S: Storage>(storage: &S, name: &str) {
    drop(storage.remove(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_its_first_index_back() {
        for first in [0, 7, u64::MAX] {
            assert_eq!(parse_name(&name(first)), Some(first));
        }
        for other in ["lock", "segment-1.log", "segment-0000000000000000000x.log", "segment-next-0.tmp"] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_header_reads_back_and_no_bit_of_it_can_change() {
        let mut tree = Tree::default();
        for n in 0..11_u8 {
            tree.push(Hash::leaf(&[n]));
        }
        let header = Header { size: 1 << 20, tip: Tip { tree, frame: Hash::of(&[b"frame"]) } };
        let block = header.encode();
        assert_eq!(Header::decode(&block), Ok(header));
        for byte in 0..BLOCK {
            let mut damaged = block;
            damaged[byte] ^= 4;
            assert!(Header::decode(&damaged).is_err(), "byte {byte}");
        }
    }

    #[test]
    fn a_segment_size_is_a_multiple_of_4096_within_limits() {
        for (bytes, allowed) in [(0, false), (12_288, false), (16_384, true), (20_000, false), (1 << 30, true)] {
            assert_eq!(SegmentSize::new(bytes).is_ok(), allowed, "{bytes}");
        }
    }
}
