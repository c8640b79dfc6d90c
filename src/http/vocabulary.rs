//! `GET /v1/schema`: the vocabulary of the constitution in force as JSON Schema.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::static_file::StaticFile;
use super::worker_state::WorkerState;

/// The vocabulary as JSON Schema
///
/// The schema of the questions that the constitution in force can decide by its policies, with definitions of its
/// entity types and actions, so that clients can be typed. Its entity tag changes with the constitution.
#[utoipa::path(
    get, path = "/v1/schema", operation_id = "showSchema", tag = "constitution",
    params(("If-None-Match" = Option<String>, Header, description = "The entity tag of a known version.")),
    responses(
        (status = 200, description = "A schema of JSON Schema 2020-12.", body = Object,
         content_type = "application/schema+json",
         headers(("ETag" = String, description = "The entity tag of the schema."))),
        (status = 304, description = "The caller knows the schema.",
         headers(("ETag" = String, description = "The entity tag of the schema."))),
    ),
)]
pub async fn show(request: HttpRequest, state: Data<WorkerState>) -> HttpResponse {
    let active = state.app.decision.in_force.get();
    let constitution = &active.constitution;
    let key = (constitution.digest(), active.request_properties);
    let schema = state.app.documents.schema(key, || {
        let mut schema = constitution.request_schema(active.request_properties);
        let title = format!("Evaluation request under {} {}", constitution.name(), constitution.version());
        schema.insert("$id".to_owned(), json!(format!("{}/v1/schema", state.app.public_url)));
        schema.insert("title".to_owned(), json!(title));
        schema.insert("$comment".to_owned(), json!(format!("constitution {}", constitution.digest())));
        StaticFile::new(Value::Object(schema).to_string(), "application/schema+json")
    });
    schema.answer(request.headers())
}
