//! Records larger than an entry of the log: their text is split into *parts*.
//!
//! A record whose text fits one entry is that entry. The text of a larger one is split into pieces, each in an entry of
//! its own; after them, in the same frame and without a gap, comes an entry that stands for the whole. Entries of both
//! kinds begin with `{"v":2,`, as those of `shared.rs` do, and no others.
//!
//! - A *part* is an object with the members `v`, `id`, `ts`, `kind` (`part`), `caller` (`acgs`), `digest`, `part` (from
//!   0), `parts` and `text`. The texts of all parts, joined in their order, are the record's text, which would be its
//!   entry if it were short enough; `digest` is the SHA-256 of it, in hex.
//! - The *head* has `v`, `id`, `ts`, `kind` and `caller` of the record, a few other members that identify its subject,
//!   and as its last member `"whole":{"bytes":…,"parts":…,"sha256":…}`. `bytes` is the length of the record's text,
//!   `sha256` its digest, and the `parts` entries right before the head are its parts, in order.
//!
//! The record's index is that of its head. A proof of the head proves the record's text, since the head has its digest.

use std::borrow::Cow;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::batch::{Batch, BatchError};
use super::fault::{LedgerError, Problem};
use super::lookup::RecordLookup;
use super::record_text::{self, hex};
use super::storage::Storage;
use crate::domain::write_json;

/// The first bytes of entries that are not whole records.
const MARK: &[u8] = b"{\"v\":2,";

/// The kind of a part.
pub(super) const PART_KIND: &str = "part";

/// The most bytes of text in one part. The text is JSON, so escaping it once more at most doubles it.
const MAX_PART: usize = 32_000;

/// The most parts that a head may claim: twice as many as one frame can hold.
const MAX_PARTS: usize = Batch::MAX_BYTES / MAX_PART * 2;

/// Adds a record to a batch: as one entry if its text fits, otherwise in parts. On an error the batch is unchanged.
///
/// `head` writes the members of the head that identify the record, and leaves the object open.
pub(super) fn push(
    whole: &[u8],
    at: OffsetDateTime,
    head: impl FnOnce(&mut Vec<u8>),
    batch: &mut Batch,
) -> Result<(), BatchError> {
    if whole.len() <= Batch::MAX_RECORD {
        return batch.push(whole);
    }
    let mark = batch.mark();
    let pushed = push_parts(&String::from_utf8_lossy(whole), at, head, batch);
    pushed.inspect_err(|_| batch.back_to(mark))
}

fn push_parts(
    whole: &str,
    at: OffsetDateTime,
    head: impl FnOnce(&mut Vec<u8>),
    batch: &mut Batch,
) -> Result<(), BatchError> {
    let digest = hex(&Sha256::digest(whole));
    let pieces = pieces(whole);
    let count = pieces.len();
    let mut text = Vec::with_capacity(MAX_PART + 1024);
    for (number, piece) in pieces.into_iter().enumerate() {
        text.clear();
        record_text::begin_continued(&mut text, record_text::new_id(at), at, PART_KIND, "acgs");
        text.extend_from_slice(
            format!(",\"digest\":\"{digest}\",\"part\":{number},\"parts\":{count},\"text\":").as_bytes(),
        );
        write_json(&mut text, piece);
        text.push(b'}');
        batch.push(&text)?;
    }
    text.clear();
    head(&mut text);
    let bytes = whole.len();
    text.extend_from_slice(
        format!(",\"whole\":{{\"bytes\":{bytes},\"parts\":{count},\"sha256\":\"{digest}\"}}}}").as_bytes(),
    );
    batch.push(&text)
}

/// Splits a text into pieces of at most [`MAX_PART`] bytes.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rest.floor_char_boundary(MAX_PART));
        pieces.push(piece);
        rest = more;
    }
    pieces
}

/// The members of a part, a head, or another entry that begins with the mark.
#[derive(Deserialize)]
struct Continued<'r> {
    #[serde(borrow)]
    kind: Cow<'r, str>,
    part: Option<usize>,
    parts: Option<usize>,
    digest: Option<Cow<'r, str>>,
    text: Option<String>,
    whole: Option<Whole>,
}

/// A head's description of the whole text.
#[derive(Debug, Deserialize)]
struct Whole {
    bytes: usize,
    parts: usize,
    sha256: String,
}

/// Whether an entry or a text is not a whole record: a part, a head, or one of those in `shared.rs`.
pub(super) fn is_continued(entry: &[u8]) -> bool {
    entry.starts_with(MARK)
}

/// The parts since the last head.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    texts: Vec<String>,
    digest: String,
}

/// The next entry of the log, after its parts are joined.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined<'r> {
    /// A part of a record; its head follows.
    Part,
    /// The text of a record, and how many parts come right before this entry.
    Text(Cow<'r, [u8]>, usize),
}

impl Parts {
    /// Takes the next entry in log order.
    ///
    /// # Errors
    /// [`Problem::Parts`] if a part is not the next one, or a head has other parts.
    pub(super) fn take<'r>(&mut self, entry: &'r [u8]) -> Result<Joined<'r>, Problem> {
        if !is_continued(entry) {
            self.texts.clear();
            return Ok(Joined::Text(entry.into(), 0));
        }
        let continued: Continued = serde_json::from_slice(entry).map_err(|_| Problem::Parts)?;
        if continued.kind == PART_KIND {
            self.part(continued)?;
            return Ok(Joined::Part);
        }
        let texts = std::mem::take(&mut self.texts);
        let Some(whole) = continued.whole else { return Ok(Joined::Text(entry.into(), 0)) };
        let text = texts.concat();
        let is_whole = texts.len() == whole.parts && text.len() == whole.bytes && self.digest == whole.sha256;
        if is_whole && hex(&Sha256::digest(&text)) == whole.sha256 {
            Ok(Joined::Text(text.into_bytes().into(), whole.parts))
        } else {
            Err(Problem::Parts)
        }
    }

    fn part(&mut self, part: Continued<'_>) -> Result<(), Problem> {
        let (Some(number), Some(parts), Some(digest), Some(text)) = (part.part, part.parts, part.digest, part.text)
        else {
            return Err(Problem::Parts);
        };
        if number == 0 {
            self.texts.clear();
            self.digest = digest.clone().into_owned();
        }
        if number != self.texts.len() || number >= parts || self.digest != digest {
            return Err(Problem::Parts);
        }
        self.texts.push(text);
        Ok(())
    }
}

/// The text of the record whose entry has that index, joined from its parts, and the index of its first entry. For a
/// part, its own text.
pub(super) fn joined<'r, S: Storage>(
    lookup: &mut RecordLookup<'_, S>,
    index: u64,
    entry: &'r [u8],
) -> Result<(Cow<'r, [u8]>, u64), LedgerError> {
    let wrong = |problem| LedgerError::at(index, "parts", problem);
    let Some(first) = first_part(index, entry)? else { return Ok((entry.into(), index)) };
    let mut parts = Parts::default();
    for at in first..index {
        let Some(part) = lookup.get(at)? else { break };
        parts.take(part).map_err(wrong)?;
    }
    match parts.take(entry).map_err(wrong)? {
        Joined::Text(text, _) => Ok((text, first)),
        Joined::Part => Err(wrong(Problem::Parts)),
    }
}

/// The index of the first part of a head; `None` for an entry without parts.
pub(super) fn first_part(index: u64, entry: &[u8]) -> Result<Option<u64>, LedgerError> {
    if !is_continued(entry) {
        return Ok(None);
    }
    let wrong = || LedgerError::at(index, "parts", Problem::Parts);
    let continued: Continued = serde_json::from_slice(entry).map_err(|_| wrong())?;
    let Some(whole) = continued.whole.filter(|_| continued.kind != PART_KIND) else { return Ok(None) };
    if whole.parts > MAX_PARTS {
        return Err(wrong());
    }
    index.checked_sub(whole.parts as u64).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Assembly, DiskStorage, Ledger, Options, record, whole};
    use super::*;

    fn head(text: &mut Vec<u8>) {
        record_text::begin_continued(text, uuid::Uuid::nil(), OffsetDateTime::UNIX_EPOCH, "decision", "ann");
        text.extend_from_slice(b",\"decision\":true");
    }

    fn whole_of(padding: &str) -> Vec<u8> {
        serde_json::to_vec(&json!({"v": 1, "kind": "decision", "padding": padding})).unwrap()
    }

    fn pushed(whole: &[u8]) -> Batch {
        let mut batch = Batch::default();
        push(whole, OffsetDateTime::UNIX_EPOCH, head, &mut batch).unwrap();
        batch
    }

    #[test]
    fn a_record_of_any_size_comes_back_whole() {
        for padding in
            ["x".repeat(10), "x".repeat(65_500), "x".repeat(65_600), "\"\\\u{0}\u{1}é🦀\u{2028}".repeat(40_000)]
        {
            let whole = whole_of(&padding);
            let batch = pushed(&whole);
            assert_eq!(batch.count() == 1, whole.len() <= Batch::MAX_RECORD);
            let mut assembly = Assembly::default();
            let texts: Vec<_> = batch.records().map(|entry| assembly.take(entry).unwrap().into_owned()).collect();
            assert_eq!(*texts.last().unwrap(), whole);
            if batch.count() > 1 {
                let head: Value = serde_json::from_slice(batch.records().last().unwrap()).unwrap();
                assert_eq!((&head["decision"], &head["caller"]), (&json!(true), &json!("ann")));
                assert_eq!(head["whole"]["parts"], batch.count() - 1);
            }
        }
    }

    #[test]
    fn a_whole_record_is_found_by_the_index_of_its_head() {
        let folder = tempfile::tempdir().unwrap();
        let storage = DiskStorage::create(folder.path()).unwrap();
        let (mut ledger, _) = Ledger::open(storage.clone(), Options::default()).unwrap();
        let (small, large) = (whole_of("x"), whole_of(&"y".repeat(200_000)));
        let mut batch = pushed(&small);
        batch.extend(&pushed(&large)).unwrap();
        batch.extend(&pushed(&small)).unwrap();
        ledger.append(&batch).unwrap();
        for (index, expected) in [(0, &small), (8, &large), (9, &small)] {
            let entry = record(&storage, index).unwrap().unwrap();
            assert_eq!(whole(&storage, index, &entry).unwrap(), expected.as_slice(), "{index}");
        }
        // A part is returned as it is.
        let part = record(&storage, 3).unwrap().unwrap();
        assert_eq!(whole(&storage, 3, &part).unwrap(), part);
        // A copied head has other entries before it.
        let head = record(&storage, 8).unwrap().unwrap();
        for index in [0, 2, 7, 9] {
            assert!(matches!(whole(&storage, index, &head), Err(LedgerError::Corrupt(_))), "{index}");
        }
    }

    #[test]
    fn parts_that_are_missing_changed_or_in_another_order_are_a_fault() {
        let entries: Vec<Vec<u8>> = pushed(&whole_of(&"x".repeat(150_000))).records().map(<[u8]>::to_vec).collect();
        let assembled = |entries: &[Vec<u8>]| {
            let mut assembly = Assembly::default();
            entries.iter().try_for_each(|entry| assembly.take(entry).map(drop))
        };
        assert_eq!(assembled(&entries), Ok(()));
        assert_eq!(assembled(&entries[1..]), Err(Problem::Parts), "the first is gone");
        assert_eq!(assembled(&[&entries[..1], &entries[2..]].concat()), Err(Problem::Parts), "one is gone");
        assert_eq!(assembled(&entries[entries.len() - 1..]), Err(Problem::Parts), "all are gone");
        let mut swapped = entries.clone();
        swapped.swap(1, 2);
        assert_eq!(assembled(&swapped), Err(Problem::Parts), "another order");
        let mut changed = entries.clone();
        let text = String::from_utf8(changed[2].clone()).unwrap().replacen("xx", "xy", 1);
        changed[2] = text.into_bytes();
        assert_eq!(assembled(&changed), Err(Problem::Parts), "another text");
        let mut apart = entries;
        apart.insert(2, b"{\"v\":1}".to_vec());
        assert_eq!(assembled(&apart), Err(Problem::Parts), "a record between them");
    }

    #[test]
    fn a_batch_that_has_no_room_for_all_parts_stays_as_it_was() {
        let mut batch = Batch::default();
        batch.push(b"{}").unwrap();
        let before = batch.bytes().to_vec();
        let whole = whole_of(&"x".repeat(Batch::MAX_BYTES));
        let full = push(&whole, OffsetDateTime::UNIX_EPOCH, head, &mut batch);
        assert!(matches!(full, Err(BatchError::Full(_))));
        assert_eq!((batch.bytes(), batch.count()), (before.as_slice(), 1));
    }
}
