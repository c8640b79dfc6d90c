//! `/v1/api-keys…`: listing, creating and revoking API keys.

use std::num::NonZeroU32;

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use utoipa::ToSchema;

use super::authorization::RequestCaller;
use super::pagination::{After, Page, label, listed, time};
use super::problem::{BAD_REQUEST, FORBIDDEN, NOT_FOUND, OUTCOME_UNKNOWN, Problem, TAKEN};
use super::token_response::no_store;
use super::withdrawn::PendingWithdrawal;
use super::worker_state::WorkerState;
use super::{body, withdrawn, writes};
use crate::actors::identity::directory::{AddApiKey, ListApiKeys, NewApiKey, RevokeApiKey};
use crate::auth::granter::Bounds;
use crate::auth::network::Networks;
use crate::auth::scope::{Scope, Scopes};
use crate::store::api_keys::ApiKey;

/// A new API key. Bounds that it does not name are those of the caller.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApiKey, examples(json!({
    "name": "nightly report", "scopes": ["read", "audit:read"], "expires_at": "2099-12-31T00:00:00Z",
    "networks": ["127.0.0.0/8"], "rate_per_s": 10
})))]
struct NewApiKeyBody {
    /// A label for people, without control characters.
    #[schema(min_length = 1, max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    name: String,
    /// The scopes of the key: at least one, and none that the caller does not have.
    #[schema(value_type = Vec<Scope>, min_items = 1)]
    scopes: Vec<String>,
    /// When the key expires (RFC 3339): a time in the future, before the year 10000.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// The networks from which the key may be used, in CIDR notation; any without one.
    #[serde(default)]
    networks: Vec<String>,
    /// The most requests per second.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 4_294_967_295_u32)]
    rate_per_s: Option<NonZeroU32>,
}

/// An API key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey, examples(json!({
    "id": "abcdefgh2345", "name": "nightly report", "owner": "user:admin", "scopes": ["read", "audit:read"],
    "networks": ["127.0.0.0/8"], "rate_per_s": 10, "expires_at": "2099-12-31T00:00:00Z", "last_used_at": null,
    "revoked_at": null, "created_at": "2026-11-24T09:30:00Z"
})))]
struct ShownApiKey {
    /// The public id, with which the key begins.
    id: String,
    name: String,
    /// The caller that created it.
    owner: String,
    #[schema(value_type = Vec<Scope>)]
    scopes: Vec<String>,
    networks: Vec<String>,
    #[schema(required)]
    rate_per_s: Option<i64>,
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
    #[schema(format = DateTime, required)]
    last_used_at: Option<String>,
    #[schema(format = DateTime, required)]
    revoked_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// An API key with its text, which is not shown again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedApiKey)]
struct CreatedApiKey {
    #[serde(flatten)]
    stored: ShownApiKey,
    /// The key: what callers send in the header `X-API-Key`.
    #[schema(example = "acgs_ak_abcdefgh2345_…")]
    key: String,
}

fn shown(key: &ApiKey) -> ShownApiKey {
    ShownApiKey {
        id: key.id.clone(),
        name: key.name.clone(),
        owner: key.owner.clone(),
        scopes: key.scopes.split_whitespace().map(str::to_owned).collect(),
        networks: key.networks.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect(),
        rate_per_s: key.rate_per_s,
        expires_at: key.expires_at.map(time),
        last_used_at: key.last_used_at.map(time),
        revoked_at: key.revoked_at.map(time),
        created_at: time(key.created_at),
    }
}

/// List API keys
///
/// Revoked and expired keys are listed, too, until they are purged.
#[utoipa::path(
    get, path = "/v1/api-keys", operation_id = "listApiKeys", tag = "api-keys", params(After),
    responses((status = 200, description = "A page of keys, in the order of their ids.", body = Page<ShownApiKey>)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug]))),
)]
pub async fn list(query: Query<After>, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let (after, limit) = (query.name()?, query.limit().get());
    let keys = state.app.identity.directory.ask(ListApiKeys { after, limit }).await?;
    Ok(listed(&keys, shown))
}

/// Create an API key
///
/// The answer contains the key's text, which is not shown again. Its scopes and bounds cannot exceed those of the
/// caller.
#[utoipa::path(
    post, path = "/v1/api-keys", operation_id = "createApiKey", tag = "api-keys", request_body = NewApiKeyBody,
    responses((status = 201, description = "The key was created.", body = CreatedApiKey)),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, FORBIDDEN.slug, TAKEN.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn add(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let body: NewApiKeyBody = body::object(&request, payload, state.bounds()).await?;
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
    Ok(no_store(HttpResponse::Created().json(CreatedApiKey { stored: shown(&made.stored), key: made.key })))
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

/// Revoke an API key
///
/// Every credential created with the key ends, too.
#[utoipa::path(
    delete, path = "/v1/api-keys/{id}", operation_id = "revokeApiKey", tag = "api-keys",
    params(("id" = String, Path, description = "The key's id.", example = "abcdefgh2345")),
    responses(
        (status = 204, description = "The key is refused from now on."),
        (status = 202, description = "The key is refused on this node, but that is not recorded yet.",
         body = PendingWithdrawal),
    ),
    extensions(("x-problems" = json!([NOT_FOUND.slug, OUTCOME_UNKNOWN.slug]))),
)]
pub async fn revoke(
    id: Path<String>,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let revoke = RevokeApiKey { id: id.into_inner(), caller: caller.name().to_owned() };
    let revoked = writes::write(&state, &state.app.identity.directory, revoke).await?;
    Ok(withdrawn::answer(revoked, |()| HttpResponse::NoContent().finish()))
}
