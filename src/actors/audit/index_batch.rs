//! The entries that the search index gets in one transaction. Their number and their size are limited.

use crate::store::search_index::AuditEntry;

/// The most entries: the more, the fewer pages of the indexes are written again and again.
pub(super) const MAX_ENTRIES: usize = 32_768;
/// The most bytes of texts in entries. Where searches read the records from the database, these are among them.
const MAX_BYTES: usize = 8 << 20;
/// The most bytes of records that are read for them, so that a batch takes no more than a second or two.
const MAX_READ: usize = 128 << 20;

/// The entries of one transaction.
#[derive(Debug, Default)]
pub(super) struct IndexBatch {
    entries: Vec<AuditEntry>,
    bytes: usize,
    read: usize,
}

impl IndexBatch {
    /// Adds the entry for a record whose whole text has `read` bytes.
    pub(super) fn push(&mut self, entry: AuditEntry, read: usize) {
        self.bytes += entry.text_bytes();
        self.read += read;
        self.entries.push(entry);
    }

    /// Whether no entry is added any more: a limit is reached, or exceeded by the last entry.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= MAX_ENTRIES || self.bytes >= MAX_BYTES || self.read >= MAX_READ
    }

    /// The entries, in the order of the log.
    pub(super) fn entries(&self) -> &[AuditEntry] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(record: Option<&str>, read: usize, expected: usize) {
        let mut batch = IndexBatch::default();
        while !batch.is_full() {
            let entry = AuditEntry {
                leaf: [0; 32],
                at: 0,
                kind: "decision".into(),
                caller: None,
                request_id: None,
                subject: None,
                action: None,
                resource: None,
                decision: Some(true),
                reason: None,
                principles: Vec::new(),
                record: record.map(str::to_owned),
            };
            batch.push(entry, read);
        }
        assert_eq!(batch.entries().len(), expected);
    }

    #[test]
    fn a_batch_is_limited_in_entries_and_in_bytes() {
        check(None, 500, MAX_ENTRIES);
        // The texts of large records are kept for the database, or only read.
        check(Some(&"r".repeat(1 << 20)), 1 << 20, 8);
        check(None, 1 << 20, 128);
    }
}
