//! Entities in Cedar's JSON form, held against the schema by Cedar itself.

use std::collections::HashSet;

use cedar_policy::{Entity as CedarEntity, Schema};

use super::bundle::Source;
use super::fault::Fault;
use crate::domain::{Entity, MAX_JSON_NESTING, find_cycle, is_json_too_deep};

/// Parses `entities.json`, and validates it against the schema if there is one. Faults are added to `faults`.
pub fn parse(source: &Source, schema: Option<&Schema>, faults: &mut Vec<Fault>) -> Vec<Entity> {
    if is_json_too_deep(source.text.as_bytes()) {
        let detail = format!("nests deeper than {MAX_JSON_NESTING} arrays and objects");
        faults.push(Fault::of_file(&source.file, detail));
        return Vec::new();
    }
    let entities: Vec<Entity> = match serde_json::from_str(&source.text) {
        Ok(entities) => entities,
        Err(error) => {
            // The message ends in the position, which the fault states at its beginning.
            let detail = error.to_string();
            let place = format!(" at line {} column {}", error.line(), error.column());
            faults.push(Fault {
                line: Some(error.line()),
                column: Some(error.column()),
                ..Fault::of_file(&source.file, detail.strip_suffix(&place).unwrap_or(&detail))
            });
            return Vec::new();
        }
    };
    let mut uids = HashSet::new();
    for entity in &entities {
        if !uids.insert(&entity.uid) {
            faults.push(Fault::of_file(&source.file, format!("entity `{}` is there twice", entity.uid)));
        }
        if let Some(Err(detail)) = schema.map(|schema| check(entity, schema)) {
            faults.push(Fault::of_file(&source.file, format!("entity `{}`: {detail}", entity.uid)));
        }
    }
    if let Some(cycle) = find_cycle(&entities) {
        faults.push(Fault::of_file(&source.file, format!("{cycle}")));
    }
    entities
}

/// Whether the schema takes an entity.
pub fn check(entity: &Entity, schema: &Schema) -> Result<(), String> {
    let json = serde_json::to_value(entity).map_err(|error| error.to_string())?;
    CedarEntity::from_json_value(json, Some(schema)).map(|_| ()).map_err(|error| {
        let mut causes = vec![error.to_string()];
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        causes.dedup();
        causes.join(": ").split_whitespace().collect::<Vec<_>>().join(" ")
    })
}
