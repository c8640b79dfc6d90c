//! `/v1/api-keys…`: listing, creating and revoking API keys.

use std::num::NonZeroU32;

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::authorization::RequestCaller;
use super::pagination::{After, label, listed, time};
use super::problem::Problem;
use super::token_response::no_store;
use super::worker_state::WorkerState;
use super::{body, withdrawn, writes};
use crate::actors::identity::directory::{AddApiKey, ListApiKeys, NewApiKey, RevokeApiKey};
use crate::auth::granter::Bounds;
use crate::auth::network::Networks;
use crate::auth::scope::Scopes;
use crate::store::api_keys::ApiKey;

/// The body of `POST /v1/api-keys`. Bounds that it does not name are those of the caller.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewApiKeyBody {
    name: String,
    scopes: Vec<String>,
    /// RFC 3339.
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

/// `POST /v1/api-keys`: creates a key and returns its text, which is not shown again. Its scopes and bounds cannot
/// exceed those of the caller.
pub async fn add(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: NewApiKeyBody = body::json(&request, payload, state.bounds()).await?;
    let scopes: Scopes =
        body.scopes.join(" ").parse().map_err(|error| Problem::fault("/scopes", format!("{error}")))?;
    if scopes.is_empty() {
        return Err(Problem::fault("/scopes", "must name at least one scope"));
    }
    let networks = parse_networks(&body.networks)?;
    let name = label("/name", body.name)?;
    let expires_at = body.expires_at.as_deref().map(parse_expiry).transpose()?;
    let bounds = Bounds { networks, rate_per_s: body.rate_per_s, expires_at };
    let add = AddApiKey { new: NewApiKey { name, scopes, bounds }, granter: caller.granter() };
    let made = writes::write(&state, &state.app.identity.directory, add).await?;
    let mut answer = shown(&made.stored);
    if let Some(members) = answer.as_object_mut() {
        members.insert("key".to_owned(), made.key.into());
    }
    Ok(no_store(HttpResponse::Created().json(answer)))
}

/// Parses `networks`; `None` without any. `[""]` is refused: it parses to no network, which would be stored as no
/// bound.
fn parse_networks(given: &[String]) -> Result<Option<Networks>, Problem> {
    if given.is_empty() {
        return Ok(None);
    }
    let networks = given.join(",").parse::<Networks>();
    let networks = networks.map_err(|error| Problem::fault("/networks", error.to_string()))?;
    if networks.is_empty() { Err(Problem::fault("/networks", "names no network")) } else { Ok(Some(networks)) }
}

/// Parses `expires_at` into Unix seconds. It must be in the future.
fn parse_expiry(given: &str) -> Result<i64, Problem> {
    // Converted to UTC, a time at the end of the year 9999 may be in the year 10000, which RFC 3339 cannot express.
    let at = OffsetDateTime::parse(given, &Rfc3339).ok().and_then(|at| at.checked_to_offset(UtcOffset::UTC));
    match at {
        Some(at) if at > OffsetDateTime::now_utc() => Ok(at.unix_timestamp()),
        Some(_) => Err(Problem::fault("/expires_at", "is in the past")),
        None => {
            Err(Problem::fault("/expires_at", "must be a time like `2030-01-31T12:00:00Z`, not after the year 9999"))
        }
    }
}

/// `DELETE /v1/api-keys/{id}`: revokes a key, and every credential created with it.
pub async fn revoke(
    id: Path<String>,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let revoke = RevokeApiKey { id: id.into_inner(), caller: caller.name().to_owned() };
    let revoked = writes::write(&state, &state.app.identity.directory, revoke).await?;
    Ok(withdrawn::answer(revoked, |()| HttpResponse::NoContent().finish()))
}
