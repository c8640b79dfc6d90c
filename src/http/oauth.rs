//! `/oauth2/…`: tokens for clients and users (RFC 6749, 7009, 7662, 8414, 7517).

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::authorization::{ANONYMOUS, RequestCaller};
use super::login_origin::origin;
use super::oauth_client::{ShownClient, shown};
use super::oauth_schema::{IntrospectForm, Introspection, JwkSet, RevokeForm, TokenForm};
use super::problem::{BAD_REQUEST, Problem, UNAVAILABLE};
use super::token_response::{Tokens, no_store};
use super::withdrawn::PendingWithdrawal;
use super::worker_state::WorkerState;
use super::{body, withdrawn};
use crate::actors::identity::authenticator::{Authenticate, Credential};
use crate::actors::identity::directory::{
    DirectoryError, GrantClient, HasClient, ProveClient, RecordEvent, Refresh, RevokeToken, event,
};
use crate::auth::jws::Unverified;
use crate::auth::scope::{Scope, Scopes};

/// The parameters of these routes. Unknown ones are ignored, and none may occur twice (RFC 6749, section 3.2).
#[derive(Debug, Deserialize)]
struct Form {
    grant_type: Option<String>,
    scope: Option<String>,
    refresh_token: Option<String>,
    token: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion: Option<String>,
    client_assertion_type: Option<String>,
}

impl Form {
    /// The authenticating client, if the request has a proof. The error describes a malformed one.
    fn client(&mut self, request: &HttpRequest, state: &WorkerState) -> Result<Option<ShownClient>, &'static str> {
        shown(
            request.headers(),
            self.client_id.take(),
            self.client_secret.take(),
            self.client_assertion_type.take().zip(self.client_assertion.take()),
            &state.app.public_url,
        )
    }
}

/// Get tokens
///
/// For a client, by its secret or a signed assertion, or for a refresh token (RFC 6749).
#[utoipa::path(
    post, path = "/oauth2/token", operation_id = "grantTokens", tag = "authentication",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The tokens.", body = Tokens),
        (status = 400, description = "The request is refused (RFC 6749, section 5.2).", body = OAuthError<'static>),
        (status = 401, description = "The client's authentication failed.", body = OAuthError<'static>),
    ),
    security((), ("client" = [])),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, UNAVAILABLE.slug]))),
)]
pub async fn token(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let mut form: Form = match body::form(&request, payload, state.bounds()).await? {
        Ok(form) => form,
        Err(detail) => return Ok(refusal("invalid_request", &detail)),
    };
    let scopes = match form.scope.as_deref().map(str::parse::<Scopes>).transpose() {
        Ok(scopes) => scopes,
        Err(error) => return Ok(refusal("invalid_scope", &error.to_string())),
    };
    let client = match form.client(&request, &state) {
        Ok(client) => client,
        Err(detail) => return Ok(refusal("invalid_request", detail)),
    };
    let granted = match form.grant_type.as_deref() {
        Some("client_credentials") => {
            let Some(ShownClient { id, proof }) = client else { return Ok(unknown_client()) };
            let granted = state.app.identity.directory.ask(GrantClient { client: id.clone(), proof, scopes }).await;
            record_refused(&state, id, &granted).await?;
            granted
        }
        Some("refresh_token") => {
            let Some(token) = form.refresh_token else {
                return Ok(refusal("invalid_request", "`refresh_token` is missing"));
            };
            if client.is_some_and(|client| client.id != OWN_CLIENT) {
                return Ok(refusal("invalid_grant", "the refresh token was given to another client"));
            }
            state.app.identity.directory.ask(Refresh { token, scopes, origin: origin(&request) }).await
        }
        Some(_) => {
            return Ok(refusal("unsupported_grant_type", "the grants are `client_credentials` and `refresh_token`"));
        }
        None => return Ok(refusal("invalid_request", "`grant_type` is missing")),
    };
    answer(granted, |grant| HttpResponse::Ok().json(Tokens::from(&grant)))
}

/// The client through which people log in.
const OWN_CLIENT: &str = "acgs";

/// Introspect a token
///
/// For clients, and for callers with a token of their own (RFC 7662).
#[utoipa::path(
    post, path = "/oauth2/introspect", operation_id = "introspectToken", tag = "authentication",
    request_body(content = IntrospectForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What is known of the token.", body = Introspection),
        (status = 400, description = "The request is refused (RFC 6749, section 5.2).", body = OAuthError<'static>),
        (status = 401, description = "The client's authentication failed.", body = OAuthError<'static>),
    ),
    security((), ("client" = [])),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, UNAVAILABLE.slug]))),
)]
pub async fn introspect(
    request: HttpRequest,
    payload: Payload,
    caller: RequestCaller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, Problem> {
    let mut form: Form = match body::form(&request, payload, state.bounds()).await? {
        Ok(form) => form,
        Err(detail) => return Ok(refusal("invalid_request", &detail)),
    };
    let Some(token) = form.token.take() else { return Ok(refusal("invalid_request", "`token` is missing")) };
    if caller.authenticated().is_none() {
        let client = match form.client(&request, &state) {
            Ok(Some(client)) => client,
            Ok(None) => return Ok(unknown_client()),
            Err(detail) => return Ok(refusal("invalid_request", detail)),
        };
        let prove = ProveClient { client: client.id.clone(), proof: client.proof };
        let proven = state.app.identity.directory.ask(prove).await;
        record_refused(&state, client.id, &proven).await?;
        if let Err(error) = proven {
            return answer::<()>(Err(error), |()| HttpResponse::Ok().finish());
        }
    }
    let asked = Authenticate { credential: Credential::Token(token.clone()), address: None };
    let answered = state.authenticator.send(asked).await;
    let Ok(Ok(caller)) = answered else { return Ok(no_store(HttpResponse::Ok().json(json!({"active": false})))) };
    let claims = Unverified::parse(&token).and_then(|token| token.claims());
    let claims = claims.map_err(|error| Problem::fault("/token", error.to_string()))?;
    let mut body = json!({"active": true, "token_type": "Bearer", "scope": caller.scopes.to_string()});
    if let Some(members) = body.as_object_mut() {
        for claim in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "sid", "constitutional_hash"] {
            if let Some(value) = claims.get(claim) {
                members.insert(claim.to_owned(), json!(value));
            }
        }
        if let Some(user) = &caller.user {
            members.insert("username".to_owned(), user.as_str().into());
        }
    }
    Ok(no_store(HttpResponse::Ok().json(body)))
}

/// Revoke a token
///
/// For the client that it was given to (RFC 7009).
#[utoipa::path(
    post, path = "/oauth2/revoke", operation_id = "revokeToken", tag = "authentication",
    request_body(content = RevokeForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token is refused from now on, or was not known."),
        (status = 202, description = "The token is refused on this node, but that is not recorded yet.",
         body = PendingWithdrawal),
        (status = 400, description = "The request is refused (RFC 6749, section 5.2).", body = OAuthError<'static>),
        (status = 401, description = "The client's authentication failed.", body = OAuthError<'static>),
    ),
    security((), ("client" = [])),
    extensions(("x-problems" = json!([BAD_REQUEST.slug, UNAVAILABLE.slug]))),
)]
pub async fn revoke(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> Result<HttpResponse, Problem> {
    let mut form: Form = match body::form(&request, payload, state.bounds()).await? {
        Ok(form) => form,
        Err(detail) => return Ok(refusal("invalid_request", &detail)),
    };
    let Some(token) = form.token.take() else { return Ok(refusal("invalid_request", "`token` is missing")) };
    let client = match form.client(&request, &state) {
        Ok(Some(client)) => client,
        Ok(None) => return Ok(unknown_client()),
        Err(detail) => return Ok(refusal("invalid_request", detail)),
    };
    let revoke = RevokeToken { token, client: client.id.clone(), proof: client.proof };
    let revoked = state.app.identity.directory.ask(revoke).await;
    record_refused(&state, client.id, &revoked).await?;
    match revoked {
        Ok(revoked) => Ok(withdrawn::answer(revoked, |()| no_store(HttpResponse::Ok().finish()))),
        Err(error) => answer::<()>(Err(error), |()| HttpResponse::Ok().finish()),
    }
}

/// The public keys of tokens
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "showKeys", tag = "documents",
    responses((status = 200, description = "The keys (RFC 7517).", body = JwkSet,
               content_type = "application/jwk-set+json")),
)]
pub async fn jwks(state: Data<WorkerState>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .insert_header((header::CONTENT_TYPE, "application/jwk-set+json"))
        .body(state.app.identity.trust.jwks().to_string())
}

/// Metadata for clients of OAuth (RFC 8414).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuthorizationServerMetadata, examples(json!({
    "issuer": "https://acgs.example", "token_endpoint": "https://acgs.example/oauth2/token",
    "introspection_endpoint": "https://acgs.example/oauth2/introspect",
    "revocation_endpoint": "https://acgs.example/oauth2/revoke",
    "jwks_uri": "https://acgs.example/.well-known/jwks.json",
    "grant_types_supported": ["client_credentials", "refresh_token"], "response_types_supported": [],
    "scopes_supported": ["decide", "read"], "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    "token_endpoint_auth_signing_alg_values_supported": ["EdDSA"],
    "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
    "introspection_endpoint_auth_signing_alg_values_supported": ["EdDSA"],
    "revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
    "revocation_endpoint_auth_signing_alg_values_supported": ["EdDSA"]
})))]
struct Metadata<'a> {
    issuer: &'a str,
    token_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
    jwks_uri: String,
    #[schema(value_type = Vec<String>)]
    grant_types_supported: &'a [&'a str],
    #[schema(value_type = Vec<String>)]
    response_types_supported: &'a [&'a str],
    #[schema(value_type = Vec<Scope>)]
    scopes_supported: Vec<&'a str>,
    #[schema(value_type = Vec<String>)]
    token_endpoint_auth_methods_supported: &'a [&'a str],
    #[schema(value_type = Vec<String>)]
    token_endpoint_auth_signing_alg_values_supported: &'a [&'a str],
    #[schema(value_type = Vec<String>)]
    introspection_endpoint_auth_methods_supported: &'a [&'a str],
    #[schema(value_type = Vec<String>)]
    introspection_endpoint_auth_signing_alg_values_supported: &'a [&'a str],
    #[schema(value_type = Vec<String>)]
    revocation_endpoint_auth_methods_supported: &'a [&'a str],
    #[schema(value_type = Vec<String>)]
    revocation_endpoint_auth_signing_alg_values_supported: &'a [&'a str],
}

/// Metadata for clients of OAuth
#[utoipa::path(
    get, path = "/.well-known/oauth-authorization-server", operation_id = "showAuthorizationServerMetadata",
    tag = "documents",
    responses((status = 200, description = "The metadata (RFC 8414).", body = Metadata<'static>)),
)]
pub async fn metadata(state: Data<WorkerState>) -> HttpResponse {
    let url = &state.app.public_url;
    let methods: &[&str] = &["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let algorithms: &[&str] = &["EdDSA", "ES256", "RS256"];
    HttpResponse::Ok().json(Metadata {
        issuer: &state.app.identity.trust.issuer,
        token_endpoint: format!("{url}/oauth2/token"),
        introspection_endpoint: format!("{url}/oauth2/introspect"),
        revocation_endpoint: format!("{url}/oauth2/revoke"),
        jwks_uri: format!("{url}/.well-known/jwks.json"),
        grant_types_supported: &["client_credentials", "refresh_token"],
        response_types_supported: &[],
        scopes_supported: Scopes::ALL.iter().map(Scope::as_str).collect(),
        token_endpoint_auth_methods_supported: methods,
        token_endpoint_auth_signing_alg_values_supported: algorithms,
        introspection_endpoint_auth_methods_supported: methods,
        introspection_endpoint_auth_signing_alg_values_supported: algorithms,
        revocation_endpoint_auth_methods_supported: methods,
        revocation_endpoint_auth_signing_alg_values_supported: algorithms,
    })
}

/// Records a refused client authentication before the refusal is answered, at a limited rate.
///
/// An unknown client id may be a secret in the wrong field, so it is recorded as a digest.
async fn record_refused<T>(
    state: &WorkerState,
    client: String,
    asked: &Result<T, DirectoryError>,
) -> Result<(), Problem> {
    if let (Err(DirectoryError::BadClient), Some(left_out)) = (asked, state.app.audit.denial_sampler.take()) {
        let is_known = state.app.identity.directory.ask(HasClient(client.clone())).await?;
        let client = if is_known { client } else { state.app.audit.strangers.describe(&client) };
        let refused = event(ANONYMOUS, "client_refused").name("left_out", left_out).detail("client", client);
        state.app.identity.directory.ask(RecordEvent(refused)).await?;
    }
    Ok(())
}

/// The answer of a token route: the result, or the error in the form of OAuth (RFC 6749, section 5.2).
fn answer<T>(
    done: Result<T, DirectoryError>,
    respond: impl FnOnce(T) -> HttpResponse,
) -> Result<HttpResponse, Problem> {
    match done {
        Ok(done) => Ok(no_store(respond(done))),
        Err(DirectoryError::BadClient) => Ok(unknown_client()),
        Err(DirectoryError::BadGrant(why)) => Ok(refusal("invalid_grant", why)),
        Err(error @ DirectoryError::BadScope) => Ok(refusal("invalid_scope", &error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn unknown_client() -> HttpResponse {
    let mut response = error(StatusCode::UNAUTHORIZED, "invalid_client", "the client's authentication failed");
    let challenge = HeaderValue::from_static("Basic realm=\"acgs\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn refusal(code: &str, description: &str) -> HttpResponse {
    error(StatusCode::BAD_REQUEST, code, description)
}

/// An error of OAuth (RFC 6749, section 5.2).
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"error": "invalid_client", "error_description": "the client's authentication failed"})))]
struct OAuthError<'a> {
    error: &'a str,
    error_description: &'a str,
}

fn error(status: StatusCode, code: &str, description: &str) -> HttpResponse {
    no_store(HttpResponse::build(status).json(OAuthError { error: code, error_description: description }))
}
