//! Examples of bodies: composed from those of the schemas, so that each is written once.

use serde_json::{Map, Value, json};

/// How deep schemas may refer to each other.
const MAX_DEPTH: usize = 8;

/// Adds an example to each JSON body of an operation that has none.
pub(super) fn add(operation: &mut Map<String, Value>, components: &Map<String, Value>) {
    if let Some(content) = operation.get_mut("requestBody").and_then(|body| body.get_mut("content")) {
        complete(content, components);
    }
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    for response in responses.into_iter().flat_map(Map::values_mut) {
        if let Some(content) = response.get_mut("content") {
            complete(content, components);
        }
    }
}

fn complete(content: &mut Value, components: &Map<String, Value>) {
    for media in content.as_object_mut().into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
        if media.contains_key("example") || media.contains_key("examples") {
            continue;
        }
        if let Some(example) = media.get("schema").and_then(|schema| of(schema, components, MAX_DEPTH)) {
            media.insert("example".to_owned(), example);
        }
    }
}

/// The example of a schema, or one composed from its parts.
fn of(schema: &Value, components: &Map<String, Value>, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let name = name.strip_prefix("#/components/schemas/")?;
        return of(components.get("schemas")?.get(name)?, components, depth);
    }
    if let Some(example) = schema.get("examples").and_then(|examples| examples.get(0)) {
        return Some(example.clone());
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        let parts = parts.iter().map(|part| of(part, components, depth)).collect::<Option<Vec<_>>>()?;
        let members = parts.into_iter().filter_map(|part| part.as_object().cloned()).flatten();
        return Some(Value::Object(members.collect()));
    }
    if let Some(alternatives) = schema.get("oneOf").and_then(Value::as_array) {
        if alternatives.iter().any(|one| one.get("type").is_some_and(|name| name == "null")) {
            return Some(Value::Null);
        }
        return of(alternatives.last()?, components, depth);
    }
    if let Some(value) = schema.get("enum").and_then(|values| values.get(0)) {
        return Some(value.clone());
    }
    let of_type = |name: &str| match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    };
    if of_type("null") {
        Some(Value::Null)
    } else if of_type("object") {
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema.get("properties").and_then(Value::as_object);
        let members = properties.into_iter().flatten().filter(|(name, _)| required.contains(&name.as_str()));
        let members = members.map(|(name, schema)| Some((name.clone(), of(schema, components, depth)?)));
        members.collect::<Option<Map<_, _>>>().map(Value::Object)
    } else if of_type("array") {
        let item = schema.get("items").and_then(|items| of(items, components, depth));
        Some(Value::Array(item.into_iter().collect()))
    } else if of_type("boolean") {
        Some(json!(true))
    } else if of_type("integer") || of_type("number") {
        Some(json!(1))
    } else {
        None
    }
}

/// Makes `example` of OpenAPI 3.0 the `examples` of JSON Schema, in a schema and those of its properties.
pub(super) fn of_schema(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(example) = object.remove("example") {
        object.insert("examples".to_owned(), json!([example]));
    }
    object.get_mut("properties").and_then(Value::as_object_mut).into_iter().for_each(|all| {
        all.values_mut().for_each(of_schema);
    });
    object.get_mut("allOf").and_then(Value::as_array_mut).into_iter().for_each(|all| {
        all.iter_mut().for_each(of_schema);
    });
}
