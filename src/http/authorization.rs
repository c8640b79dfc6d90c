//! Authentication and authorization of requests.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::browser_caller::{self, CookieCaller, CookieError};
use super::connection::Peer;
use super::current_request;
use super::forwarded::address;
use super::problem::{FORBIDDEN, Problem, UNAUTHENTICATED, UNAVAILABLE};
use super::rate_limit::too_many;
use super::session_cookie::SessionCookie;
use super::worker_state::WorkerState;
use crate::actors::identity::authenticator::{Authenticate, Credential, CredentialError};
use crate::actors::identity::directory::{RecordEvent, event};
use crate::auth::caller::Caller;
use crate::auth::granter::{Bounds, Granter};
use crate::auth::network::ClientAddress;
use crate::auth::scope::{Scope, Scopes};
use crate::auth::secret::ApiKey;
use crate::ledger::Event;
use crate::trace::Phase;

/// An API key, in requests.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The caller's name in records for requests without a credential.
pub const ANONYMOUS: &str = "anonymous";

/// The authorization that a route requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// None; credentials are ignored.
    Public,
    /// None, at a limited rate per address: the request itself is the credential.
    RateLimited,
    /// None, but a credential must be valid if there is one.
    OptionalAuth,
    /// A valid credential.
    Authenticated,
    /// A credential with this scope.
    Requires(Scope),
}

/// Lets a request through to its route, or refuses it.
pub async fn pass(
    access: Access,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(state) = request.app_data::<Data<WorkerState>>().cloned() else {
        let problem = Problem::new(&UNAVAILABLE, "the daemon is starting");
        return Ok(request.error_response(problem));
    };
    current_request::begin(Phase::Authenticate);
    let (identified, cookie) = identify(access, &state, &request).await;
    let set = match &cookie {
        CookieUpdate::Unchanged | CookieUpdate::Valid(_) => None,
        CookieUpdate::Renewed(cookie) => Some(cookie.set(browser_caller::is_secure(&state))),
        CookieUpdate::Removed => Some(browser_caller::cleared(&state)),
    };
    let mut response = match identified {
        Ok(caller) => {
            current_request::end(Phase::Authenticate);
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            if let CookieUpdate::Valid(cookie) | CookieUpdate::Renewed(cookie) = cookie {
                request.extensions_mut().insert(cookie);
            }
            next.call(request).await?
        }
        Err(problem) => request.error_response(problem),
    };
    let is_for_one = is_personal(access, response.request().headers());
    let headers = response.headers_mut();
    // Shared caches do not store the answer to a request with `Authorization` (RFC 9111, section 3.5). A cookie does
    // not keep them from it, so the answer does.
    if set.is_some() || (is_for_one && !headers.contains_key(header::CACHE_CONTROL)) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    // Signing out has removed the cookie already.
    if let Some(set) = set.filter(|_| !headers.contains_key(header::SET_COOKIE)) {
        headers.insert(header::SET_COOKIE, set);
    }
    Ok(response)
}

/// Whether the answer may depend on a caller who shows no credential in a header.
fn is_personal(access: Access, headers: &HeaderMap) -> bool {
    let is_shown = headers.contains_key(header::AUTHORIZATION) || headers.contains_key(API_KEY);
    !is_shown && matches!(access, Access::Authenticated | Access::Requires(_))
}

/// The effect of the answer on the cookie of the caller's session.
enum CookieUpdate {
    /// Nothing; the caller has another credential, or none.
    Unchanged,
    /// Nothing; the cookie identifies the caller.
    Valid(SessionCookie),
    /// It sets the cookie with its new tokens, even if the request fails, since the old tokens are used up.
    Renewed(SessionCookie),
    /// It removes the cookie, which is not valid any more.
    Removed,
}

/// The caller of a request, or the refusal of the request; and the treatment of the session's cookie in both cases.
async fn identify(
    access: Access,
    state: &WorkerState,
    request: &ServiceRequest,
) -> (Result<Option<Arc<Caller>>, Problem>, CookieUpdate) {
    if access == Access::RateLimited {
        let checked = state.app.identity.rate_limits.check_address(address(request.request()));
        return (checked.map(|()| None), CookieUpdate::Unchanged);
    }
    let began = Instant::now();
    let (authenticated, cookie) = match credential(request.headers()) {
        Err(problem) => return (Err(problem), CookieUpdate::Unchanged),
        Ok(Some(credential)) => {
            let address = address(request.request()).ip();
            let caller = state.authenticator.send(Authenticate { credential, address }).await;
            (caller.map_err(CredentialError::from).and_then(|caller| caller), CookieUpdate::Unchanged)
        }
        Ok(None) => {
            let peer = request.request().conn_data::<Peer>();
            if let Some(admin) = peer.and_then(|peer| peer.admin.as_ref()) {
                return (Ok(Some(admin.caller())), CookieUpdate::Unchanged);
            }
            match browser_caller::by_cookie(state, request.request()).await {
                Ok(Some(CookieCaller { caller, cookie, is_renewed: false })) => {
                    (Ok(caller), CookieUpdate::Valid(cookie))
                }
                Ok(Some(CookieCaller { caller, cookie, is_renewed: true })) => {
                    (Ok(caller), CookieUpdate::Renewed(cookie))
                }
                Ok(None) => return (without_credential(access, state, request), CookieUpdate::Unchanged),
                Err(CookieError::Refused(problem)) => return (Err(problem), CookieUpdate::Unchanged),
                Err(CookieError::Credential(CredentialError::Unchecked)) => {
                    (Err(CredentialError::Unchecked), CookieUpdate::Unchanged)
                }
                Err(CookieError::Credential(error)) => (Err(error), CookieUpdate::Removed),
            }
        }
    };
    let identified = match authenticated {
        Ok(caller) => {
            state.metrics.authenticated(began.elapsed());
            authorized(access, state, request, caller).map(Some)
        }
        Err(error) => Err(refused(state, request, &error)),
    };
    (identified, cookie)
}

/// The caller, if it has the scope that the route requires, and its rate is within its limit.
fn authorized(
    access: Access,
    state: &WorkerState,
    request: &ServiceRequest,
    caller: Arc<Caller>,
) -> Result<Arc<Caller>, Problem> {
    if let Access::Requires(scope) = access
        && !caller.scopes.contains(scope)
    {
        record(state, || refusal(&caller.name, "scope_refused", request, scope.as_str()));
        return Err(forbidden(scope));
    }
    if !matches!(access, Access::OptionalAuth | Access::Requires(Scope::Decide)) {
        state.app.identity.rate_limits.check_caller(&caller.name)?;
    }
    Ok(caller)
}

/// The refusal of a request for its credential. It is recorded, unless the credential could not be checked.
fn refused(state: &WorkerState, request: &ServiceRequest, error: &CredentialError) -> Problem {
    match error {
        CredentialError::Unchecked => return Problem::new(&UNAVAILABLE, error.to_string()),
        CredentialError::TooOften(limit) => return too_many(&error.to_string(), "key", *limit, Duration::ZERO),
        _ => {}
    }
    state.metrics.refused_credential();
    let why = if matches!(error, CredentialError::Elsewhere) {
        elsewhere(address(request.request()))
    } else {
        error.to_string()
    };
    // For any other error, the key is not known to be one that was made here.
    let is_known = matches!(error, CredentialError::Elsewhere | CredentialError::Expired | CredentialError::Revoked);
    record(state, || {
        let event = refusal(ANONYMOUS, "credential_refused", request, &why);
        match key_id(request.headers()).filter(|_| is_known) {
            Some(key) => event.name("key", key),
            None => event,
        }
    });
    unauthenticated(Some("invalid_token"), &why)
}

/// The caller of a request that shows no credential.
fn without_credential(
    access: Access,
    state: &WorkerState,
    request: &ServiceRequest,
) -> Result<Option<Arc<Caller>>, Problem> {
    match access {
        Access::Public | Access::RateLimited | Access::OptionalAuth => Ok(None),
        Access::Requires(scope) if browser_caller::is_open(state, request.request(), scope) => {
            let caller = Caller {
                name: ANONYMOUS.into(),
                scopes: browser_caller::OPEN_SCOPES,
                session: None,
                token_id: None,
                client: None,
                user: None,
                bounds: Bounds::default(),
            };
            state.app.identity.rate_limits.check_caller(&caller.name)?;
            Ok(Some(Arc::new(caller)))
        }
        Access::Authenticated | Access::Requires(_) => {
            Err(unauthenticated(None, "this route requires a bearer token or an API key"))
        }
    }
}

/// The message for a credential that is bound to networks, used from an address outside of these.
fn elsewhere(address: ClientAddress) -> String {
    match address {
        ClientAddress::Ip(address) => {
            format!("the credential may not be used from `{address}`; is that a proxy? see `http.trusted_proxies`")
        }
        ClientAddress::Unix => {
            "the credential is bound to networks, not for a Unix socket; is that a proxy's? see `http.trusted_proxies`"
                .to_owned()
        }
        ClientAddress::Unknown => {
            "the credential is bound to networks, but a proxy of `http.trusted_proxies` named no readable address"
                .to_owned()
        }
    }
}

/// The public id in the API key of a request.
fn key_id(headers: &HeaderMap) -> Option<String> {
    let key = ApiKey::parse(headers.get(API_KEY)?.to_str().ok()?).ok()?;
    Some(key.id().to_owned())
}

/// The event of a refusal.
fn refusal(caller: &str, what: &str, request: &ServiceRequest, why: &str) -> Event {
    // The path of an anonymous request may contain a secret by mistake, so only the route's pattern is recorded.
    let path = if caller == ANONYMOUS { request.match_pattern() } else { Some(request.path().to_owned()) };
    let path: String = path.unwrap_or_default().chars().take(200).collect();
    let address = Some(address(request.request()).to_string()).filter(|address| !address.is_empty());
    event(caller, what)
        .name("method", request.method().as_str())
        .name("address", address)
        .detail("path", path)
        .detail("why", why)
}

/// Records a refusal in the background. Beyond a limited rate records are suppressed, and the next one contains their
/// number.
fn record(state: &WorkerState, event: impl FnOnce() -> Event) {
    let Some(left_out) = state.app.audit.denial_sampler.take() else { return };
    let event = event().name("left_out", left_out);
    let directory = state.app.identity.directory.clone();
    actix_web::rt::spawn(async move {
        if let Err(error) = directory.ask(RecordEvent(event)).await {
            tracing::error!(%error, "a refusal is not in the audit log");
        }
    });
}

/// The credential of a request: at most one, since several would be ambiguous. Other schemes than `Bearer` are ignored.
fn credential(headers: &HeaderMap) -> Result<Option<Credential>, Problem> {
    let mut shown = Vec::new();
    for value in headers.get_all(header::AUTHORIZATION) {
        let value = value.to_str().map_err(|_| unreadable())?;
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            shown.push(Credential::Token(token.trim_start_matches(' ').to_owned()));
        }
    }
    for value in headers.get_all(API_KEY) {
        shown.push(Credential::ApiKey(value.to_str().map_err(|_| unreadable())?.to_owned()));
    }
    if shown.len() > 1 {
        return Err(unauthenticated(Some("invalid_request"), "the request shows more than one credential"));
    }
    Ok(shown.pop())
}

fn unreadable() -> Problem {
    unauthenticated(Some("invalid_request"), "the credential cannot be read")
}

/// 401 (RFC 6750, section 3).
pub(super) fn unauthenticated(error: Option<&str>, detail: &str) -> Problem {
    let challenge = match error {
        Some(error) => format!("Bearer realm=\"acgs\", error=\"{error}\", error_description=\"{}\"", quoted(detail)),
        None => "Bearer realm=\"acgs\"".to_owned(),
    };
    with_challenge(Problem::new(&UNAUTHENTICATED, detail), &challenge)
}

/// 403 (RFC 6750, section 3.1).
fn forbidden(scope: Scope) -> Problem {
    let scope = scope.as_str();
    let challenge = format!("Bearer realm=\"acgs\", error=\"insufficient_scope\", scope=\"{scope}\"");
    with_challenge(Problem::new(&FORBIDDEN, format!("this route requires the scope `{scope}`")), &challenge)
}

fn with_challenge(problem: Problem, challenge: &str) -> Problem {
    let value = HeaderValue::from_str(challenge).unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
    problem.with_header(header::WWW_AUTHENTICATE, value)
}

/// As the inside of a quoted string (RFC 6750, section 3: neither quotes nor backslashes).
fn quoted(text: &str) -> String {
    text.chars().filter(|letter| (' '..='~').contains(letter) && !matches!(letter, '"' | '\\')).collect()
}

/// The caller, as a handler gets it; anonymous where the route asks for nothing and nothing was shown.
#[derive(Debug, Clone)]
pub struct RequestCaller(Option<Arc<Caller>>);

impl RequestCaller {
    /// The name in records.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.as_ref().map_or(ANONYMOUS, |caller| &caller.name)
    }

    /// The caller's scopes.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        self.0.as_ref().map_or(Scopes::EMPTY, |caller| caller.scopes)
    }

    /// The caller as a granter of rights; an anonymous caller has none to grant.
    #[must_use]
    pub fn granter(&self) -> Granter {
        match &self.0 {
            Some(caller) => caller.granter(),
            None => Granter { scopes: Scopes::EMPTY, ..Granter::daemon(ANONYMOUS) },
        }
    }

    /// The authenticated caller; `None` if it is anonymous.
    #[must_use]
    pub fn authenticated(&self) -> Option<&Caller> {
        self.0.as_deref()
    }
}

impl FromRequest for RequestCaller {
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(request.extensions().get::<Arc<Caller>>().cloned())))
    }
}
