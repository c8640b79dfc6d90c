//! The log's files, read and written as `src/ledger/mod.rs` documents them, without the daemon's own code.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};

/// Where frames begin and end, in bytes.
pub const BLOCK: usize = 4096;
/// The fixed part of a frame's header, in bytes.
const HEADER: usize = 68;

pub type Hash = [u8; 32];

pub fn sha256(parts: &[&[u8]]) -> Hash {
    digest(&SHA256, &parts.concat()).as_ref().try_into().unwrap()
}

pub fn leaf(record: &[u8]) -> Hash {
    sha256(&[&[0], record])
}

pub fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// The tree of some records: how many there are, and the roots of its perfect subtrees, the largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub size: u64,
    pub peaks: Vec<Hash>,
}

impl Tree {
    pub fn push(&mut self, record: &[u8]) {
        self.push_leaf(leaf(record));
    }

    pub fn push_leaf(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            node = self::node(&self.peaks.pop().unwrap(), &node);
        }
        self.peaks.push(node);
        self.size += 1;
    }

    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev().copied();
        let smallest = peaks.next().unwrap_or_else(|| sha256(&[]));
        peaks.fold(smallest, |right, left| node(&left, &right))
    }
}

/// All segments of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log(pub Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub size: usize,
    pub tree: Tree,
    pub previous: Hash,
    pub frames: Vec<Frame>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub first: u64,
    pub previous: Hash,
    pub peaks: Vec<Hash>,
    pub records: Vec<Vec<u8>>,
}

impl Log {
    /// Reads segments, by their names.
    pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Self {
        Self(files.values().map(|bytes| Segment::read(bytes)).collect())
    }

    /// The segments with their names. Lengths, counts, checksums and padding are always right.
    pub fn write(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.iter().map(|segment| (segment.name(), segment.write())).collect()
    }

    pub fn records(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.0.iter().flat_map(|segment| &segment.frames).flat_map(|frame| &frame.records)
    }

    pub fn size(&self) -> u64 {
        self.records().count() as u64
    }

    /// The first record of the frame that has this record.
    pub fn frame_of(&self, index: u64) -> u64 {
        let frames = self.0.iter().flat_map(|segment| &segment.frames);
        frames.map(|frame| frame.first).take_while(|first| *first <= index).last().unwrap()
    }

    /// Makes frame `nth` of a segment and everything behind it fit what its records now are: indices, tree and chain.
    pub fn fit_from(&mut self, segment: usize, nth: usize) {
        let (mut tree, mut previous) = self.before(segment, nth);
        for (number, segment) in self.0.iter_mut().enumerate().skip(segment).map(|(at, one)| (at - segment, one)) {
            if number > 0 {
                (segment.tree, segment.previous) = (tree.clone(), previous);
            }
            for frame in segment.frames.iter_mut().skip(if number == 0 { nth } else { 0 }) {
                frame.first = tree.size;
                frame.previous = previous;
                frame.records.iter().for_each(|record| tree.push(record));
                frame.peaks.clone_from(&tree.peaks);
                previous = frame.hash();
            }
        }
    }

    /// Makes the peaks of one frame those of its records.
    pub fn fit_peaks(&mut self, segment: usize, nth: usize) {
        let (mut tree, _) = self.before(segment, nth);
        let frame = &mut self.0[segment].frames[nth];
        frame.records.iter().for_each(|record| tree.push(record));
        frame.peaks = tree.peaks;
    }

    /// Where the log stands before a frame.
    fn before(&self, segment: usize, nth: usize) -> (Tree, Hash) {
        let segment = &self.0[segment];
        match nth.checked_sub(1).map(|nth| &segment.frames[nth]) {
            Some(frame) => {
                let size = frame.first + frame.records.len() as u64;
                (Tree { size, peaks: frame.peaks.clone() }, frame.hash())
            }
            None => (segment.tree.clone(), segment.previous),
        }
    }
}

impl Segment {
    pub fn name(&self) -> String {
        format!("segment-{:020}.log", self.tree.size)
    }

    fn read(bytes: &[u8]) -> Self {
        assert!(bytes.starts_with(b"acgs-seg\0\x01"));
        assert_eq!(number(bytes, BLOCK - 4, 4), u64::from(crc32c::crc32c(&bytes[..BLOCK - 4])));
        let peaks = hashes(bytes, 60, index(bytes, 10, 2));
        let (mut frames, mut offset) = (Vec::new(), BLOCK);
        while bytes.get(offset..).is_some_and(|rest| rest.starts_with(b"acgs-frm")) {
            let (frame, length) = Frame::read(&bytes[offset..]);
            frames.push(frame);
            offset += length;
        }
        let tree = Tree { size: number(bytes, 20, 8), peaks };
        Self { size: bytes.len(), tree, previous: hashes(bytes, 28, 1)[0], frames }
    }

    /// The segment; larger than before where its frames take that.
    fn write(&self) -> Vec<u8> {
        let frames: Vec<u8> = self.frames.iter().flat_map(Frame::write).collect();
        let size = self.size.max(BLOCK + frames.len());
        let peaks = u16::try_from(self.tree.peaks.len()).unwrap();
        let mut bytes = b"acgs-seg\0\x01".to_vec();
        bytes.extend(peaks.to_be_bytes());
        bytes.extend((size as u64).to_be_bytes());
        bytes.extend(self.tree.size.to_be_bytes());
        bytes.extend(self.previous);
        bytes.extend(self.tree.peaks.as_flattened());
        bytes.resize(BLOCK - 4, 0);
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        bytes.extend(frames);
        bytes.resize(size, 0);
        bytes
    }
}

impl Frame {
    /// Reads a frame; answers its length too.
    fn read(bytes: &[u8]) -> (Self, usize) {
        let (count, payload) = (index(bytes, 16, 4), index(bytes, 12, 4));
        let peaks = hashes(bytes, HEADER, index(bytes, 10, 2));
        let mut rest = &bytes[HEADER + peaks.len() * 32..][..payload];
        let mut records = Vec::new();
        while let Some((length, more)) = rest.split_first_chunk::<2>() {
            let (record, more) = more.split_at(u16::from_be_bytes(*length).into());
            records.push(record.to_vec());
            rest = more;
        }
        assert_eq!(records.len(), count);
        let length = (HEADER + peaks.len() * 32 + payload).next_multiple_of(BLOCK);
        let previous = hashes(bytes, 28, 1)[0];
        (Self { first: number(bytes, 20, 8), previous, peaks, records }, length)
    }

    /// The frame with its padding.
    pub fn write(&self) -> Vec<u8> {
        let mut body = self.peaks.as_flattened().to_vec();
        for record in &self.records {
            body.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
            body.extend(record);
        }
        let mut bytes = self.header(&body);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn header(&self, body: &[u8]) -> Vec<u8> {
        let payload = u32::try_from(body.len() - self.peaks.len() * 32).unwrap();
        let mut bytes = b"acgs-frm\0\x01".to_vec();
        bytes.extend(u16::try_from(self.peaks.len()).unwrap().to_be_bytes());
        bytes.extend(payload.to_be_bytes());
        bytes.extend(u32::try_from(self.records.len()).unwrap().to_be_bytes());
        bytes.extend(self.first.to_be_bytes());
        bytes.extend(self.previous);
        bytes.extend(crc32c::crc32c(body).to_be_bytes());
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    fn hash(&self) -> Hash {
        let bytes = self.write();
        sha256(&[&bytes[..HEADER + self.peaks.len() * 32]])
    }
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn index(bytes: &[u8], at: usize, length: usize) -> usize {
    usize::try_from(number(bytes, at, length)).unwrap()
}

fn hashes(bytes: &[u8], at: usize, count: usize) -> Vec<Hash> {
    bytes[at..at + count * 32].as_chunks().0.to_vec()
}
