//! What is accepted, and everything that is not.

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
    for typ in ["JWT", "", "at+jwt ", "application/application/at+jwt", "text/at+jwt", "dpop+jwt", "ápplication/at"] {
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

#[test]
fn roles_are_found_by_name_by_pointer_and_by_dots() {
    let nested = json!({"realm_access": {"roles": ["auditor"]}, "https://a.example/roles": ["agent"], "a.b": ["admin"],
        "a": {"b": ["ratifier"], "c/d": {"e~f": "operator"}, "list": [["x"]]}, "": {"": ["agent"]}});
    for (path, expected) in [
        ("realm_access.roles", Ok(vec!["auditor"])),
        ("/realm_access/roles", Ok(vec!["auditor"])),
        ("https://a.example/roles", Ok(vec!["agent"])),
        // A claim with that very name takes precedence over the path.
        ("a.b", Ok(vec!["admin"])),
        ("/a/b", Ok(vec!["ratifier"])),
        ("/a/c~1d/e~0f", Ok(vec!["operator"])),
        ("//", Ok(vec!["agent"])),
        ("realm_access", Err("the claim `roles` is malformed")),
        ("a.list", Err("the claim `roles` is malformed")),
        ("realm_access.roles.0", Ok(vec![])),
        ("realm_access.groups", Ok(vec![])),
        ("/nothing/at/all", Ok(vec![])),
        ("nothing.at.all", Ok(vec![])),
        ("/", Err("the claim `roles` is malformed")),
    ] {
        let mut claims = good();
        claims.as_object_mut().unwrap().extend(nested.as_object().unwrap().clone());
        let expected_claims = Expected { role_claim: Some(path), ..EXPECTED };
        let found = read(AT_JWT, &claims, &expected_claims).map(|claims| claims.roles);
        let expected = expected.map(|roles| roles.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(found, expected.map_err(str::to_owned), "{path}");
    }
}

#[test]
fn an_issuer_may_have_another_typ_or_none() {
    for (wanted, typ, expected) in [
        (Typ::Named("JWT"), Some("JWT"), true),
        (Typ::Named("JWT"), Some("jwt"), true),
        (Typ::Named("JWT"), Some("application/jwt"), true),
        (Typ::Named("application/jwt"), Some("JWT"), true),
        (Typ::Named("JWT"), Some("at+jwt"), false),
        (Typ::Named("JWT"), None, false),
        (Typ::Named("at+jwt"), Some("JWT"), false),
        (Typ::Any, Some("whatever"), true),
        (Typ::Any, None, true),
    ] {
        assert_eq!(wanted.is(typ), expected, "{wanted:?} {typ:?}");
    }
}
