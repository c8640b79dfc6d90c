//! The vocabulary of a constitution as JSON Schema 2020-12: the requests that its policies can decide.
//!
//! The schema takes the JSON that [`super::coerce`] takes. Undeclared members are allowed and dropped, as there. Two
//! things JSON Schema cannot express: a number like `1.0` is an integer to it, but no `Long`; and the members beside an
//! escape must equal those in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::vocabulary::{Action, EntityType, Kind, Shape, Vocabulary};
use crate::domain::MAX_NAME;
use crate::settings::RequestProperties;

/// The member of the context that has the properties of the action.
const PARTICULARS: &str = "action";

/// Whether attributes that are declared as required must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Required {
    Demanded,
    Waived,
}

impl Vocabulary {
    /// The schema of an evaluation request (AuthZEN 1.0, section 6.1), with a definition for each type and action.
    #[must_use]
    pub fn json_schema(&self, mode: RequestProperties) -> Map<String, Value> {
        let mut definitions = Map::new();
        let types: BTreeMap<&str, &EntityType> =
            self.type_names().filter_map(|name| Some((name, self.entity_type(name)?))).collect();
        for (name, declared) in &types {
            definitions.insert(format!("Attributes.{name}"), attributes(name, declared));
            definitions.insert(format!("Party.{name}"), party(name, declared, mode));
            definitions.insert(format!("Reference.{name}"), reference(name, declared));
        }
        let actions: BTreeMap<&str, &Action> =
            self.action_names().filter_map(|name| Some((name, self.action(name)?))).collect();
        // An action without types, such as a group, cannot be asked for.
        let askable: BTreeMap<&str, &Action> =
            actions.into_iter().filter(|(_, one)| !one.principals.is_empty() && !one.resources.is_empty()).collect();
        let (mut subjects, mut resources) = (BTreeSet::new(), BTreeSet::new());
        let mut branches = Vec::new();
        for (name, action) in &askable {
            subjects.extend(action.principals.iter().map(|name| &**name));
            resources.extend(action.resources.iter().map(|name| &**name));
            definitions.insert(format!("Action.{name}"), request(name, action));
            branches.push(json!({
                "if": {"properties": {"action": {"properties": {"name": {"const": name}}}}},
                "then": {"$ref": definition("Action", name)},
            }));
        }
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "required": ["subject", "action", "resource"],
            "properties": {
                "subject": any_party(&subjects),
                "action": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"enum": askable.keys().collect::<Vec<_>>()},
                        "properties": {"type": "object"},
                    },
                },
                "resource": any_party(&resources),
                "context": {"type": "object"},
            },
            "allOf": branches,
            "$defs": definitions,
        });
        let mut members = schema.as_object().cloned().unwrap_or_default();
        // `allOf` must have at least one item, and a constitution may have no action.
        if askable.is_empty() {
            members.remove("allOf");
        }
        members
    }
}

/// A reference to a definition: a JSON pointer, percent-encoded for the fragment of a URI.
fn definition(kind: &str, name: &str) -> String {
    let pointer = format!("{kind}.{name}").replace('~', "~0").replace('/', "~1");
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    format!("#/$defs/{}", pointer.bytes().map(escape).collect::<String>())
}

/// A subject or resource of one of these types.
fn any_party(types: &BTreeSet<&str>) -> Value {
    json!({
        "type": "object",
        "required": ["type", "id"],
        "properties": {
            "type": {"enum": types},
            "id": {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
            "properties": {"type": "object"},
        },
    })
}

/// The attributes of a stored entity, and its tags.
fn attributes(name: &str, declared: &EntityType) -> Value {
    let mut schema = object(&declared.attrs, Required::Demanded, None);
    if let Some(members) = schema.as_object_mut() {
        members.insert("title".to_owned(), json!(name));
        if let Some(kind) = &declared.tags {
            members.insert("x-tags".to_owned(), json!({"type": "object", "additionalProperties": value(kind)}));
        }
    }
    schema
}

/// A subject or resource of one type. Required attributes may be stored, so a request needs none.
fn party(name: &str, declared: &EntityType, mode: RequestProperties) -> Value {
    let properties = match mode {
        RequestProperties::Merge => object(&declared.attrs, Required::Waived, None),
        RequestProperties::Ignore => json!({"type": "object"}),
    };
    json!({"type": "object", "properties": {"type": {"const": name}, "id": ids(declared), "properties": properties}})
}

/// The ids of a type: any text, or those that it enumerates.
fn ids(declared: &EntityType) -> Value {
    match &declared.ids {
        Some(ids) => json!({"enum": ids.iter().map(|id| &**id).collect::<BTreeSet<_>>()}),
        None => json!({"type": "string"}),
    }
}

/// A reference to an entity of a type, plain or in Cedar's escape.
fn reference(name: &str, declared: &EntityType) -> Value {
    let plain = json!({
        "type": "object",
        "required": ["type", "id"],
        "properties": {"type": {"const": name}, "id": ids(declared), "__entity": false, "__extn": false},
    });
    let escaped =
        json!({"type": "object", "required": ["__entity"], "properties": {"__entity": plain, "__extn": false}});
    json!({"anyOf": [plain, escaped]})
}

/// The members of a request for one action.
fn request(name: &str, action: &Action) -> Value {
    let of = |types: &std::collections::HashSet<smol_str::SmolStr>| {
        let types: BTreeSet<&str> = types.iter().map(|name| &**name).collect();
        let branches: Vec<Value> = types.iter().map(|name| json!({"$ref": definition("Party", name)})).collect();
        json!({"properties": {"type": {"enum": types}}, "anyOf": branches})
    };
    let mut schema = json!({
        "title": name,
        "properties": {"subject": of(&action.principals), "resource": of(&action.resources)},
    });
    let Some(members) = schema.as_object_mut() else { return schema };
    let Some(particulars) = action.context.kind(PARTICULARS) else {
        members.insert("allOf".to_owned(), json!([with_context(&object(&action.context, Required::Demanded, None))]));
        return schema;
    };
    // Properties of the action, if there are any, replace the member of the context.
    let given = json!({"properties": {"action": {
        "required": ["properties"], "properties": {"properties": {"minProperties": 1}},
    }}});
    let mut own = with_context(&object(&action.context, Required::Demanded, Some(PARTICULARS)));
    if let Some(properties) = own.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("action".to_owned(), json!({"properties": {"properties": value(particulars)}}));
    }
    members.insert("if".to_owned(), given);
    members.insert("then".to_owned(), Value::Object(own));
    let without = with_context(&object(&action.context, Required::Demanded, None));
    members.insert("else".to_owned(), Value::Object(without));
    schema
}

/// A context that must be there if it has required members.
fn with_context(context: &Value) -> Map<String, Value> {
    let is_required = context.get("required").is_some();
    let mut members = Map::new();
    if is_required {
        members.insert("required".to_owned(), json!(["context"]));
    }
    members.insert("properties".to_owned(), json!({"context": context}));
    members
}

/// An object with declared members, without one of them.
fn object(shape: &Shape, required: Required, omitted: Option<&str>) -> Value {
    let declared = || shape.iter().filter(|attribute| omitted != Some(&*attribute.name));
    let properties: Map<String, Value> =
        declared().map(|attribute| (attribute.name.to_string(), value(&attribute.kind))).collect();
    let needed: Vec<&str> =
        declared().filter(|attribute| attribute.required).map(|attribute| &*attribute.name).collect();
    if required == Required::Waived || needed.is_empty() {
        json!({"type": "object", "properties": properties})
    } else {
        json!({"type": "object", "properties": properties, "required": needed})
    }
}

/// A value of a declared type.
fn value(kind: &Kind) -> Value {
    match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Long => json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX}),
        Kind::Str => json!({"type": "string"}),
        Kind::Entity(name) => json!({"$ref": definition("Reference", name)}),
        Kind::Set(element) => json!({"type": "array", "items": value(element)}),
        Kind::Record(fields) => object(fields, Required::Demanded, None),
        Kind::Extension(function) => extension(&function.to_string()),
    }
}

/// The text that makes a value of an extension type, plain or in Cedar's escape.
fn extension(function: &str) -> Value {
    let mut text = json!({"type": "string", "description": format!("text that Cedar's `{function}` accepts")});
    let pattern = match function {
        "decimal" => Some(r"^-?[0-9]+\.[0-9]{1,4}$"),
        "duration" => Some("^-?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"),
        "datetime" => Some(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?(Z|[+-][0-9]{4}))?$"),
        _ => None,
    };
    if let (Some(pattern), Some(members)) = (pattern, text.as_object_mut()) {
        members.insert("pattern".to_owned(), json!(pattern));
    }
    let call = json!({
        "type": "object",
        "required": ["fn", "arg"],
        "properties": {"fn": {"const": function}, "arg": text, "__entity": false, "__extn": false},
    });
    let escaped = json!({"type": "object", "required": ["__extn"], "properties": {"__extn": call, "__entity": false}});
    json!({"anyOf": [text, call, escaped]})
}
