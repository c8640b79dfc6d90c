//! Changes stored entities and records each change.

use serde_json::{Value, json};

use crate::actors::audit::change_recorder::ChangeRecorder;
use crate::domain::{Entity, EntityUid};
use crate::ledger::{Event, EventKind};
use crate::settings::RequestRecord;
use crate::store::{Commit, Precondition, Store, StoreError, Written};

/// Makes changes of entities; each is recorded before its commit.
#[derive(Debug, Clone)]
pub struct EntityRecorder {
    changes: ChangeRecorder,
    form: RequestRecord,
}

impl EntityRecorder {
    /// With the digested form, only the names of entities are recorded, not their attributes.
    #[must_use]
    pub fn new(changes: ChangeRecorder, form: RequestRecord) -> Self {
        Self { changes, form }
    }

    /// Stores an entity. [`StoreError::Unrecorded`] if the change cannot be recorded.
    pub fn put(
        &self,
        store: &Store,
        caller: &str,
        entity: &Entity,
        precondition: Precondition,
    ) -> Result<Written, StoreError> {
        self.change(|record| {
            store.put(entity, precondition, |written| {
                record(vec![self.written(caller, entity, written)], &written.commit)
            })
        })
    }

    /// Stores many entities, all or none, with one record for each.
    pub fn put_many(&self, store: &Store, caller: &str, entities: &[Entity]) -> Result<Vec<Written>, StoreError> {
        self.change(|record| {
            store.put_many(entities, |written| {
                let event = |(entity, written)| self.written(caller, entity, written);
                let events = entities.iter().zip(written).map(event).collect();
                written.first().map_or(Ok(()), |first| record(events, &first.commit))
            })
        })
    }

    /// Removes an entity. [`StoreError::Unrecorded`] if the change cannot be recorded.
    pub fn remove(
        &self,
        store: &Store,
        caller: &str,
        uid: &EntityUid,
        precondition: Precondition,
    ) -> Result<Commit, StoreError> {
        self.change(|record| {
            store.remove(uid, precondition, |commit| {
                let event = event(caller, "deleted", uid).name("version", commit.after.version);
                record(vec![event], commit)
            })
        })
    }

    /// Runs a change that records itself through the function that it is given, and marks it as committed.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut dyn FnMut(Vec<Event>, &Commit) -> Result<(), StoreError>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut recorded = None;
        let done = change(&mut |events, commit| {
            let record = self.changes.record(events, commit);
            recorded = Some(record.map_err(|error| StoreError::Unrecorded(error.into()))?);
            Ok(())
        })?;
        if let Some(recorded) = recorded {
            self.changes.committed(recorded);
        }
        Ok(done)
    }

    fn written(&self, caller: &str, entity: &Entity, written: &Written) -> Event {
        let event = event(caller, "written", &entity.uid).name("version", written.version);
        match self.form {
            RequestRecord::Full => event.detail("entity", serde_json::to_value(entity).unwrap_or(Value::Null)),
            RequestRecord::Digest => event,
        }
    }
}

fn event(caller: &str, what: &str, uid: &EntityUid) -> Event {
    let resource = json!({"type": uid.kind, "id": uid.id});
    Event::new(EventKind::Entity, caller).name("event", what).name("resource", resource)
}
