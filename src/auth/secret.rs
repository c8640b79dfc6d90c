//! Secrets that are handed out once and kept as digests.
//!
//! Each has 256 random bits, so that a plain SHA-256 is enough to keep it; and a prefix, so that people and scanners of
//! repositories know one when they see it.

use std::{fmt, hint::black_box};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// Letters and digits that are not mistaken for each other: 32, so that each is five bits.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The random bytes of a secret.
const BYTES: usize = 32;
/// The letters of an API key's id.
const ID: usize = 12;

const CLIENT_SECRET: &str = "acgs_cs_";
const REFRESH_TOKEN: &str = "acgs_rt_";
const SESSION_SECRET: &str = "acgs_ss_";
const API_KEY: &str = "acgs_ak_";

/// Why a text is not a secret of its kind. The text is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct SecretError(&'static str);

/// The SHA-256 of a secret's whole text, which is stored in its place.
#[must_use]
pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Whether both are the same bytes, in a time that depends only on their lengths.
#[must_use]
pub fn equals(a: &[u8], b: &[u8]) -> bool {
    // The compiler must not see that one difference settles it.
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    a.len() == b.len() && black_box(difference) == 0
}

/// A new password for the first administrator: 120 random bits in four groups that can be typed.
#[must_use]
pub fn password() -> String {
    [letters::<6>(), letters::<6>(), letters::<6>(), letters::<6>()].join("-")
}

/// `COUNT` random letters and digits.
pub(super) fn letters<const COUNT: usize>() -> String {
    let letter = |byte: u8| LETTERS.get(usize::from(byte % 32)).map(|letter| char::from(*letter));
    rand::random::<[u8; COUNT]>().into_iter().filter_map(letter).collect()
}

macro_rules! secret {
    ($( $(#[$about:meta])* $name:ident = $prefix:expr, $called:literal; )*) => { $(
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// A new one.
            #[must_use]
            pub fn generate() -> Self {
                Self(format!("{}{}", $prefix, random()))
            }

            /// Parses a secret that a caller sent. Only its form is checked.
            ///
            /// # Errors
            /// The text does not have the form of such a secret.
            pub fn parse(text: &str) -> Result<Self, SecretError> {
                let is_secret = text.strip_prefix($prefix).is_some_and(is_random);
                if is_secret { Ok(Self(text.to_owned())) } else { Err(SecretError($called)) }
            }

            /// The text, for its holder only.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The digest that is stored.
            #[must_use]
            pub fn digest(&self) -> [u8; 32] {
                digest(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}…", $prefix)
            }
        }
    )* };
}

secret! {
    /// A client's secret: `acgs_cs_` and 32 bytes in base64url.
    ClientSecret = CLIENT_SECRET, "a client secret";
    /// A token that continues a session once: `acgs_rt_` and 32 bytes in base64url.
    RefreshToken = REFRESH_TOKEN, "a refresh token";
    /// The secret of a browser's session: `acgs_ss_` and 32 bytes in base64url.
    SessionSecret = SESSION_SECRET, "the secret of a session";
}

impl RefreshToken {
    /// Derives the successor of a refresh token: HMAC-SHA-256 with a seed, so the same inputs give the same token, and
    /// neither of them alone suffices.
    #[must_use]
    pub fn following(token: &str, seed: &[u8; BYTES]) -> Self {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, seed);
        let tag = ring::hmac::sign(&key, token.as_bytes());
        Self(format!("{REFRESH_TOKEN}{}", URL_SAFE_NO_PAD.encode(tag)))
    }
}

impl SessionSecret {
    /// The token that the session's own page sends with each change. It is derived by HMAC-SHA-256, so it does not reveal
    /// the secret.
    #[must_use]
    pub fn csrf_token(&self) -> String {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.0.as_bytes());
        URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, b"acgs csrf token"))
    }
}

/// A random seed for [`RefreshToken::following`].
#[must_use]
pub fn seed() -> [u8; BYTES] {
    rand::random()
}

/// An API key: `acgs_ak_`, an id of 12 letters and digits, `_`, and 32 bytes in base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    id: String,
    text: String,
}

impl ApiKey {
    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        let id = letters::<ID>();
        let text = format!("{API_KEY}{id}_{}", random());
        Self { id, text }
    }

    /// Parses a key that a caller sent. Only its form is checked.
    ///
    /// # Errors
    /// The text does not have the form of a key.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let wrong = SecretError("an API key");
        // The secret may have underscores too.
        let (id, secret) = text.strip_prefix(API_KEY).and_then(|rest| rest.split_once('_')).ok_or(wrong)?;
        let is_id = id.len() == ID && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if is_id && is_random(secret) { Ok(Self { id: id.to_owned(), text: text.to_owned() }) } else { Err(wrong) }
    }

    /// Whether a text claims to be a key, well-formed or not.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(API_KEY)
    }

    /// The id by which the key is found; not secret.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The text, for its holder only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The digest that is stored with the id.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest(&self.text)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{API_KEY}{}_…", self.id)
    }
}

fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; BYTES]>())
}

/// Whether a text has the form of [`random`]'s output: each value has one form only.
fn is_random(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_is_read_back_and_is_like_no_other() {
        let (client, refresh, key) = (ClientSecret::generate(), RefreshToken::generate(), ApiKey::generate());
        assert_eq!(ClientSecret::parse(client.as_str()), Ok(client.clone()));
        assert_eq!(RefreshToken::parse(refresh.as_str()), Ok(refresh.clone()));
        assert_eq!(ApiKey::parse(key.as_str()), Ok(key.clone()));
        assert_eq!(key.as_str().len(), "acgs_ak_".len() + 12 + 1 + 43);
        assert_eq!(key.digest(), digest(key.as_str()));
        assert_ne!(client, ClientSecret::generate());
        assert_ne!(key.id(), ApiKey::generate().id());
    }

    #[test]
    fn a_token_follows_another_by_its_seed_alone() {
        let (first, second) = (RefreshToken::generate(), RefreshToken::generate());
        let next = RefreshToken::following(first.as_str(), &[1; 32]);
        assert_eq!(RefreshToken::parse(next.as_str()), Ok(next.clone()));
        assert_eq!(RefreshToken::following(first.as_str(), &[1; 32]), next);
        assert_ne!(RefreshToken::following(first.as_str(), &[2; 32]), next);
        assert_ne!(RefreshToken::following(second.as_str(), &[1; 32]), next);
        assert_ne!(seed(), seed());
    }

    #[test]
    fn each_session_has_a_csrf_token_of_its_own_that_stays() {
        let (one, other) = (SessionSecret::generate(), SessionSecret::generate());
        assert_eq!(one.csrf_token(), SessionSecret::parse(one.as_str()).unwrap().csrf_token());
        assert_ne!(one.csrf_token(), other.csrf_token());
        assert_eq!(one.csrf_token().len(), 43);
        assert!(!one.as_str().contains(&one.csrf_token()));
    }

    #[test]
    fn what_was_never_handed_out_is_no_key() {
        let secret = "A".repeat(43);
        let good = format!("acgs_ak_abcdefgh2345_{secret}");
        let underscores = format!("acgs_ak_abcdefgh2345_{}A", "_".repeat(42));
        assert_eq!(ApiKey::parse(&good).unwrap().id(), "abcdefgh2345");
        assert_eq!(ApiKey::parse(&underscores).unwrap().as_str(), underscores);
        for text in [
            String::new(),
            "acgs_ak_".to_owned(),
            format!("acgs_cs_{secret}"),
            format!("acgs_ak_abcdefgh234_{secret}"),
            format!("acgs_ak_abcdefgh23456_{secret}"),
            format!("acgs_ak_ABCDEFGH2345_{secret}"),
            format!("{good}A"),
            format!("{good}="),
            format!(" {good}"),
            // The last two bits of 43 letters mean nothing, and have to be nought.
            format!("acgs_ak_abcdefgh2345_{}B", "A".repeat(42)),
        ] {
            assert_eq!(ApiKey::parse(&text), Err(SecretError("an API key")), "{text}");
            assert!(ClientSecret::parse(&text).is_ok() == text.starts_with("acgs_cs_"), "{text}");
            assert!(RefreshToken::parse(&text).is_err(), "{text}");
        }
        assert_eq!(RefreshToken::parse("x").unwrap_err().to_string(), "not a refresh token");
    }

    #[test]
    fn no_secret_is_printed_for_debugging() {
        let key = ApiKey::parse(&format!("acgs_ak_abcdefgh2345_{}", "A".repeat(43))).unwrap();
        assert_eq!(format!("{key:?}"), "acgs_ak_abcdefgh2345_…");
        assert_eq!(format!("{:?}", ClientSecret::generate()), "acgs_cs_…");
        assert_eq!(format!("{:?}", RefreshToken::generate()), "acgs_rt_…");
    }

    #[test]
    fn bytes_equal_only_themselves() {
        for (a, b, expected) in [
            (&b""[..], &b""[..], true),
            (b"abc", b"abc", true),
            (b"abc", b"abd", false),
            (b"abc", b"ab", false),
            (b"", b"a", false),
            (b"\x01", b"\x80", false),
        ] {
            assert_eq!(equals(a, b), expected, "{a:?} {b:?}");
            assert_eq!(equals(b, a), expected, "{b:?} {a:?}");
        }
    }

    #[test]
    fn a_new_password_can_be_typed_and_is_like_no_other() {
        let text = password();
        assert_eq!(text.len(), 27);
        assert!(text.split('-').all(|group| group.len() == 6 && group.bytes().all(|b| LETTERS.contains(&b))), "{text}");
        assert_ne!(text, password());
    }
}
