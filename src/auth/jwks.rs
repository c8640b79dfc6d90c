//! JWK sets (RFC 7517, section 5). Keys are parsed one by one, so an invalid key does not invalidate the others.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::jwk::{JwkError, VerifyingKey};
use super::jws::{JwsError, object};
use crate::domain::Json;

/// The most bytes in a JWK set.
pub const MAX_JWKS: usize = 256 * 1024;

/// The most keys used of a set, since each of them may have to be tried.
pub const MAX_KEYS: usize = 64;

/// Why a JWK set is refused.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The set has more than [`MAX_JWKS`] bytes.
    #[error("the key set has more than {MAX_JWKS} bytes")]
    TooLong,
    /// The text is no JSON object, or contains `keys` more than once.
    #[error("the key set cannot be parsed: {0}")]
    Json(#[from] serde_json::Error),
    /// There is no list `keys`.
    #[error("`keys` must be a list")]
    NoKeys,
}

/// Why one key of a set is skipped.
#[derive(Debug, thiserror::Error)]
pub enum SkippedCause {
    /// The key has a duplicate member, which different parsers may read differently.
    #[error("the key is not a JSON object, or has duplicate members")]
    Twice,
    /// The key is no JSON object, or nests too deep.
    #[error(transparent)]
    Json(#[from] JwsError),
    /// The key's type, algorithm or use is not supported.
    #[error(transparent)]
    Key(#[from] JwkError),
    /// The set has more than [`MAX_KEYS`] usable keys.
    #[error("only the first {MAX_KEYS} usable keys of a set are used")]
    TooMany,
}

/// A key that is skipped.
#[derive(Debug)]
pub struct Skipped {
    /// The key's position in the set, from 0.
    pub place: usize,
    /// The reason.
    pub cause: SkippedCause,
}

/// The keys of one issuer.
#[derive(Debug, Default)]
pub struct Jwks {
    keys: Vec<VerifyingKey>,
    skipped: Vec<Skipped>,
}

#[derive(Deserialize)]
struct Set {
    keys: Option<Loose>,
}

impl Jwks {
    /// Parses a JWK set; unusable keys are skipped.
    pub fn parse(text: &str) -> Result<Self, JwksError> {
        if text.len() > MAX_JWKS {
            return Err(JwksError::TooLong);
        }
        let Some(Loose::List(listed)) = serde_json::from_str::<Set>(text)?.keys else { return Err(JwksError::NoKeys) };
        let mut read = Self::default();
        for (place, jwk) in listed.into_iter().enumerate() {
            match usable(jwk) {
                Ok(_) if read.keys.len() == MAX_KEYS => {
                    read.skipped.push(Skipped { place, cause: SkippedCause::TooMany });
                }
                Ok(key) => read.keys.push(key),
                Err(cause) => read.skipped.push(Skipped { place, cause }),
            }
        }
        Ok(read)
    }

    /// The keys that may verify a token: those with its `kid` and those without a `kid`; all of them if the token has
    /// none.
    pub fn candidates<'k>(&'k self, kid: Option<&'k str>) -> impl Iterator<Item = &'k VerifyingKey> {
        self.keys.iter().filter(move |key| match (kid, key.kid()) {
            (Some(wanted), Some(named)) => wanted == named,
            _ => true,
        })
    }

    /// The usable keys.
    #[must_use]
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    /// The skipped keys.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}

fn usable(jwk: Loose) -> Result<VerifyingKey, SkippedCause> {
    let jwk = jwk.value().ok_or(SkippedCause::Twice)?;
    Ok(VerifyingKey::from_jwk(&Json::Object(object(jwk.to_string().as_bytes(), "key")?))?)
}

/// A JSON value that tolerates duplicate members until they are looked at, so that they affect only the key in which
/// they occur.
enum Loose {
    Plain(Value),
    List(Vec<Loose>),
    Object(Map<String, Value>),
    Twice,
}

impl Loose {
    /// The value; `None` if an object in it has a duplicate member.
    fn value(self) -> Option<Value> {
        match self {
            Self::Plain(value) => Some(value),
            Self::List(items) => items.into_iter().map(Self::value).collect::<Option<Vec<_>>>().map(Value::Array),
            Self::Object(members) => Some(Value::Object(members)),
            Self::Twice => None,
        }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Plain(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Loose, E> {
        Ok(Loose::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Loose, E> {
        Ok(Loose::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Loose, E> {
        Ok(Loose::Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Loose, E> {
        Ok(Loose::Plain(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Loose, E> {
        Ok(Loose::Plain(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Loose, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Loose::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Loose, A::Error> {
        let (mut members, mut is_unique) = (Map::new(), true);
        while let Some((name, value)) = access.next_entry::<String, Loose>()? {
            match value.value() {
                Some(value) => is_unique &= members.insert(name, value).is_none(),
                None => is_unique = false,
            }
        }
        Ok(if is_unique { Loose::Object(members) } else { Loose::Twice })
    }
}

impl FromIterator<VerifyingKey> for Jwks {
    fn from_iter<I: IntoIterator<Item = VerifyingKey>>(keys: I) -> Self {
        Self { keys: keys.into_iter().collect(), skipped: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn ed25519(kid: &str) -> String {
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}","kid":"{kid}"}}"#)
    }

    #[test]
    fn a_bad_key_does_not_spoil_the_others() {
        let nested = format!(r#"{{"kty":"OKP","a":{}{}}}"#, "[".repeat(100), "]".repeat(100));
        for bad in [
            "7",
            "null",
            "[]",
            "{}",
            r#"{"kty":"oct","k":"AA","kid":"a"}"#,
            r#"{"kty":"OKP","kty":"OKP","crv":"Ed25519","x":"AA"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"a"}"#,
            r#"{"kty":"RSA","n":7,"e":"AQAB"}"#,
            &nested,
        ] {
            for text in
                [format!(r#"{{"keys":[{bad},{}]}}"#, ed25519("a")), format!(r#"{{"keys":[{},{bad}]}}"#, ed25519("a"))]
            {
                let set = Jwks::parse(&text).unwrap();
                assert_eq!((set.keys().len(), set.skipped().len()), (1, 1), "{text}");
                assert!(!set.skipped()[0].cause.to_string().is_empty());
                assert_eq!(set.candidates(Some("a")).count(), 1);
            }
        }
    }

    #[test]
    fn every_key_that_fits_is_a_candidate() {
        let unnamed = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"}}"#);
        let text = format!(r#"{{"keys":[{},{},{},{unnamed}],"x":1,"x":2}}"#, ed25519("a"), ed25519("a"), ed25519("b"));
        let set = Jwks::parse(&text).unwrap();
        for (kid, expected) in [(Some("a"), 3), (Some("b"), 2), (Some("A"), 1), (Some(""), 1), (None, 4)] {
            assert_eq!(set.candidates(kid).count(), expected, "{kid:?}");
        }
    }

    #[test]
    fn a_text_that_is_no_set_is_refused() {
        for text in
            ["", "nonsense", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"keys":[],"keys":[]}"#, "{} {}"]
        {
            assert!(Jwks::parse(text).is_err(), "{text}");
        }
        assert!(Jwks::parse(&" ".repeat(MAX_JWKS + 1)).is_err());
        let many = vec![ed25519("a"); MAX_KEYS + 3].join(",");
        let set = Jwks::parse(&format!(r#"{{"keys":[{many}]}}"#)).unwrap();
        assert_eq!((set.keys().len(), set.skipped().len()), (MAX_KEYS, 3));
    }
}
