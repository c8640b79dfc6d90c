//! The document has the operations of the route table, and each of them is described.

use std::collections::BTreeSet;

use actix_web::App;

use super::*;
use crate::http::route_table::{Operation, RouteTable};
use crate::http::routes::add_routes;
use crate::settings::Settings;

/// The operations of a daemon with the shipped settings and a public URL with that path.
fn operations(path: &str) -> Vec<Operation> {
    let settings = Settings::load(std::path::Path::new("settings"), None, std::iter::empty()).unwrap().settings;
    let mut operations = Vec::new();
    let _ = App::new().configure(|config| {
        let mut table = RouteTable::new(config);
        add_routes(&mut table, &settings, path);
        operations = table.operations().to_vec();
    });
    operations
}

fn names(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let methods = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| (path.clone(), method.to_uppercase()))
    });
    methods.collect()
}

#[test]
fn every_operation_is_described_and_nothing_else_is() {
    let described = names(&described());
    let routed: BTreeSet<(String, String)> =
        operations("").into_iter().map(|operation| (operation.path, operation.method.to_string())).collect();
    let missing: Vec<_> = routed.difference(&described).collect();
    assert!(missing.is_empty(), "without a `#[utoipa::path]` that `Descriptions` lists: {missing:?}");
    let gone: Vec<_> = described.difference(&routed).collect();
    assert!(gone.is_empty(), "described, but not in the route table: {gone:?}");
}

#[test]
fn the_document_has_the_operations_and_scopes_of_the_route_table() {
    for path in ["", "/acgs"] {
        let operations = operations(path);
        let document = assemble::assemble(described(), &operations, "https://acgs.example/acgs");
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["servers"][0]["url"], "https://acgs.example/acgs");
        assert_eq!(names(&document).len(), operations.len());
        let mut ids = BTreeSet::new();
        for operation in &operations {
            let shown = &document["paths"][&operation.path][operation.method.as_str().to_lowercase()];
            let scope = security::required_scope(operation.access).map(crate::auth::scope::Scope::as_str);
            assert_eq!(shown["x-scope"].as_str(), scope, "{operation:?}");
            let required = shown["security"][0]["token"][0].as_str();
            assert_eq!(required, scope, "{operation:?}");
            assert!(shown["summary"].is_string() && shown["tags"].is_array(), "{operation:?}");
            assert!(ids.insert(shown["operationId"].as_str().unwrap().to_owned()), "{operation:?}");
        }
    }
    assert!(operations("/acgs").iter().any(|one| one.path == "/.well-known/oauth-authorization-server/acgs"));
}

#[test]
fn a_claimed_hash_is_described_for_questions_without_the_refusal_that_they_do_not_have() {
    let document = assemble::assemble(described(), &operations(""), "https://acgs.example");
    for (path, method, is_refused) in [
        ("/v1/validate", "post", false),
        ("/v1/explain", "post", false),
        ("/access/v1/evaluation", "post", false),
        ("/v1/entities/{type}/{id}", "put", true),
    ] {
        let operation = &document["paths"][path][method];
        let takes_hash = operation["parameters"].to_string().contains("/ConstitutionalHash");
        let refused = operation["responses"]["409"].to_string().contains("constitution-mismatch");
        assert_eq!((takes_hash, refused), (true, is_refused), "{path}");
    }
}
