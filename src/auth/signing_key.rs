//! The keys that sign access tokens: Ed25519.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::jwk::{Algorithm, VerifyingKey};

/// Why there is no key, or no token.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The bytes are no Ed25519 key.
    #[error("the stored signing key cannot be read: {0}")]
    Malformed(ring::error::KeyRejected),
    /// The system has no random numbers.
    #[error("the system gave no random numbers for a signing key")]
    Random,
    /// The claims are no JSON.
    #[error("the claims cannot be written: {0}")]
    Claims(#[from] serde_json::Error),
}

/// A key pair that signs tokens.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    pkcs8: Box<[u8]>,
    kid: Box<str>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'a str,
}

impl SigningKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, SigningKeyError> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| SigningKeyError::Random)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// Reads a key that was stored; its public half must be with it (RFC 8410, version 2), and fit.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, SigningKeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(SigningKeyError::Malformed)?;
        let kid = thumbprint(pair.public_key().as_ref()).into();
        Ok(Self { pair, pkcs8: pkcs8.into(), kid })
    }

    /// The key in the form in which it is stored. Secret.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The key's name: the thumbprint of its public half (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, as key sets list it.
    #[must_use]
    pub fn public_jwk(&self) -> serde_json::Value {
        serde_json::json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": URL_SAFE_NO_PAD.encode(self.pair.public_key()),
            "kid": self.kid,
            "use": "sig",
            "alg": Algorithm::EdDsa.as_str(),
        })
    }

    /// The public half, to verify with.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::ed25519(&self.kid, self.pair.public_key().as_ref())
    }

    /// A compact signed token of that kind, with those claims.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, SigningKeyError> {
        let header = serde_json::to_vec(&Header { alg: Algorithm::EdDsa.as_str(), kid: &self.kid, typ })?;
        let claims = serde_json::to_vec(claims)?;
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// RFC 7638, section 3, with the required members that RFC 8037, section 2 names.
fn thumbprint(public: &[u8]) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(public));
    URL_SAFE_NO_PAD.encode(Sha256::digest(members))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::jwks::Jwks;
    use crate::auth::jws::Unverified;

    #[test]
    fn the_name_is_the_thumbprint_that_the_rfc_gives() {
        // RFC 8037, appendix A.3.
        let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(thumbprint(&public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_stored_key_is_the_same_key() {
        let key = SigningKey::generate().unwrap();
        let token = key.sign("at+jwt", &serde_json::json!({})).unwrap();
        let again = SigningKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(again.kid(), key.kid());
        assert_eq!(again.sign("at+jwt", &serde_json::json!({})).unwrap(), token);
        assert!(SigningKey::from_pkcs8(&key.pkcs8()[1..]).is_err());
        assert_ne!(SigningKey::generate().unwrap().kid(), key.kid());
    }

    #[test]
    fn the_published_key_verifies_what_was_signed() {
        let key = SigningKey::generate().unwrap();
        let published = Jwks::parse(&serde_json::json!({"keys": [key.public_jwk()]}).to_string()).unwrap();
        let token = key.sign("at+jwt", &serde_json::json!({"sub": "ada"})).unwrap();
        let unverified = Unverified::parse(&token).unwrap();
        unverified.verify(published.candidates(unverified.kid()).next().unwrap()).unwrap();
    }

    #[test]
    fn a_printed_key_shows_no_secret() {
        let key = SigningKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ kid: {:?}, .. }}", key.kid()));
    }
}
