//! Arbitrary tokens, API keys and key sets are parsed or refused, and no signature is ever valid.
//!
//! The input is a key set, a line break, and a token.
#![no_main]

use std::sync::LazyLock;

use acgs::auth::claims::{Expected, Typ, check};
use acgs::auth::jwks::Jwks;
use acgs::auth::jws::Unverified;
use acgs::auth::secret::ApiKey;
use libfuzzer_sys::fuzz_target;

/// A key with no signature in the corpus.
static KEYS: LazyLock<Jwks> = LazyLock::new(|| {
    let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"k",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    Jwks::parse(set).expect("it is a key set")
});

fuzz_target!(|text: &str| {
    let (set, token) = text.split_once('\n').unwrap_or(("", text));
    let own = Jwks::parse(set);
    if let Ok(token) = Unverified::parse(token) {
        for key in KEYS.keys() {
            assert!(token.verify(key).is_err());
        }
        // An input with its own key may contain a valid signature.
        for key in own.iter().flat_map(Jwks::keys) {
            let _ = token.verify(key);
        }
        for typ in [Typ::AtJwt, Typ::ClientAssertion] {
            for role_claim in [None, Some("realm_access.roles"), Some("/a/b")] {
                let expected =
                    Expected { issuer: "https://issuer.example", audience: "acgs", typ, leeway_s: 60, role_claim };
                let _ = check(&token, &expected, 1_800_000_000);
            }
        }
    }
    if let Ok(key) = ApiKey::parse(text) {
        assert!(ApiKey::is_meant(text));
        assert_eq!(key.as_str(), text);
    }
});
