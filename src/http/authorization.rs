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
    /// To be known.
    Authenticated,
    /// To have this scope.
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
    let mut cookie = CookieUpdate::Keep;
    current_request::begin(Phase::Authenticate);
    let identified = identify(access, &state, &request, &mut cookie).await;
    let mut response = match identified {
        Ok(caller) => {
            current_request::end(Phase::Authenticate);
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            if let CookieUpdate::Hold(cookie) | CookieUpdate::Renew(cookie) = &cookie {
                request.extensions_mut().insert(cookie.clone());
            }
            next.call(request).await?
        }
        Err(problem) => request.error_response(problem),
    };
    let set = match cookie {
        CookieUpdate::Keep | CookieUpdate::Hold(_) => None,
        CookieUpdate::Renew(cookie) => Some(cookie.set(browser_caller::is_secure(&state))),
        CookieUpdate::Clear => Some(browser_caller::cleared(&state)),
    };
    let is_for_one = is_personal(access, response.request().headers());
    let headers = response.headers_mut();
    // No cache may store it: with a credential in a header that goes without saying, with a cookie it does not (RFC
    // 9111, section 3.5).
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

/// What the answer does with the cookie of the caller's session.
enum CookieUpdate {
    /// Nothing; the caller has another credential, or none.
    Keep,
    /// Nothing; the caller is known by it.
    Hold(SessionCookie),
    /// It is set again, with new tokens. That must reach the browser whatever the answer is, since the old ones are used.
    Renew(SessionCookie),
    /// It is removed: it is not valid any more.
    Clear,
}

async fn identify(
    access: Access,
    state: &WorkerState,
    request: &ServiceRequest,
    cookie: &mut CookieUpdate,
) -> Result<Option<Arc<Caller>>, Problem> {
    if access == Access::RateLimited {
        return state.app.identity.rate_limits.check_address(address(request.request())).map(|()| None);
    }
    let began = Instant::now();
    let caller = if let Some(credential) = credential(request.headers())? {
        let address = address(request.request()).ip();
        let caller = state.authenticator.send(Authenticate { credential, address }).await;
        caller.map_err(CredentialError::from).and_then(|caller| caller)
    } else if let Some(admin) = request.request().conn_data::<Peer>().and_then(|peer| peer.admin.as_ref()) {
        return Ok(Some(admin.caller()));
    } else {
        match browser_caller::by_cookie(state, request.request()).await {
            Ok(Some(CookieCaller { caller, cookie: held, is_renewed })) => {
                *cookie = if is_renewed { CookieUpdate::Renew(held) } else { CookieUpdate::Hold(held) };
                Ok(caller)
            }
            Ok(None) => return without_credential(access, state, request),
            Err(CookieError::Refused(problem)) => return Err(problem),
            Err(CookieError::Credential(error)) => {
                if !matches!(error, CredentialError::Unchecked) {
                    *cookie = CookieUpdate::Clear;
                }
                Err(error)
            }
        }
    };
    let caller = match caller {
        Ok(caller) => {
            state.metrics.authenticated(began.elapsed());
            caller
        }
        Err(CredentialError::Unchecked) => {
            return Err(Problem::new(&UNAVAILABLE, CredentialError::Unchecked.to_string()));
        }
        Err(error @ CredentialError::TooOften(limit)) => {
            return Err(too_many(&error.to_string(), "key", limit, Duration::ZERO));
        }
        Err(error) => {
            state.metrics.refused_credential();
            let why = if matches!(error, CredentialError::Elsewhere) {
                elsewhere(self::address(request.request()))
            } else {
                error.to_string()
            };
            // For any other error, the key is not known to be one that was made here.
            let is_known =
                matches!(error, CredentialError::Elsewhere | CredentialError::Expired | CredentialError::Revoked);
            record(state, || {
                let event = refusal(ANONYMOUS, "credential_refused", request, &why);
                match key_id(request.headers()).filter(|_| is_known) {
                    Some(key) => event.name("key", key),
                    None => event,
                }
            });
            return Err(unauthenticated(Some("invalid_token"), &why));
        }
    };
    if let Access::Requires(scope) = access
        && !caller.scopes.contains(scope)
    {
        record(state, || refusal(&caller.name, "scope_refused", request, scope.as_str()));
        return Err(forbidden(scope));
    }
    if !matches!(access, Access::OptionalAuth | Access::Requires(Scope::Decide)) {
        state.app.identity.rate_limits.check_caller(&caller.name)?;
    }
    Ok(Some(caller))
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
        Access::Authenticated | Access::Requires(_) => Err(unauthenticated(None, "the route needs a credential")),
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
    with_challenge(Problem::new(&FORBIDDEN, format!("the route needs the scope `{scope}`")), &challenge)
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
