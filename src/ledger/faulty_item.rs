//! The record of an item of a batch that could not be parsed. Its answer is a deny, so it is recorded as a decision.
//!
//! It has the members of a decision's record, but only the well-formed names of the request. `reason` is
//! `invalid_request`, and `detail` lists the faults.

use time::OffsetDateTime;
use uuid::Uuid;

use super::batch::{Batch, BatchError};
use super::{parts, record_text};
use crate::domain::{ConstitutionalHash, FaultyItem, Verdict, write_json};

/// The contents of the record of an unreadable item.
#[derive(Debug, Clone, Copy)]
pub struct FaultyItemRecord<'a> {
    /// The decision's id: a `UUIDv7`.
    pub id: Uuid,
    /// When it was made.
    pub at: OffsetDateTime,
    /// The caller's name, or `anonymous`.
    pub caller: &'a str,
    /// The id of the request, in printable ASCII; not recorded if it is empty.
    pub request_id: &'a str,
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
    /// Adds the record to a batch: one entry, or all its parts and its head. On an error the batch is unchanged.
    pub fn push(&self, batch: &mut Batch) -> Result<(), BatchError> {
        let mut text = Vec::with_capacity(768);
        record_text::begin(&mut text, self.id, self.at, "decision", self.caller);
        self.write_names(&mut text);
        let (members, hash, digest) = (self.verdict.members(), self.hash, self.digest);
        let verdict = format!(",\"decision\":{},{members}", self.verdict.permits());
        text.extend_from_slice(verdict.as_bytes());
        text.extend_from_slice(
            format!(",\"hash\":\"{hash}\",\"digest\":\"{digest}\",\"entities\":null,\"cached\":false}}").as_bytes(),
        );
        let head = |head: &mut Vec<u8>| {
            record_text::begin_continued(head, self.id, self.at, "decision", self.caller);
            self.write_names(head);
            let (permits, reason) = (self.verdict.permits(), self.verdict.reason.as_str());
            head.extend_from_slice(format!(",\"decision\":{permits},\"reason\":\"{reason}\"").as_bytes());
        };
        parts::push(&text, self.at, head, batch)
    }

    fn write_names(&self, text: &mut Vec<u8>) {
        if !self.request_id.is_empty() {
            text.extend_from_slice(b",\"request_id\":");
            write_json(text, self.request_id);
        }
        for (member, uid) in [("subject", &self.item.subject), ("resource", &self.item.resource)] {
            if let Some(uid) = uid {
                text.extend_from_slice(format!(",\"{member}\":").as_bytes());
                write_json(text, uid);
            }
        }
        if let Some(name) = &self.item.action {
            text.extend_from_slice(b",\"action\":{\"name\":");
            write_json(text, name);
            text.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{Defaults, Evaluation, Json, Object, Reason};

    #[test]
    fn the_record_has_the_names_that_can_be_read_and_what_is_wrong() {
        let batch: Object = serde_json::from_value(json!({"subject": {"type": "Agent", "id": "a\u{0}"}})).unwrap();
        let item: Json = serde_json::from_value(json!({"action": {"name": "call"}, "resource": 3})).unwrap();
        let item = Evaluation::from_item(&item, &Defaults::read(&batch)).unwrap_err();
        let mut batch = Batch::default();
        FaultyItemRecord {
            id: Uuid::nil(),
            at: OffsetDateTime::UNIX_EPOCH,
            caller: "anonymous",
            request_id: "r",
            item: &item,
            verdict: &Verdict::deny(Reason::InvalidRequest, item.to_string()),
            hash: "cdd01ef066bc6cf2".parse().unwrap(),
            digest: "d",
        }
        .push(&mut batch)
        .unwrap();
        let record: Value = serde_json::from_slice(batch.records().next().unwrap()).unwrap();
        assert_eq!(
            record,
            json!({"v": 1, "id": "00000000-0000-0000-0000-000000000000", "ts": "1970-01-01T00:00:00.000000Z",
                "kind": "decision", "caller": "anonymous", "request_id": "r", "subject": {"type": "Agent", "id": "a\u{0}"},
                "action": {"name": "call"}, "decision": false, "reason": "invalid_request", "policies": [],
                "violations": [], "warnings": [], "detail": "`resource` must be an object, not an integer",
                "hash": "cdd01ef066bc6cf2", "digest": "d", "entities": null, "cached": false})
        );
    }
}
