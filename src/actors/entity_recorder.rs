//! Records changes of entities.

use serde_json::{Value, json};

use super::journal::Journal;
use crate::domain::{Entity, EntityUid};
use crate::ledger::{Event, EventKind};
use crate::settings::RequestRecord;
use crate::store::{StoreError, Written};

/// Writes the records of changes, for those who make them.
#[derive(Debug, Clone)]
pub struct EntityRecorder {
    journal: Journal,
    form: RequestRecord,
}

impl EntityRecorder {
    /// Records in a journal; with a digested form, only the names of entities.
    #[must_use]
    pub fn new(journal: Journal, form: RequestRecord) -> Self {
        Self { journal, form }
    }

    /// Records that entities are stored, one record each. [`StoreError::Unrecorded`] where that fails.
    pub fn written<'e>(
        &self,
        caller: &str,
        entities: impl IntoIterator<Item = (&'e Entity, &'e Written)>,
    ) -> Result<(), StoreError> {
        let event = |(entity, written): (&Entity, &Written)| {
            let event = event(caller, "written", &entity.uid).name("version", written.version);
            match self.form {
                RequestRecord::Full => event.detail("entity", serde_json::to_value(entity).unwrap_or(Value::Null)),
                RequestRecord::Digest => event,
            }
        };
        self.record(&entities.into_iter().map(event).collect::<Vec<_>>())
    }

    /// Records that an entity is removed. [`StoreError::Unrecorded`] where that fails.
    pub fn deleted(&self, caller: &str, uid: &EntityUid) -> Result<(), StoreError> {
        self.record(&[event(caller, "deleted", uid)])
    }

    fn record(&self, events: &[Event]) -> Result<(), StoreError> {
        self.journal.record(events).map(drop).map_err(|error| StoreError::Unrecorded(error.into()))
    }
}

fn event(caller: &str, what: &str, uid: &EntityUid) -> Event {
    let resource = json!({"type": uid.kind, "id": uid.id});
    Event::new(EventKind::Entity, caller).name("event", what).name("resource", resource)
}
