//! Public keys (RFC 7517), each bound to the signature algorithms for which it may be used.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

use super::ring_provider;
use crate::domain::{Json, Object};
pub use crate::settings::Algorithm;

/// The longest name of a key, in bytes.
pub const MAX_KID: usize = 256;
/// Members that only the owner of a key should know (RFC 7518, section 6; RFC 8037, section 2).
const SECRET: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a key is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// The key is no JSON object.
    #[error("a key must be an object")]
    NotObject,
    /// The member is missing, or has not the form that it must have.
    #[error("`{0}` is missing or malformed")]
    Member(&'static str),
    /// The key contains private parameters.
    #[error("the key is not public")]
    Private,
    /// The key is of a kind that is not accepted.
    #[error("the key is neither Ed25519 nor P-256 nor P-384 nor RSA")]
    Kind,
    /// The key is for something else than verifying signatures.
    #[error("the key is not for verifying signatures")]
    Use,
    /// The key is for another algorithm.
    #[error("`alg` of the key does not fit its type, or is not accepted here")]
    Algorithm,
    /// The RSA key is too short, too long, or known to be weak.
    #[error("the RSA key is weak, or not of 2048 to 8192 bits")]
    Weak,
}

/// The type of a key, which determines its possible algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ed25519,
    P256,
    P384,
    Rsa,
}

impl Kind {
    const fn algorithms(self) -> &'static [Algorithm] {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match self {
            Self::Ed25519 => &[EdDsa],
            Self::P256 => &[Es256],
            Self::P384 => &[Es384],
            Self::Rsa => &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512],
        }
    }
}

const fn primitive(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
    }
}

/// A public key, bound to its algorithms: the one in its `alg`, otherwise those of its type.
#[derive(Debug, Clone)]
pub struct VerifyingKey {
    kid: Option<Box<str>>,
    algorithms: Box<[Algorithm]>,
    key: DecodingKey,
}

impl VerifyingKey {
    /// An Ed25519 key of 32 bytes.
    #[must_use]
    pub(super) fn ed25519(kid: &str, public: &[u8]) -> Self {
        let algorithms = Kind::Ed25519.algorithms().into();
        Self { kid: Some(kid.into()), algorithms, key: DecodingKey::from_ed_der(public) }
    }

    /// Parses one public key.
    ///
    /// A point that is not on its curve is not detected here: nothing verifies with such a key.
    pub fn from_jwk(jwk: &Json) -> Result<Self, JwkError> {
        let jwk = jwk.as_object().ok_or(JwkError::NotObject)?;
        let kid = text(jwk, "kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(JwkError::Member("kid"));
        }
        if SECRET.into_iter().any(|name| jwk.get(name).is_some()) {
            return Err(JwkError::Private);
        }
        check_use(jwk)?;
        let (family, key) = match text(jwk, "kty")? {
            Some("OKP") => (Kind::Ed25519, ed25519(jwk)?),
            Some("EC") => elliptic(jwk)?,
            Some("RSA") => (Kind::Rsa, rsa(jwk)?),
            _ => return Err(JwkError::Kind),
        };
        let algorithms: Box<[Algorithm]> = match text(jwk, "alg")? {
            None => family.algorithms().into(),
            Some(named) => family.algorithms().iter().copied().filter(|one| one.as_str() == named).collect(),
        };
        if algorithms.is_empty() {
            return Err(JwkError::Algorithm);
        }
        Ok(Self { kid: kid.map(Into::into), algorithms, key })
    }

    /// The key's name, unless it has none.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithms for which the key may be used.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Whether the signature (base64url) of those bytes was made with this key's private half.
    pub(super) fn signed(&self, algorithm: Algorithm, bytes: &[u8], signature: &str) -> bool {
        ring_provider::verify(signature, bytes, &self.key, primitive(algorithm))
    }
}

/// Refuses keys that are for something else (RFC 7517, sections 4.2 and 4.3).
fn check_use(jwk: &Object) -> Result<(), JwkError> {
    if text(jwk, "use")?.is_some_and(|named| named != "sig") {
        return Err(JwkError::Use);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Json::Array(named)) if named.iter().any(|one| one.as_str() == Some("verify")) => Ok(()),
        Some(Json::Array(_)) => Err(JwkError::Use),
        Some(_) => Err(JwkError::Member("key_ops")),
    }
}

fn ed25519(jwk: &Object) -> Result<DecodingKey, JwkError> {
    if text(jwk, "crv")? != Some("Ed25519") {
        return Err(JwkError::Kind);
    }
    Ok(DecodingKey::from_ed_der(&coordinate(jwk, "x", 32)?))
}

/// A key on one of the NIST curves.
fn elliptic(jwk: &Object) -> Result<(Kind, DecodingKey), JwkError> {
    let (kind, length) = match text(jwk, "crv")? {
        Some("P-256") => (Kind::P256, 32),
        Some("P-384") => (Kind::P384, 48),
        _ => return Err(JwkError::Kind),
    };
    // An uncompressed point (SEC 1, section 2.3.3).
    let point = [&[4], &*coordinate(jwk, "x", length)?, &*coordinate(jwk, "y", length)?].concat();
    Ok((kind, DecodingKey::from_ec_der(&point)))
}

fn rsa(jwk: &Object) -> Result<DecodingKey, JwkError> {
    let (modulus, exponent) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    // RFC 7518, section 6.3.1: no zeros in front.
    let [first, ..] = *modulus else { return Err(JwkError::Member("n")) };
    if first == 0 {
        return Err(JwkError::Member("n"));
    }
    let bits = modulus.len() * 8 - first.leading_zeros() as usize;
    if !(2048..=8192).contains(&bits) || has_roca_fingerprint(&modulus) {
        return Err(JwkError::Weak);
    }
    let value = exponent.iter().fold(0, |value: u32, byte| value << 8 | u32::from(*byte));
    if exponent.len() > 4 || exponent.first() == Some(&0) || value < 3 || value % 2 == 0 {
        return Err(JwkError::Member("e"));
    }
    Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
}

fn coordinate(jwk: &Object, name: &'static str, length: usize) -> Result<Vec<u8>, JwkError> {
    let bytes = bytes(jwk, name)?;
    if bytes.len() == length { Ok(bytes) } else { Err(JwkError::Member(name)) }
}

fn bytes(jwk: &Object, name: &'static str) -> Result<Vec<u8>, JwkError> {
    let text = text(jwk, name)?.ok_or(JwkError::Member(name))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JwkError::Member(name))
}

fn text<'a>(jwk: &'a Object, name: &'static str) -> Result<Option<&'a str>, JwkError> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Json::Str(text)) => Ok(Some(text)),
        Some(_) => Err(JwkError::Member(name)),
    }
}

/// Whether the modulus has the fingerprint of the chips of CVE-2017-15361, whose primes can be found.
///
/// Modulo each small prime it is a power of 65537; one in some hundred million other keys looks the same.
fn has_roca_fingerprint(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
        109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.into_iter().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        (0..prime).any(|_| {
            power = power * (65537 % prime) % prime;
            power == rest
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    /// The first algorithm of a parsed key.
    fn read(jwk: &serde_json::Value) -> Result<Algorithm, String> {
        let json: Json = serde_json::from_str(&jwk.to_string()).unwrap();
        VerifyingKey::from_jwk(&json).map(|key| key.algorithms()[0]).map_err(|error| error.to_string())
    }

    /// An RSA key with so many bits, all of them ones.
    fn rsa_of(bits: usize, exponent: &[u8]) -> serde_json::Value {
        let mut modulus = vec![0xff_u8; bits.div_ceil(8)];
        if !bits.is_multiple_of(8) {
            modulus[0] = (1 << (bits % 8)) - 1;
        }
        serde_json::json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(modulus), "e": URL_SAFE_NO_PAD.encode(exponent)})
    }

    #[test]
    fn the_algorithm_follows_from_the_kind_of_key() {
        assert_eq!(read(&serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": X})), Ok(Algorithm::EdDsa));
        assert_eq!(read(&serde_json::json!({"kty": "EC", "crv": "P-256", "x": X, "y": X})), Ok(Algorithm::Es256));
        let long = URL_SAFE_NO_PAD.encode([7; 48]);
        assert_eq!(read(&serde_json::json!({"kty": "EC", "crv": "P-384", "x": long, "y": long})), Ok(Algorithm::Es384));
        assert_eq!(read(&rsa_of(2048, &[1, 0, 1])), Ok(Algorithm::Rs256));
        for algorithm in Kind::Rsa.algorithms() {
            let mut key = rsa_of(2048, &[1, 0, 1]);
            key["alg"] = algorithm.as_str().into();
            assert_eq!(read(&key), Ok(*algorithm));
        }
    }

    #[test]
    fn a_key_that_is_not_for_verifying_with_its_algorithm_is_refused() {
        let check = |member: &str, value: serde_json::Value, expected: Result<Algorithm, JwkError>| {
            let mut jwk = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": X, "kid": "a", "use": "sig"});
            jwk[member] = value;
            assert_eq!(read(&jwk), expected.map_err(|error| error.to_string()), "{jwk}");
        };
        check("alg", "EdDSA".into(), Ok(Algorithm::EdDsa));
        check("key_ops", serde_json::json!(["sign", "verify"]), Ok(Algorithm::EdDsa));
        check("alg", "HS256".into(), Err(JwkError::Algorithm));
        check("alg", "ES256".into(), Err(JwkError::Algorithm));
        check("alg", 1.into(), Err(JwkError::Member("alg")));
        check("use", "enc".into(), Err(JwkError::Use));
        check("key_ops", serde_json::json!(["encrypt"]), Err(JwkError::Use));
        check("key_ops", "verify".into(), Err(JwkError::Member("key_ops")));
        check("d", X.into(), Err(JwkError::Private));
        check("crv", "X25519".into(), Err(JwkError::Kind));
        check("crv", "Ed448".into(), Err(JwkError::Kind));
        check("kty", "EC".into(), Err(JwkError::Kind));
        check("kid", "k".repeat(257).into(), Err(JwkError::Member("kid")));
        check("x", "AA".into(), Err(JwkError::Member("x")));
        check("x", format!("{X}=").into(), Err(JwkError::Member("x")));
        let secret = serde_json::json!({"kty": "oct", "k": X});
        assert_eq!(read(&secret), Err(JwkError::Private.to_string()));
    }

    #[test]
    fn an_rsa_key_has_2048_to_8192_bits_and_an_odd_exponent() {
        let weak = Err(JwkError::Weak.to_string());
        assert_eq!(read(&rsa_of(1024, &[1, 0, 1])), weak);
        assert_eq!(read(&rsa_of(2047, &[1, 0, 1])), weak);
        assert_eq!(read(&rsa_of(8193, &[1, 0, 1])), weak);
        assert_eq!(read(&rsa_of(8192, &[3])), Ok(Algorithm::Rs256));
        for exponent in [&[][..], &[0], &[1], &[2], &[1, 0], &[0, 3], &[1, 0, 0, 0, 1]] {
            assert_eq!(read(&rsa_of(2048, exponent)), Err(JwkError::Member("e").to_string()), "{exponent:?}");
        }
    }
}
