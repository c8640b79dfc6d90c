//! Errors as callers see them: RFC 9457 problem details, each with a page of its own.

use std::fmt;

use actix_web::HttpResponse;
use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use serde_json::json;

use crate::actors::audit::queue::AuditError;
use crate::actors::audit::searcher::SearchError;
use crate::actors::database::pool_monitor::MonitorError;
use crate::actors::decision::large_requests::Crowded;
use crate::actors::decision::registry::ReloadError;
use crate::actors::decision::validator::DecideError;
use crate::actors::identity::directory::DirectoryError;
use crate::actors::identity::login::LoginError;
use crate::actors::identity::password_hasher::HashError;
use crate::domain::InputFault;
use crate::store::StoreError;

/// A kind of problem: its page at `/problems/<slug>` explains it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The last part of its `type`.
    pub slug: &'static str,
    /// Its title.
    pub title: &'static str,
    /// The HTTP status it comes with.
    pub status: u16,
    /// The meaning and the remedy, for the problem's page.
    pub meaning: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $slug:literal, $title:literal, $status:literal, $meaning:literal;)*) => {
        $(#[doc = $title] pub const $name: Kind = Kind { slug: $slug, title: $title, status: $status, meaning: $meaning };)*

        /// Every kind there is.
        pub const KINDS: &[&Kind] = &[$(&$name),*];
    };
}

kinds! {
    BAD_REQUEST = "bad-request", "The request cannot be read", 400,
        "The body is no JSON, has members of the wrong type, or a parameter is wrong. `errors` names every fault by JSON pointer.";
    UNAUTHENTICATED = "unauthenticated", "Unauthenticated", 401,
        "Send a token as `Authorization: Bearer …`, or a key as `X-API-Key`; only one of them. `WWW-Authenticate` says what was wrong with the credential.";
    LOGIN_REFUSED = "login-refused", "The login is refused", 401,
        "The name, the password or the code is wrong, the user is disabled, or the refresh token is no longer good. Which of these is not told.";
    FORBIDDEN = "forbidden", "The caller may not do this", 403,
        "The credential is valid, but lacks the scope that the route requires, which `WWW-Authenticate` names; or the request would grant more than the caller has itself, in scopes, networks, rate or expiry.";
    CSRF = "csrf", "The CSRF token is missing or wrong", 403,
        "A request that could change something was authenticated by the cookie of a browser's session, without that session's CSRF token. Send it as `X-CSRF-Token`; `GET /v1/auth/session` tells it. Nothing was done.";
    FOREIGN_ORIGIN = "foreign-origin", "The web page's origin is not allowed", 403,
        "The header `Origin` names a web page of another host that is not in `http.allowed_origins`; or a page other than the daemon's own tried to sign in with a cookie, even one of `http.allowed_origins`. Nothing was done.";
    NOT_FOUND = "not-found", "Not found", 404,
        "There is no such route, or nothing is stored under that name.";
    METHOD_NOT_ALLOWED = "method-not-allowed", "The route does not take this method", 405,
        "The header `Allow` lists the methods that the route takes.";
    TIMEOUT = "request-timeout", "The request took too long to arrive", 408,
        "The body did not arrive within `http.request_timeout_ms`.";
    CONSTITUTION_MISMATCH = "constitution-mismatch", "Another constitution is in force", 409,
        "The header `X-Constitutional-Hash` names another constitution than the one in force, or is missing where it is demanded. The answer carries the one in force.";
    OUTCOME_UNKNOWN = "outcome-unknown", "The outcome is not known yet", 202,
        "The change was begun, but did not end in time, or the answer of the database to its commit was lost: it may take effect or fail. The URL in the header `Location` tells its outcome until an hour after its end, as far as it is known; otherwise read the data that the change was about.";
    TAKEN = "name-taken", "The name is taken", 409,
        "Another user, client or key has that name. Choose another, or change the one that has it.";
    STALE = "stale", "The resource has changed", 412,
        "`If-Match` or `If-None-Match` did not hold. Read the resource again before you write it.";
    LOST = "lost-revision", "The revision in the consistency token is lost", 412,
        "The token in `X-Consistency` is of another database, or of changes that the database lost when it was restored or failed over. Read the data that you wrote again, and continue with a new token.";
    TOO_LARGE = "too-large", "The body is too large", 413,
        "The body has more than `http.max_body_bytes` bytes, or its questions or their records would take more than the limit that `detail` names. Ask for fewer decisions in one request.";
    UNSUPPORTED = "unsupported-media-type", "The content type is not JSON", 415,
        "Send `Content-Type: application/json`, and no `Content-Encoding`.";
    MISDIRECTED = "misdirected", "The request is for another host", 421,
        "The header `Host` names neither this host nor the host of `http.public_url`, and is not in `http.allowed_hosts`. A daemon on a loopback address serves no other host, because of DNS rebinding by web pages.";
    FAULTY_CONSTITUTION = "faulty-constitution", "The constitution has faults", 422,
        "The bundle was not taken, and the constitution before it is still in force. `errors` lists every fault.";
    FAULTY_SETTINGS = "faulty-settings", "The settings have faults", 422,
        "Nothing was taken: settings and constitution are those before. `errors` lists every fault.";
    INVALID_ENTITY = "invalid-entity", "The entity does not fit the schema", 422,
        "Attributes, tags or parents do not match the constitution's schema for the type. Nothing was stored.";
    INVALID_PASSWORD = "invalid-password", "The password cannot be taken", 422,
        "The old password is wrong, or the new one is too short, too long, or easily guessed. Nothing was changed.";
    TOO_MANY = "too-many-attempts", "Too many attempts", 429,
        "Too many passwords were wrong, or the caller or its address sent more requests than its limit. Try again after `Retry-After` seconds.";
    INTERNAL = "internal", "Something went wrong inside", 500,
        "The daemon's log says what, under the request id.";
    OVERLOADED = "overloaded", "The daemon is overloaded", 503,
        "More than `http.max_in_flight` requests are in progress, too many large requests wait, or too many decisions wait for the audit log. Try again after `Retry-After` seconds.";
    UNAVAILABLE = "unavailable", "A part of the daemon is not available", 503,
        "The audit log or the database cannot be used now, or did not answer in time. `/readyz?verbose` says which.";
}

/// An error on its way to a caller.
#[derive(Debug, Clone)]
pub struct Problem(Box<ProblemBody>);

/// The body of a problem.
#[derive(Debug, Clone)]
struct ProblemBody {
    kind: &'static Kind,
    detail: String,
    /// The cause, which only this host's administrator is told.
    cause: Option<String>,
    errors: Vec<InputFault>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of a kind, with the details of this occurrence.
    pub fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(ProblemBody {
            kind,
            detail: detail.into(),
            cause: None,
            errors: Vec::new(),
            headers: Vec::new(),
        }))
    }

    /// One fault in the input.
    pub fn fault(pointer: &str, detail: impl Into<String>) -> Self {
        Self::faults(&BAD_REQUEST, vec![InputFault::new(pointer, detail)])
    }

    /// Faults in the input, all of them.
    #[must_use]
    pub fn faults(kind: &'static Kind, errors: Vec<InputFault>) -> Self {
        let detail = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let mut problem = Self::new(kind, detail);
        problem.0.errors = errors;
        problem
    }

    /// With a header in the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The details of this occurrence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The problem as JSON, for one request.
    #[must_use]
    pub fn json(&self, request_id: &str) -> String {
        let mut body = json!({
            "type": format!("/problems/{}", self.0.kind.slug),
            "title": self.0.kind.title,
            "status": self.0.kind.status,
            "detail": self.0.detail,
            "instance": request_id,
        });
        if let (false, Some(members)) = (self.0.errors.is_empty(), body.as_object_mut()) {
            members.insert("errors".to_owned(), json!(self.0.errors));
        }
        body.to_string()
    }

    /// Too much at once: try again in a second.
    pub fn overloaded(detail: impl Into<String>) -> Self {
        Self::new(&OVERLOADED, detail).with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// A failure whose cause is for the log, not for the caller.
    pub(super) fn logged(kind: &'static Kind, detail: &'static str, cause: &dyn fmt::Display) -> Self {
        tracing::error!(%cause, "{detail}");
        let mut problem = Self::new(kind, detail);
        problem.0.cause = Some(cause.to_string());
        problem
    }

    /// With the cause in its detail, for this host's administrator. `log` is why the audit log cannot be written, which
    /// is the cause where no other is known.
    #[must_use]
    pub(super) fn with_cause(mut self, log: Option<String>) -> Self {
        if let Some(cause) = self.0.cause.take().or_else(|| log.filter(|_| *self.0.kind == UNAVAILABLE)) {
            self.0.detail = format!("{}: {cause}", self.0.detail);
        }
        self
    }

    /// With a text before its detail.
    fn after(mut self, begin: &str) -> Self {
        self.0.detail = format!("{begin}: {}", self.0.detail);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The body is written where the request id is known, see [`super::middleware`].
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status_code());
        for (name, value) in &self.0.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Full => Self::overloaded(error.to_string()),
            AuditError::Unrecordable(_) => Self::new(&TOO_LARGE, error.to_string()),
            AuditError::Unwritable
            | AuditError::Stalled
            | AuditError::Displaced
            | AuditError::Abandoned
            | AuditError::Ended
            | AuditError::Late => Self::new(&UNAVAILABLE, error.to_string()),
        }
    }
}

impl From<Crowded> for Problem {
    fn from(error: Crowded) -> Self {
        Self::overloaded(error.to_string())
    }
}

impl From<DecideError> for Problem {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Late | DecideError::Ended | DecideError::Unsettled | DecideError::Outdated(_) => {
                Self::new(&UNAVAILABLE, error.to_string())
            }
            DecideError::Lost(_) => Self::new(&LOST, error.to_string()),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(_) | StoreError::Absent(_) => Self::new(&NOT_FOUND, error.to_string()),
            StoreError::NameTaken(_) => Self::new(&TAKEN, error.to_string()),
            StoreError::Stale { .. } | StoreError::Exists(_) | StoreError::Changed(_) => {
                Self::new(&STALE, error.to_string())
            }
            StoreError::Lost { .. } => Self::new(&LOST, error.to_string()),
            StoreError::Cycle(_) => Self::faults(&INVALID_ENTITY, vec![InputFault::new("", error.to_string())]),
            StoreError::Twice(_) | StoreError::Unstorable(_) => Self::fault("", error.to_string()),
            StoreError::Cursor => Self::fault("/cursor", "is not one that this list gave"),
            StoreError::Ahead { .. } | StoreError::Late | StoreError::Undone | StoreError::Unrecorded(_) => {
                Self::new(&UNAVAILABLE, error.to_string())
            }
            StoreError::Busy(_) => Self::logged(&UNAVAILABLE, "the database is busy", &error),
            StoreError::Damaged { .. }
            | StoreError::DamagedEntity { .. }
            | StoreError::Newer { .. }
            | StoreError::Unavailable { .. }
            | StoreError::Uncertain(_) => Self::logged(&UNAVAILABLE, "the database cannot be used", &error),
        }
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Store(error) => error.into(),
            DirectoryError::Unrecorded(error) => error.into(),
            DirectoryError::Missing(_) => Self::new(&NOT_FOUND, error.to_string()),
            DirectoryError::Refused(_) | DirectoryError::BadScope => Self::fault("", error.to_string()),
            DirectoryError::Exceeds(_) => Self::new(&FORBIDDEN, error.to_string()),
            DirectoryError::BadGrant(_) | DirectoryError::BadClient => Self::new(&LOGIN_REFUSED, error.to_string()),
            DirectoryError::Failed(_) => Self::logged(&UNAVAILABLE, "the Auth service cannot do this now", &error),
            DirectoryError::Late => Self::new(&UNAVAILABLE, error.to_string()),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::PasswordLocked(wait) | LoginError::CodeLocked(wait) => Self::new(&TOO_MANY, error.to_string())
                .with_header(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1))),
            LoginError::Refused(_) => Self::new(&LOGIN_REFUSED, error.to_string())
                .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"acgs\"")),
            LoginError::WrongPassword => Self::new(&INVALID_PASSWORD, error.to_string()),
            LoginError::Hash(error) => error.into(),
            LoginError::Directory(error) => error.into(),
        }
    }
}

impl From<HashError> for Problem {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::overloaded(error.to_string()),
            HashError::Failed(_) => Self::logged(&UNAVAILABLE, "the password cannot be checked", &error),
            HashError::Late => Self::new(&UNAVAILABLE, error.to_string()),
        }
    }
}

impl From<MonitorError> for Problem {
    fn from(error: MonitorError) -> Self {
        match error {
            MonitorError::Late => Self::new(&UNAVAILABLE, error.to_string()),
        }
    }
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Store(error) => error.into(),
            SearchError::Ledger(_) => Self::logged(&UNAVAILABLE, "the audit log cannot be read", &error),
        }
    }
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::Settings(ref faults) => {
                let errors = faults.iter().map(|fault| InputFault::new("", fault)).collect();
                Self::faults(&FAULTY_SETTINGS, errors).after(&error.to_string())
            }
            ReloadError::Faulty(ref faults) | ReloadError::Objected(ref faults) => {
                let errors = faults.0.iter().map(|fault| InputFault::new("", fault.to_string())).collect();
                Self::faults(&FAULTY_CONSTITUTION, errors).after(&error.to_string())
            }
            ReloadError::Unsaved(_) => Self::logged(&UNAVAILABLE, "the new constitution cannot be saved", &error),
            ReloadError::Unrecorded(_) | ReloadError::Unchecked(_) => Self::new(&UNAVAILABLE, error.to_string()),
            ReloadError::Unanswered(_) => Self::logged(
                &UNAVAILABLE,
                "the outcome of the reload is unknown: see which constitution is in force",
                &error,
            ),
        }
    }
}
