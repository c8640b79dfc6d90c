//! Project Wycheproof's vectors for signed tokens and their keys, all of them.
//!
//! They are not part of this repository. Where they are not beside it, there is nothing to check.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use acgs::auth::jwk::VerifyingKey;
use acgs::auth::jwks::Jwks;
use acgs::auth::jws::Unverified;
use acgs::domain::Json;
use serde_json::Value;

/// The algorithms that are accepted: everything else must not verify at all, however valid.
const ACCEPTED: [&str; 3] = ["EdDSA", "ES256", "RS256"];

/// Valid tokens with an accepted algorithm that do not verify all the same, and why.
const STRICTER: [(u64, &str); 0] = [];

/// What became of the tokens of a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    verified: usize,
    refused: usize,
    not_accepted: usize,
}

fn vectors(file: &str) -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/wycheproof/testvectors_v1").join(file);
    let Ok(text) = fs::read_to_string(&path) else {
        crate::harness::skip(&format!("there is no `{}`", path.display()));
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

/// The public key of a group, or, where there is none, the secret one: that must not verify anything either.
fn key(group: &Value) -> String {
    group.get("public").unwrap_or(&group["private"]).to_string()
}

/// The algorithm that the key of a group, or the first of its keys, is for. (A key of a group with valid tokens says.)
fn algorithm(group: &Value) -> &str {
    let key = group.get("public").unwrap_or(&group["private"]);
    key.get("keys").map_or(key, |keys| &keys[0])["alg"].as_str().unwrap_or_default()
}

/// Runs all tests of a file; `check` is given a token and the key or keys of its group.
fn run(file: &str, check: impl Fn(&str, &str) -> bool) -> Option<Counts> {
    let vectors = vectors(file)?;
    let (mut counts, mut wrong) = (Counts::default(), String::new());
    for group in vectors["testGroups"].as_array().unwrap() {
        let accepted = ACCEPTED.contains(&algorithm(group));
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            let token = test["jws"].as_str().map_or_else(|| test["jws"].to_string(), str::to_owned);
            let verified = check(&token, &key(group));
            let valid = match test["result"].as_str().unwrap() {
                "valid" => true,
                "invalid" => false,
                other => panic!("test {id} is neither valid nor invalid but `{other}`"),
            };
            let stricter = STRICTER.iter().any(|(listed, _)| *listed == id);
            if verified != (valid && accepted && !stricter) {
                writeln!(wrong, "test {id} ({}): {} verified {verified}", test["comment"], test["result"]).unwrap();
            }
            match (verified, valid && !accepted) {
                (true, _) => counts.verified += 1,
                (false, true) => counts.not_accepted += 1,
                (false, false) => counts.refused += 1,
            }
        }
    }
    let Counts { verified, refused, not_accepted } = &counts;
    println!(
        "{file}: {verified} valid verified, {refused} invalid refused, {not_accepted} valid of other algorithms refused"
    );
    assert!(wrong.is_empty(), "{wrong}");
    let total = usize::try_from(vectors["numberOfTests"].as_u64().unwrap()).unwrap();
    assert_eq!(verified + refused + not_accepted, total);
    Some(counts)
}

#[test]
fn of_all_signed_tokens_those_verify_that_are_valid() {
    let counts = run("json_web_signature_test.json", |token, jwk| {
        let jwk: Json = serde_json::from_str(jwk).unwrap();
        let Ok(key) = VerifyingKey::from_jwk(&jwk) else { return false };
        Unverified::parse(token).is_ok_and(|token| token.verify(&key).is_ok())
    });
    if let Some(counts) = counts {
        assert!(counts.verified > 0);
    }
}

#[test]
fn of_all_sets_of_keys_those_are_used_that_are_valid() {
    let counts = run("json_web_key_test.json", |token, set| {
        let (Ok(token), Ok(keys)) = (Unverified::parse(token), Jwks::parse(set)) else { return false };
        keys.candidates(token.kid()).any(|key| token.verify(key).is_ok())
    });
    if let Some(counts) = counts {
        assert!(counts.verified > 0);
    }
}

#[test]
fn no_token_verifies_with_the_key_of_another_group() {
    let Some(vectors) = vectors("json_web_signature_test.json") else { return };
    let groups = vectors["testGroups"].as_array().unwrap();
    for (group, other) in groups.iter().flat_map(|group| groups.iter().map(move |other| (group, other))) {
        // Several groups have one key in different words.
        let modulus = |group: &Value| (group["public"]["n"].clone(), group["public"]["x"].clone());
        if modulus(group) == modulus(other) {
            continue;
        }
        let jwk: Json = serde_json::from_str(&key(other)).unwrap();
        let Ok(key) = VerifyingKey::from_jwk(&jwk) else { continue };
        for test in group["tests"].as_array().unwrap() {
            let verified =
                test["jws"].as_str().and_then(|token| Some(Unverified::parse(token).ok()?.verify(&key).is_ok()));
            assert_ne!(verified, Some(true), "test {}", test["tcId"]);
        }
    }
}
