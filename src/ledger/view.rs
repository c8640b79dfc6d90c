//! Records as searches, replays and retention read them.

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::{EntityUid, Json, Object};

/// The members of a record that are read. Members that a record does not have are `None` or empty.
#[derive(Debug, Deserialize)]
pub struct RecordView {
    /// The record's id.
    pub id: String,
    /// When it was made, RFC 3339.
    pub ts: String,
    /// Its kind.
    pub kind: String,
    /// The caller that caused it.
    pub caller: String,
    /// The id of the request that caused the record; without one, a decision's own id is that of its request.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Of an event: its name.
    #[serde(default)]
    pub event: Option<String>,
    /// Of a decision: the subject's type and id.
    #[serde(default)]
    pub subject: Option<PartyView>,
    /// Of a decision: the action.
    #[serde(default)]
    pub action: Option<ActionView>,
    /// Of a decision: on what. Of an event about an entity: that entity.
    #[serde(default)]
    pub resource: Option<PartyView>,
    /// Of a decision: its verdict.
    #[serde(default)]
    pub decision: Option<bool>,
    /// Of a decision: its reason.
    #[serde(default)]
    pub reason: Option<String>,
    /// Of a decision: the principles that are violated and block.
    #[serde(default)]
    pub violations: Vec<PrincipleView>,
    /// Of a decision: the principles that are violated and warn.
    #[serde(default)]
    pub warnings: Vec<PrincipleView>,
}

/// Subject or resource of a record.
#[derive(Debug, Deserialize)]
pub struct PartyView {
    /// The entity type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The id.
    pub id: String,
}

/// The action of a record.
#[derive(Debug, Deserialize)]
pub struct ActionView {
    /// Its name.
    pub name: String,
}

/// A violated principle of a record.
#[derive(Debug, Deserialize)]
pub struct PrincipleView {
    /// Its id.
    pub principle: String,
}

impl RecordView {
    /// Reads a record.
    pub fn parse(record: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(record)
    }

    /// Whether it is the record of a decision.
    #[must_use]
    pub fn is_decision(&self) -> bool {
        self.kind == "decision"
    }

    /// The time of the record, in microseconds since 1970; 0 if it is missing.
    #[must_use]
    pub fn micros(&self) -> i64 {
        let at = OffsetDateTime::parse(&self.ts, &Rfc3339).ok();
        at.and_then(|at| i64::try_from(at.unix_timestamp_nanos() / 1000).ok()).unwrap_or_default()
    }

    /// Every principle that is violated, blocking or warning.
    pub fn principles(&self) -> impl Iterator<Item = &str> {
        self.violations.iter().chain(&self.warnings).map(|found| found.principle.as_str())
    }
}

impl PartyView {
    /// Its name.
    #[must_use]
    pub fn uid(&self) -> EntityUid {
        EntityUid::new(self.kind.as_str(), self.id.as_str())
    }
}

/// A member of a record as text, if it is a text.
#[must_use]
pub fn text_of<'r>(record: &'r Object, member: &str) -> Option<&'r str> {
    record.get(member).and_then(Json::as_str)
}
