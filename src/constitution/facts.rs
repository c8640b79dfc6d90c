//! What a decision reads: the request, checked against the schema, and the entities it reaches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::value::{Record, Value};
use super::vocabulary::Vocabulary;
use crate::domain::EntityUid;

/// What is known of one entity.
#[derive(Debug, Default)]
pub struct Data {
    /// Its attributes.
    pub attrs: Record,
    /// Its tags.
    pub tags: Record,
    /// The entities it is in, directly or not; `None` where no policy asks for them.
    pub ancestors: Option<HashSet<EntityUid>>,
}

/// Everything that the conditions of one decision may read.
#[derive(Debug)]
pub struct Facts {
    pub(super) principal: Value,
    pub(super) action: Value,
    pub(super) resource: Value,
    pub(super) context: Value,
    /// What is known of the principal.
    pub(super) subject: Option<Data>,
    /// What is known of the resource.
    pub(super) object: Option<Data>,
    /// What is known of other entities.
    pub(super) others: HashMap<EntityUid, Data>,
    pub(super) actions: Arc<Vocabulary>,
}

impl Facts {
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

    /// What is known of an entity: nothing, where it is absent; `None` where it was not asked for.
    #[must_use]
    pub fn data(&self, uid: &EntityUid) -> Option<&Data> {
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
            Some(data) => data.ancestors.as_ref().is_some_and(|ancestors| ancestors.contains(group)),
            None => self.actions.action_of(uid).is_some_and(|action| action.ancestors.contains(group)),
        }
    }
}
