//! Members of a request that the schema does not declare. Decisions ignore them; if a name is similar to a declared
//! one, a deny mentions it.

use super::vocabulary::{Action, EntityType, Kind, Shape};
use crate::domain::{Evaluation, Json, Object, suggestion};
use crate::settings::RequestProperties;

/// The most members of an object that are examined.
const LOOKED_AT: usize = 64;

/// The most members that are named.
const NAMED: usize = 4;

/// The deepest records that are examined.
const DEPTH: usize = 4;

/// A note on members that may be misspelt; `None` if no undeclared member has a name similar to a declared one.
pub fn note(
    mode: RequestProperties,
    evaluation: &Evaluation,
    (action, subject, resource): (&Action, &EntityType, &EntityType),
) -> Option<String> {
    let mut notes = Vec::new();
    look("context", &evaluation.context, &action.context, DEPTH, &mut notes);
    if let Some(Kind::Record(shape)) = action.context.kind("action") {
        look("context.action", &evaluation.action.properties, shape, DEPTH, &mut notes);
    }
    if mode == RequestProperties::Merge {
        look("subject.properties", &evaluation.subject.properties, &subject.attrs, DEPTH, &mut notes);
        look("resource.properties", &evaluation.resource.properties, &resource.attrs, DEPTH, &mut notes);
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

fn look(owner: &str, object: &Object, shape: &Shape, depth: usize, notes: &mut Vec<String>) {
    for (name, json) in object.iter().take(LOOKED_AT) {
        if notes.len() == NAMED {
            return;
        }
        match (shape.kind(name), json) {
            (Some(Kind::Record(shape)), Json::Object(object)) if depth > 0 => {
                look(&format!("{owner}.{name}"), object, shape, depth - 1, notes);
            }
            (Some(_), _) => {}
            (None, _) => {
                // A declared member that is present was not misspelt.
                let absent = shape.iter().map(|attribute| &*attribute.name).filter(|name| object.get(name).is_none());
                let near = suggestion(name, absent);
                if !near.is_empty() {
                    notes.push(format!("`{owner}.{name}` is not declared and was left out{near}"));
                }
            }
        }
    }
}
