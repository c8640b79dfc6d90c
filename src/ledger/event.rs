//! The record of an event, other than a decision: compact JSON, members in a fixed order.
//!
//! In logs of earlier versions, an event may have a member `replaced` instead of details that were too long, with their
//! length and their SHA-256.

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::batch::{Batch, BatchError};
use super::{parts, record_text};
use crate::domain::write_json;

/// The subject of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The daemon began to write to the log.
    Start,
    /// The daemon ended as it should.
    Stop,
    /// Which settings are in force.
    Settings,
    /// Which constitution is in force, or was refused.
    Constitution,
    /// An entity was written or deleted.
    Entity,
    /// A rolled-back log was accepted.
    Log,
    /// Caches were emptied.
    Cache,
    /// Users, clients, keys, logins, refusals.
    Auth,
    /// The database was restored or failed over, or an older one was accepted.
    Database,
    /// The wall clock jumped.
    Clock,
    /// Stored entities that decisions behind it read, by the digest that these decisions name.
    Entities,
    /// An alert fired or ended.
    Alert,
    /// A decision got another verdict when it was evaluated again without caches, was made under a constitution that was
    /// not in force, or has no durable record.
    Compliance,
    /// A run of `acgs bench` ended.
    Bench,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::Start,
        Self::Stop,
        Self::Settings,
        Self::Constitution,
        Self::Entity,
        Self::Log,
        Self::Cache,
        Self::Auth,
        Self::Database,
        Self::Clock,
        Self::Entities,
        Self::Alert,
        Self::Compliance,
        Self::Bench,
    ];

    /// The kind's name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Settings => "settings",
            Self::Constitution => "constitution",
            Self::Entity => "entity",
            Self::Log => "log",
            Self::Cache => "cache",
            Self::Auth => "auth",
            Self::Database => "database",
            Self::Clock => "clock",
            Self::Entities => "entities",
            Self::Alert => "alert",
            Self::Compliance => "compliance",
            Self::Bench => "bench",
        }
    }
}

/// An event that is to be recorded.
#[derive(Debug, Clone)]
pub struct Event {
    kind: EventKind,
    caller: Box<str>,
    names: Map<String, Value>,
    details: Map<String, Value>,
}

impl Event {
    /// Something that a caller did, or the daemon itself, whose name is `acgs`.
    #[must_use]
    pub fn new(kind: EventKind, caller: &str) -> Self {
        Self { kind, caller: caller.into(), names: Map::new(), details: Map::new() }
    }

    /// Adds a member that is also in the head if the record is in parts. All such members together must be short.
    #[must_use]
    pub fn name(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.names.insert(member.to_owned(), value.into());
        self
    }

    /// Adds a member of any length.
    #[must_use]
    pub fn detail(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.details.insert(member.to_owned(), value.into());
        self
    }

    /// Adds the record to a batch: one entry, or all its parts and its head. On an error the batch is unchanged.
    pub fn push(&self, at: OffsetDateTime, batch: &mut Batch) -> Result<(), BatchError> {
        let id = record_text::new_id(at);
        let mut text = Vec::with_capacity(256);
        record_text::begin(&mut text, id, at, self.kind.as_str(), &self.caller);
        members(&mut text, &self.names);
        members(&mut text, &self.details);
        text.push(b'}');
        let head = |head: &mut Vec<u8>| {
            record_text::begin_continued(head, id, at, self.kind.as_str(), &self.caller);
            members(head, &self.names);
        };
        parts::push(&text, at, head, batch)
    }
}

fn members(text: &mut Vec<u8>, members: &Map<String, Value>) {
    for (member, value) in members {
        text.push(b',');
        write_json(text, member);
        text.push(b':');
        write_json(text, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ledger::Assembly;

    fn recorded(event: &Event) -> Value {
        let mut batch = Batch::default();
        event.push(OffsetDateTime::UNIX_EPOCH, &mut batch).unwrap();
        let mut record: Value = serde_json::from_slice(batch.records().next().unwrap()).unwrap();
        assert_eq!(record["id"].take().as_str().unwrap().len(), 36);
        record
    }

    #[test]
    fn an_event_says_what_happened_and_by_whom() {
        let event =
            Event::new(EventKind::Entity, "ann").name("event", "written").detail("entity", json!({"a\u{0}": 1}));
        assert_eq!(
            recorded(&event),
            json!({"v": 1, "id": null, "ts": "1970-01-01T00:00:00.000000Z", "kind": "entity", "caller": "ann",
                "event": "written", "entity": {"a\u{0}": 1}})
        );
    }

    #[test]
    fn details_of_any_length_are_recorded() {
        let entity = "x".repeat(70_000);
        let event = Event::new(EventKind::Entity, "ann").name("event", "written").detail("entity", entity.as_str());
        let mut batch = Batch::default();
        event.push(OffsetDateTime::UNIX_EPOCH, &mut batch).unwrap();
        let mut assembly = Assembly::default();
        let whole = batch.records().map(|entry| assembly.take(entry).unwrap()).last().unwrap();
        let (whole, head): (Value, Value) =
            (serde_json::from_slice(&whole).unwrap(), serde_json::from_slice(batch.records().last().unwrap()).unwrap());
        assert_eq!((&whole["event"], &whole["entity"], &whole["id"]), (&json!("written"), &json!(entity), &head["id"]));
        assert_eq!((&head["event"], head.get("entity")), (&json!("written"), None));
    }
}
