//! What a token says, checked against what is expected of it (RFC 7519, RFC 9068).

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
    /// Somebody else issued the token.
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
    /// Who issues it.
    pub iss: &'a str,
    /// Whom it is about.
    pub sub: &'a str,
    /// Who is to accept it.
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
    /// What it lets its bearer do.
    pub scope: Scopes,
    /// What its subject is.
    pub roles: Roles,
    /// The session that it ends with.
    pub sid: &'a str,
    /// The constitution in force when it was issued, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constitutional_hash: Option<&'a str>,
}

/// What kind of token is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typ {
    /// An access token: it must say so (RFC 9068, section 4).
    AtJwt,
    /// What a client signs to prove who it is (RFC 7523): it may leave it out.
    ClientAssertion,
}

impl Typ {
    /// Whether the header says this kind. A media type may leave out `application/`, and its case does not count
    /// (RFC 7515, section 4.1.9).
    fn is(self, typ: Option<&str>) -> bool {
        const PREFIX: &str = "application/";
        let name = typ.map(|typ| match typ.split_at_checked(PREFIX.len()) {
            Some((prefix, name)) if prefix.eq_ignore_ascii_case(PREFIX) => name,
            _ => typ,
        });
        let kinds: &[&str] = match self {
            Self::AtJwt => &[AT_JWT],
            Self::ClientAssertion => &["jwt", "client-authentication+jwt"],
        };
        match name {
            Some(name) => kinds.iter().any(|kind| name.eq_ignore_ascii_case(kind)),
            None => self == Self::ClientAssertion,
        }
    }
}

/// What a token must say to be accepted.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The `iss`, exactly.
    pub issuer: &'a str,
    /// One of the `aud`, exactly.
    pub audience: &'a str,
    /// What kind of token.
    pub typ: Typ,
    /// How far clocks may be apart, in seconds; more than [`MAX_LEEWAY_S`] is taken for that.
    pub leeway_s: u32,
    /// The claim that has the roles, if it is not `roles`.
    pub role_claim: Option<&'a str>,
}

/// What an accepted token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who issued it.
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
    /// What it lets its bearer do; scopes that are not known here are left out. `None` if it does not say.
    pub scopes: Option<Scopes>,
    /// What its subject is, in the issuer's words.
    pub roles: Vec<String>,
    /// The session that it ends with.
    pub session: Option<String>,
}

/// Checks what a token says; `now` is in unix seconds.
///
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
    let Some(named) = claims.get(role_claim.unwrap_or("roles")) else { return Ok(Vec::new()) };
    let named = texts(named).ok_or(ClaimsError::Malformed("roles"))?;
    Ok(named.into_iter().map(str::to_owned).collect())
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
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::scope::{Role, Scope};
    use crate::auth::signing_key::SigningKey;

    const NOW: i64 = 1_700_000_000;

    const EXPECTED: Expected<'_> =
        Expected { issuer: "https://acgs.example", audience: "acgs", typ: Typ::AtJwt, leeway_s: 30, role_claim: None };

    fn read(typ: &str, claims: &Value, expected: &Expected<'_>) -> Result<Claims, String> {
        let token = SigningKey::generate().unwrap().sign(typ, claims).unwrap();
        check(&Unverified::parse(&token).unwrap(), expected, NOW).map_err(|error| error.to_string())
    }

    fn good() -> Value {
        json!({"iss": "https://acgs.example", "sub": "user:ada", "aud": "acgs", "exp": NOW + 900, "iat": NOW})
    }

    /// What becomes of a token in which one claim is another, or missing if it is `null`.
    fn with(claim: &str, value: Value) -> Result<Claims, String> {
        let mut claims = good();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        } else {
            claims[claim] = value;
        }
        read(AT_JWT, &claims, &EXPECTED)
    }

    #[track_caller]
    fn refused(claim: &str, values: impl IntoIterator<Item = Value>, expected: &str) {
        for value in values {
            assert_eq!(with(claim, value.clone()).unwrap_err(), expected, "{claim}: {value}");
        }
    }

    #[test]
    fn what_is_issued_is_accepted() {
        let issued = AccessClaims {
            iss: EXPECTED.issuer,
            sub: "user:ada",
            aud: EXPECTED.audience,
            exp: NOW + 900,
            nbf: NOW,
            iat: NOW,
            jti: "t1",
            client_id: "cli",
            scope: Scopes::of([Scope::Read, Scope::Decide]),
            roles: Roles::of([Role::Agent]),
            sid: "s1",
            constitutional_hash: None,
        };
        let claims = read(AT_JWT, &serde_json::to_value(&issued).unwrap(), &EXPECTED).unwrap();
        let expected = Claims {
            issuer: EXPECTED.issuer.into(),
            subject: "user:ada".into(),
            expires_at: NOW + 900,
            issued_at: Some(NOW),
            token_id: Some("t1".into()),
            client_id: Some("cli".into()),
            scopes: Some(issued.scope),
            roles: vec!["agent".into()],
            session: Some("s1".into()),
        };
        assert_eq!(claims, expected);
    }

    #[test]
    fn a_wrong_typ_is_refused() {
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            assert!(read(typ, &good(), &EXPECTED).is_ok(), "{typ}");
        }
        for typ in ["JWT", "", "at+jwt ", "application/application/at+jwt", "text/at+jwt", "dpop+jwt", "ápplication/at"]
        {
            let refusal = read(typ, &good(), &EXPECTED).unwrap_err();
            assert_eq!(refusal, "the token is of another kind than the one wanted here", "{typ}");
        }
    }

    #[test]
    fn an_access_token_is_no_client_assertion() {
        let expected = Expected { typ: Typ::ClientAssertion, ..EXPECTED };
        assert!(read("JWT", &good(), &expected).is_ok());
        assert!(read("client-authentication+jwt", &good(), &expected).is_ok());
        assert!(read(AT_JWT, &good(), &expected).is_err());
        assert!(Typ::ClientAssertion.is(None) && !Typ::AtJwt.is(None));
    }

    #[test]
    fn a_wrong_aud_is_refused() {
        assert!(with("aud", json!(["other", "acgs"])).is_ok());
        refused(
            "aud",
            [json!("ACGS"), json!("acgs/"), json!([]), json!(["acgs "]), json!("")],
            "the token is for another audience",
        );
        refused("aud", [json!(1), json!(["acgs", 1]), json!({"acgs": true})], "the claim `aud` is malformed");
        refused("aud", [Value::Null], "the claim `aud` is missing");
    }

    #[test]
    fn a_wrong_iss_is_refused() {
        let others = ["https://acgs.example/", "https://ACGS.example", "https://evil.example"].map(Value::from);
        refused("iss", others, "the token is from another issuer");
        refused("iss", [json!(["https://acgs.example"]), json!(1), json!("")], "the claim `iss` is malformed");
        refused("iss", [Value::Null], "the claim `iss` is missing");
    }

    #[test]
    fn a_wrong_exp_is_refused() {
        refused("exp", [json!("1900000000"), json!([NOW + 9]), json!(true)], "the claim `exp` is malformed");
        refused("exp", [json!(i64::MAX), json!(u64::MAX), json!(-1), json!(1e300)], "the claim `exp` is malformed");
        refused("exp", [Value::Null], "the claim `exp` is missing");
    }

    #[test]
    fn an_nbf_or_iat_of_the_wrong_type_is_refused_and_not_ignored() {
        for claim in ["nbf", "iat"] {
            let malformed = format!("the claim `{claim}` is malformed");
            refused(claim, [json!("0"), json!([0]), json!({}), json!(false), json!(-1), json!(1e300)], &malformed);
        }
        let mut claims = good();
        claims["nbf"] = Value::Null;
        assert_eq!(read(AT_JWT, &claims, &EXPECTED).unwrap_err(), "the claim `nbf` is malformed");
    }

    #[test]
    fn an_expired_token_is_refused_after_the_leeway() {
        assert!(with("exp", json!(NOW - 29)).is_ok());
        refused("exp", [json!(NOW - 30), json!(0), json!(1_699_999_970.5)], "the token has expired");
        let float = with("exp", json!(1_700_000_900.75)).unwrap();
        assert_eq!(float.expires_at, NOW + 900);
    }

    #[test]
    fn a_token_is_refused_before_it_is_valid_or_issued() {
        assert!(with("nbf", json!(NOW + 30)).is_ok() && with("iat", json!(NOW + 30)).is_ok());
        refused("nbf", [json!(NOW + 31), json!(1_700_000_030.5)], "the token is not valid yet");
        refused("iat", [json!(NOW + 31)], "the token was issued in the future");
    }

    #[test]
    fn the_leeway_has_a_bound() {
        let claims = |exp: i64| json!({"iss": EXPECTED.issuer, "sub": "a", "aud": "acgs", "exp": exp});
        let generous = Expected { leeway_s: u32::MAX, ..EXPECTED };
        assert!(read(AT_JWT, &claims(NOW - 59), &generous).is_ok());
        assert_eq!(read(AT_JWT, &claims(NOW - 60), &generous).unwrap_err(), "the token has expired");
        let exact = Expected { leeway_s: 0, ..EXPECTED };
        assert!(read(AT_JWT, &claims(NOW + 1), &exact).is_ok());
        assert_eq!(read(AT_JWT, &claims(NOW), &exact).unwrap_err(), "the token has expired");
    }

    #[test]
    fn a_name_has_a_type_a_length_and_no_control_characters() {
        refused("sub", [Value::Null], "the claim `sub` is missing");
        for claim in ["sub", "jti", "client_id", "sid"] {
            let values = [json!(""), json!(1), json!("a\nb"), json!("a\u{0}"), json!("x".repeat(1025))];
            refused(claim, values, &format!("the claim `{claim}` is malformed"));
        }
        assert!(with("sub", json!("x".repeat(1024))).is_ok());
    }

    #[test]
    fn unknown_scopes_are_left_out_and_malformed_ones_refused() {
        assert_eq!(with("scope", json!("openid read")).unwrap().scopes, Some(Scopes::of([Scope::Read])));
        assert_eq!(with("scope", Value::Null).unwrap().scopes, None);
        refused("scope", [json!(["read"]), json!(7)], "the claim `scope` is malformed");
    }

    #[test]
    fn roles_come_from_the_claim_that_the_issuer_has_them_in() {
        let mut claims = good();
        claims["roles"] = json!(["admin"]);
        claims["groups"] = json!("auditor");
        let expected = Expected { role_claim: Some("groups"), ..EXPECTED };
        assert_eq!(read(AT_JWT, &claims, &expected).unwrap().roles, ["auditor"]);
        assert_eq!(read(AT_JWT, &claims, &EXPECTED).unwrap().roles, ["admin"]);
        refused("roles", [json!(["admin", 1]), json!({"admin": true})], "the claim `roles` is malformed");
    }
}
