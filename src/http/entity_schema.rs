//! Schemas of entities in Cedar's JSON, for the API document. They describe; [`super::entity_body`] reads.
#![allow(dead_code, reason = "the types only describe JSON")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The name of an entity.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"type": "User", "id": "ann"})))]
pub struct EntityName {
    /// The entity type, with its namespaces: at most 1,024 bytes.
    #[schema(min_length = 1, max_length = 1024)]
    r#type: String,
    /// The id within the type: at most 1,024 bytes.
    #[schema(min_length = 1, max_length = 1024)]
    id: String,
}

/// The name of an entity in Cedar's escape.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EscapedEntityName {
    __entity: EntityName,
}

/// The name of an entity, bare or in Cedar's escape.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum EntityReference {
    Bare(EntityName),
    Escaped(EscapedEntityName),
}

/// A value of Cedar: neither null nor a number with a fraction.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum CedarValue {
    Bool(bool),
    Long(i64),
    Text(String),
    #[schema(no_recursion)]
    Set(Vec<CedarValue>),
    #[schema(no_recursion)]
    Record(BTreeMap<String, CedarValue>),
}

/// An entity to be stored. Attributes and tags must fit the schema of the constitution in force.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"attrs": {"active": true}, "parents": [{"type": "Team", "id": "staff"}]})))]
pub struct NamedEntity {
    /// The name, as the path has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = EntityReference, required = false)]
    uid: Option<EntityReference>,
    #[serde(default)]
    attrs: BTreeMap<String, CedarValue>,
    /// The entities of which it is directly a member.
    #[serde(default)]
    parents: Vec<EntityReference>,
    #[serde(default)]
    tags: BTreeMap<String, CedarValue>,
}

/// An entity to be stored, with its name.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "uid": {"type": "User", "id": "ben"}, "attrs": {"active": true}, "parents": [{"type": "Team", "id": "staff"}]
})))]
pub struct NewEntity {
    uid: EntityReference,
    #[serde(default)]
    attrs: BTreeMap<String, CedarValue>,
    /// The entities of which it is directly a member.
    #[serde(default)]
    parents: Vec<EntityReference>,
    #[serde(default)]
    tags: BTreeMap<String, CedarValue>,
}

/// A stored entity.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({
    "uid": {"type": "User", "id": "ann"}, "attrs": {"active": true}, "parents": [{"type": "Team", "id": "staff"}]
})))]
pub struct Entity {
    uid: EntityName,
    attrs: BTreeMap<String, CedarValue>,
    /// The entities of which it is directly a member.
    parents: Vec<EntityName>,
    /// Absent if there are none.
    #[serde(default)]
    #[schema(required = false)]
    tags: BTreeMap<String, CedarValue>,
}
