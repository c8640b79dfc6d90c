//! Makes the document from the descriptions of the handlers and the route table.

use serde_json::{Map, Value, json};

use super::problems::{self, Traits, takes_hash};
use super::security::{self, requirement};
use super::{examples, headers};
use crate::http::claimed_hash::is_question;
use crate::http::route_table::Operation;

/// The member in which a description lists the slugs of the problems that only it has.
const OWN_PROBLEMS: &str = "x-problems";

/// The document: an operation for each one of the route table, as it is described.
pub(super) fn assemble(described: Value, operations: &[Operation], public_url: &str) -> Value {
    let Value::Object(mut document) = described else { return Value::Null };
    let paths = document.remove("paths").unwrap_or_default();
    let mut components = match document.remove("components") {
        Some(Value::Object(components)) => components,
        _ => Map::new(),
    };
    if let Some(schemas) = components.entry("schemas").or_insert_with(|| json!({})).as_object_mut() {
        schemas.insert("Problem".to_owned(), problems::schema());
        schemas.values_mut().for_each(examples::of_schema);
    }
    let (mut in_force, mut shared) = (Map::new(), Map::new());
    for operation in operations {
        let mut description = described_operation(&paths, operation).cloned().unwrap_or_default();
        complete(&mut description, operation, &mut shared);
        examples::add(&mut description, &components);
        let methods = in_force.entry(operation.path.clone()).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(operation.method.as_str().to_ascii_lowercase(), Value::Object(description));
        }
    }
    for (name, parts) in [
        ("securitySchemes", security::schemes(public_url.starts_with("https://"))),
        ("parameters", headers::parameters()),
        ("headers", headers::components()),
        ("responses", Value::Object(shared)),
    ] {
        components.insert(name.to_owned(), parts);
    }
    document.insert("servers".to_owned(), json!([{"url": public_url}]));
    document.insert("paths".to_owned(), Value::Object(in_force));
    document.insert("components".to_owned(), Value::Object(components));
    document
        .insert("x-scopes".to_owned(), json!(crate::auth::scope::Scope::ALL.map(crate::auth::scope::Scope::as_str)));
    Value::Object(document)
}

/// The description of an operation; `None` if its handler has none.
pub(super) fn described_operation<'a>(paths: &'a Value, operation: &Operation) -> Option<&'a Map<String, Value>> {
    let method = operation.method.as_str().to_ascii_lowercase();
    paths.get(&operation.described_at)?.get(&method)?.as_object()
}

/// Parameters that may be absent are never null.
fn without_null(parameter: &mut Value) {
    let Some(schema) = parameter.get_mut("schema").and_then(Value::as_object_mut) else { return };
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|one| one != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    let alternatives = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    let given = alternatives.and_then(|all| all.iter().find(|one| one.get("type") != Some(&json!("null"))).cloned());
    if let Some(Value::Object(given)) = given {
        schema.remove("oneOf");
        schema.extend(given);
    }
}

/// Adds authorization, common parameters and errors.
fn complete(description: &mut Map<String, Value>, operation: &Operation, shared: &mut Map<String, Value>) {
    let own = match description.remove("security") {
        Some(Value::Array(own)) => own,
        _ => Vec::new(),
    };
    description
        .insert("security".to_owned(), Value::Array(security::requirements(operation.access, &operation.method, own)));
    if let Some(scope) = security::required_scope(operation.access) {
        description.insert("x-scope".to_owned(), json!(scope.as_str()));
    }
    let text = match description.get("description").and_then(Value::as_str) {
        Some(text) => format!("{text}\n\n{}", requirement(operation.access)),
        None => requirement(operation.access),
    };
    description.insert("description".to_owned(), json!(text));
    // An alias is an operation of its own, with an id of its own.
    if operation.path != operation.described_at
        && let Some(id) = description.get("operationId").and_then(Value::as_str)
    {
        let id = format!("{id}OfPath");
        description.insert("operationId".to_owned(), json!(id));
    }
    let parameters = description.entry("parameters").or_insert_with(|| json!([]));
    if let Some(parameters) = parameters.as_array_mut() {
        parameters.iter_mut().for_each(without_null);
        let path = &operation.path;
        parameters.extend(headers::parameter_references(
            takes_hash(path) || is_question(path) || path.starts_with("/access/"),
        ));
    }
    let own = description.remove(OWN_PROBLEMS);
    let own: Vec<&str> = own.iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect();
    let has_body = description.contains_key("requestBody");
    let traits = Traits { path: &operation.path, method: &operation.method, access: operation.access, has_body };
    let responses = description.entry("responses").or_insert_with(|| json!({}));
    if let Some(responses) = responses.as_object_mut() {
        problems::add(traits, &own, responses, shared);
    }
}
