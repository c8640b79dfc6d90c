//! Entities: principals, resources, and their groups.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::Object;

/// Names one entity: a type, perhaps with namespaces (`acgs::Agent`), and an id within it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityUid {
    /// The entity type.
    #[serde(rename = "type")]
    pub kind: SmolStr,
    /// The id, unique within the type.
    pub id: SmolStr,
}

impl EntityUid {
    /// Names an entity.
    pub fn new(kind: impl Into<SmolStr>, id: impl Into<SmolStr>) -> Self {
        Self { kind: kind.into(), id: id.into() }
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + text_bytes(&self.kind) + text_bytes(&self.id)
    }
}

impl std::fmt::Display for EntityUid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::{:?}", self.kind, self.id)
    }
}

/// A stored entity, in Cedar's entity JSON form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// Its name.
    pub uid: EntityUid,
    /// Its attributes.
    #[serde(default)]
    pub attrs: Object,
    /// The entities it is directly a member of.
    #[serde(default)]
    pub parents: Vec<EntityUid>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Object::is_empty")]
    pub tags: Object,
}

impl Entity {
    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let parents = self.parents.iter().map(EntityUid::bytes).sum::<usize>();
        self.uid.bytes() + self.attrs.bytes() + parents + self.tags.bytes()
    }
}

/// The heap memory of a text, in bytes.
fn text_bytes(text: &SmolStr) -> usize {
    if text.is_heap_allocated() { text.len() } else { 0 }
}
