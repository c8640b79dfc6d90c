//! The API document says what the daemon does: its routes, their authorization, and the form of real answers.

mod decisions;
mod docs;
mod examples;
mod schema;

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Map, Value, json};

use crate::auth::routes::GUARDED;
use crate::harness::{Answer, Request, Setup, TestDaemon, repository};

/// Schemas whose further members are not described one by one.
const OPEN: [&str; 5] = ["AuditRecord", "Introspection", "Jwk", "Problem", "InputFault"];

/// The API document of a daemon.
struct Document(Value);

/// One operation of the document.
struct Operation<'a> {
    method: String,
    path: &'a str,
    description: &'a Value,
}

impl Document {
    #[track_caller]
    fn of(daemon: &TestDaemon) -> Self {
        let answer = daemon.get("/openapi.json");
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        Self(answer.json())
    }

    fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().iter().map(move |(method, description)| Operation {
                method: method.to_uppercase(),
                path,
                description,
            })
        })
    }

    fn operation(&self, id: &str) -> Operation<'_> {
        self.operations().find(|operation| operation.id() == id).unwrap_or_else(|| panic!("no operation `{id}`"))
    }

    /// What a reference leads to, or the value itself.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else { return value };
        self.0.pointer(reference.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("nothing at {reference}"))
    }

    /// Everything that is wrong with a value by a schema of the document. Members that no schema names are faults, too.
    fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut root = schema.clone();
        root["components"] = json!({"schemas": self.strict()});
        let validator = jsonschema::draft202012::new(&root).unwrap();
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// The schemas, each without members that it does not name. Schemas that are parts of others stay open.
    fn strict(&self) -> Map<String, Value> {
        let mut schemas = self.0["components"]["schemas"].as_object().unwrap().clone();
        let text = |schema: &Value| schema["allOf"].to_string();
        let parts: Vec<String> = schemas.values().map(text).collect();
        for (name, schema) in &mut schemas {
            let is_part = parts.iter().any(|part| part.contains(&format!("schemas/{name}\"")));
            let is_closed = schema.get("allOf").is_some() || schema.get("properties").is_some();
            if is_closed && !is_part && !OPEN.contains(&name.as_str()) && schema.get("additionalProperties").is_none() {
                schema["unevaluatedProperties"] = json!(false);
            }
        }
        schemas
    }

    /// Fails unless the document has an answer of this operation with that status and form.
    #[track_caller]
    fn check(&self, operation: &Operation<'_>, answer: &Answer) {
        let name = operation.name();
        let response = self.resolve(&operation.description["responses"][answer.status.to_string()]);
        assert!(response.is_object(), "{name} is not described with {answer}");
        for header in response["headers"].as_object().into_iter().flat_map(Map::keys) {
            let is_there = answer.header(&header.to_lowercase()).is_some();
            // Only one of the answers with this status may have it.
            assert!(is_there || ["Location", "WWW-Authenticate"].contains(&header.as_str()), "{name}: no {header}");
        }
        let Some(given) = answer.header("content-type") else {
            assert!(answer.body.is_empty(), "{name}: {answer}");
            return;
        };
        let given = given.split(';').next().unwrap();
        let media = &response["content"][given];
        assert!(media.is_object(), "{name} is not described with `{given}`: {answer}");
        if given.ends_with("json") {
            let faults = self.faults(&media["schema"], &answer.json());
            assert!(faults.is_empty(), "{name}: {faults:#?} in {answer}");
        }
    }
}

impl Operation<'_> {
    fn id(&self) -> &str {
        self.description["operationId"].as_str().unwrap()
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether a request line is one of this operation.
    fn is_at(&self, method: &str, path: &str) -> bool {
        let (ours, theirs): (Vec<_>, Vec<_>) = (self.path.split('/').collect(), path.split('/').collect());
        let is_rest = |part: &&str| *part == "{name}" && self.path.contains("/tile/");
        let same = |(our, their): (&&str, &&str)| our == their || our.starts_with('{');
        self.method == method
            && (ours.len() == theirs.len() || ours.last().is_some_and(is_rest) && ours.len() < theirs.len())
            && ours.iter().zip(&theirs).all(same)
    }

    fn scope(&self) -> Option<&str> {
        self.description["x-scope"].as_str()
    }
}

#[test]
fn the_document_has_the_routes_of_the_table() {
    let document = Document::of(&TestDaemon::start());
    // Each route is written on one line with `(Method::`, and its authorization beside it.
    let table = fs::read_to_string(repository().join("src/http/routes.rs")).unwrap();
    let routes = table.lines().filter(|line| line.contains("(Method::")).count();
    let names: BTreeSet<String> = document.operations().map(|operation| operation.name()).collect();
    assert_eq!(names.len(), routes, "{names:#?}");
    for operation in document.operations() {
        let description = operation.description;
        assert!(description["summary"].is_string(), "{} is not described", operation.name());
        assert!(description["description"].is_string(), "{} is not described", operation.name());
    }
}

#[test]
fn the_document_names_the_scopes_that_are_asked_for() {
    let setup = Setup::new().set("auth.decisions", "token").set("monitor.metrics", "token");
    let document = Document::of(&setup.start());
    // The most specific template comes first, as in the router.
    let specific = |operation: &Operation<'_>| operation.path.matches('{').count();
    let mut guarded = BTreeSet::new();
    for (method, path, scope) in GUARDED {
        let operation = document.operations().filter(|operation| operation.is_at(method, path)).min_by_key(specific);
        let operation = operation.unwrap_or_else(|| panic!("{method} {path} is not in the document"));
        assert_eq!(operation.scope(), *scope, "{method} {path}");
        let required = json!(scope.iter().collect::<Vec<_>>());
        let mut session = json!({"session": required});
        if *method != "GET" {
            session["csrf"] = json!([]);
        }
        assert_eq!(operation.description["security"], json!([{"token": required}, {"apiKey": required}, session]));
        guarded.insert(operation.name());
    }
    let others = document.operations().filter(|operation| !guarded.contains(&operation.name()));
    for operation in others {
        let security = operation.description["security"].as_array().unwrap();
        assert!(security.is_empty() || security.contains(&json!({})), "{} is open", operation.name());
    }
}

#[test]
fn the_document_shows_the_authorization_that_is_in_force() {
    let open = Document::of(&Setup::new().set("auth.decisions", "open").start());
    for id in ["evaluate", "evaluateBatch", "validate"] {
        let security = &open.operation(id).description["security"];
        assert_eq!(*security, json!([{}, {"token": []}, {"apiKey": []}, {"session": [], "csrf": []}]), "{id}");
    }
    assert_eq!(open.operation("showMetrics").description["security"], json!([]));
}

#[test]
fn the_document_has_the_public_url_and_its_path() {
    let daemon = Setup::new().set("http.public_url", "https://acgs.example/governance").start();
    let document = Document::of(&daemon);
    assert_eq!(document.0["servers"], json!([{"url": "https://acgs.example/governance"}]));
    for name in ["authzen-configuration", "oauth-authorization-server"] {
        for path in [format!("/.well-known/{name}"), format!("/.well-known/{name}/governance")] {
            let operation = document.operations().find(|operation| operation.path == path).unwrap();
            document.check(&operation, &daemon.get(&path));
        }
    }
}

#[test]
fn a_known_document_is_not_sent_again() {
    let daemon = TestDaemon::start();
    let first = daemon.get("/openapi.json");
    let tag = first.header("etag").unwrap();
    let again = daemon.ask(&Request::get("/openapi.json").header("If-None-Match", tag));
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag)));
    let other = daemon.ask(&Request::get("/openapi.json").header("If-None-Match", "\"other\""));
    assert_eq!((other.status, other.body), (200, first.body));
}
