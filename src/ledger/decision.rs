//! The record of a decision, as it stands in the log: compact JSON, members in a fixed order.

use std::io::Write as _;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::batch::{Batch, BatchError};
use super::record_text::{self, hex};
use crate::domain::{Claims, ConstitutionalHash, Evaluation, Reason, Verdict, write_json};
use crate::settings::{HashEnforcement, RequestProperties, RequestRecord};

/// Everything that is recorded of one decision.
#[derive(Debug, Clone, Copy)]
pub struct DecisionRecord<'a> {
    /// The decision's id: a `UUIDv7`.
    pub id: Uuid,
    /// When it was made.
    pub at: OffsetDateTime,
    /// Who asked: a caller's name, or `anonymous`.
    pub caller: &'a str,
    /// What was asked.
    pub evaluation: &'a Evaluation,
    /// What was decided.
    pub verdict: &'a Verdict,
    /// The hash in force.
    pub hash: ConstitutionalHash,
    /// The digest in force, as 64 hex digits.
    pub digest: &'a str,
    /// Whether callers must name the hash. Recorded where it is not the default.
    pub hash_enforcement: HashEnforcement,
    /// What becomes of properties in requests. Recorded where it is not the default.
    pub request_properties: RequestProperties,
    /// SHA-256 over the stored entities that were read, as 64 hex digits; none where none was stored.
    pub entities: Option<&'a str>,
    /// Whether the verdict was made before, for the same question.
    pub cached: bool,
}

impl DecisionRecord<'_> {
    /// Adds the record to a batch. One of more than `limit` bytes is replaced by its SHA-256.
    pub fn push(&self, form: RequestRecord, limit: usize, batch: &mut Batch) -> Result<(), BatchError> {
        let mut text = Vec::with_capacity(768);
        self.write(form, &mut text);
        let limit = limit.min(Batch::MAX_RECORD);
        if text.len() > limit {
            text = self.replaced(form, &text);
        }
        batch.push(&text)
    }

    fn write(&self, form: RequestRecord, text: &mut Vec<u8>) {
        self.write_head(text);
        match form {
            RequestRecord::Full => {
                text.push(b',');
                self.evaluation.canonical_parts().iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
            }
            RequestRecord::Digest => self.write_digested(text),
        }
        self.write_claims(form, text);
        let _ = write!(text, ",\"decision\":{},", self.verdict.permits());
        match form {
            RequestRecord::Full => text.extend_from_slice(self.verdict.members().as_bytes()),
            RequestRecord::Digest => text.extend_from_slice(self.verdict.members_without_detail().as_bytes()),
        }
        self.write_tail(form, text);
    }

    fn write_head(&self, text: &mut Vec<u8>) {
        record_text::begin(text, self.id, self.at, "decision", self.caller);
    }

    /// A claim that is no hash may be anything: of a digested record it is `null`.
    fn write_claims(&self, form: RequestRecord, text: &mut Vec<u8>) {
        let claims: &Claims = &self.evaluation.claims;
        for (member, claim) in [("claimed_in_header", &claims.header), ("claimed_in_context", &claims.context)] {
            if let Some(claim) = claim {
                let shown = form == RequestRecord::Full || claim.parse::<ConstitutionalHash>().is_ok();
                let _ = write!(text, ",\"{member}\":");
                write_json(text, &shown.then_some(claim));
            }
        }
    }

    fn write_tail(&self, form: RequestRecord, text: &mut Vec<u8>) {
        let _ = write!(text, ",\"hash\":\"{}\",\"digest\":\"{}\"", self.hash, self.digest);
        if self.hash_enforcement == HashEnforcement::Required {
            text.extend_from_slice(b",\"hash_enforcement\":\"required\"");
        }
        if let Some(accepted) = self.accepted_claim() {
            let _ = write!(text, ",\"accepted_hash\":\"{accepted}\"");
        }
        if self.request_properties == RequestProperties::Ignore {
            text.extend_from_slice(b",\"request_properties\":\"ignore\"");
        }
        text.extend_from_slice(b",\"entities\":");
        match (self.entities, form) {
            (Some(digest), RequestRecord::Full) => {
                let _ = write!(text, "\"{digest}\"");
            }
            (Some(digest), RequestRecord::Digest) => write_salted(&[digest], text),
            (None, _) => text.extend_from_slice(b"null"),
        }
        let _ = write!(text, ",\"cached\":{}}}", self.cached);
    }

    /// The hash that the caller named, where it is one that was in force before and was accepted still.
    fn accepted_claim(&self) -> Option<ConstitutionalHash> {
        if matches!(self.verdict.reason, Reason::ConstitutionMismatch | Reason::ConstitutionHashRequired) {
            return None;
        }
        let claims: &Claims = &self.evaluation.claims;
        let mut claims = [&claims.header, &claims.context].into_iter().flatten();
        claims.find(|claim| ***claim != *self.hash.as_str()).and_then(|claim| claim.parse().ok())
    }

    /// Only the names of those involved; what else the request says is in a digest that its salt keeps from being
    /// guessed without the record.
    fn write_digested(&self, text: &mut Vec<u8>) {
        self.write_names(text);
        text.extend_from_slice(b",\"request\":");
        write_salted(&self.evaluation.canonical_parts(), text);
    }

    fn write_names(&self, text: &mut Vec<u8>) {
        let evaluation = self.evaluation;
        for (member, uid) in [("subject", &evaluation.subject.uid), ("resource", &evaluation.resource.uid)] {
            let _ = write!(text, ",\"{member}\":{{\"type\":");
            write_json(text, &uid.kind);
            text.extend_from_slice(b",\"id\":");
            write_json(text, &uid.id);
            text.push(b'}');
        }
        text.extend_from_slice(b",\"action\":{\"name\":");
        write_json(text, &evaluation.action.name);
        text.push(b'}');
    }

    /// What stands in for a record that is too large: who, what and on what, and the digest of it all. Names have a
    /// bound, so that this always fits.
    fn replaced(&self, form: RequestRecord, whole: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(1024);
        self.write_head(&mut text);
        self.write_names(&mut text);
        let (permits, reason) = (self.verdict.permits(), self.verdict.reason.as_str());
        let (bytes, digest) = (whole.len(), hex(&Sha256::digest(whole)));
        let _ = write!(
            text,
            ",\"decision\":{permits},\"reason\":\"{reason}\",\"replaced\":{{\"bytes\":{bytes},\"sha256\":\"{digest}\"}}"
        );
        self.write_tail(form, &mut text);
        text
    }
}

/// Writes an object with a new salt, and the SHA-256 over the salt's bytes and the text, which comes in pieces.
fn write_salted(of: &[&str], text: &mut Vec<u8>) {
    let salt: [u8; 16] = rand::random();
    let salted = Sha256::new().chain_update(salt);
    let digest = of.iter().fold(salted, Sha256::chain_update).finalize();
    let _ = write!(text, "{{\"salt\":\"{}\",\"sha256\":\"{}\"}}", hex(&salt), hex(&digest));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{Object, UnknownMembers};

    /// The record of a denied question whose context has that many bytes of padding.
    fn record(form: RequestRecord, limit: usize, padding: usize) -> Value {
        let question = json!({"subject": {"type": "Agent", "id": "a\u{0}\"b", "properties": {"secret": "s3cret"}},
            "action": {"name": "call_tool"}, "resource": {"type": "Tool", "id": "t"},
            "context": {"constitutional_hash": "cdd01ef066bc6cf2", "padding": "x".repeat(padding)}});
        let question: Object = serde_json::from_value(question).unwrap();
        let evaluation = Evaluation::from_object(&question, UnknownMembers::Refused).unwrap();
        let mut batch = Batch::default();
        DecisionRecord {
            id: Uuid::nil(),
            at: OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_789).unwrap(),
            caller: "anonymous",
            evaluation: &evaluation,
            verdict: &Verdict::deny(Reason::UnknownType, "what"),
            hash: "cdd01ef066bc6cf2".parse().unwrap(),
            digest: "d",
            hash_enforcement: HashEnforcement::WhenPresent,
            request_properties: RequestProperties::Ignore,
            entities: None,
            cached: false,
        }
        .push(form, limit, &mut batch)
        .unwrap();
        serde_json::from_slice(batch.records().next().unwrap()).unwrap()
    }

    #[test]
    fn a_record_has_what_was_asked_what_was_decided_and_under_what() {
        assert_eq!(
            record(RequestRecord::Full, Batch::MAX_RECORD, 1),
            json!({"v": 1, "id": "00000000-0000-0000-0000-000000000000", "ts": "2023-11-14T22:13:20.123456Z",
                "kind": "decision", "caller": "anonymous",
                "subject": {"type": "Agent", "id": "a\u{0}\"b", "properties": {"secret": "s3cret"}},
                "action": {"name": "call_tool"}, "resource": {"type": "Tool", "id": "t"}, "context": {"padding": "x"},
                "claimed_in_context": "cdd01ef066bc6cf2", "decision": false, "reason": "unknown_type", "policies": [],
                "violations": [], "warnings": [], "detail": "what", "hash": "cdd01ef066bc6cf2", "digest": "d",
                "request_properties": "ignore", "entities": null, "cached": false})
        );
    }

    #[test]
    fn a_digested_record_names_who_and_what_and_nothing_else_of_the_request() {
        let digested = record(RequestRecord::Digest, Batch::MAX_RECORD, 1);
        assert_eq!(digested["subject"], json!({"type": "Agent", "id": "a\u{0}\"b"}));
        assert_eq!(digested["action"], json!({"name": "call_tool"}));
        assert!(!digested.to_string().contains("s3cret") && digested.get("context").is_none());
        assert_eq!((digested.get("detail"), &digested["claimed_in_context"]), (None, &json!("cdd01ef066bc6cf2")));
        let again = record(RequestRecord::Digest, Batch::MAX_RECORD, 1);
        assert_ne!(digested["request"], again["request"], "the salt is new each time");
    }

    #[test]
    fn padding_a_request_does_not_hide_who_asked_for_what() {
        let replaced = record(RequestRecord::Full, Batch::MAX_RECORD, 70_000);
        assert_eq!(replaced["subject"], json!({"type": "Agent", "id": "a\u{0}\"b"}));
        assert_eq!((&replaced["caller"], &replaced["decision"]), (&json!("anonymous"), &json!(false)));
        assert!(replaced["replaced"]["bytes"].as_u64().unwrap() > 70_000);
        let of_a_batch = record(RequestRecord::Full, 300, 1_000);
        assert_eq!(of_a_batch["resource"], json!({"type": "Tool", "id": "t"}));
        assert_eq!(of_a_batch["replaced"]["sha256"].as_str().unwrap().len(), 64);
    }
}
