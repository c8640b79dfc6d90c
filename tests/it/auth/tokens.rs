//! Forged tokens: each is signed with a key that the daemon trusts unless the attack is to have none.

use acgs::auth::signing_key::SigningKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::forger::{Attacked, Forger, encode};
use crate::harness::issuer::now;

#[test]
fn a_token_that_names_no_algorithm_is_refused() {
    Attacked::start().refuses_of_each(|forger| {
        let mut tokens = Vec::new();
        for name in ["none", "None", "NONE", "nOnE", ""] {
            let token = forger.with_header("alg", Some(json!(name)));
            let (signed, _) = token.rsplit_once('.').unwrap();
            tokens.extend([format!("{signed}."), format!("{signed}.AA"), signed.to_owned(), token]);
        }
        tokens.push(forger.with_header("alg", None));
        tokens.extend([json!(null), json!(["EdDSA"]), json!(1)].map(|alg| forger.with_header("alg", Some(alg))));
        tokens
    });
}

#[test]
fn hs256_with_the_public_key_as_its_secret_is_refused() {
    Attacked::start().refuses_of_each(|forger| {
        let jwk = forger.key.public_jwk();
        let x = jwk["x"].as_str().unwrap();
        let raw = URL_SAFE_NO_PAD.decode(x).unwrap();
        let secrets = [raw, x.into(), jwk.to_string().into(), json!({"keys": [jwk]}).to_string().into(), Vec::new()];
        let forge = |secret: Vec<u8>| {
            let token = forger.with_header("alg", Some(json!("HS256")));
            let (signed, _) = token.rsplit_once('.').unwrap();
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
            format!("{signed}.{}", encode(ring::hmac::sign(&key, signed.as_bytes())))
        };
        secrets.map(forge).into()
    });
}

#[test]
fn an_algorithm_that_is_not_the_keys_is_refused() {
    let names = ["ES256", "RS256", "HS256", "HS512", "PS256", "eddsa", "EdDSA ", "Ed25519", "Ed448"];
    Attacked::start().refuses_of_each(|forger| names.map(|name| forger.with_header("alg", Some(json!(name)))).into());
}

#[test]
fn the_key_of_one_issuer_makes_no_token_of_another() {
    let attacked = Attacked::start();
    let [own, foreign] = &attacked.forgers;
    let mut tokens = Vec::new();
    for (forger, other) in [(own, foreign), (foreign, own)] {
        for kid in [Some(json!(forger.key.kid())), Some(json!(other.key.kid())), None] {
            let mut header = forger.header();
            match kid {
                Some(kid) => header["kid"] = kid,
                None => drop(header.as_object_mut().unwrap().remove("kid")),
            }
            tokens.push(forger.sign(&header.to_string(), &other.claims().to_string()));
        }
        let mut both = forger.claims();
        both["iss"] = json!([forger.issuer, other.issuer]);
        tokens.push(forger.sign(&forger.header().to_string(), &both.to_string()));
    }
    attacked.refuses(tokens);
}

#[test]
fn a_key_that_nobody_knows_makes_no_token() {
    let attacked = Attacked::start();
    let stranger = SigningKey::generate().unwrap();
    let tokens = attacked.forgers.iter().flat_map(|trusted| {
        let key = SigningKey::from_pkcs8(stranger.pkcs8()).unwrap();
        let thief = Forger { key, issuer: trusted.issuer };
        [thief.good(), thief.with_header("kid", Some(json!(trusted.key.kid()))), thief.with_header("kid", None)]
    });
    attacked.refuses(tokens.collect::<Vec<_>>());
}

#[test]
fn a_token_that_was_changed_is_refused() {
    let attacked = Attacked::start();
    let [own, foreign] = attacked.forgers.each_ref().map(Forger::good);
    let (own, foreign): (Vec<&str>, Vec<&str>) = (own.split('.').collect(), foreign.split('.').collect());
    let mut claims = attacked.forgers[0].claims();
    claims["scope"] = json!("auth:write");
    attacked.refuses([
        format!("{}.{}.{}", own[0], encode(claims.to_string()), own[2]),
        format!("{}.{}.{}", own[0], foreign[1], own[2]),
        format!("{}.{}.{}", foreign[0], own[1], own[2]),
        format!("{}.{}.{}", own[0], own[1], foreign[2]),
        format!("{}.{}.{}", own[0], own[1], encode([0; 64])),
        format!("{}.{}.", own[0], own[1]),
        format!("{}.{}", own[0], own[1]),
        format!("{}.{}.{}.{}", own[0], own[1], own[2], own[2]),
        String::new(),
        "..".to_owned(),
        "null".to_owned(),
        json!({"protected": own[0], "payload": own[1], "signature": own[2]}).to_string(),
    ]);
}

/// Values of a claim or a member of the header, none of which is to be accepted; `None` leaves it out.
type Wrong = (&'static str, Vec<Option<Value>>);

#[test]
fn a_token_of_another_type_is_refused() {
    let values = ["JWT", "jwt", "id+jwt", "logout+jwt", "", "at+jwt ", "at+jwtx", "application/", "at%2Bjwt"];
    let values = values.map(|typ| json!(typ)).into_iter().chain([json!(null), json!(1), json!(["at+jwt"])]);
    let values: Vec<_> = values.map(Some).chain([None]).collect();
    Attacked::start()
        .refuses_of_each(|forger| values.iter().map(|typ| forger.with_header("typ", typ.clone())).collect());
}

#[test]
fn a_token_for_another_audience_or_of_another_issuer_is_refused() {
    let wrong: [Wrong; 2] = [
        (
            "aud",
            vec![
                Some(json!("other")),
                Some(json!("ACGS")),
                Some(json!("acgs ")),
                Some(json!("acgs/")),
                Some(json!("")),
                Some(json!([])),
                Some(json!(["other", "acgs2"])),
                Some(json!(["acgs", 1])),
                Some(json!([["acgs"]])),
                Some(json!({"acgs": "acgs"})),
                Some(json!(1)),
                Some(json!(null)),
                None,
            ],
        ),
        (
            "iss",
            vec![
                Some(json!("https://evil.example")),
                Some(json!("https://acgs.example/")),
                Some(json!("https://ACGS.example")),
                Some(json!("https://tests.example/")),
                Some(json!(" https://tests.example")),
                Some(json!("https://tests.example\u{0}")),
                Some(json!("")),
                Some(json!(["https://acgs.example"])),
                Some(json!(1)),
                Some(json!(null)),
                None,
            ],
        ),
    ];
    Attacked::start().refuses_of_each(|forger| with_claims(forger, &wrong));
}

#[test]
fn a_token_that_is_not_good_now_or_does_not_say_when_is_refused() {
    let no_time = || vec![Some(json!(null)), Some(json!("9999999999")), Some(json!([])), Some(json!(true))];
    let with = |mut more: Vec<Option<Value>>| {
        more.extend(no_time());
        more
    };
    let (past, future) = (Some(json!(now() - 3_600)), Some(json!(now() + 3_600)));
    let wrong: [Wrong; 4] = [
        ("exp", with(vec![past, Some(json!(now() - 61)), Some(json!(0)), Some(json!(-1)), Some(json!(1e300)), None])),
        ("nbf", with(vec![future.clone(), Some(json!(now() + 120)), Some(json!(1e300)), Some(json!({"at": 1}))])),
        ("iat", with(vec![future, Some(json!(1e300))])),
        ("sub", vec![Some(json!("")), Some(json!(1)), Some(json!(null)), Some(json!("x".repeat(1_025))), None]),
    ];
    Attacked::start().refuses_of_each(|forger| with_claims(forger, &wrong));
}

fn with_claims(forger: &Forger, wrong: &[Wrong]) -> Vec<String> {
    let tokens =
        wrong.iter().flat_map(|(name, values)| values.iter().map(|value| forger.with_claim(name, value.clone())));
    tokens.collect()
}

#[test]
fn a_token_that_brings_its_own_key_is_refused() {
    let stranger = SigningKey::generate().unwrap();
    let attacked = Attacked::start();
    let mut tokens = Vec::new();
    for trusted in &attacked.forgers {
        let key = SigningKey::from_pkcs8(stranger.pkcs8()).unwrap();
        let thief = Forger { key, issuer: trusted.issuer };
        for (name, value) in [
            ("jku", json!("https://evil.example/jwks.json")),
            ("jku", json!("http://127.0.0.1:1/jwks.json")),
            ("x5u", json!("file:///etc/passwd")),
            ("x5c", json!(["MIIB"])),
            ("jwk", stranger.public_jwk()),
            ("jwk", json!(null)),
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("b64", json!(false)),
        ] {
            tokens.extend([trusted, &thief].map(|forger| forger.with_header(name, Some(value.clone()))));
        }
    }
    attacked.refuses(tokens);
}

#[test]
fn a_key_id_that_is_meant_for_something_else_is_refused() {
    Attacked::start().refuses_of_each(|forger| {
        let kid = forger.key.kid();
        let texts = [
            "../../../../../../dev/null".to_owned(),
            "/dev/null".to_owned(),
            "admin-password".to_owned(),
            "' OR '1'='1".to_owned(),
            "x' UNION SELECT pkcs8 FROM signing_keys --".to_owned(),
            "'; DROP TABLE signing_keys; --".to_owned(),
            "$(id)".to_owned(),
            "https://evil.example/key".to_owned(),
            "%00".to_owned(),
            "\u{0}".to_owned(),
            String::new(),
            format!("{kid} "),
            format!("{kid}\u{0}"),
            kid.to_uppercase(),
            "k".repeat(256),
            "k".repeat(257),
            "k".repeat(4_000),
        ];
        let others = [json!(1), json!(null), json!([kid]), json!({"kid": kid}), json!(true)];
        texts.map(Value::from).into_iter().chain(others).map(|kid| forger.with_header("kid", Some(kid))).collect()
    });
}

#[test]
fn a_token_that_says_something_twice_is_refused() {
    Attacked::start().refuses_of_each(|forger| {
        let (header, claims) = (forger.header().to_string(), forger.claims().to_string());
        let more = |object: &str, members: &str| format!("{{{members},{}", &object[1..]);
        let mut tokens = Vec::new();
        for twice in [
            r#""sub":"user:root""#,
            r#""exp":1"#,
            r#""aud":"acgs""#,
            r#""scope":"auth:write""#,
            r#""iss":"x""#,
            r#""\u0073ub":"user:root""#,
            r#""x":{"a":1,"a":1}"#,
            r#""x":[[{"a":1,"\u0061":2}]]"#,
        ] {
            tokens.push(forger.sign(&header, &more(&claims, twice)));
        }
        for twice in [r#""alg":"none""#, r#""alg":"EdDSA""#, r#""kid":"x""#, r#""\u0061lg":"none""#, r#""typ":"JWT""#] {
            tokens.push(forger.sign(&more(&header, twice), &claims));
        }
        for wrong in [format!("{claims}{claims}"), format!("[{claims}]"), format!("{claims}x"), "{".to_owned()] {
            tokens.push(forger.sign(&header, &wrong));
        }
        tokens
    });
}

#[test]
fn a_token_in_base64_that_is_padded_or_not_canonical_is_refused() {
    Attacked::start().refuses_of_each(|forger| {
        // So long that their last letter has bits to spare.
        let (header, mut claims) = (format!("{} ", forger.header()), forger.claims().to_string());
        let header = encode(&header[..header.len() - usize::from(header.len().is_multiple_of(3))]);
        while claims.len().is_multiple_of(3) {
            claims.push(' ');
        }
        let claims = encode(claims);
        let mut tokens = Vec::new();
        for (header, claims) in [
            (loose(&header), claims.clone()),
            (header.clone(), loose(&claims)),
            (format!("{header}=="), claims.clone()),
            (format!("{header}="), claims.clone()),
            (header.clone(), format!("{claims}=")),
            (header.clone(), format!("{claims}==")),
            (format!("{header} "), claims.clone()),
            (header.clone(), format!("{claims}\t")),
            (format!("+{}", &header[1..]), claims.clone()),
            (header.clone(), format!("{claims}/")),
        ] {
            tokens.push(forger.sign_encoded(&header, &claims));
        }
        let good = forger.good();
        tokens.extend([loose(&good), format!("{good}="), format!("{good}=="), format!("{good}A")]);
        tokens
    });
}

/// The same bytes to whoever does not look at the bits to spare of the last letter.
fn loose(part: &str) -> String {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = letters.find(part.chars().last().unwrap()).unwrap();
    format!("{}{}", &part[..part.len() - 1], &letters[last + 1..last + 2])
}

#[test]
fn an_oversized_token_is_refused() {
    Attacked::start().refuses_of_each(|forger| {
        let long = |bytes: usize| Some(json!("x".repeat(bytes)));
        let mut tokens: Vec<_> = [8_192, 20_000].map(|bytes| forger.with_claim("x", long(bytes))).into();
        tokens.push(forger.with_header("x", long(8_192)));
        tokens.push("A".repeat(30_000));
        tokens
    });
}

#[test]
fn a_deeply_nested_token_is_refused() {
    Attacked::start().refuses_of_each(|forger| {
        let (header, claims) = (forger.header().to_string(), forger.claims().to_string());
        let mut tokens = Vec::new();
        for levels in [17, 64, 128, 500, 2_000] {
            let lists = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            let objects = format!("{}1{}", r#"{"a":"#.repeat(levels / 4), "}".repeat(levels / 4));
            let nested = if levels < 64 { vec![lists] } else { vec![lists, objects] };
            for nested in nested {
                let member = format!("{{\"x\":{nested},");
                tokens.push(forger.sign(&header, &format!("{member}{}", &claims[1..])));
                tokens.push(forger.sign(&format!("{member}{}", &header[1..]), &claims));
            }
        }
        tokens
    });
}

#[test]
fn tokens_that_are_good_though_unusual_are_accepted() {
    let attacked = Attacked::start();
    for forger in &attacked.forgers {
        attacked.accepts(&forger.with_claim("aud", Some(json!(["other", "acgs"]))));
        attacked.accepts(&forger.with_header("typ", Some(json!("application/AT+JWT"))));
        attacked.accepts(&forger.with_claim("exp", Some(json!(4_000_000_000_u32))));
        attacked.accepts(&forger.with_claim("nbf", None));
        attacked.accepts(&forger.with_claim("unknown", Some(json!({"a": [1]}))));
    }
}
