//! The cookie of a browser's session.
//!
//! It contains the session's access token, its refresh token and a secret from which the CSRF token is derived, so every
//! daemon of a fleet accepts it and none of them keeps anything about it. Scripts cannot read it, and browsers send it
//! with requests of the daemon's own pages only.

use std::fmt;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::cors::WebPages;
use crate::actors::identity::directory::Grant;
use crate::auth::jws::Unverified;
use crate::auth::secret::{self, RefreshToken, SessionSecret};
use crate::domain::Json;

/// The CSRF token of a session, in requests.
pub const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// How the page that sends a request relates to the request's target; browsers send it, and no script can set it (W3C
/// Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The cookie's name where it may travel without TLS.
const NAME: &str = "acgs_session";

/// Its name where the daemon's URL is of the scheme https. By the prefix, browsers take it only over TLS and from this
/// very host.
const SECURE_NAME: &str = "__Host-acgs_session";

/// The most bytes of a cookie that browsers keep (RFC 6265, section 6.1).
const MAX_COOKIE: usize = 4096;

/// The cookie cannot be read: it is not one that was made here, or there are several.
#[derive(Debug)]
pub struct Malformed;

/// Why a session cannot have a cookie.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoCookie {
    /// Browsers would not keep it.
    #[error("it would be larger than `{}` bytes", MAX_COOKIE)]
    TooLarge,
    /// Only the sessions of users have one.
    #[error("the session has no refresh token")]
    NoRefreshToken,
}

/// The credentials of a browser's session.
#[derive(Clone)]
pub struct SessionCookie {
    /// Proves which session the browser's page belongs to.
    secret: SessionSecret,
    /// Exchanged for new tokens when the access token has expired.
    pub refresh: String,
    /// The access token.
    pub access: String,
}

impl fmt::Debug for SessionCookie {
    /// Shows none of its credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCookie").finish_non_exhaustive()
    }
}

impl SessionCookie {
    /// The cookie of a new session.
    pub fn new(grant: Grant) -> Result<Self, NoCookie> {
        let refresh = grant.refresh_token.ok_or(NoCookie::NoRefreshToken)?;
        Self { secret: SessionSecret::generate(), refresh, access: grant.access_token }.checked()
    }

    /// The same session with renewed tokens. A grant without a refresh token leaves the one before in force.
    pub fn renewed(self, grant: Grant) -> Result<Self, NoCookie> {
        let refresh = grant.refresh_token.unwrap_or(self.refresh);
        Self { refresh, access: grant.access_token, ..self }.checked()
    }

    fn checked(self) -> Result<Self, NoCookie> {
        if self.value().len() + SECURE_NAME.len() < MAX_COOKIE { Ok(self) } else { Err(NoCookie::TooLarge) }
    }

    /// The cookie of a request, if it has one.
    pub fn of(headers: &HeaderMap, is_secure: bool) -> Result<Option<Self>, Malformed> {
        let pairs = headers.get_all(header::COOKIE).flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let mut values = pairs.filter_map(|pair| {
            let (name, value) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
            (name.trim_ascii() == name_of(is_secure).as_bytes()).then_some(value.get(1..)?.trim_ascii())
        });
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Self::parse(value).map(Some).ok_or(Malformed),
            (Some(_), Some(_)) => Err(Malformed),
        }
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok().filter(|text| text.len() < MAX_COOKIE)?;
        let mut parts = text.split('~');
        let (secret, refresh, access) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || access.is_empty() {
            return None;
        }
        let (secret, refresh) = (SessionSecret::parse(secret).ok()?, RefreshToken::parse(refresh).ok()?);
        Some(Self { secret, refresh: refresh.as_str().to_owned(), access: access.to_owned() })
    }

    fn value(&self) -> String {
        format!("{}~{}~{}", self.secret.as_str(), self.refresh, self.access)
    }

    /// The value of `Set-Cookie`. The cookie ends with the browser, and its session at the latest after
    /// `auth.refresh_token_ttl_s`.
    #[must_use]
    pub fn set(&self, is_secure: bool) -> HeaderValue {
        let text = format!("{}={}; {}", name_of(is_secure), self.value(), attributes(is_secure));
        HeaderValue::from_str(&text).unwrap_or_else(|_| Self::clear(is_secure))
    }

    /// The value of `Set-Cookie` that removes the cookie.
    #[must_use]
    pub fn clear(is_secure: bool) -> HeaderValue {
        let text = format!("{}=; Max-Age=0; {}", name_of(is_secure), attributes(is_secure));
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// When the access token says that it expires, in Unix seconds; nothing of it is verified.
    #[must_use]
    pub fn expires_at(&self) -> Option<i64> {
        let claims = Unverified::parse(&self.access).ok()?.claims().ok()?;
        match claims.get("exp")? {
            Json::Int(end) => Some(*end),
            _ => None,
        }
    }

    /// The token that the session's page sends with each change.
    #[must_use]
    pub fn csrf_token(&self) -> String {
        self.secret.csrf_token()
    }

    /// Whether a request shows this session's CSRF token, exactly once.
    #[must_use]
    pub fn has_csrf_token(&self, headers: &HeaderMap) -> bool {
        let mut shown = headers.get_all(&CSRF_TOKEN);
        let expected = self.csrf_token();
        match (shown.next(), shown.next()) {
            (Some(token), None) => secret::equals(token.as_bytes(), expected.as_bytes()),
            (None, _) | (Some(_), Some(_)) => false,
        }
    }
}

/// The cookie's name.
#[must_use]
pub const fn name_of(is_secure: bool) -> &'static str {
    if is_secure { SECURE_NAME } else { NAME }
}

const fn attributes(is_secure: bool) -> &'static str {
    if is_secure { "Path=/; HttpOnly; SameSite=Strict; Secure" } else { "Path=/; HttpOnly; SameSite=Strict" }
}

/// The origin of a request, as far as its headers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestSite {
    /// A browser says that it comes from one of the daemon's own pages, or was entered by its user.
    Own,
    /// It does not say.
    Unstated,
    /// A page of another origin sent it, even if `http.allowed_origins` lists that.
    Foreign,
}

impl RequestSite {
    /// The origin of the request with these headers.
    #[must_use]
    pub fn of(headers: &HeaderMap, pages: &WebPages) -> Self {
        let has_own_origin = matches!(pages.check(headers), Ok(None));
        let is_own = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
        match headers.get(&SEC_FETCH_SITE) {
            _ if !has_own_origin => Self::Foreign,
            None => Self::Unstated,
            Some(_) if headers.get_all(&SEC_FETCH_SITE).all(is_own) => Self::Own,
            Some(_) => Self::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::auth::scope::Scopes;

    fn cookie() -> SessionCookie {
        SessionCookie {
            secret: SessionSecret::generate(),
            refresh: RefreshToken::generate().as_str().to_owned(),
            access: "eyJh.eyJz.c2ln".to_owned(),
        }
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let request = lines.iter().fold(TestRequest::get(), |request, line| request.append_header(("Cookie", *line)));
        request.to_http_request().headers().clone()
    }

    #[test]
    fn a_cookie_is_read_back_from_among_others_under_its_own_name() {
        let made = cookie();
        for is_secure in [false, true] {
            let set = made.set(is_secure).to_str().unwrap().to_owned();
            let pair = set.split(';').next().unwrap();
            assert!(set.ends_with(if is_secure { "; Secure" } else { "; SameSite=Strict" }), "{set}");
            assert!(set.contains("; HttpOnly;"), "{set}");
            for line in [pair.to_owned(), format!("a=b; {pair};"), format!("x; =; {pair} ; b==; \u{e9}=\u{e9}")] {
                let read = SessionCookie::of(&headers(&[&line]), is_secure).unwrap().unwrap();
                assert_eq!((read.value(), read.csrf_token()), (made.value(), made.csrf_token()), "{line}");
                assert!(SessionCookie::of(&headers(&[&line]), !is_secure).unwrap().is_none(), "{line}");
            }
            for lines in
                [&[pair, pair][..], &[&format!("{pair}; {pair}")], &[&format!("{pair}; {}=", name_of(is_secure))]]
            {
                assert!(SessionCookie::of(&headers(lines), is_secure).is_err(), "{lines:?}");
            }
        }
        assert!(SessionCookie::of(&headers(&[]), false).unwrap().is_none());
        assert!(
            SessionCookie::of(&headers(&["acgs_session2=x; Acgs_Session=y; acgs_session"]), false).unwrap().is_none()
        );
    }

    #[test]
    fn a_cookie_that_browsers_would_not_keep_is_not_made() {
        let grant = |bytes: usize| Grant {
            access_token: "a".repeat(bytes),
            expires_in: 900,
            scopes: Scopes::EMPTY,
            refresh_token: Some(RefreshToken::generate().as_str().to_owned()),
        };
        assert!(SessionCookie::new(grant(3_000)).is_ok() && cookie().renewed(grant(3_000)).is_ok());
        for made in [SessionCookie::new(grant(MAX_COOKIE)), cookie().renewed(grant(MAX_COOKIE))] {
            assert_eq!(made.unwrap_err(), NoCookie::TooLarge);
        }
        let of_client = SessionCookie::new(Grant { refresh_token: None, ..grant(10) });
        assert_eq!(of_client.unwrap_err(), NoCookie::NoRefreshToken);
    }

    #[test]
    fn a_cookie_in_a_message_shows_no_credential() {
        assert_eq!(format!("{:?}", cookie()), "SessionCookie { .. }");
    }

    #[test]
    fn a_changed_cookie_is_malformed() {
        let value = cookie().value();
        for changed in [
            String::new(),
            value[1..].to_owned(),
            value.replace('~', "."),
            format!("{value}~"),
            format!("~{value}"),
            value.replace("acgs_rt_", "acgs_ss_"),
            value.rsplit_once('~').unwrap().0.to_owned(),
            format!("{}~", value.rsplit_once('~').unwrap().0),
            format!("{value}{}", "A".repeat(MAX_COOKIE)),
            format!("\"{value}\""),
        ] {
            let line = format!("{NAME}={changed}");
            assert!(SessionCookie::of(&headers(&[&line]), false).is_err(), "{line}");
        }
    }

    #[test]
    fn a_csrf_token_is_its_own_sessions_and_comes_once() {
        let (own, other) = (cookie(), cookie());
        let with = |tokens: &[&str]| {
            let request = TestRequest::post();
            let request = tokens.iter().fold(request, |request, token| request.append_header((CSRF_TOKEN, *token)));
            request.to_http_request().headers().clone()
        };
        let (token, foreign) = (own.csrf_token(), other.csrf_token());
        assert!(own.has_csrf_token(&with(&[&token])));
        for tokens in [&[][..], &[""], &[&foreign], &[&token[1..]], &[&token, &token], &[&foreign, &token]] {
            assert!(!own.has_csrf_token(&with(tokens)), "{tokens:?}");
        }
    }
}
