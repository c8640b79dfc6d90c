//! The record of an item of a batch that could not be parsed. Its answer is a deny, so it is recorded as a decision.
//!
//! It has the members of a decision's record, but only the well-formed names of the request. `reason` is
//! `invalid_request`, and `detail` lists the faults. Long names that items take from their batch are recorded once
//! (`shared.rs`).

use std::collections::BTreeMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::batch::{Batch, BatchError};
use super::shared::{self, SharedText};
use super::{parts, record_text};
use crate::domain::{BenchRun, ConstitutionalHash, EntityUid, FaultyItem, Verdict};

/// The contents of the record of an unreadable item.
#[derive(Debug, Clone, Copy)]
pub struct FaultyItemRecord<'a> {
    /// The decision's id: a `UUIDv7`.
    pub id: Uuid,
    /// When it was made.
    pub at: OffsetDateTime,
    /// The caller's name, or `anonymous`.
    pub caller: &'a str,
    /// The id of the request, in printable ASCII; empty, and not recorded, if that is the decision's id.
    pub request_id: &'a str,
    /// The run of `acgs bench` that asked, recorded if there is one.
    pub bench: Option<BenchRun<'a>>,
    /// The well-formed names of the item, and its faults.
    pub item: &'a FaultyItem,
    /// The denial.
    pub verdict: &'a Verdict,
    /// The hash of the constitution in force.
    pub hash: ConstitutionalHash,
    /// The digest of the constitution in force, as 64 hex digits.
    pub digest: &'a str,
}

impl FaultyItemRecord<'_> {
    /// Adds the record to a batch: one entry, or all its parts and its head, preceded by its shared names that the
    /// batch does not have yet. On an error the batch is unchanged.
    pub fn push(&self, batch: &mut Batch) -> Result<(), BatchError> {
        let mark = batch.mark();
        self.push_with_shared(batch).inspect_err(|_| batch.back_to(mark))
    }

    fn push_with_shared(&self, batch: &mut Batch) -> Result<(), BatchError> {
        let names = self.names();
        let shared: Vec<_> = names.iter().filter_map(|(member, names)| SharedText::of_names(member, names)).collect();
        let shared: Vec<_> = shared.iter().collect();
        for names in &shared {
            names.push(self.at, batch)?;
        }
        let mut text = Vec::with_capacity(768);
        let begin = if shared.is_empty() { record_text::begin } else { record_text::begin_continued };
        begin(&mut text, self.id, self.at, "decision", self.caller);
        self.write_names(&names, &shared, &mut text);
        let (members, hash, digest) = (self.verdict.members(), self.hash, self.digest);
        let verdict = format!(",\"decision\":{},{members}", self.verdict.permits());
        text.extend_from_slice(verdict.as_bytes());
        text.extend_from_slice(
            format!(",\"hash\":\"{hash}\",\"digest\":\"{digest}\",\"entities\":null,\"cached\":false").as_bytes(),
        );
        shared::write_references(&shared, batch, &mut text);
        text.push(b'}');
        let head = |head: &mut Vec<u8>| {
            record_text::begin_continued(head, self.id, self.at, "decision", self.caller);
            self.write_names(&names, &[], head);
            let (permits, reason) = (self.verdict.permits(), self.verdict.reason.as_str());
            head.extend_from_slice(format!(",\"decision\":{permits},\"reason\":\"{reason}\"").as_bytes());
        };
        parts::push(&text, self.at, head, batch)
    }

    /// The members that can be read, as JSON of their names.
    fn names(&self) -> Vec<(&'static str, String)> {
        let item = self.item;
        let uid = |uid: &Option<EntityUid>| serde_json::to_string(uid.as_ref()?).ok();
        let action =
            item.action.as_ref().and_then(|name| serde_json::to_string(&BTreeMap::from([("name", name)])).ok());
        let members = [("subject", uid(&item.subject)), ("resource", uid(&item.resource)), ("action", action)];
        members.into_iter().filter_map(|(member, names)| Some((member, names?))).collect()
    }

    fn write_names(&self, names: &[(&'static str, String)], shared: &[&SharedText<'_>], text: &mut Vec<u8>) {
        record_text::write_origin(text, self.request_id, self.bench);
        for (member, own) in names {
            let shared = shared.iter().find(|shared| shared.name == *member);
            let names = shared.map_or(own.as_str(), |shared| shared.names.as_str());
            text.extend_from_slice(format!(",\"{member}\":{names}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Assembly;
    use super::*;
    use crate::domain::{Defaults, Evaluation, Json, Object, Reason};

    /// Adds the record of an item that takes subject and action from its batch, and has no readable resource.
    fn push(subject: &Value, action: &Value, batch: &mut Batch) {
        let defaults: Object = serde_json::from_value(json!({"subject": subject, "action": action})).unwrap();
        let item: Json = serde_json::from_value(json!({"resource": 3})).unwrap();
        let item = Evaluation::from_item(&item, &Defaults::read(&defaults)).unwrap_err();
        FaultyItemRecord {
            id: Uuid::nil(),
            at: OffsetDateTime::UNIX_EPOCH,
            caller: "anonymous",
            request_id: "r",
            bench: BenchRun::new("b").ok(),
            item: &item,
            verdict: &Verdict::deny(Reason::InvalidRequest, item.to_string()),
            hash: "cdd01ef066bc6cf2".parse().unwrap(),
            digest: "d",
        }
        .push(batch)
        .unwrap();
    }

    /// The record as it is to be.
    fn record(subject: &Value, action: &Value) -> Value {
        json!({"v": 1, "id": "00000000-0000-0000-0000-000000000000", "ts": "1970-01-01T00:00:00.000000Z",
            "kind": "decision", "caller": "anonymous", "request_id": "r", "bench": "b", "subject": subject, "action": action,
            "decision": false, "reason": "invalid_request", "policies": [], "violations": [], "warnings": [],
            "detail": "`resource` must be an object, not an integer", "hash": "cdd01ef066bc6cf2", "digest": "d",
            "entities": null, "cached": false})
    }

    #[test]
    fn the_record_has_the_names_that_can_be_read_and_what_is_wrong() {
        let (subject, action) = (json!({"type": "Agent", "id": "a\u{0}"}), json!({"name": "call"}));
        let mut batch = Batch::default();
        push(&subject, &action, &mut batch);
        let found: Value = serde_json::from_slice(batch.records().next().unwrap()).unwrap();
        assert_eq!((batch.count(), found), (1, record(&subject, &action)));
    }

    #[test]
    fn long_names_of_faulty_items_are_recorded_once() {
        let (subject, action) = (json!({"type": "t".repeat(1_000), "id": "a"}), json!({"name": "\"".repeat(1_000)}));
        let mut batch = Batch::default();
        for _ in 0..100 {
            push(&subject, &action, &mut batch);
        }
        assert_eq!(batch.count(), 102);
        assert!(batch.bytes().len() < 5_000 + 100 * 700, "{}", batch.bytes().len());
        let mut assembly = Assembly::default();
        let texts: Vec<_> = batch.records().map(|entry| assembly.take(entry).unwrap().into_owned()).collect();
        for text in &texts[2..] {
            let found: Value = serde_json::from_slice(text).unwrap();
            assert_eq!(found, record(&subject, &action));
        }
    }
}
