//! `/v1/api-keys…`: keys that are sent with each request.

use std::num::NonZeroU32;

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::authorization::RequestCaller;
use super::page::{After, label, listed, time};
use super::problem::Problem;
use super::token_response::no_store;
use super::worker_state::WorkerState;
use super::{body, withdrawn, writes};
use crate::actors::identity::directory::{AddApiKey, ListApiKeys, NewApiKey, RevokeApiKey};
use crate::auth::granter::Bounds;
use crate::auth::network::Networks;
use crate::auth::scope::Scopes;
use crate::store::api_keys::ApiKey;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    scopes: Vec<String>,
    expires_at: Option<String>,
    #[serde(default)]
    networks: Vec<String>,
    rate_per_s: Option<NonZeroU32>,
}

/// The JSON of an API key, without the key itself.
fn shown(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "scopes": key.scopes.split_whitespace().collect::<Vec<_>>(),
        "networks": key.networks.split(',').map(str::trim).filter(|text| !text.is_empty()).collect::<Vec<_>>(),
        "rate_per_s": key.rate_per_s,
        "expires_at": key.expires_at.map(time),
        "last_used_at": key.last_used_at.map(time),
        "revoked_at": key.revoked_at.map(time),
        "created_at": time(key.created_at),
    })
}

/// `GET /v1/api-keys`
pub async fn list(query: Query<After>, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let (after, limit) = (query.name()?, query.limit().get());
    let keys = state.app.identity.directory.ask(ListApiKeys { after, limit }).await?;
    Ok(listed(&keys, shown))
}

/// `POST /v1/api-keys`: a key never permits more than its maker has.
pub async fn add(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: NewBody = body::json(&request, payload, state.bounds()).await?;
    let scopes: Scopes =
        body.scopes.join(" ").parse().map_err(|error| Problem::fault("/scopes", format!("{error}")))?;
    if scopes.is_empty() {
        return Err(Problem::fault("/scopes", "must name at least one scope"));
    }
    let networks = match body.networks.as_slice() {
        [] => None,
        networks => Some(bounds(networks)?),
    };
    let (name, expires_at) = (label("/name", body.name)?, expiry(body.expires_at)?);
    let new = NewApiKey { name, scopes, bounds: Bounds { networks, rate_per_s: body.rate_per_s, expires_at } };
    let made =
        writes::write(&state, &state.app.identity.directory, AddApiKey { new, granter: caller.granter() }).await?;
    let mut body = shown(&made.stored);
    if let Some(members) = body.as_object_mut() {
        members.insert("key".to_owned(), made.key.into());
    }
    Ok(no_store(HttpResponse::Created().json(body)))
}

/// Networks that there are: a key that is to be bound and is bound to none could be used anywhere.
fn bounds(given: &[String]) -> Result<Networks, Problem> {
    let networks = given.join(",").parse::<Networks>();
    let networks = networks.map_err(|error| Problem::fault("/networks", error.to_string()))?;
    if networks.is_empty() { Err(Problem::fault("/networks", "names no network")) } else { Ok(networks) }
}

/// A time to come (RFC 3339), in Unix seconds.
fn expiry(given: Option<String>) -> Result<Option<i64>, Problem> {
    let Some(given) = given else { return Ok(None) };
    // RFC 3339 allows an offset; with one, the end of the year 9999 may be in the year 10000 in UTC, which cannot be
    // written.
    let at = OffsetDateTime::parse(&given, &Rfc3339).ok().and_then(|at| at.checked_to_offset(UtcOffset::UTC));
    match at {
        Some(at) if at > OffsetDateTime::now_utc() => Ok(Some(at.unix_timestamp())),
        Some(_) => Err(Problem::fault("/expires_at", "is in the past")),
        None => {
            Err(Problem::fault("/expires_at", "must be a time like `2030-01-31T12:00:00Z`, not after the year 9999"))
        }
    }
}

/// `DELETE /v1/api-keys/{id}`
pub async fn revoke(
    id: Path<String>,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let revoke = RevokeApiKey { id: id.into_inner(), caller: caller.name().to_owned() };
    let revoked = writes::write(&state, &state.app.identity.directory, revoke).await?;
    Ok(withdrawn::answer(revoked, |()| HttpResponse::NoContent().finish()))
}
