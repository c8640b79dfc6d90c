//! The parties and the action of a question.

use smol_str::SmolStr;

use super::{EntityUid, Object};

/// A subject or a resource: an entity and its properties in the request.
#[derive(Debug, Clone, PartialEq)]
pub struct Party {
    /// Which entity.
    pub uid: EntityUid,
    /// The properties in the request.
    pub properties: Object,
}

/// An action and its properties in the request.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// Its name: the id of a Cedar `Action`.
    pub name: SmolStr,
    /// The properties in the request.
    pub properties: Object,
}
