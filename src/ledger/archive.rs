//! Old records, moved out of their segments: compressed, in small blocks, so that one record is read without the others.
//!
//! An archive `archive-<first>.gz` begins with record `<first>` (20 decimal digits, a multiple of 256) and ends before a
//! multiple of 256. Archives follow each other from record 0 on without a gap, and reach at least up to the first
//! segment. All numbers are big-endian. `archiver.rs` says when they are made.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | `acgs-arc` |
//! | 8 | 2 | version: 2 |
//! | 10 | 4 | n, how many blocks |
//! | 14 | 8 | index of the first record, as in the name |
//! | 22 | 4 | CRC32C of bytes 0 to 21 |
//! | 26 | 8 n + 8 | the offset of each block, and that of the end of the file |
//! | … | | the blocks of 32 records each, in payload form: gzip members (RFC 1952) |
//!
//! The extra field of each member is the index of the block's first record, in 8 bytes, so an offset that leads to
//! another block is noticed. Each member has a checksum of its own.
//!
//! Blocks are small since a reader of one record decompresses all of a block. Deflate finds in 32 decisions nearly all
//! that repeats: blocks of 256 are a quarter smaller and take eight times as long. Of some 40 bytes a decision, a
//! dictionary would save ten; ids, times and names, which do not repeat, are most of what is left.
//!
//! In version 1, made by earlier releases, the head is followed by the compressed length of each bundle of 256 records
//! (4 bytes), and a CRC32C of all before it, in the place of checksum and offsets. The members have no extra field.

use std::io::{self, Read as _};

use flate2::bufread::GzDecoder;

use super::batch::Payload;
use super::fault::{Fault, LedgerError, Problem};
use super::frame::field;
use super::storage::{Storage, StorageFile, read_full};
use super::tile::WIDTH;

pub(super) const MAGIC: &[u8; 8] = b"acgs-arc";
pub(super) const VERSION: u16 = 2;
/// The records of a block.
pub(super) const BLOCK: u64 = 32;
/// The bytes before the offsets.
pub(super) const HEAD: usize = 26;
/// The bytes of the head that its checksum covers.
pub(super) const COVERED: usize = 22;
/// The name of an archive in the making.
pub(super) const TEMPORARY: &str = "archive-next.tmp";

/// The version with bundles of 256 records.
const BUNDLES: u16 = 1;
/// The most bytes of a record in payload form.
const MAX_RECORD: u64 = 2 + u16::MAX as u64;
/// How often archives are listed anew when one of them is gone: two were joined meanwhile.
const LISTINGS: u32 = 5;

pub(super) fn name(first: u64) -> String {
    format!("archive-{first:020}.gz")
}

/// The first records of all archives, in order.
pub(super) fn list<S: Storage>(storage: &S) -> Result<Vec<u64>, LedgerError> {
    let names = storage.list().map_err(LedgerError::disk("list", "."))?;
    let first = |name: &String| name.strip_prefix("archive-")?.strip_suffix(".gz")?.parse().ok();
    let mut firsts: Vec<u64> = names.iter().filter_map(first).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// The index behind the last archived record.
pub fn archived<S: Storage>(storage: &S) -> Result<u64, LedgerError> {
    match list(storage)?.pop() {
        Some(first) => Ok(Archive::open(storage, first)?.end()),
        None => Ok(0),
    }
}

/// Opens the archive with a record.
pub(super) fn find<S: Storage>(storage: &S, index: u64) -> Result<Archive<S::File>, LedgerError> {
    for _ in 1..LISTINGS {
        match find_listed(storage, &list(storage)?, index) {
            Err(error) if error.is_missing_file() => {}
            found => return found,
        }
    }
    find_listed(storage, &list(storage)?, index)
}

/// The same, given the first records of all archives.
pub(super) fn find_listed<S: Storage>(
    storage: &S,
    firsts: &[u64],
    index: u64,
) -> Result<Archive<S::File>, LedgerError> {
    let place = firsts.partition_point(|first| *first <= index).checked_sub(1);
    let archive = place.and_then(|place| firsts.get(place)).map(|first| Archive::open(storage, *first)).transpose()?;
    archive.filter(|archive| archive.has(index)).ok_or(LedgerError::Gone(index))
}

/// An open archive.
#[derive(Debug)]
pub(super) struct Archive<F> {
    file: F,
    name: String,
    first: u64,
    blocks: Blocks,
    /// In bytes.
    length: u64,
}

/// Where the compressed records are.
#[derive(Debug)]
enum Blocks {
    /// So many blocks, whose offsets are read when they are needed.
    Listed(u64),
    /// Where each bundle of version 1 begins, and where the last one ends.
    Bundles(Vec<u64>),
}

impl<F: StorageFile> Archive<F> {
    /// Opens the archive that begins with a record.
    pub(super) fn open<S: Storage<File = F>>(storage: &S, first: u64) -> Result<Self, LedgerError> {
        Self::open_named(storage, name(first), first)
    }

    /// The same, under a name that it may not keep.
    pub(super) fn open_named<S: Storage<File = F>>(storage: &S, name: String, first: u64) -> Result<Self, LedgerError> {
        let file = storage.open_to_read(&name).map_err(LedgerError::disk("open", &name))?;
        let length = file.length().map_err(LedgerError::disk("read the length of", &name))?;
        let mut archive = Self { file, name, first, blocks: Blocks::Listed(0), length };
        let head = archive.bytes(0, HEAD)?;
        let count = field(&head, 10).map(u32::from_be_bytes).unwrap_or_default();
        if head.len() < HEAD || !head.starts_with(MAGIC) || u64::from(count) * 4 > length {
            return Err(archive.damaged(first, 0, "it does not begin as an archive does"));
        }
        let is_first = field(&head, 14).map(u64::from_be_bytes) == Some(first) && first.is_multiple_of(WIDTH);
        archive.blocks = match field(&head, 8).map(u16::from_be_bytes) {
            Some(VERSION) if is_first => archive.open_blocks(&head, count)?,
            Some(BUNDLES) if is_first => archive.open_bundles(count)?,
            _ => {
                let problem = "its version is unknown, or its first record differs from the one in its name";
                return Err(archive.damaged(first, 0, problem));
            }
        };
        Ok(archive)
    }

    fn open_blocks(&self, head: &[u8], count: u32) -> Result<Blocks, LedgerError> {
        let (covered, checksum) = head.split_at_checked(COVERED).unwrap_or_default();
        if crc32c::crc32c(covered).to_be_bytes() != *checksum {
            return Err(self.damaged(self.first, 0, "the checksum of its head is wrong"));
        }
        let count = u64::from(count);
        let whole_bundles = (count * BLOCK).is_multiple_of(WIDTH);
        if !whole_bundles || self.offsets(count)?.0 != self.length {
            return Err(self.damaged(self.first, 0, "its length differs from the one in its header"));
        }
        Ok(Blocks::Listed(count))
    }

    fn open_bundles(&self, count: u32) -> Result<Blocks, LedgerError> {
        let mut head = self.bytes(0, COVERED + count as usize * 4 + 4)?;
        let checksum = head.split_off(head.len().saturating_sub(4));
        if head.len() != COVERED + count as usize * 4 || crc32c::crc32c(&head).to_be_bytes() != *checksum {
            return Err(self.damaged(self.first, 0, "the checksum of its head is wrong"));
        }
        let mut end = (head.len() + 4) as u64;
        let mut offsets = vec![end];
        for length in head.get(COVERED..).unwrap_or_default().as_chunks::<4>().0 {
            end += u64::from(u32::from_be_bytes(*length));
            offsets.push(end);
        }
        if end != self.length {
            return Err(self.damaged(self.first, 0, "its length differs from the one in its header"));
        }
        Ok(Blocks::Bundles(offsets))
    }

    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// The index behind its last record.
    pub(super) fn end(&self) -> u64 {
        self.first + self.count() * self.width()
    }

    /// In bytes.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn has(&self, index: u64) -> bool {
        (self.first..self.end()).contains(&index)
    }

    /// Whether it has the version that is written today.
    pub(super) const fn is_current(&self) -> bool {
        matches!(self.blocks, Blocks::Listed(_))
    }

    /// How many blocks or bundles there are.
    pub(super) fn count(&self) -> u64 {
        match &self.blocks {
            Blocks::Listed(count) => *count,
            Blocks::Bundles(offsets) => (offsets.len() as u64).saturating_sub(1),
        }
    }

    /// How many records are compressed together.
    const fn width(&self) -> u64 {
        match self.blocks {
            Blocks::Listed(_) => BLOCK,
            Blocks::Bundles(_) => WIDTH,
        }
    }

    /// Reads the records that are compressed together with one into `payload`; returns the index of their first.
    pub(super) fn read(&self, index: u64, payload: &mut Vec<u8>) -> Result<u64, LedgerError> {
        let width = self.width();
        let number = index.checked_sub(self.first).ok_or(LedgerError::Gone(index))? / width;
        let first = self.first + number * width;
        let (offset, compressed) = self.compressed(number)?;
        payload.clear();
        let unpacked = self.unpack(first, &compressed, payload);
        let (sound, all) = (Payload(payload).flatten().count() as u64, Payload(payload).count() as u64);
        if unpacked.is_ok() && (sound, all) == (width, width) {
            return Ok(first);
        }
        Err(self.damaged(first, offset, "a part of it cannot be unpacked"))
    }

    fn unpack(&self, first: u64, compressed: &[u8], payload: &mut Vec<u8>) -> io::Result<()> {
        let mut decoder = GzDecoder::new(compressed);
        let length = decoder.by_ref().take(self.width() * MAX_RECORD + 1).read_to_end(payload)?;
        let extra = decoder.header().and_then(flate2::GzHeader::extra);
        let is_there = !self.is_current() || extra == Some(&first.to_be_bytes());
        let is_whole = length as u64 <= self.width() * MAX_RECORD && decoder.into_inner().is_empty();
        if is_there && is_whole { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// A block or bundle as it is on disk, and where it is.
    pub(super) fn compressed(&self, number: u64) -> Result<(u64, Vec<u8>), LedgerError> {
        let index = self.first + number * self.width();
        if number >= self.count() {
            return Err(LedgerError::Gone(index));
        }
        let (start, end) = match &self.blocks {
            Blocks::Listed(_) => self.offsets(number)?,
            Blocks::Bundles(offsets) => {
                let at = |number: u64| usize::try_from(number).ok().and_then(|place| offsets.get(place));
                match (at(number), at(number + 1)) {
                    (Some(start), Some(end)) => (*start, *end),
                    _ => return Err(LedgerError::Gone(index)),
                }
            }
        };
        // What deflate cannot compress becomes hardly longer.
        let limit = 2 * self.width() * MAX_RECORD;
        let length = end.checked_sub(start).filter(|length| *length <= limit && end <= self.length);
        let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else {
            return Err(self.damaged(index, start, "an offset in it is wrong"));
        };
        Ok((start, self.bytes(start, length)?))
    }

    /// Where a block begins, and where it ends; of the number behind the last, the end of the file, and nothing.
    fn offsets(&self, number: u64) -> Result<(u64, u64), LedgerError> {
        let pair = self.bytes(HEAD as u64 + number * 8, 16)?;
        let at = |place| field(&pair, place).map(u64::from_be_bytes).unwrap_or_default();
        Ok((at(0), at(8)))
    }

    /// Fewer bytes at the file's end.
    fn bytes(&self, offset: u64, length: usize) -> Result<Vec<u8>, LedgerError> {
        let mut bytes = vec![0; length];
        let read = read_full(&self.file, &mut bytes, offset).map_err(LedgerError::disk("read", &self.name))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    pub(super) fn damaged(&self, index: u64, offset: u64, what: &'static str) -> LedgerError {
        Fault { index, segment: self.name.clone(), offset, problem: Problem::Archive(what) }.into()
    }
}
