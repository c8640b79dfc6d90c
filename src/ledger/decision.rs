//! The record of a decision: compact JSON, members in a fixed order.
//!
//! It contains everything that bears on the decision, whatever its size: see `parts.rs` for records larger than an
//! entry, `shared.rs` for large members that the records of a batch share, and `omission.rs` for large members that no
//! policy can read. In logs of earlier versions, a decision may have a member `replaced` instead of a large question,
//! with the length and the SHA-256 of the record that was not kept.

use std::io::Write as _;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::batch::{Batch, BatchError};
use super::omission::Shortened;
use super::parts;
use super::record_text::{self, append, hex};
use super::shared::{self, SharedMembers};
use crate::domain::{BenchRun, Claims, ConstitutionalHash, Evaluation, Reason, Verdict, write_json};
use crate::settings::{HashEnforcement, RequestProperties, RequestRecord};

/// Everything that is recorded of one decision.
#[derive(Debug, Clone, Copy)]
pub struct DecisionRecord<'a> {
    /// The decision's id: a `UUIDv7`.
    pub id: Uuid,
    /// When it was made.
    pub at: OffsetDateTime,
    /// The caller's name, or `anonymous`.
    pub caller: &'a str,
    /// The id of the request, in printable ASCII; empty, and not recorded, if that is the decision's id.
    pub request_id: &'a str,
    /// The run of `acgs bench` that asked for the decision, recorded if there is one.
    pub bench: Option<BenchRun<'a>>,
    /// The question.
    pub evaluation: &'a Evaluation,
    /// The recorded form of the question, if members of it are omitted.
    pub shortened: Option<&'a Shortened>,
    /// The members that its record shares with other records of the request, if it is recorded in full.
    pub shared: &'a SharedMembers<'a>,
    /// The verdict.
    pub verdict: &'a Verdict,
    /// The hash in force.
    pub hash: ConstitutionalHash,
    /// The digest in force, as 64 hex digits.
    pub digest: &'a str,
    /// Whether callers must claim the hash. Recorded if it is not the default.
    pub hash_enforcement: HashEnforcement,
    /// How properties in requests are treated. Recorded if it is not the default.
    pub request_properties: RequestProperties,
    /// The SHA-256 over the stored entities that were read, as 64 hex digits; `None` if none was.
    pub entities: Option<&'a str>,
    /// Whether the verdict was made before, for the same question.
    pub cached: bool,
}

impl DecisionRecord<'_> {
    /// Adds the record to a batch: one entry, or all its parts and its head, preceded by its shared members that the
    /// batch does not have yet. On an error the batch is unchanged.
    pub fn push(&self, form: RequestRecord, batch: &mut Batch) -> Result<(), BatchError> {
        let mark = batch.mark();
        self.push_with_shared(form, batch).inspect_err(|_| batch.back_to(mark))
    }

    fn push_with_shared(&self, form: RequestRecord, batch: &mut Batch) -> Result<(), BatchError> {
        let shared = match form {
            RequestRecord::Full => self.shared.referred(self.evaluation),
            RequestRecord::Digest => Vec::new(),
        };
        for member in &shared {
            member.push(self.at, batch)?;
        }
        let mut text = Vec::with_capacity(768);
        let begin = if shared.is_empty() { record_text::begin } else { record_text::begin_continued };
        begin(&mut text, self.id, self.at, "decision", self.caller);
        self.write_origin(&mut text);
        self.write(form, &mut text);
        shared::write_references(&shared, batch, &mut text);
        text.push(b'}');
        parts::push(&text, self.at, |head| self.write_continued_head(head), batch)
    }

    fn write(&self, form: RequestRecord, text: &mut Vec<u8>) {
        match form {
            RequestRecord::Full => self.write_question(text),
            RequestRecord::Digest => self.write_digested(text),
        }
        self.write_claims(form, text);
        append(text, &[",\"decision\":", bool_text(self.verdict.permits()), ","]);
        match form {
            RequestRecord::Full => text.extend_from_slice(self.verdict.members().as_bytes()),
            RequestRecord::Digest => text.extend_from_slice(self.verdict.members_without_detail().as_bytes()),
        }
        self.write_tail(form, text);
    }

    fn write_question(&self, text: &mut Vec<u8>) {
        let question = self.shortened.map_or(self.evaluation, |shortened| &shortened.rest);
        let (subject, action) = (&question.subject, &question.action);
        let (resource, context) = (&question.resource, &question.context);
        for (member, identity, own) in [
            ("subject", subject.identity(), subject.text()),
            ("action", action.identity(), action.text()),
            ("resource", resource.identity(), resource.text()),
            ("context", context.identity(), context.text()),
        ] {
            let own = self.shared.get(identity).map_or(own, |shared| shared.names.as_str());
            append(text, &[",\"", member, "\":", own]);
        }
        if let Some(shortened) = self.shortened {
            let _ = write!(text, ",\"omitted\":{}", shortened.omissions);
        }
    }

    fn write_origin(&self, text: &mut Vec<u8>) {
        record_text::write_origin(text, self.request_id, self.bench);
    }

    /// A claim that is no hash may be anything: of a digested record it is `null`.
    fn write_claims(&self, form: RequestRecord, text: &mut Vec<u8>) {
        let claims: &Claims = &self.evaluation.claims;
        for (member, claim) in [("claimed_in_header", &claims.header), ("claimed_in_context", &claims.context)] {
            if let Some(claim) = claim {
                let shown = match form {
                    RequestRecord::Full => true,
                    RequestRecord::Digest => claim.parse::<ConstitutionalHash>().is_ok(),
                };
                let _ = write!(text, ",\"{member}\":");
                write_json(text, &shown.then_some(claim));
            }
        }
    }

    fn write_tail(&self, form: RequestRecord, text: &mut Vec<u8>) {
        append(text, &[",\"hash\":\"", self.hash.as_str(), "\",\"digest\":\"", self.digest, "\""]);
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
                append(text, &["\"", digest, "\""]);
            }
            (Some(digest), RequestRecord::Digest) => write_salted(&[digest], text),
            (None, _) => text.extend_from_slice(b"null"),
        }
        append(text, &[",\"cached\":", bool_text(self.cached)]);
    }

    /// The hash that the caller claimed, if it is a former one that was accepted in its grace period.
    fn accepted_claim(&self) -> Option<ConstitutionalHash> {
        if matches!(self.verdict.reason, Reason::ConstitutionMismatch | Reason::ConstitutionHashRequired) {
            return None;
        }
        let claims: &Claims = &self.evaluation.claims;
        let mut claims = [&claims.header, &claims.context].into_iter().flatten();
        claims.find(|claim| ***claim != *self.hash.as_str()).and_then(|claim| claim.parse().ok())
    }

    /// Writes only the names; the rest of the request is in a salted digest, which cannot be guessed without the
    /// record.
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

    /// The head of a record in parts: names, and the decision. Names are bounded in length, so it always fits an entry.
    fn write_continued_head(&self, text: &mut Vec<u8>) {
        record_text::begin_continued(text, self.id, self.at, "decision", self.caller);
        self.write_origin(text);
        self.write_names(text);
        let (permits, reason) = (self.verdict.permits(), self.verdict.reason.as_str());
        let _ = write!(text, ",\"decision\":{permits},\"reason\":\"{reason}\"");
    }
}

const fn bool_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Writes an object with a random salt, and the SHA-256 over the salt's bytes and the pieces of a text.
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
    use crate::domain::{MemberPath, Object, UnknownMembers};

    /// The entries for a denied question, with `padding` bytes in its context.
    fn entries(form: RequestRecord, padding: usize, omitted: &[&str]) -> Vec<Value> {
        let question = json!({"subject": {"type": "Agent", "id": "a\u{0}\"b", "properties": {"secret": "s3cret"}},
            "action": {"name": "call_tool"}, "resource": {"type": "Tool", "id": "t"},
            "context": {"constitutional_hash": "cdd01ef066bc6cf2", "padding": "x".repeat(padding)}});
        let question: Object = serde_json::from_value(question).unwrap();
        let evaluation = Evaluation::from_object(&question, UnknownMembers::Refused).unwrap();
        let paths: Vec<MemberPath> = omitted.iter().map(|path| path.parse().unwrap()).collect();
        let shortened = (!paths.is_empty()).then(|| Shortened::new(&evaluation, &paths));
        let mut batch = Batch::default();
        DecisionRecord {
            id: Uuid::nil(),
            at: OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_789).unwrap(),
            caller: "anonymous",
            request_id: "r-1",
            bench: BenchRun::new("load-1").ok(),
            evaluation: &evaluation,
            shortened: shortened.as_ref(),
            shared: &SharedMembers::default(),
            verdict: &Verdict::deny(Reason::UnknownType, "what"),
            hash: "cdd01ef066bc6cf2".parse().unwrap(),
            digest: "d",
            hash_enforcement: HashEnforcement::WhenPresent,
            request_properties: RequestProperties::Ignore,
            entities: None,
            cached: false,
        }
        .push(form, &mut batch)
        .unwrap();
        batch.records().map(|entry| serde_json::from_slice(entry).unwrap()).collect()
    }

    /// The record of a question that fits one entry.
    fn record(form: RequestRecord, padding: usize) -> Value {
        let mut entries = entries(form, padding, &[]);
        assert_eq!(entries.len(), 1);
        entries.remove(0)
    }

    #[test]
    fn a_record_has_what_was_asked_what_was_decided_and_under_what() {
        assert_eq!(
            record(RequestRecord::Full, 1),
            json!({"v": 1, "id": "00000000-0000-0000-0000-000000000000", "ts": "2023-11-14T22:13:20.123456Z",
                "kind": "decision", "caller": "anonymous", "request_id": "r-1", "bench": "load-1",
                "subject": {"type": "Agent", "id": "a\u{0}\"b", "properties": {"secret": "s3cret"}},
                "action": {"name": "call_tool"}, "resource": {"type": "Tool", "id": "t"}, "context": {"padding": "x"},
                "claimed_in_context": "cdd01ef066bc6cf2", "decision": false, "reason": "unknown_type", "policies": [],
                "violations": [], "warnings": [], "detail": "what", "hash": "cdd01ef066bc6cf2", "digest": "d",
                "request_properties": "ignore", "entities": null, "cached": false})
        );
    }

    #[test]
    fn a_digested_record_names_who_and_what_and_nothing_else_of_the_request() {
        let digested = record(RequestRecord::Digest, 1);
        assert_eq!(digested["subject"], json!({"type": "Agent", "id": "a\u{0}\"b"}));
        assert_eq!(digested["action"], json!({"name": "call_tool"}));
        assert!(!digested.to_string().contains("s3cret") && digested.get("context").is_none());
        assert_eq!((digested.get("detail"), &digested["claimed_in_context"]), (None, &json!("cdd01ef066bc6cf2")));
        let again = record(RequestRecord::Digest, 1);
        assert_ne!(digested["request"], again["request"], "the salt is new each time");
    }

    #[test]
    fn padding_a_question_hides_nothing_of_it() {
        let entries = entries(RequestRecord::Full, 70_000, &[]);
        let head = entries.last().unwrap();
        assert_eq!(head["subject"], json!({"type": "Agent", "id": "a\u{0}\"b"}));
        assert_eq!((&head["v"], &head["caller"], &head["decision"]), (&json!(2), &json!("anonymous"), &json!(false)));
        assert_eq!(head["bench"], "load-1");
        let whole: String = entries.iter().filter_map(|part| part["text"].as_str()).collect();
        let whole: Value = serde_json::from_str(&whole).unwrap();
        assert_eq!((&whole["v"], &whole["id"], &whole["ts"]), (&json!(1), &head["id"], &head["ts"]));
        assert_eq!(whole["context"]["padding"], "x".repeat(70_000));
        assert_eq!((&whole["policies"], &whole["digest"]), (&json!([]), &json!("d")));
    }

    #[test]
    fn a_member_that_is_left_out_is_named_with_its_length_and_its_digest() {
        let entries = entries(RequestRecord::Full, 70_000, &["/context/padding", "/context/nothing"]);
        assert_eq!((entries.len(), &entries[0]["v"], &entries[0]["context"]), (1, &json!(1), &json!({})));
        let digest = hex(&Sha256::digest(format!("\"{}\"", "x".repeat(70_000))));
        assert_eq!(entries[0]["omitted"], json!([{"member": "/context/padding", "bytes": 70_002, "sha256": digest}]));
    }
}
