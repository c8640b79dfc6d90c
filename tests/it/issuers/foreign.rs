//! Real-world issuers: keys without `kid`, invalid keys among valid ones, other algorithms and token types, nested
//! roles.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::signers::Signer;
use super::{ISSUER, serve, serve_paths, status, with_issuer};
use crate::harness::{TestDaemon, issuer};

const PATH: &str = "/v1/constitution";

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "ann", "aud": "acgs", "exp": issuer::now() + 600, "roles": ["auditor"]})
}

/// A token signed with a key, with or without its `kid`.
fn token(signer: &Signer, algorithm: &str, kid: Option<&str>) -> String {
    let mut header = json!({"alg": algorithm, "typ": "at+jwt"});
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    signer.sign(&header, &claims())
}

fn set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

/// Whether a daemon of its own accepts a token, if it trusts an issuer with these keys and settings.
fn taken(keys: &[Value], settings: &str, token: &str) -> bool {
    let (address, _) = serve("200 OK", set(keys));
    let daemon = with_issuer(address, settings).start();
    let status = status(&daemon, PATH, token);
    assert!([200, 401].contains(&status), "{status}");
    status == 200
}

#[test]
fn bad_keys_and_keys_of_one_name_do_not_void_the_set() {
    let (first, second, unnamed) = (Signer::p256(), Signer::ed25519(), Signer::ed25519());
    let good = [first.jwk(Some("a")), second.jwk(Some("a")), unnamed.jwk(None)].map(|key| key.to_string());
    let bad = [r#"{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"}"#, r#"{"kty":"EC","kty":"EC"}"#, "7", "{}"];
    let listed: Vec<&str> = bad.into_iter().chain(good.iter().map(String::as_str)).chain(bad).collect();
    let (address, asked) = serve("200 OK", format!(r#"{{"keys":[{}]}}"#, listed.join(",")));
    let daemon = with_issuer(address, "").start();
    for signer in [&first, &second, &unnamed] {
        for kid in [Some("a"), None] {
            assert_eq!(status(&daemon, PATH, &token(signer, signer.algorithm(), kid)), 200, "{kid:?}");
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    for stranger in [Signer::p256(), Signer::ed25519()] {
        for kid in [Some("a"), Some("b"), None] {
            assert_eq!(status(&daemon, PATH, &token(&stranger, stranger.algorithm(), kid)), 401, "{kid:?}");
        }
    }
    let (_, messages) = daemon.stop_and_tell();
    let told = messages.lines().filter(|line| line.contains("a key of an issuer is not used")).count();
    assert_eq!(told, 2 * bad.len(), "{messages}");
}

#[test]
fn every_algorithm_is_taken_that_the_settings_and_the_key_allow() {
    let signers = [Signer::ed25519(), Signer::p256(), Signer::p384(), Signer::rsa()];
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk(Some("k"))).collect();
    let (address, _) = serve("200 OK", set(&keys));
    let daemon = with_issuer(address, "").start();
    let rsa = &signers[3];
    for signer in &signers {
        assert_eq!(status(&daemon, PATH, &token(signer, signer.algorithm(), Some("k"))), 200, "{}", signer.algorithm());
    }
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        assert_eq!(status(&daemon, PATH, &token(rsa, algorithm, None)), 200, "{algorithm}");
    }
    // The header names another algorithm than the one used.
    let forged = token(rsa, "PS256", Some("k"));
    let (_, rest) = forged.split_once('.').unwrap();
    let header = token(rsa, "RS256", Some("k")).split_once('.').unwrap().0.to_owned();
    assert_eq!(status(&daemon, PATH, &format!("{header}.{rest}")), 401);

    let only = "algorithms = [\"PS256\"]";
    for (algorithm, expected) in [("PS256", true), ("RS256", false), ("PS384", false)] {
        assert_eq!(taken(&keys, only, &token(rsa, algorithm, Some("k"))), expected, "{algorithm}");
    }
    let mut bound = rsa.jwk(Some("k"));
    bound["alg"] = "PS256".into();
    for (algorithm, expected) in [("PS256", true), ("RS256", false)] {
        assert_eq!(taken(&[bound.clone()], "", &token(rsa, algorithm, Some("k"))), expected, "{algorithm}");
    }
}

#[test]
fn typ_and_nested_roles_are_as_the_settings_say() {
    let signer = Signer::ed25519();
    let keys = [signer.jwk(Some("k"))];
    let token = |typ: Option<&str>, claims: &Value| {
        let mut header = json!({"alg": "EdDSA", "kid": "k"});
        if let Some(typ) = typ {
            header["typ"] = typ.into();
        }
        signer.sign(&header, claims)
    };
    for (settings, typ, expected) in [
        ("", Some("at+jwt"), true),
        ("", Some("JWT"), false),
        ("", None, false),
        ("typ = \"JWT\"", Some("JWT"), true),
        ("typ = \"JWT\"", Some("jwt"), true),
        ("typ = \"JWT\"", Some("at+jwt"), false),
        ("typ = \"JWT\"", None, false),
        ("typ = \"\"", None, true),
        ("typ = \"\"", Some("anything"), true),
    ] {
        assert_eq!(taken(&keys, settings, &token(typ, &claims())), expected, "{settings} {typ:?}");
    }
    let mut nested = claims();
    nested.as_object_mut().unwrap().remove("roles");
    nested["realm_access"] = json!({"roles": ["auditor", "offline_access"]});
    let (address, _) = serve("200 OK", set(&keys));
    for (path, expected) in [
        ("realm_access.roles", 200),
        ("/realm_access/roles", 200),
        ("roles", 403),
        ("realm_access", 401),
        ("/realm_access/roles/0", 403),
        ("resource_access.acgs.roles", 403),
    ] {
        let daemon = with_issuer(address, &format!("role_claim = \"{path}\"")).start();
        assert_eq!(status(&daemon, PATH, &token(Some("at+jwt"), &nested)), expected, "{path}");
    }
}

#[test]
fn redirects_are_followed_on_the_same_host() {
    let signer = Signer::ed25519();
    let keys = set(&[signer.jwk(Some("k"))]);
    let (other, others) = serve("200 OK", keys.clone());
    let good = token(&signer, "EdDSA", Some("k"));
    for (location, expected) in [
        ("/keys".to_owned(), 200),
        ("keys?x=1".to_owned(), 200),
        ("/far".to_owned(), 200),
        (format!("http://{other}/keys"), 401),
        (format!("//{other}/keys"), 401),
        ("/jwks".to_owned(), 401),
    ] {
        let body = keys.clone();
        let to = location.clone();
        let (address, asked) = serve_paths(move |path| match path.split('?').next().unwrap() {
            "/jwks" => (format!("302 Found\r\nLocation: {to}"), String::new()),
            "/far" => ("308 Permanent Redirect\r\nLocation: /keys".to_owned(), String::new()),
            _ => ("200 OK".to_owned(), body.clone()),
        });
        let daemon = with_issuer(address, "").start();
        assert_eq!(status(&daemon, PATH, &good), expected, "{location}");
        assert!(asked.load(Ordering::Relaxed) <= 4, "{location}");
    }
    assert_eq!(others.load(Ordering::Relaxed), 0, "no other host is asked");
}

/// A daemon's log messages about tokens that it refuses.
#[track_caller]
fn told(daemon: TestDaemon, tokens: &[String]) -> Vec<Value> {
    for token in tokens {
        assert_eq!(status(&daemon, PATH, token), 401, "{token}");
    }
    let (_, messages) = daemon.stop_and_tell();
    let lines = messages.lines().filter(|line| line.contains("a token is refused"));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_refusal_is_in_the_log_with_its_reason() {
    let signer = Signer::ed25519();
    let (address, _) = serve("200 OK", set(&[signer.jwk(Some("k"))]));
    let changed = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        signer.sign(&json!({"alg": "EdDSA", "kid": "k", "typ": "at+jwt"}), &claims)
    };
    let cases = [
        (token(&Signer::ed25519(), "EdDSA", Some("k")), "its issuer's key does not verify its signature"),
        (token(&Signer::ed25519(), "EdDSA", Some("other")), "its key is not known"),
        (token(&signer, "HS256", Some("k")), "its algorithm is not accepted for its issuer"),
        (signer.sign(&json!({"alg": "EdDSA", "kid": "k", "typ": "JWT"}), &claims()), "the token is of another kind"),
        (changed("aud", json!("others")), "the token is for another audience"),
        (changed("exp", json!(1)), "the credential has expired"),
        (changed("iss", json!("https://evil.example")), "its issuer is not trusted"),
        (changed("roles", json!({})), "the claim `roles` is malformed"),
        ("a.b.c".to_owned(), "the header is not"),
    ];
    let tokens: Vec<String> = cases.iter().map(|(token, _)| token.clone()).collect();
    let lines = told(with_issuer(address, "").start(), &tokens);
    for ((_, why), line) in cases.iter().zip(&lines) {
        assert!(line["error"].as_str().unwrap().contains(why), "{why}: {line}");
    }
    assert_eq!(lines.len(), cases.len());
    assert_eq!((&lines[1]["kid"], &lines[1]["issuer"]), (&json!("other"), &json!(ISSUER)));

    // The messages are limited in rate.
    let (address, _) = serve("200 OK", set(&[signer.jwk(Some("k"))]));
    let many: Vec<String> = (0..300).map(|nth| changed("sub", json!(format!("{nth}"))) + "A").collect();
    let lines = told(with_issuer(address, "").start(), &many);
    assert!((20..250).contains(&lines.len()), "{}", lines.len());
}
