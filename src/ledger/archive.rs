//! Old records, moved out of their segments: entry bundles of C2SP tlog-tiles, compressed.
//!
//! An archive `archive-<first>.gz` has whole bundles of 256 records, beginning with record `<first>` (20 decimal
//! digits, a multiple of 256). Archives follow each other from record 0 on without a gap, and reach at least up to the
//! first segment. All numbers are big-endian.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | `acgs-arc` |
//! | 8 | 2 | version: 1 |
//! | 10 | 4 | n, how many bundles |
//! | 14 | 8 | index of the first record, as in the name |
//! | 22 | 4 n | the length of each compressed bundle in bytes |
//! | 22 + 4 n | 4 | CRC32C of all before |
//! | … | | the bundles, each a gzip member (RFC 1952) |

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::batch::Payload;
use super::fault::{Fault, LedgerError, Problem};
use super::frame::field;
use super::storage::{Storage, StorageFile, read_full};
use super::tile::WIDTH;

pub(super) const MAGIC: &[u8; 8] = b"acgs-arc";
pub(super) const VERSION: u16 = 1;
/// Where the lengths begin.
const LENGTHS: usize = 22;
/// The most bytes of a bundle: 256 records of the longest kind.
const MAX_BUNDLE: u64 = WIDTH * (2 + u16::MAX as u64);

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

/// Reads the bundle with a record into `payload`; returns the index of the bundle's first record.
pub(super) fn read<S: Storage>(storage: &S, index: u64, payload: &mut Vec<u8>) -> Result<u64, LedgerError> {
    read_listed(storage, &list(storage)?, index, payload)
}

/// The same, given the first records of all archives.
pub(super) fn read_listed<S: Storage>(
    storage: &S,
    firsts: &[u64],
    index: u64,
    payload: &mut Vec<u8>,
) -> Result<u64, LedgerError> {
    let place = firsts.partition_point(|first| *first <= index).checked_sub(1);
    let archive = place.and_then(|place| firsts.get(place)).map(|first| Archive::open(storage, *first)).transpose()?;
    match archive.filter(|archive| index < archive.end()) {
        Some(archive) => archive.read((index - archive.first) / WIDTH, payload),
        None => Err(LedgerError::Gone(index)),
    }
}

/// An open archive.
struct Archive<F> {
    file: F,
    first: u64,
    /// Where each bundle begins, and where the last one ends.
    offsets: Vec<u64>,
}

impl<F: StorageFile> Archive<F> {
    fn open<S: Storage<File = F>>(storage: &S, first: u64) -> Result<Self, LedgerError> {
        let name = name(first);
        let file = storage.open_to_read(&name).map_err(LedgerError::disk("open", &name))?;
        let damaged = |what| Fault { index: first, segment: name.clone(), offset: 0, problem: Problem::Archive(what) };
        let mut start = [0; LENGTHS];
        let read = read_full(&file, &mut start, 0).map_err(LedgerError::disk("read", &name))?;
        let count = field(&start, 10).map(u32::from_be_bytes).unwrap_or_default() as usize;
        let length = file.length().map_err(LedgerError::disk("read the length of", &name))?;
        if read < LENGTHS || !start.starts_with(MAGIC) || (count * 4) as u64 > length {
            return Err(damaged("it does not begin as an archive does").into());
        }
        let mut head = vec![0; LENGTHS + count * 4 + 4];
        let read = read_full(&file, &mut head, 0).map_err(LedgerError::disk("read", &name))?;
        let checksum = head.split_off(LENGTHS + count * 4);
        if read < LENGTHS + count * 4 + 4 || crc32c::crc32c(&head).to_be_bytes() != *checksum {
            return Err(damaged("the checksum of its head is wrong").into());
        }
        let version = field(&head, 8).map(u16::from_be_bytes);
        if version != Some(VERSION)
            || field(&head, 14).map(u64::from_be_bytes) != Some(first)
            || !first.is_multiple_of(WIDTH)
        {
            return Err(damaged("its version is unknown, or its first record differs from the one in its name").into());
        }
        let mut end = (head.len() + 4) as u64;
        let mut offsets = vec![end];
        for length in head.get(LENGTHS..).unwrap_or_default().as_chunks::<4>().0 {
            end += u64::from(u32::from_be_bytes(*length));
            offsets.push(end);
        }
        if end != length {
            return Err(damaged("its length differs from the one in its header").into());
        }
        Ok(Self { file, first, offsets })
    }

    fn end(&self) -> u64 {
        self.first + (self.offsets.len() as u64).saturating_sub(1) * WIDTH
    }

    fn read(&self, number: u64, payload: &mut Vec<u8>) -> Result<u64, LedgerError> {
        let name = name(self.first);
        let index = self.first + number * WIDTH;
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        let (Some(start), Some(end)) = (self.offsets.get(place), self.offsets.get(place.saturating_add(1))) else {
            return Err(LedgerError::Gone(index));
        };
        let mut compressed = vec![0; usize::try_from(end - start).unwrap_or_default()];
        let read = read_full(&self.file, &mut compressed, *start).map_err(LedgerError::disk("read", &name))?;
        compressed.truncate(read);
        payload.clear();
        let unpacked = GzDecoder::new(compressed.as_slice()).take(MAX_BUNDLE + 1).read_to_end(payload);
        let (sound, all) = (Payload(payload).flatten().count() as u64, Payload(payload).count() as u64);
        if unpacked.is_ok() && (sound, all) == (WIDTH, WIDTH) {
            return Ok(index);
        }
        let problem = Problem::Archive("a bundle cannot be unpacked");
        Err(Fault { index, segment: name, offset: *start, problem }.into())
    }
}
