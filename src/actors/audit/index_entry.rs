//! The search index's entry for a record.

use crate::ledger::{Hash, RecordView};
use crate::store::search_index::{AuditEntry, SearchIndex};

/// Makes the entry for a record; without the record's text if the store can read that from the log. An unreadable
/// record gets an entry too, to be found by its index. `leaf` is the log's entry, `record` the whole record.
pub(super) fn entry(leaf: &[u8], record: &[u8], store: &SearchIndex) -> AuditEntry {
    let nothing = AuditEntry {
        leaf: *Hash::leaf(leaf).as_bytes(),
        at: 0,
        kind: "".into(),
        caller: None,
        request_id: None,
        subject: None,
        action: None,
        resource: None,
        decision: None,
        reason: None,
        principles: Vec::new(),
        record: store.needs_records().then(|| String::from_utf8_lossy(record).into_owned()),
    };
    let Ok(view) = RecordView::parse(record) else { return nothing };
    AuditEntry {
        at: view.micros(),
        principles: view.principles().map(Into::into).collect(),
        kind: view.kind.into(),
        caller: Some(view.caller.into()),
        request_id: view.request_id.map(Into::into),
        subject: view.subject.map(|party| party.uid()),
        action: view.action.map(|action| action.name).or(view.event).map(Into::into),
        resource: view.resource.map(|party| party.uid()),
        decision: view.decision,
        reason: view.reason.map(Into::into),
        ..nothing
    }
}
