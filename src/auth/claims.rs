//! The claims of tokens, checked against expectations (RFC 7519, RFC 9068).

use serde::Serialize;

use super::jws::{JwsError, Unverified};
use super::scope::{Roles, Scopes};
use crate::domain::{Json, Object};

/// How far clocks may be apart at most, in seconds.
pub const MAX_LEEWAY_S: u32 = 60;
/// The longest name in a claim, in bytes.
pub const MAX_TEXT: usize = 1024;
/// The kind of token that access tokens are (RFC 9068, section 2.1).
pub const AT_JWT: &str = "at+jwt";

/// The last moment that a claim may name: the end of the year 9999, in unix seconds.
const LAST_MOMENT: i64 = 253_402_300_799;

/// Why a token is not accepted, although its signature may well be right.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    /// The payload cannot be read.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// The token is of another kind.
    #[error("the token is of another kind than the one wanted here")]
    Typ,
    /// The claim is missing.
    #[error("the claim `{0}` is missing")]
    Missing(&'static str),
    /// The claim has the wrong type, or a value that it cannot have.
    #[error("the claim `{0}` is malformed")]
    Malformed(&'static str),
    /// The token was issued by another issuer.
    #[error("the token is from another issuer")]
    Issuer,
    /// The token is meant for others.
    #[error("the token is for another audience")]
    Audience,
    /// The token is no longer valid.
    #[error("the token has expired")]
    Expired,
    /// The token is not valid yet.
    #[error("the token is not valid yet")]
    NotYet,
    /// The token claims to be from the future.
    #[error("the token was issued in the future")]
    Future,
}

/// The claims of the access tokens that are issued here (RFC 9068, section 2.2).
#[derive(Debug, Clone, Serialize)]
pub struct AccessClaims<'a> {
    /// The issuer.
    pub iss: &'a str,
    /// Whom it is about.
    pub sub: &'a str,
    /// The audience.
    pub aud: &'a str,
    /// When it expires, in unix seconds.
    pub exp: i64,
    /// From when on it is valid, in unix seconds.
    pub nbf: i64,
    /// When it was issued, in unix seconds.
    pub iat: i64,
    /// Its own name.
    pub jti: &'a str,
    /// The client that it is handed to.
    pub client_id: &'a str,
    /// The scopes.
    pub scope: Scopes,
    /// The roles of the subject.
    pub roles: Roles,
    /// The session that it ends with.
    pub sid: &'a str,
    /// The constitution in force when it was issued, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constitutional_hash: Option<&'a str>,
}

/// The expected type of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typ<'a> {
    /// An access token: it must say so (RFC 9068, section 4).
    AtJwt,
    /// A client's assertion (RFC 7523), in which `typ` is optional.
    ClientAssertion,
    /// Exactly this value, as configured for the issuer.
    Named(&'a str),
    /// Any value, or none, as configured for the issuer.
    Any,
}

impl Typ<'_> {
    /// Whether the header `typ` is of this type. A media type may lack the prefix `application/`, and is
    /// case-insensitive (RFC 7515, section 4.1.9).
    fn is(self, typ: Option<&str>) -> bool {
        const PREFIX: &str = "application/";
        fn short(typ: &str) -> &str {
            match typ.split_at_checked(PREFIX.len()) {
                Some((prefix, name)) if prefix.eq_ignore_ascii_case(PREFIX) => name,
                _ => typ,
            }
        }
        let name = typ.map(short);
        let is = |kind: &str| name.is_some_and(|name| name.eq_ignore_ascii_case(kind));
        match self {
            Self::AtJwt => is(AT_JWT),
            Self::ClientAssertion => name.is_none() || is("jwt") || is("client-authentication+jwt"),
            Self::Named(kind) => is(short(kind)),
            Self::Any => true,
        }
    }
}

/// The requirements for a token to be accepted.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The `iss`, exactly.
    pub issuer: &'a str,
    /// One of the `aud`, exactly.
    pub audience: &'a str,
    /// The expected type.
    pub typ: Typ<'a>,
    /// How far clocks may be apart, in seconds; more than [`MAX_LEEWAY_S`] is taken for that.
    pub leeway_s: u32,
    /// Where the roles are, if not in the claim `roles`: the name of a claim, a JSON pointer (RFC 6901), or a dotted
    /// path.
    pub role_claim: Option<&'a str>,
}

/// The claims of an accepted token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The issuer.
    pub issuer: String,
    /// Whom it is about: 1 to 1024 bytes without control characters.
    pub subject: String,
    /// From when on it is no longer valid, in unix seconds.
    pub expires_at: i64,
    /// When it was issued, in unix seconds.
    pub issued_at: Option<i64>,
    /// Its own name.
    pub token_id: Option<String>,
    /// The client that it was handed to.
    pub client_id: Option<String>,
    /// The known scopes; `None` if the token has no scope claim.
    pub scopes: Option<Scopes>,
    /// The roles of the subject, in the issuer's words.
    pub roles: Vec<String>,
    /// The session that it ends with.
    pub session: Option<String>,
}

/// Checks the claims of a token; `now` is in Unix seconds.
///
/// The signature is not checked: verify the token as well, and first.
/// This says nothing of who signed it: verify the token as well, and first.
pub fn check(token: &Unverified<'_>, expected: &Expected<'_>, now: i64) -> Result<Claims, ClaimsError> {
    if !expected.typ.is(token.typ()) {
        return Err(ClaimsError::Typ);
    }
    let claims = token.claims()?;
    let issuer = text(&claims, "iss")?.ok_or(ClaimsError::Missing("iss"))?;
    if issuer != expected.issuer {
        return Err(ClaimsError::Issuer);
    }
    check_audience(&claims, expected.audience)?;
    let (expires_at, issued_at) = check_times(&claims, expected.leeway_s, now)?;
    Ok(Claims {
        issuer,
        subject: text(&claims, "sub")?.ok_or(ClaimsError::Missing("sub"))?,
        expires_at,
        issued_at,
        token_id: text(&claims, "jti")?,
        client_id: text(&claims, "client_id")?,
        scopes: scopes(&claims)?,
        roles: roles(&claims, expected.role_claim)?,
        session: text(&claims, "sid")?,
    })
}

fn check_audience(claims: &Object, audience: &str) -> Result<(), ClaimsError> {
    let named = texts(claims.get("aud").ok_or(ClaimsError::Missing("aud"))?).ok_or(ClaimsError::Malformed("aud"))?;
    if named.contains(&audience) { Ok(()) } else { Err(ClaimsError::Audience) }
}

/// The moments `exp` and `iat`, if the token is valid now (RFC 7519, section 4.1).
fn check_times(claims: &Object, leeway_s: u32, now: i64) -> Result<(i64, Option<i64>), ClaimsError> {
    let leeway = i64::from(leeway_s.min(MAX_LEEWAY_S));
    let expires_at = moment(claims, "exp", f64::floor)?.ok_or(ClaimsError::Missing("exp"))?;
    let valid_from = moment(claims, "nbf", f64::ceil)?;
    let issued_at = moment(claims, "iat", f64::floor)?;
    if now.saturating_sub(leeway) >= expires_at {
        return Err(ClaimsError::Expired);
    }
    let soon = now.saturating_add(leeway);
    if valid_from.is_some_and(|valid_from| valid_from > soon) {
        return Err(ClaimsError::NotYet);
    }
    if issued_at.is_some_and(|issued_at| issued_at > soon) {
        return Err(ClaimsError::Future);
    }
    Ok((expires_at, issued_at))
}

/// A moment in unix seconds; parts of a second are rounded to the issuer's disadvantage.
fn moment(claims: &Object, name: &'static str, round: fn(f64) -> f64) -> Result<Option<i64>, ClaimsError> {
    let seconds = match claims.get(name) {
        None => return Ok(None),
        Some(Json::Int(seconds)) => *seconds,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a number out of range becomes the nearest, and is refused"
        )]
        Some(Json::Float(seconds)) if seconds.is_finite() => round(*seconds) as i64,
        Some(_) => return Err(ClaimsError::Malformed(name)),
    };
    if (0..=LAST_MOMENT).contains(&seconds) { Ok(Some(seconds)) } else { Err(ClaimsError::Malformed(name)) }
}

/// A name: it goes into logs and look-ups, so it has a bound and no control characters.
fn text(claims: &Object, name: &'static str) -> Result<Option<String>, ClaimsError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Json::Str(text)) if (1..=MAX_TEXT).contains(&text.len()) && !text.contains(char::is_control) => {
            Ok(Some(text.to_string()))
        }
        Some(_) => Err(ClaimsError::Malformed(name)),
    }
}

fn scopes(claims: &Object) -> Result<Option<Scopes>, ClaimsError> {
    match claims.get("scope") {
        None => Ok(None),
        Some(Json::Str(text)) => Ok(Some(Scopes::parse_known(text))),
        Some(_) => Err(ClaimsError::Malformed("scope")),
    }
}

fn roles(claims: &Object, role_claim: Option<&str>) -> Result<Vec<String>, ClaimsError> {
    let Some(named) = claim_at(claims, role_claim.unwrap_or("roles")) else { return Ok(Vec::new()) };
    let named = texts(named).ok_or(ClaimsError::Malformed("roles"))?;
    Ok(named.into_iter().map(str::to_owned).collect())
}

/// The claim with that name; otherwise the value at that path, a JSON pointer or names separated by dots.
fn claim_at<'c>(claims: &'c Object, path: &str) -> Option<&'c Json> {
    if let Some(claim) = claims.get(path) {
        return Some(claim);
    }
    let names: Vec<String> = match path.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect(),
        None => path.split('.').map(str::to_owned).collect(),
    };
    let (first, rest) = names.split_first()?;
    rest.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
}

/// One text, or a list of nothing but texts.
fn texts(value: &Json) -> Option<Vec<&str>> {
    match value {
        Json::Str(text) => Some(vec![text]),
        Json::Array(items) => items.iter().map(Json::as_str).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
