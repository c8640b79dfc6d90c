//! `/v1/entities…`: stored entities, in Cedar's entity JSON.

use actix_web::http::header;
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::authorization::RequestCaller;
use super::body;
use super::consistency;
use super::entity_body;
use super::entity_schema;
use super::pagination::{Limit, Page};
use super::precondition::{etag, precondition};
use super::problem::{BAD_REQUEST, INVALID_ENTITY, LOST, NOT_FOUND, OUTCOME_UNKNOWN, Problem, STALE, UNAVAILABLE};
use super::worker_state::WorkerState;
use super::writes;
use crate::actors::database::{FindEntity, ListEntities, PutEntities, PutEntity, RemoveEntity};
use crate::constitution::Constitution;
use crate::domain::{Consistency, Entity, EntityUid, InputFault, Json, MAX_NAME};
use crate::store::{Cursor, StoreError, StoredEntity};

/// Which entities to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// The entity type.
    #[serde(rename = "type")]
    #[param(example = "User")]
    kind: String,
    /// The most items of the page.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 1000, default = 100, required = false)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The outcome of one entity of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"uid": {"type": "User", "id": "ben"}, "etag": "\"17\"", "created": true})))]
struct StoredItem<'a> {
    #[schema(value_type = entity_schema::EntityName)]
    uid: &'a EntityUid,
    /// The entity tag of the stored version.
    etag: String,
    /// Whether it was not stored before.
    created: bool,
}

/// The outcomes of a batch, in its order.
#[derive(Debug, Serialize, ToSchema)]
struct StoredItems<'a> {
    items: Vec<StoredItem<'a>>,
}

/// Show an entity
#[utoipa::path(
    get, path = "/v1/entities/{type}/{id}", operation_id = "showEntity", tag = "entities",
    params(
        ("type" = String, Path, description = "The entity type.", example = "User"),
        ("id" = String, Path, description = "The id within the type.", example = "ann"),
        ("If-None-Match" = Option<String>, Header, example = "\"6\"",
         pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#,
         description = "Entity tags of known versions, or `*`."),
        ("If-Match" = Option<String>, Header, example = "\"6\"",
         pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#,
         description = "Entity tags of acceptable versions, or `*`."),
        ("X-Consistency" = Option<String>, Header,
         pattern = r"^(full|at-least [0-9a-f]{16}\.[0-9]{1,18}\.[0-9a-f]{16})$",
         description = "`full`, or `at-least TOKEN` with the `X-Consistency-Token` of a write."),
    ),
    responses(
        (status = 200, description = "The entity.", body = entity_schema::Entity,
         headers(("ETag" = String, description = "The entity tag of the version."))),
        (status = 304, description = "The caller knows the stored version.",
         headers(("ETag" = String, description = "The entity tag of the version."))),
    ),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, NOT_FOUND.slug, STALE.slug, LOST.slug, UNAVAILABLE.slug]))),
)]
pub async fn show(
    request: HttpRequest,
    path: Path<(String, String)>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let uid = uid(path)?;
    catch_up(&state, &request).await?;
    let stored = state.app.store.database.ask(FindEntity(uid.clone())).await?;
    let stored = stored.ok_or_else(|| Problem::new(&NOT_FOUND, format!("`{uid}` is not stored")))?;
    let tag = (header::ETAG, etag(stored.version));
    let wanted = precondition(request.headers())?;
    match wanted.check(&uid, Some(stored.version)) {
        Ok(()) => Ok(HttpResponse::Ok().insert_header(tag).json(&stored.entity)),
        Err(StoreError::Exists(_)) => Ok(HttpResponse::NotModified().insert_header(tag).finish()),
        Err(error) => Err(error.into()),
    }
}

/// Store an entity
///
/// Creates it or replaces it as a whole.
#[utoipa::path(
    put, path = "/v1/entities/{type}/{id}", operation_id = "storeEntity", tag = "entities",
    params(
        ("type" = String, Path, description = "The entity type.", example = "User"),
        ("id" = String, Path, description = "The id within the type.", example = "ann"),
        ("If-Match" = Option<String>, Header, example = "\"6\"",
         pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#,
         description = "Entity tags: the stored version must have one of them."),
        ("If-None-Match" = Option<String>, Header, example = "\"6\"",
         pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#,
         description = "`*`: nothing may be stored under the name yet."),
    ),
    request_body = entity_schema::NamedEntity,
    responses(
        (status = 200, description = "The entity was replaced.", body = entity_schema::Entity,
         headers(("ETag" = String, description = "The entity tag of the new version."),
                 ("X-Consistency-Token" = String, description = "Names the state of the database after the write."))),
        (status = 201, description = "The entity was created.", body = entity_schema::Entity,
         headers(("ETag" = String, description = "The entity tag of the new version."),
                 ("X-Consistency-Token" = String, description = "Names the state of the database after the write."))),
    ),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, STALE.slug, INVALID_ENTITY.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn put(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let uid = uid(path)?;
    let precondition = precondition(request.headers())?;
    let body: Json = body::json(&request, payload, state.bounds()).await?;
    let entity = entity_body::named(&body, &uid)?;
    check(&state.app.decision.in_force.get().constitution, std::slice::from_ref(&entity), |_| String::new())?;
    let put = PutEntity { entity: entity.clone(), precondition, caller: caller.name().into() };
    let written = writes::write(&state, &state.app.store.database, put).await?;
    let mut response = if written.created { HttpResponse::Created() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, etag(written.version)));
    consistency::add_token(&mut response, &written.commit.after);
    Ok(response.json(&entity))
}

/// Delete an entity
#[utoipa::path(
    delete, path = "/v1/entities/{type}/{id}", operation_id = "deleteEntity", tag = "entities",
    params(
        ("type" = String, Path, description = "The entity type.", example = "User"),
        ("id" = String, Path, description = "The id within the type.", example = "ann"),
        ("If-Match" = Option<String>, Header, example = "\"6\"",
         pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#,
         description = "Entity tags: the stored version must have one of them."),
        ("If-None-Match" = Option<String>, Header, example = "\"6\"",
         pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#,
         description = "Entity tags that the stored version must not have."),
    ),
    responses(
        (status = 204, description = "The entity was deleted.",
         headers(("X-Consistency-Token" = String, description = "Names the state of the database after the write."))),
    ),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, NOT_FOUND.slug, STALE.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn remove(
    request: HttpRequest,
    path: Path<(String, String)>,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let precondition = precondition(request.headers())?;
    let remove = RemoveEntity { uid: uid(path)?, precondition, caller: caller.name().into() };
    let commit = writes::write(&state, &state.app.store.database, remove).await?;
    let mut response = HttpResponse::NoContent();
    consistency::add_token(&mut response, &commit.after);
    Ok(response.finish())
}

/// List the entities of a type
#[utoipa::path(
    get, path = "/v1/entities", operation_id = "listEntities", tag = "entities",
    params(
        ListQuery,
        ("X-Consistency" = Option<String>, Header,
         pattern = r"^(full|at-least [0-9a-f]{16}\.[0-9]{1,18}\.[0-9a-f]{16})$",
         description = "`full`, or `at-least TOKEN` with the `X-Consistency-Token` of a write."),
    ),
    responses((status = 200, description = "A page of entities, in the order of their ids.",
               body = Page<entity_schema::Entity>)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, LOST.slug, UNAVAILABLE.slug]))),
)]
pub async fn list(
    request: HttpRequest,
    query: Query<ListQuery>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    catch_up(&state, &request).await?;
    let after = query.cursor.map(|cursor| cursor.parse::<Cursor>()).transpose()?;
    let list = ListEntities { kind: query.kind, after, limit: query.limit.get() };
    let page = state.app.store.database.ask(list).await?;
    let items: Vec<&Entity> = page.items.iter().map(|StoredEntity { entity, .. }| entity).collect();
    let next_cursor = page.next.map(|cursor| cursor.to_string());
    Ok(HttpResponse::Ok().json(Page { items, next_cursor }))
}

/// Store entities
///
/// Stores all of them, or none.
#[utoipa::path(
    post, path = "/v1/entities/batch", operation_id = "storeEntities", tag = "entities",
    request_body = Vec<entity_schema::NewEntity>,
    responses(
        (status = 200, description = "All entities were stored.", body = StoredItems<'static>,
         headers(("X-Consistency-Token" = String, description = "Names the state of the database after the write."))),
    ),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, STALE.slug, INVALID_ENTITY.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn put_batch(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: Json = body::json(&request, payload, state.bounds()).await?;
    let entities = entity_body::many(&body)?;
    check(&state.app.decision.in_force.get().constitution, &entities, |nth| format!("/{nth}"))?;
    let uids: Vec<EntityUid> = entities.iter().map(|entity| entity.uid.clone()).collect();
    let put = PutEntities { entities, caller: caller.name().into() };
    let written = writes::write(&state, &state.app.store.database, put).await?;
    let items = uids.iter().zip(&written).map(|(uid, written)| StoredItem {
        uid,
        etag: etag(written.version),
        created: written.created,
    });
    let mut response = HttpResponse::Ok();
    // An empty batch changes nothing.
    let newest = written.first().map_or_else(|| state.app.store.versions.followed(), |first| first.commit.after);
    consistency::add_token(&mut response, &newest);
    Ok(response.json(StoredItems { items: items.collect() }))
}

/// Applies changes of other nodes, as far as the request demands.
async fn catch_up(state: &WorkerState, request: &HttpRequest) -> Result<(), Problem> {
    match consistency::demanded(request.headers())? {
        Consistency::Usual => Ok(()),
        Consistency::AtLeast(revision) => Ok(state.app.decision.entities.follow_to(&revision).await?),
        Consistency::Full => Ok(state.app.decision.entities.follow().await?),
    }
}

fn uid(path: Path<(String, String)>) -> Result<EntityUid, Problem> {
    let (kind, id) = path.into_inner();
    if kind.len().max(id.len()) > MAX_NAME {
        return Err(Problem::fault("", format!("type and id must have at most {MAX_NAME} bytes")));
    }
    Ok(EntityUid::new(kind, id))
}

/// Every entity that does not fit the schema, with its place in the body.
fn check(constitution: &Constitution, entities: &[Entity], pointer: impl Fn(usize) -> String) -> Result<(), Problem> {
    let misfits = entities.iter().enumerate().filter_map(|(nth, entity)| {
        constitution.check_entity(entity).err().map(|detail| InputFault::new(pointer(nth), detail))
    });
    let faults: Vec<InputFault> = misfits.collect();
    if faults.is_empty() { Ok(()) } else { Err(Problem::faults(&INVALID_ENTITY, faults)) }
}
