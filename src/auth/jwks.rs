//! The public keys of an issuer (RFC 7517, section 5), taken one by one: a bad key does not spoil the others.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::jwk::{JwkError, VerifyingKey};
use super::jws::{JwsError, object};
use crate::domain::Json;

/// The longest set of keys that is read, in bytes.
pub const MAX_JWKS: usize = 256 * 1024;

/// The most keys of a set that are used: each of them may have to be tried.
pub const MAX_KEYS: usize = 64;

/// Why a set of keys is not used.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The set is too long.
    #[error("a set of keys longer than {MAX_JWKS} bytes is not read")]
    TooLong,
    /// The text is no JSON object, or has a list of keys twice.
    #[error("the set of keys cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// There is no list of keys.
    #[error("`keys` must be a list")]
    NoKeys,
}

/// Why one key of a set is not used.
#[derive(Debug, thiserror::Error)]
pub enum SkippedCause {
    /// It has a member twice, so that two readers may see two keys.
    #[error("the key is not a JSON object with unique members")]
    Twice,
    /// It is no JSON object, or nests too deep.
    #[error(transparent)]
    Json(#[from] JwsError),
    /// It cannot be used here.
    #[error(transparent)]
    Key(#[from] JwkError),
    /// There are too many.
    #[error("only the first {MAX_KEYS} keys of a set are used")]
    TooMany,
}

/// A key that is not used.
#[derive(Debug)]
pub struct Skipped {
    /// Its place in the set, from 0.
    pub place: usize,
    /// Why.
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
    /// Reads a set of keys; those that cannot be used are skipped.
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

    /// The keys that may have signed a token: those of its `kid`, and those without a name; for a token that names none,
    /// all.
    pub fn candidates<'k>(&'k self, kid: Option<&'k str>) -> impl Iterator<Item = &'k VerifyingKey> {
        self.keys.iter().filter(move |key| match (kid, key.kid()) {
            (Some(wanted), Some(named)) => wanted == named,
            _ => true,
        })
    }

    /// The keys that can be used.
    #[must_use]
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    /// The keys that are not used.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}

fn usable(jwk: Loose) -> Result<VerifyingKey, SkippedCause> {
    let jwk = jwk.value().ok_or(SkippedCause::Twice)?;
    Ok(VerifyingKey::from_jwk(&Json::Object(object(jwk.to_string().as_bytes(), "key")?))?)
}

/// A value that may have a member twice, which only that value is the worse for.
enum Loose {
    Plain(Value),
    List(Vec<Loose>),
    Object(Map<String, Value>),
    Twice,
}

impl Loose {
    /// The value, unless a member of an object in it comes twice.
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
