//! The input of a decision: the request, checked against the schema, and the entities that it reads.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock};

use super::value::{Record, Value};
use super::vocabulary::Vocabulary;
use crate::domain::EntityUid;

/// The data of one entity.
#[derive(Debug, Default)]
pub struct Data {
    /// Its attributes.
    pub attrs: Record,
    /// Its tags.
    pub tags: Record,
    /// Whether policies read its attributes; otherwise it was read for its parents only.
    pub(super) is_reached: bool,
    /// Whether policies need its ancestors.
    pub(super) climbs: bool,
    /// Its direct parents.
    pub(super) parents: Vec<EntityUid>,
    /// All its ancestors, computed on demand.
    pub(super) ancestors: OnceLock<HashSet<EntityUid>>,
}

/// Everything that the conditions of one decision may read.
#[derive(Debug)]
pub struct Facts {
    pub(super) principal: Value,
    pub(super) action: Value,
    pub(super) resource: Value,
    pub(super) context: Value,
    /// The data of the principal.
    pub(super) subject: Option<Data>,
    /// The data of the resource.
    pub(super) object: Option<Data>,
    /// The data of other entities.
    pub(super) others: HashMap<EntityUid, Data>,
    pub(super) actions: Arc<Vocabulary>,
    /// A note on members of the request that may be misspelt.
    pub(super) note: Option<String>,
}

impl Facts {
    /// A note on members of the request that may be misspelt, for people.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The subject of the request.
    #[must_use]
    pub fn principal(&self) -> &Value {
        &self.principal
    }

    /// The action of the request.
    #[must_use]
    pub fn action(&self) -> &Value {
        &self.action
    }

    /// The resource of the request.
    #[must_use]
    pub fn resource(&self) -> &Value {
        &self.resource
    }

    /// The context of the request.
    #[must_use]
    pub fn context(&self) -> &Value {
        &self.context
    }

    /// The data of an entity, empty if it is absent; `None` if it was not requested.
    #[must_use]
    pub fn data(&self, uid: &EntityUid) -> Option<&Data> {
        self.read(uid).filter(|data| data.is_reached)
    }

    /// All ancestors of an entity, computed on first use; `None` if policies do not need them. Cycles are tolerated.
    #[must_use]
    pub fn ancestors(&self, uid: &EntityUid) -> Option<&HashSet<EntityUid>> {
        let data = self.data(uid).filter(|data| data.climbs)?;
        let gather = || {
            let mut ancestors = HashSet::new();
            let mut queue = VecDeque::from([data]);
            while let Some(data) = queue.pop_front() {
                for parent in &data.parents {
                    if ancestors.insert(parent.clone()) {
                        queue.extend(self.read(parent));
                    }
                }
            }
            ancestors
        };
        Some(data.ancestors.get_or_init(gather))
    }

    /// The data of an entity, for whatever reason it was read.
    fn read(&self, uid: &EntityUid) -> Option<&Data> {
        if matches!(&self.principal, Value::Entity(principal) if principal == uid) {
            return self.subject.as_ref();
        }
        match (&self.resource, &self.object) {
            (Value::Entity(resource), Some(object)) if resource == uid => Some(object),
            _ => self.others.get(uid),
        }
    }

    /// Whether `uid` is an action that the schema knows.
    #[must_use]
    pub fn is_action(&self, uid: &EntityUid) -> bool {
        self.actions.action_of(uid).is_some()
    }

    /// Whether `uid` is `group` or in it, directly or not.
    #[must_use]
    pub fn is_member(&self, uid: &EntityUid, group: &EntityUid) -> bool {
        if uid == group {
            return true;
        }
        match self.data(uid) {
            Some(_) => self.ancestors(uid).is_some_and(|ancestors| ancestors.contains(group)),
            None => self.actions.action_of(uid).is_some_and(|action| action.ancestors.contains(group)),
        }
    }
}
