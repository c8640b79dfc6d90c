//! The recent activity in a log, from which the caches are warmed after a start.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::fault::LedgerError;
use super::record_text::timestamp;
use super::storage::Storage;
use super::view::text_of;
use super::whole::whole_records;
use crate::domain::{EntityUid, Evaluation, Object, Reason, UnknownMembers};

/// How long before now is lately.
const SPAN: Duration = Duration::from_hours(1);
/// The most records that are read, from the log's end.
const RECORDS: u64 = 50_000;

/// The longest record that is looked into, and the longest question that is kept, in bytes. Longer ones are rare, and
/// are decided when they are asked.
const MAX_RECORD: usize = 64 << 10;
const MAX_QUESTION: usize = 4 << 10;
/// The longest name of an entity that is kept, type and id together, in bytes.
const MAX_ENTITY: usize = 512;
/// The most bytes that the questions take, and the entities: callers decide how many there are.
const MAX_BYTES: usize = 16 << 20;

/// Counts of different values. Once these have [`MAX_BYTES`] bytes, no further value is counted.
#[derive(Debug)]
struct Counts<K> {
    counts: HashMap<K, u32>,
    bytes: usize,
}

/// The questions and entities of recent decisions.
#[derive(Debug, Default)]
pub struct RecentActivity {
    /// Questions in their canonical form, those first that were asked most often. Records that have only a digest of
    /// theirs add none.
    pub questions: Vec<Arc<str>>,
    /// Subjects and resources, those first that were named most often.
    pub entities: Vec<EntityUid>,
}

/// Reads the questions of the past hour, among the last 50,000 records before the index `end`.
pub fn recent_activity<S: Storage>(storage: &S, end: u64) -> Result<RecentActivity, LedgerError> {
    let mut earliest = Vec::new();
    timestamp(OffsetDateTime::now_utc() - SPAN, &mut earliest);
    let (mut questions, mut entities) = (Counts::<Arc<str>>::new(), Counts::<EntityUid>::new());
    let mut found = whole_records(storage, end.saturating_sub(RECORDS)..end);
    while let Some(record) = found.advance()? {
        // Damaged records are reported when the log is verified.
        let Ok(record) = record.text else { continue };
        if record.len() > MAX_RECORD {
            continue;
        }
        let Ok(record) = serde_json::from_slice::<Object>(&record) else { continue };
        let is_recent = text_of(&record, "ts").is_some_and(|at| at.as_bytes() >= earliest.as_slice());
        if !is_recent || text_of(&record, "kind") != Some("decision") {
            continue;
        }
        if text_of(&record, "reason") == Some(Reason::InvalidRequest.as_str()) {
            continue;
        }
        let Ok(evaluation) = Evaluation::from_object(&record, UnknownMembers::Ignored) else { continue };
        // Such records do not contain the whole question.
        if !["request", "replaced", "omitted"].iter().any(|member| record.get(member).is_some()) {
            let question = evaluation.canonical();
            if question.len() <= MAX_QUESTION {
                let length = question.len();
                questions.add(question.into(), length);
            }
        }
        for uid in [&evaluation.subject.uid, &evaluation.resource.uid] {
            let length = uid.kind.len() + uid.id.len();
            if length <= MAX_ENTITY {
                entities.add(uid.clone(), length);
            }
        }
    }
    Ok(RecentActivity { questions: questions.most_first(), entities: entities.most_first() })
}

impl<K: Hash + Ord> Counts<K> {
    fn new() -> Self {
        Self { counts: HashMap::new(), bytes: 0 }
    }

    /// Counts a value of `length` bytes.
    fn add(&mut self, value: K, length: usize) {
        if let Some(count) = self.counts.get_mut(&value) {
            *count += 1;
        } else if self.bytes + length <= MAX_BYTES {
            self.bytes += length;
            self.counts.insert(value, 1);
        }
    }

    /// Sorts by count, the highest first; equal counts by value.
    fn most_first(self) -> Vec<K> {
        let counts = self.counts.into_iter();
        let mut counted: Vec<(Reverse<u32>, K)> = counts.map(|(key, count)| (Reverse(count), key)).collect();
        counted.sort_unstable();
        counted.into_iter().map(|(_, key)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Batch, DiskStorage, Ledger, Options};
    use super::*;

    /// A record from so many minutes ago, of a question by somebody for something.
    fn record(minutes: i64, kind: &str, subject: &str, more: &str) -> String {
        let mut ts = Vec::new();
        timestamp(OffsetDateTime::now_utc() - time::Duration::minutes(minutes), &mut ts);
        let ts = String::from_utf8(ts).unwrap();
        format!(
            r#"{{"v":1,"ts":"{ts}","kind":"{kind}","caller":"","subject":{{"type":"User","id":"{subject}"}},"action":{{"name":"read"}},"resource":{{"type":"Record","id":"1"}},"context":{{}}{more},"decision":true}}"#
        )
    }

    fn uid(kind: &str, id: &str) -> EntityUid {
        EntityUid::new(kind, id)
    }

    #[test]
    fn what_was_asked_most_in_the_last_hour_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let storage = DiskStorage::create(folder.path()).unwrap();
        let (mut ledger, _) = Ledger::open(storage.clone(), Options::default()).unwrap();
        let mut batch = Batch::default();
        for text in [
            record(61, "decision", "old", ""),
            record(59, "decision", "rare", ""),
            record(50, "decision", "usual", ""),
            record(40, "decision", "usual", ""),
            record(40, "decision", "faulty", r#","reason":"invalid_request""#),
            record(30, "decision", "digested", r#","request":{"salt":"","sha256":""}"#),
            record(30, "decision", "digested", r#","replaced":{"bytes":70000,"sha256":""}"#),
            record(30, "decision", "rare", r#","omitted":[]"#),
            record(20, "entity", "event", ""),
            record(10, "decision", "usual", ""),
            r#"{"kind":"start"}"#.to_owned(),
            record(0, "decision", "later", ""),
        ] {
            batch.push(text.as_bytes()).unwrap();
        }
        ledger.append(&batch).unwrap();
        let found = recent_activity(&storage, 10).unwrap();
        let named = |name: &str| found.questions.iter().position(|question| question.contains(name));
        assert_eq!((found.questions.len(), named("usual"), named("rare")), (2, Some(0), Some(1)), "{found:?}");
        let entities = [("Record", "1"), ("User", "usual"), ("User", "digested"), ("User", "rare")];
        assert_eq!(found.entities, entities.map(|(kind, id)| uid(kind, id)));
        assert!(recent_activity(&storage, 0).unwrap().questions.is_empty());
    }

    #[test]
    fn large_questions_and_names_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let storage = DiskStorage::create(folder.path()).unwrap();
        let (mut ledger, _) = Ledger::open(storage.clone(), Options::default()).unwrap();
        let mut batch = Batch::default();
        let padding = |bytes| format!(r#","context":{{"padding":"{}"}}"#, "x".repeat(bytes));
        for text in [
            record(1, "decision", "small", ""),
            record(1, "decision", "padded", "").replace(r#","context":{}"#, &padding(MAX_QUESTION)),
            record(1, "decision", &"n".repeat(MAX_ENTITY), ""),
        ] {
            batch.push(text.as_bytes()).unwrap();
        }
        ledger.append(&batch).unwrap();
        let found = recent_activity(&storage, 3).unwrap();
        assert_eq!(found.questions.len(), 2);
        assert!(found.questions.iter().all(|question| question.len() <= MAX_QUESTION));
        let entities = [("Record", "1"), ("User", "padded"), ("User", "small")];
        assert_eq!(found.entities, entities.map(|(kind, id)| uid(kind, id)));
    }

    #[test]
    fn the_values_that_are_counted_have_a_limit_in_bytes() {
        let mut counts = Counts::<Arc<str>>::new();
        for nth in 0..10_000 {
            counts.add(format!("{nth:4096}").into(), 4_096);
        }
        assert_eq!((counts.bytes, counts.counts.len()), (MAX_BYTES, 4_096));
        counts.add(format!("{:4096}", 7).into(), 4_096);
        let counted = counts.most_first();
        assert_eq!((counted.len(), counted.first().unwrap().trim()), (4_096, "7"));
    }
}
