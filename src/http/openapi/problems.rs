//! The errors of an operation: those that it names, and those that all operations like it can have.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::Method;
use serde_json::{Map, Value, json};

use super::headers::header_references;
use crate::http::authorization::Access;
use crate::http::claimed_hash::is_question;
use crate::http::problem::{
    BAD_REQUEST, CONSTITUTION_MISMATCH, CSRF, FORBIDDEN, FOREIGN_ORIGIN, INTERNAL, KINDS, Kind, MISDIRECTED,
    OUTCOME_UNKNOWN, OVERLOADED, TIMEOUT, TOO_LARGE, TOO_MANY, UNAUTHENTICATED, UNAVAILABLE, UNSUPPORTED,
};

/// The content type of problem details.
const PROBLEM_JSON: &str = "application/problem+json";

/// The properties of an operation that decide which errors it can have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traits<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its method.
    pub method: &'a Method,
    /// Its authorization.
    pub access: Access,
    /// Whether it reads a body.
    pub has_body: bool,
}

/// The schema of problem details.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "description": "Problem details (RFC 9457). Its `type` is a page that explains the kind of problem.",
        "required": ["type", "title", "status", "detail", "instance"],
        "properties": {
            "type": {"type": "string", "enum": KINDS.iter().map(|kind| path(kind)).collect::<Vec<_>>()},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What happened to this request."},
            "instance": {"type": "string", "description": "The id of the request."},
            "errors": {
                "type": "array", "items": {"$ref": "#/components/schemas/InputFault"},
                "description": "Every fault of the input.",
            },
        },
    })
}

fn path(kind: &Kind) -> String {
    format!("/problems/{}", kind.slug)
}

/// All kinds of problems that an operation can answer with, by status.
fn kinds(traits: Traits<'_>, own: &[&str]) -> BTreeMap<u16, Vec<&'static Kind>> {
    let mut kinds: Vec<&Kind> = vec![&BAD_REQUEST, &FOREIGN_ORIGIN, &MISDIRECTED, &INTERNAL];
    if !matches!(traits.path, "/livez" | "/readyz" | "/metrics") {
        kinds.push(&OVERLOADED);
    }
    match traits.access {
        Access::Public => {}
        Access::RateLimited => kinds.extend([&TOO_MANY, &UNAVAILABLE]),
        Access::OptionalAuth | Access::Authenticated => kinds.extend([&UNAUTHENTICATED, &TOO_MANY, &UNAVAILABLE]),
        Access::Requires(_) => kinds.extend([&UNAUTHENTICATED, &FORBIDDEN, &TOO_MANY, &UNAVAILABLE]),
    }
    // Public routes read no cookie.
    let reads_cookie = !matches!(traits.access, Access::Public | Access::RateLimited);
    if reads_cookie && *traits.method != Method::GET {
        kinds.push(&CSRF);
    }
    if traits.has_body {
        kinds.extend([&TIMEOUT, &TOO_LARGE, &UNSUPPORTED]);
    }
    if takes_hash(traits.path) {
        kinds.push(&CONSTITUTION_MISMATCH);
    }
    let common: BTreeSet<&str> = kinds.iter().map(|kind| kind.slug).collect();
    let all = KINDS.iter().filter(|kind| common.contains(kind.slug) || own.contains(&kind.slug));
    let mut by_status: BTreeMap<u16, Vec<&Kind>> = BTreeMap::new();
    for kind in all {
        // AuthZEN has only the status 400 for unreadable requests.
        let is_text = traits.path.starts_with("/access/");
        let status = if is_text && **kind == UNSUPPORTED { 400 } else { kind.status };
        by_status.entry(status).or_default().push(kind);
    }
    by_status
}

/// Whether a constitution that the request claims in a header is checked before the route.
pub(super) fn takes_hash(path: &str) -> bool {
    path.starts_with("/v1/") && !is_question(path)
}

/// Adds the errors to the answers of an operation; `own` are the slugs of those that only it has. Answers that are
/// nothing but errors are `shared` by the operations that have them.
pub(super) fn add(
    traits: Traits<'_>,
    own: &[&str],
    responses: &mut Map<String, Value>,
    shared: &mut Map<String, Value>,
) {
    for (status, kinds) in kinds(traits, own) {
        let (content_type, content) = if traits.path.starts_with("/access/") {
            ("text/plain", text(&kinds))
        } else {
            (PROBLEM_JSON, problem(status, &kinds))
        };
        let mut headers = Map::new();
        if status == OUTCOME_UNKNOWN.status {
            headers.insert("Location".to_owned(), json!({"$ref": "#/components/headers/Location"}));
        }
        if let Some(response) = responses.get_mut(&status.to_string()) {
            extend(response, "content", Map::from_iter([(content_type.to_owned(), content)]));
            extend(response, "headers", headers);
        } else {
            let slugs = kinds.iter().map(|kind| kind.slug).collect::<Vec<_>>().join(".");
            let name = format!("{status}.{slugs}{}", if content_type == PROBLEM_JSON { "" } else { ".text" });
            responses.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{name}")}));
            let titles = kinds.iter().map(|kind| kind.title).collect::<Vec<_>>().join(". Or: ");
            headers.extend(header_references(status));
            let response =
                json!({"description": format!("{titles}."), "content": {content_type: content}, "headers": headers});
            shared.insert(name, response);
        }
    }
    for (status, response) in responses.iter_mut().filter(|(_, response)| response.get("$ref").is_none()) {
        extend(response, "headers", status.parse().map(header_references).unwrap_or_default());
    }
}

/// Adds members to an object in an object.
fn extend(object: &mut Value, name: &str, members: Map<String, Value>) {
    let inner = object.as_object_mut().map(|object| object.entry(name).or_insert_with(|| json!({})));
    if let Some(inner) = inner.and_then(Value::as_object_mut) {
        inner.extend(members);
    }
}

fn text(kinds: &[&Kind]) -> Value {
    let example = kinds.first().map(|kind| kind.title);
    json!({"schema": {"type": "string"}, "example": example})
}

fn problem(status: u16, kinds: &[&Kind]) -> Value {
    let types: Vec<String> = kinds.iter().map(|kind| path(kind)).collect();
    let examples = kinds.iter().map(|kind| {
        let value = json!({
            "type": path(kind), "title": kind.title, "status": kind.status, "detail": kind.title,
            "instance": "01a20968-28e9-7570-9ff2-740f540c5b2d",
        });
        (kind.slug.to_owned(), json!({"summary": kind.title, "value": value}))
    });
    json!({
        "schema": {
            "allOf": [{"$ref": "#/components/schemas/Problem"}],
            "properties": {"type": {"enum": types}, "status": {"const": status}},
        },
        "examples": Value::Object(examples.collect()),
    })
}
