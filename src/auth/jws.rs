//! Compact signed tokens (RFC 7515), parsed strictly.
//!
//! Tokens that two parsers might read differently are refused before any key is used, and a token never chooses the key
//! for its own verification.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::jwk::{Algorithm, MAX_KID, VerifyingKey};
use crate::domain::{Json, Object};

/// The longest token that is read, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;
/// How deep values may nest in headers, payloads and key sets.
pub const MAX_DEPTH: usize = 16;

/// The algorithms of the daemon's own tokens and of client assertions.
const OWN_ALGORITHMS: [Algorithm; 3] = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];

/// Header members that would let a token choose its key, or change the signed bytes: never accepted.
///
/// `crit` (RFC 7515, section 4.1.11) lists extensions that must be understood, and none is.
const REFUSED: [&str; 6] = ["crit", "b64", "jku", "jwk", "x5u", "x5c"];

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum JwsError {
    /// The token is longer than any issuer's.
    #[error("a token longer than {MAX_TOKEN} bytes is not read")]
    TooLong,
    /// Parts are missing, or there are too many.
    #[error("a token has three parts with a dot between them")]
    NotCompact,
    /// The part has padding, other characters, or bits that no encoder leaves.
    #[error("the {0} is not base64url without padding")]
    Encoding(&'static str),
    /// A part of the token is malformed.
    #[error("the {part} is not a JSON object with unique members")]
    Malformed {
        /// Which one.
        part: &'static str,
        /// The cause.
        source: serde_json::Error,
    },
    /// The part nests too deep.
    #[error("the {0} nests deeper than {MAX_DEPTH} levels")]
    TooDeep(&'static str),
    /// The header member is missing, or no text.
    #[error("`{0}` in the header must be a string")]
    NotText(&'static str),
    /// The name of the key is too long.
    #[error("`kid` is longer than {MAX_KID} bytes")]
    LongKid,
    /// The header member is never accepted.
    #[error("`{0}` in the header is not accepted")]
    Refused(&'static str),
    /// The token names another algorithm than the key is for.
    #[error("the token names another algorithm than its key is for")]
    OtherAlgorithm,
    /// The token was not signed with that key, or was changed since.
    #[error("the signature does not fit")]
    Signature,
}

/// A well-formed token. Its claims are true only after [`Unverified::verify`].
#[derive(Debug)]
pub struct Unverified<'a> {
    signed: &'a str,
    signature: &'a str,
    algorithm: Box<str>,
    kid: Option<Box<str>>,
    typ: Option<Box<str>>,
    payload: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    pub fn parse(token: &'a str) -> Result<Self, JwsError> {
        if token.len() > MAX_TOKEN {
            return Err(JwsError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwsError::NotCompact)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::NotCompact)?;
        if payload.contains('.') {
            return Err(JwsError::NotCompact);
        }
        let header = object(&decode(header, "header")?, "header")?;
        let payload = decode(payload, "payload")?;
        decode(signature, "signature")?;
        if let Some(name) = REFUSED.into_iter().find(|name| header.get(name).is_some()) {
            return Err(JwsError::Refused(name));
        }
        let kid = text(&header, "kid")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(JwsError::LongKid);
        }
        let algorithm = text(&header, "alg")?.ok_or(JwsError::NotText("alg"))?;
        Ok(Self { signed, signature, algorithm, kid, typ: text(&header, "typ")?, payload })
    }

    /// The name of the key that the token claims to be signed with: only ever a name to look up.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The type that the token claims in its header.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// The algorithm that the header names.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The bytes that were signed, as they were before they were encoded.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload as claims: a JSON object with unique members, [`MAX_DEPTH`] levels deep at most.
    pub fn claims(&self) -> Result<Object, JwsError> {
        object(&self.payload, "payload")
    }

    /// Verifies the signature with a key, by one of the algorithms of the daemon's own tokens and of client assertions.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), JwsError> {
        self.verify_by(key, &OWN_ALGORITHMS)
    }

    /// Verifies the signature with a key, by one of the accepted algorithms.
    ///
    /// The header's algorithm must also be one of the key's, so that a public key is never used as an HMAC secret (RFC
    /// 8725, section 3.1).
    pub fn verify_by(&self, key: &VerifyingKey, accepted: &[Algorithm]) -> Result<(), JwsError> {
        let named = Algorithm::named(&self.algorithm);
        let named = named.filter(|named| accepted.contains(named) && key.algorithms().contains(named));
        let named = named.ok_or(JwsError::OtherAlgorithm)?;
        if key.signed(named, self.signed.as_bytes(), self.signature) { Ok(()) } else { Err(JwsError::Signature) }
    }
}

/// Decodes base64url as RFC 7515 has it: no padding, no other characters, no bits left over.
fn decode(part: &str, name: &'static str) -> Result<Vec<u8>, JwsError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Encoding(name))
}

/// Reads an object strictly; `part` is for the message.
pub(super) fn object(bytes: &[u8], part: &'static str) -> Result<Object, JwsError> {
    let object: Object = serde_json::from_slice(bytes).map_err(|source| JwsError::Malformed { part, source })?;
    if object.iter().all(|(_, value)| is_within(value, MAX_DEPTH - 1)) {
        Ok(object)
    } else {
        Err(JwsError::TooDeep(part))
    }
}

/// Whether the value has at most that many levels of arrays and objects. The reader's own bound keeps this finite.
fn is_within(value: &Json, levels: usize) -> bool {
    match value {
        Json::Array(items) => levels > 0 && items.iter().all(|item| is_within(item, levels - 1)),
        Json::Object(object) => levels > 0 && object.iter().all(|(_, member)| is_within(member, levels - 1)),
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Str(_) => true,
    }
}

fn text(header: &Object, name: &'static str) -> Result<Option<Box<str>>, JwsError> {
    match header.get(name) {
        None => Ok(None),
        Some(Json::Str(text)) => Ok(Some(text.clone())),
        Some(_) => Err(JwsError::NotText(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::signing_key::SigningKey;

    fn encode(text: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn token(header: &str) -> String {
        format!("{}.{}.{}", encode(header), encode("{}"), encode("signature"))
    }

    #[track_caller]
    fn refused(token: &str) -> String {
        Unverified::parse(token).unwrap_err().to_string()
    }

    #[test]
    fn what_was_signed_verifies_with_its_key_alone() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let token = key.sign("at+jwt", &serde_json::json!({"sub": "ada"})).unwrap();
        let unverified = Unverified::parse(&token).unwrap();
        assert_eq!(
            (unverified.kid(), unverified.typ(), unverified.algorithm()),
            (Some(key.kid()), Some("at+jwt"), "EdDSA")
        );
        assert_eq!(unverified.payload(), br#"{"sub":"ada"}"#);
        assert!(unverified.verify(&key.verifying_key()).is_ok());
        assert!(matches!(unverified.verify(&other.verifying_key()), Err(JwsError::Signature)));
    }

    #[test]
    fn the_example_of_the_rfc_verifies() {
        // RFC 8037, appendix A.4: the payload is text, which is signed as well as anything.
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQ\
            R6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let unverified = Unverified::parse(token).unwrap();
        assert!(unverified.verify(&VerifyingKey::ed25519("example", &public)).is_ok());
        assert!(unverified.claims().is_err());
    }

    #[test]
    fn a_token_that_was_changed_does_not_verify() {
        let key = SigningKey::generate().unwrap();
        let token = key.sign("at+jwt", &serde_json::json!({"sub": "ada"})).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        for changed in [
            format!("{}.{}.{}", parts[0], encode(r#"{"sub":"bob"}"#), parts[2]),
            format!("{}.{}.{}", encode(r#"{"alg":"EdDSA"}"#), parts[1], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}.{}", parts[0], parts[1], encode([0; 64])),
        ] {
            let verified = Unverified::parse(&changed).unwrap().verify(&key.verifying_key());
            assert!(matches!(verified, Err(JwsError::Signature)), "{changed}");
        }
    }

    #[test]
    fn alg_none_does_not_verify() {
        let key = SigningKey::generate().unwrap().verifying_key();
        for name in ["none", "None", "NONE", "nOnE", ""] {
            let token = format!("{}.{}.", encode(format!(r#"{{"alg":"{name}"}}"#)), encode("{}"));
            let verified = Unverified::parse(&token).unwrap().verify(&key);
            assert!(matches!(verified, Err(JwsError::OtherAlgorithm)), "{name}");
        }
    }

    #[test]
    fn hs256_with_the_public_key_as_secret_does_not_verify() {
        let key = SigningKey::generate().unwrap();
        let jwk = key.public_jwk();
        let public = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
        for secret in [public, jwk["x"].as_str().unwrap().into(), jwk.to_string().into_bytes()] {
            let signed = format!("{}.{}", encode(format!(r#"{{"alg":"HS256","kid":"{}"}}"#, key.kid())), encode("{}"));
            let mac = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret), signed.as_bytes());
            let token = format!("{signed}.{}", encode(mac));
            let verified = Unverified::parse(&token).unwrap().verify(&key.verifying_key());
            assert!(matches!(verified, Err(JwsError::OtherAlgorithm)));
        }
    }

    #[test]
    fn a_header_with_another_algorithm_than_the_keys_does_not_verify() {
        let key = SigningKey::generate().unwrap().verifying_key();
        for name in ["ES256", "RS256", "HS256", "PS256", "eddsa", "EDDSA", "EdDSA ", "Ed25519"] {
            let token = token(&format!(r#"{{"alg":"{name}"}}"#));
            let verified = Unverified::parse(&token).unwrap().verify(&key);
            assert!(matches!(verified, Err(JwsError::OtherAlgorithm)), "{name}");
        }
    }

    #[test]
    fn a_header_that_brings_its_own_key_is_refused() {
        for member in [
            r#""jku":"https://evil.example/jwks""#,
            r#""x5u":"https://evil.example/cert""#,
            r#""x5c":["MII"]"#,
            r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"AA"}"#,
            r#""jwk":null"#,
        ] {
            assert!(
                refused(&token(&format!(r#"{{"alg":"EdDSA",{member}}}"#))).ends_with("is not accepted"),
                "{member}"
            );
        }
    }

    #[test]
    fn crit_and_b64_are_refused_whatever_they_say() {
        for member in [r#""crit":["exp"]"#, r#""crit":[]"#, r#""crit":null"#, r#""b64":false"#, r#""b64":true"#] {
            assert!(
                refused(&token(&format!(r#"{{"alg":"EdDSA",{member}}}"#))).ends_with("is not accepted"),
                "{member}"
            );
        }
    }

    #[test]
    fn duplicate_members_are_refused_in_header_and_claims() {
        let unique = "the header is not a JSON object with unique members";
        assert_eq!(refused(&token(r#"{"alg":"EdDSA","alg":"none"}"#)), unique);
        assert_eq!(refused(&token(r#"{"alg":"EdDSA","\u0061lg":"none"}"#)), unique);
        assert_eq!(refused(&token(r#"{"alg":"EdDSA","x":[{"a":1,"a":1}]}"#)), unique);
        let token = format!("{}.{}.", encode(r#"{"alg":"EdDSA"}"#), encode(r#"{"sub":"ada","sub":"bob"}"#));
        assert!(matches!(
            Unverified::parse(&token).unwrap().claims(),
            Err(JwsError::Malformed { part: "payload", .. })
        ));
    }

    #[test]
    fn padded_and_non_canonical_base64url_is_refused() {
        let header = encode(r#"{"alg":"EdDSA"}"#);
        for part in ["QQ==", "QQ=", "QR", "Q", "Q+/A", "Q Q", "QQ\n", "QQ\0", "Qé"] {
            assert!(refused(&format!("{header}.{part}.QQ")).starts_with("the payload"), "{part}");
            assert!(refused(&format!("{header}.QQ.{part}")).starts_with("the signature"), "{part}");
        }
        assert!(refused(&format!("{header}=.QQ.QQ")).starts_with("the header"));
        assert!(refused(&format!(" {header}.QQ.QQ")).starts_with("the header"));
    }

    #[test]
    fn a_token_has_three_parts() {
        let header = encode(r#"{"alg":"EdDSA"}"#);
        for text in
            ["", ".", &header, &format!("{header}.QQ"), &format!("{header}.QQ.QQ."), &format!("{header}.Q.Q.QQ.Q")]
        {
            assert_eq!(refused(text), "a token has three parts with a dot between them", "{text}");
        }
        assert!(refused("..").starts_with("the header is not a JSON object"));
    }

    #[test]
    fn an_oversized_token_is_not_read() {
        assert_eq!(refused(&"A".repeat(MAX_TOKEN + 1)), "a token longer than 8192 bytes is not read");
    }

    #[test]
    fn a_deeply_nested_token_is_refused() {
        let nested = |levels: usize| {
            let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
            token(&format!(r#"{{"alg":"EdDSA","a":{open}{close}}}"#))
        };
        assert!(Unverified::parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(refused(&nested(MAX_DEPTH + 1)), "the header nests deeper than 16 levels");
        assert_eq!(refused(&nested(2000)), "the header is not a JSON object with unique members");
    }

    #[test]
    fn header_members_have_their_types() {
        assert_eq!(refused(&token("{}")), "`alg` in the header must be a string");
        assert_eq!(refused(&token(r#"{"alg":["EdDSA"]}"#)), "`alg` in the header must be a string");
        assert_eq!(refused(&token(r#"{"alg":"EdDSA","kid":1}"#)), "`kid` in the header must be a string");
        assert_eq!(refused(&token(r#"{"alg":"EdDSA","typ":null}"#)), "`typ` in the header must be a string");
        let long = "k".repeat(MAX_KID + 1);
        assert_eq!(refused(&token(&format!(r#"{{"alg":"EdDSA","kid":"{long}"}}"#))), "`kid` is longer than 256 bytes");
        assert!(refused(&token("[]")).starts_with("the header is not"));
        assert!(refused(&token(r#"{"alg":"EdDSA"}{}"#)).starts_with("the header is not"));
    }
}
