//! Requests of web pages: their origin must be this daemon's own, or one of `http.allowed_origins` (CORS).
//!
//! Browsers send the origin of the page with each request that could change something. A request from another origin is
//! refused before anything is done, whether or not its page could read the answer.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};

use super::problem::{FOREIGN_ORIGIN, Problem};
use crate::settings::{Http, Origins};

/// The methods that a page may use.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// The request headers that a page may send.
const REQUEST_HEADERS: &str = "Authorization, Content-Type, If-Match, If-None-Match, Prefer, Traceparent, X-API-Key, \
                               X-Consistency, X-Constitutional-Hash, X-Request-ID";

/// The response headers that a page may read.
const ANSWER_HEADERS: &str = "ETag, Retry-After, Traceparent, WWW-Authenticate, X-Consistency-Token, \
                              X-Constitutional-Hash, X-Request-ID, X-Trace-Id";

/// For how many seconds a browser may cache the answer to a preflight request.
const MAX_AGE: &str = "600";

/// The most characters of a refused origin that are shown.
const SHOWN: usize = 255;

/// The origins that may call.
#[derive(Debug)]
pub struct WebPages {
    own: Option<String>,
    allowed: Origins,
}

impl WebPages {
    /// The origins according to the settings.
    #[must_use]
    pub fn of(http: &Http) -> Self {
        let own = http.public_url.as_ref().map(|url| url.origin().to_owned());
        Self { own, allowed: http.allowed_origins.clone() }
    }

    /// The foreign origin of a request, if it may call; `None` for the daemon's own origin, or without the header
    /// `Origin`.
    pub fn check(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
        let mut origins = headers.get_all(header::ORIGIN);
        let Some(origin) = origins.next() else { return Ok(None) };
        let refused = || {
            let shown: String =
                String::from_utf8_lossy(origin.as_bytes()).chars().take(SHOWN).flat_map(char::escape_debug).collect();
            let detail = format!("the origin `{shown}` of the web page is not in `http.allowed_origins`");
            Problem::new(&FOREIGN_ORIGIN, detail)
        };
        if origins.next().is_some() {
            return Err(refused());
        }
        let text = origin.to_str().map_err(|_| refused())?;
        if self.is_own(text, headers) {
            Ok(None)
        } else if self.allowed.contains(text) {
            Ok(Some(origin.clone()))
        } else {
            Err(refused())
        }
    }

    fn is_own(&self, origin: &str, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
        let of_host = ["http://", "https://"].into_iter().find_map(|scheme| origin.strip_prefix(scheme));
        self.own.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(origin))
            || host.zip(of_host).is_some_and(|(host, of_host)| host.eq_ignore_ascii_case(of_host))
    }
}

/// The answer to a CORS preflight request; `None` for any other request.
pub(super) fn preflight(method: &Method, headers: &HeaderMap) -> Option<HttpResponse> {
    if method != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = HttpResponse::build(StatusCode::NO_CONTENT);
    response
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE));
    Some(response.finish())
}

/// Adds the CORS headers that let a page read the answer.
pub(super) fn allow(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(ANSWER_HEADERS));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}
