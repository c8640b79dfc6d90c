//! The stored entities that a decision read, recorded once and referenced by digest, so that the decision can be
//! replayed.
//!
//! Their text is one line of JSON for each, ordered by uid; decisions contain its SHA-256. It is split into records of
//! kind `entities` with the members `digest`, `part` (from 0), `parts` and `text`. The digest is that of all parts'
//! texts, joined in order.

use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::batch::{Batch, BatchError};
use super::event::{Event, EventKind};
use super::record_text::hex;

/// The most bytes of text in one record; escaped as JSON they become at most six times as many, with room for the rest.
const MAX_PART: usize = 10_000;

/// Entities that were read together.
#[derive(Debug)]
pub struct EntitySet {
    digest: Box<str>,
    /// Taken out once it is recorded; an unrecorded set keeps it.
    text: Mutex<Option<Arc<str>>>,
}

impl EntitySet {
    /// The set with this text: a line of JSON for each entity.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { digest: hex(&Sha256::digest(&text)).into(), text: Mutex::new(Some(text.into())) }
    }

    /// SHA-256 of the text, as 64 hex digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The text, unless it was taken to be recorded. Takes it.
    #[must_use]
    pub fn take(&self) -> Option<Arc<str>> {
        self.text.lock().take()
    }

    /// The text, unless it was taken. Leaves it.
    #[must_use]
    pub fn text(&self) -> Option<Arc<str>> {
        self.text.lock().clone()
    }

    /// The memory that the set takes now, in bytes, estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let text = self.text.lock();
        size_of::<Self>() + self.digest.len() + text.as_ref().map_or(0, |text| text.len())
    }

    /// Gives the text back: it was not recorded.
    pub fn put_back(&self, text: Arc<str>) {
        *self.text.lock() = Some(text);
    }

    /// Adds the records of the set to a batch. On an error the batch is unchanged.
    pub fn push(&self, text: &str, at: OffsetDateTime, batch: &mut Batch) -> Result<(), BatchError> {
        let mark = batch.mark();
        self.push_parts(text, at, batch).inspect_err(|_| batch.back_to(mark))
    }

    fn push_parts(&self, text: &str, at: OffsetDateTime, batch: &mut Batch) -> Result<(), BatchError> {
        let parts = parts(text);
        for (number, part) in parts.iter().enumerate() {
            let event = Event::new(EventKind::Entities, "acgs").name("digest", self.digest());
            event.name("part", number).name("parts", parts.len()).name("text", *part).push(at, batch)?;
        }
        Ok(())
    }
}

/// The text in pieces of at most [`MAX_PART`] bytes.
fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, more) = rest.split_at(rest.floor_char_boundary(MAX_PART));
        parts.push(part);
        rest = more;
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_parts_of_a_set_joined_have_its_digest() {
        for text in ["{\"uid\":1}\n".to_owned(), "\u{1}é🦀".repeat(9_000), "\u{0}".repeat(30_000)] {
            let set = EntitySet::new(text.clone());
            let mut batch = Batch::default();
            assert_eq!(set.text().as_deref(), Some(text.as_str()), "looking leaves it there");
            let taken = set.take().unwrap();
            set.push(&taken, OffsetDateTime::UNIX_EPOCH, &mut batch).unwrap();
            let records: Vec<Value> = batch.records().map(|record| serde_json::from_slice(record).unwrap()).collect();
            let joined: String = records.iter().map(|record| record["text"].as_str().unwrap()).collect();
            assert_eq!(joined, text);
            for (number, record) in records.iter().enumerate() {
                assert_eq!((&record["digest"], &record["parts"]), (&set.digest().into(), &records.len().into()));
                assert_eq!(record["part"], number);
            }
            assert_eq!(set.take(), None, "it is recorded once");
            set.put_back(taken);
            assert_eq!(set.take().as_deref(), Some(text.as_str()));
        }
    }
}
