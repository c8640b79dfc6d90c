//! A frame: one batch on disk. The table in `mod.rs` describes its bytes.

use super::batch::{Batch, Payload};
use super::fault::Problem;
use super::tree::{Hash, Tree};

/// Frames begin and end at multiples of this, in bytes.
pub(super) const BLOCK: usize = 4096;
/// The unit that a disk writes atomically, in bytes. A torn write leaves whole sectors of the earlier contents: zeros.
const SECTOR: usize = 512;
/// The length of the fixed header, in bytes.
pub(super) const HEADER: usize = 68;
const MAGIC: &[u8; 8] = b"acgs-frm";
static ZEROS: [u8; BLOCK] = [0; BLOCK];
const VERSION: u16 = 1;

/// The state of the log: the tree of all its records and the hash of its last frame (zero if there is none).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) tree: Tree,
    pub(super) frame: Hash,
}

/// The header, up to the peaks.
#[derive(Clone, Debug)]
pub(super) struct Header {
    peaks: usize,
    payload: usize,
    pub(super) count: u32,
    pub(super) first: u64,
    previous: Hash,
    body_checksum: u32,
}

impl Header {
    /// Reads a header whose checksum is right and whose numbers are possible.
    pub(super) fn parse(block: &[u8]) -> Result<Self, Problem> {
        let (Some(header), Some(MAGIC)) = (block.first_chunk::<HEADER>(), block.first_chunk::<8>()) else {
            return Err(Problem::FrameHeader("it does not begin with the magic number"));
        };
        Self::fields(header).ok_or(Problem::FrameHeader("its checksum is wrong"))?
    }

    fn fields(header: &[u8; HEADER]) -> Option<Result<Self, Problem>> {
        let (covered, checksum) = header.split_last_chunk::<4>()?;
        if crc32c::crc32c(covered) != u32::from_be_bytes(*checksum) {
            return None;
        }
        let parsed = Self {
            peaks: u16::from_be_bytes(field(header, 10)?).into(),
            payload: usize::try_from(u32::from_be_bytes(field(header, 12)?)).ok()?,
            count: u32::from_be_bytes(field(header, 16)?),
            first: u64::from_be_bytes(field(header, 20)?),
            previous: field(header, 28)?.into(),
            body_checksum: u32::from_be_bytes(field(header, 60)?),
        };
        let version = u16::from_be_bytes(field(header, 8)?);
        Some(parsed.checked(version))
    }

    fn checked(self, version: u16) -> Result<Self, Problem> {
        if version != VERSION {
            return Err(Problem::FrameHeader("its version is unknown"));
        }
        let end = self.first.checked_add(u64::from(self.count));
        if self.count == 0 || self.payload > Batch::MAX_BYTES || end.map(Tree::peak_count) != Some(self.peaks) {
            return Err(Problem::FrameHeader("its numbers contradict each other"));
        }
        Ok(self)
    }

    /// The index behind its last record.
    pub(super) const fn end(&self) -> u64 {
        self.first.saturating_add(self.count as u64)
    }

    /// Its bytes without the padding.
    const fn extent(&self) -> usize {
        HEADER + self.peaks * Hash::LEN + self.payload
    }

    /// Its bytes with the padding.
    pub(super) const fn length(&self) -> usize {
        self.extent().next_multiple_of(BLOCK)
    }

    /// Whether the frame is the one that comes next.
    pub(super) fn follows(&self, tip: &Tip) -> Result<(), Problem> {
        if self.first != tip.tree.size() {
            return Err(Problem::FrameIndex(self.first));
        }
        if self.previous != tip.frame {
            return Err(Problem::FrameChain { expected: tip.frame, found: self.previous });
        }
        Ok(())
    }

    /// Checks the rest of the frame, given all its bytes, padding included.
    pub(super) fn open<'b>(&self, bytes: &'b [u8]) -> Result<Frame<'b>, Problem> {
        let (extent, padding) = bytes.split_at_checked(self.extent()).ok_or(Problem::FrameBody)?;
        let (_, body) = extent.split_at_checked(HEADER).ok_or(Problem::FrameBody)?;
        let (peaks, payload) = body.split_at_checked(self.peaks * Hash::LEN).ok_or(Problem::FrameBody)?;
        if crc32c::crc32c(body) != self.body_checksum {
            return Err(Problem::FrameBody);
        }
        if !is_zero(padding) {
            return Err(Problem::Padding);
        }
        let mut count = 0;
        for record in Payload(payload) {
            record.map_err(|_| Problem::Payload)?;
            count += 1;
        }
        let tree = Tree::from_peaks(self.end(), hashes(peaks)).filter(|_| count == self.count);
        let hashed = extent.get(..HEADER + peaks.len()).unwrap_or_default();
        Ok(Frame { payload, tip: Tip { tree: tree.ok_or(Problem::Payload)?, frame: Hash::of(&[hashed]) } })
    }

    /// Whether the body, known to be damaged, was never written whole, or was being zeroed.
    ///
    /// In a payload there are never two zero bytes in a row: no record has any, and no length is zero. So a sector that
    /// begins or ends with two, or an extent that ends with one, still has the zeros of before or has new ones.
    pub(super) fn is_body_torn(&self, bytes: &[u8]) -> bool {
        let extent = bytes.get(..self.extent()).unwrap_or(bytes);
        let at_an_end = |sector: &[u8]| sector.starts_with(&[0, 0]) || sector.ends_with(&[0, 0]);
        extent.ends_with(&[0]) || extent.chunks(SECTOR).any(at_an_end)
    }
}

/// Whether a header, known to be damaged, was never written whole, or was being zeroed.
///
/// Behind a written header there is at least one peak, so zeros from the header's last byte to the end of its sector
/// mean that the write ended within the header.
pub(super) fn is_header_torn(block: &[u8]) -> bool {
    block.first().is_none_or(|byte| *byte == 0) || block.get(HEADER - 1..SECTOR).is_some_and(is_zero)
}

/// A frame whose checksums are right.
#[derive(Debug)]
pub(super) struct Frame<'b> {
    /// The records in payload form.
    pub(super) payload: &'b [u8],
    /// The state of the log after this frame.
    pub(super) tip: Tip,
}

/// Replaces the buffer's content with the frame for a batch, padding included; returns the frame's hash.
///
/// `tree` is the one after the batch, `previous` the hash of the frame before.
pub(super) fn encode(buffer: &mut Vec<u8>, batch: &Batch, tree: &Tree, previous: Hash) -> Hash {
    buffer.clear();
    buffer.extend_from_slice(&[0; HEADER]);
    for peak in tree.peaks() {
        buffer.extend_from_slice(peak.as_bytes());
    }
    let hashed = buffer.len();
    buffer.extend_from_slice(batch.bytes());
    let body_checksum = crc32c::crc32c(buffer.get(HEADER..).unwrap_or_default());

    // A tree has at most 64 peaks, and a batch at most 32 MiB.
    let peaks = u16::try_from(tree.peaks().len()).unwrap_or(u16::MAX);
    let payload = u32::try_from(batch.bytes().len()).unwrap_or(u32::MAX);
    let first = tree.size().saturating_sub(u64::from(batch.count()));
    put(buffer, 0, MAGIC);
    put(buffer, 8, &VERSION.to_be_bytes());
    put(buffer, 10, &peaks.to_be_bytes());
    put(buffer, 12, &payload.to_be_bytes());
    put(buffer, 16, &batch.count().to_be_bytes());
    put(buffer, 20, &first.to_be_bytes());
    put(buffer, 28, previous.as_bytes());
    put(buffer, 60, &body_checksum.to_be_bytes());
    let checksum = crc32c::crc32c(buffer.get(..HEADER - 4).unwrap_or_default());
    put(buffer, HEADER - 4, &checksum.to_be_bytes());

    let hash = Hash::of(&[buffer.get(..hashed).unwrap_or_default()]);
    buffer.resize(buffer.len().next_multiple_of(BLOCK), 0);
    hash
}

/// The most payload bytes in a frame of `frame` bytes, whatever the log's size.
pub(super) const fn payload_limit(frame: usize) -> usize {
    frame.saturating_sub(HEADER + Tree::MAX_PEAKS * Hash::LEN)
}

/// Reads `N` bytes at an offset.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Writes bytes at an offset within the buffer.
pub(super) fn put(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = buffer.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Reads hashes that lie one behind the other.
pub(super) fn hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks().0.iter().map(|hash| Hash::from(*hash)).collect()
}

/// Whether all bytes are zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // Comparing slices is as fast as memory is; going byte by byte is not, and start-up reads whole segments.
    bytes.chunks(BLOCK).all(|chunk| Some(chunk) == ZEROS.get(..chunk.len()))
}
