//! `/v1/entities…`: stored entities, in Cedar's entity JSON.

use actix_web::http::header;
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::authorization::RequestCaller;
use super::body;
use super::consistency;
use super::entity_body;
use super::pagination::Limit;
use super::precondition::{etag, precondition};
use super::problem::{INVALID_ENTITY, NOT_FOUND, Problem};
use super::worker_state::WorkerState;
use super::writes;
use crate::actors::database::{FindEntity, ListEntities, PutEntities, PutEntity, RemoveEntity};
use crate::constitution::Constitution;
use crate::domain::{Consistency, Entity, EntityUid, InputFault, Json, MAX_NAME};
use crate::store::{Cursor, StoreError, StoredEntity};

/// Which entities to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
}

/// `GET /v1/entities/{type}/{id}`
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

/// `PUT /v1/entities/{type}/{id}`
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

/// `DELETE /v1/entities/{type}/{id}`
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

/// `GET /v1/entities?type=`
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
    let next = page.next.map(|cursor| cursor.to_string());
    Ok(HttpResponse::Ok().json(json!({"items": items, "next_cursor": next})))
}

/// `POST /v1/entities/batch`: stores all of an array of entities, or none.
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
    let items = uids
        .iter()
        .zip(&written)
        .map(|(uid, written)| json!({"uid": uid, "etag": etag(written.version), "created": written.created}));
    let mut response = HttpResponse::Ok();
    // An empty batch changes nothing.
    let newest = written.first().map_or_else(|| state.app.store.versions.followed(), |first| first.commit.after);
    consistency::add_token(&mut response, &newest);
    Ok(response.json(json!({"items": items.collect::<Vec<_>>()})))
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
