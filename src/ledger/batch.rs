//! Records that wait to be appended, in the form in which they will be on disk.

use thiserror::Error;

/// Why a record cannot be put into a batch.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum BatchError {
    /// A record has at least one byte.
    #[error("a record is empty")]
    Empty,
    /// A record has at most 65,535 bytes.
    #[error("a record has `{0}` bytes, more than the limit of `65535`")]
    TooLong(usize),
    /// Recovery recognizes torn frames by their zeros, so records must not contain any.
    #[error("a record has a NUL byte at `{0}`")]
    Nul(usize),
    /// A batch has at most [`Batch::MAX_BYTES`].
    #[error("a batch would have `{0}` bytes, more than the limit of `33554432`")]
    Full(usize),
}

/// Records in payload form: each with its length as big-endian `u16` before it (an entry bundle of C2SP tlog-tiles).
///
/// Made to be reused: `clear` keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    // INVARIANT: `records` can read them: no record is empty or contains a NUL byte, and there are `count` of them.
    bytes: Vec<u8>,
    count: u32,
    /// The shared members that it has, which its next records may refer to.
    shared: Vec<SharedAt>,
}

/// Where in a batch a shared member is.
#[derive(Clone, Debug)]
struct SharedAt {
    name: &'static str,
    /// SHA-256 of its text, in hex.
    digest: Box<str>,
    /// How many records come before it.
    at: u32,
}

impl Batch {
    /// The most bytes a batch may have, lengths included: 32 MiB.
    pub const MAX_BYTES: usize = 32 << 20;

    /// A record's most bytes: 65,535.
    pub const MAX_RECORD: usize = u16::MAX as usize;

    /// Adds a record of 1 to 65,535 bytes without NUL; on an error the batch is as it was.
    pub fn push(&mut self, record: &[u8]) -> Result<(), BatchError> {
        if record.is_empty() {
            return Err(BatchError::Empty);
        }
        let length = u16::try_from(record.len()).map_err(|_| BatchError::TooLong(record.len()))?;
        if record.contains(&0) {
            return Err(BatchError::Nul(record.iter().take_while(|byte| **byte != 0).count()));
        }
        self.make_room(2 + record.len())?;
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(record);
        self.count += 1;
        Ok(())
    }

    /// Adds all records of another batch behind its own; on an error the batch is as it was. Only records of the other
    /// batch refer to its shared members.
    pub fn extend(&mut self, other: &Self) -> Result<(), BatchError> {
        self.make_room(other.bytes.len())?;
        self.bytes.extend_from_slice(&other.bytes);
        self.count += other.count;
        Ok(())
    }

    /// The current end, for [`back_to`](Self::back_to).
    pub(super) const fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), count: self.count, shared: self.shared.len() }
    }

    /// Removes everything that was added after the mark.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.count = mark.count;
        self.shared.truncate(mark.shared);
    }

    /// Notes that the last record is a shared member, with the SHA-256 of its text in hex.
    pub(super) fn note_shared(&mut self, name: &'static str, digest: &str) {
        self.shared.push(SharedAt { name, digest: digest.into(), at: self.count.saturating_sub(1) });
    }

    /// How many records come before a shared member; `None` where the batch does not have it.
    pub(super) fn shared_at(&self, name: &str, digest: &str) -> Option<u32> {
        let found = self.shared.iter().find(|shared| shared.name == name && *shared.digest == *digest);
        found.map(|shared| shared.at)
    }

    /// Takes all records out.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
        self.shared.clear();
    }

    /// How many records there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether there is no record.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records in payload form.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The records, in order.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        Payload(&self.bytes).map_while(Result::ok)
    }

    fn make_room(&self, bytes: usize) -> Result<(), BatchError> {
        // The limit on bytes also keeps `count` within its type.
        match self.bytes.len() + bytes {
            total if total > Self::MAX_BYTES => Err(BatchError::Full(total)),
            _ => Ok(()),
        }
    }
}

/// Records in order, in as many batches as needed.
#[derive(Debug, Default)]
pub struct Batches {
    full: Vec<Batch>,
    last: Batch,
}

impl Batches {
    /// A batch with more bytes than this gets no further records.
    const ENOUGH: usize = 4 << 20;

    /// Adds the records that `write` pushes, all to one batch. If `write` fails, it must leave the batch unchanged.
    pub fn add(&mut self, write: impl Fn(&mut Batch) -> Result<(), BatchError>) -> Result<(), BatchError> {
        if self.last.bytes.len() > Self::ENOUGH {
            self.full.push(std::mem::take(&mut self.last));
        }
        match write(&mut self.last) {
            Err(BatchError::Full(_)) if !self.last.is_empty() => {
                self.full.push(std::mem::take(&mut self.last));
                write(&mut self.last)
            }
            done => done,
        }
    }

    /// The number of records.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.batches().map(Batch::count).sum()
    }

    /// The length of all records in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.batches().map(|batch| batch.bytes.len()).sum()
    }

    /// The batches, in order.
    pub fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.full.iter().chain(Some(&self.last).filter(|last| !last.is_empty()))
    }
}

/// The end of a batch at some moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    bytes: usize,
    count: u32,
    shared: usize,
}

/// The bytes are not records in payload form.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRecord;

/// Reads records in payload form, one after the other.
#[derive(Debug)]
pub struct Payload<'b>(pub &'b [u8]);

impl<'b> Iterator for Payload<'b> {
    type Item = Result<&'b [u8], NoRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let split = self.0.split_first_chunk().and_then(|(length, rest)| {
            let length = usize::from(u16::from_be_bytes(*length));
            if length == 0 { None } else { rest.split_at_checked(length) }
        });
        let Some((record, rest)) = split else {
            self.0 = &[];
            return Some(Err(NoRecord));
        };
        self.0 = rest;
        Some(Ok(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_reads_back_what_was_pushed() {
        let longest = vec![b'x'; Batch::MAX_RECORD];
        let (mut first, mut second) = (Batch::default(), Batch::default());
        first.push(b"one").unwrap();
        second.push(&longest).unwrap();
        second.push(b"3").unwrap();
        first.extend(&second).unwrap();
        assert_eq!(first.records().collect::<Vec<_>>(), [b"one".as_slice(), &longest, b"3"]);
        assert_eq!(first.count(), 3);
        assert_eq!(first.bytes().get(..6), Some(b"\0\x03one\xff".as_slice()));
        first.clear();
        assert!(first.is_empty() && first.bytes().is_empty());
    }

    #[test]
    fn a_record_that_recovery_could_not_tell_from_a_torn_write_is_refused() {
        let mut batch = Batch::default();
        assert_eq!(batch.push(b""), Err(BatchError::Empty));
        assert_eq!(batch.push(b"a\0b"), Err(BatchError::Nul(1)));
        assert_eq!(batch.push(&vec![b'x'; 65_536]), Err(BatchError::TooLong(65_536)));
        assert!(batch.is_empty() && batch.bytes().is_empty());
    }

    #[test]
    fn a_full_batch_stays_as_it_was() {
        let mut batch = Batch::default();
        let record = vec![b'x'; 65_534];
        while batch.push(&record).is_ok() {}
        assert_eq!((batch.count(), batch.bytes().len()), (512, 512 * 65_536));
        let other = batch.clone();
        assert_eq!(batch.extend(&other), Err(BatchError::Full(2 * 512 * 65_536)));
        assert_eq!((batch.count(), batch.bytes().len()), (512, 512 * 65_536));
    }

    #[test]
    fn records_that_no_batch_has_room_for_go_into_another_in_their_order() {
        let mut batches = Batches::default();
        let record = |nth: u8| vec![b'a' + nth; 60_000];
        // Each of these fills a batch.
        for nth in 0..3 {
            batches.add(|batch| (0..300).try_for_each(|_| batch.push(&record(nth)))).unwrap();
        }
        batches.add(|batch| batch.push(&record(3))).unwrap();
        assert_eq!((batches.batches().count(), batches.count()), (4, 901));
        let all: Vec<u8> = batches.batches().flat_map(|batch| batch.records().map(|record| record[0])).collect();
        assert!(all.is_sorted());
        let too_large = batches.add(|batch| {
            let mark = batch.mark();
            let pushed = (0..600).try_for_each(|_| batch.push(&record(4)));
            pushed.inspect_err(|_| batch.back_to(mark))
        });
        assert!(matches!(too_large, Err(BatchError::Full(_))));
        assert_eq!(batches.count(), 901);
    }

    #[test]
    fn a_payload_with_a_wrong_length_is_no_list_of_records() {
        for payload in [b"\0\0".as_slice(), b"\0", b"\0\x02a"] {
            assert_eq!(Payload(payload).collect::<Vec<_>>(), [Err(NoRecord)]);
        }
    }
}
