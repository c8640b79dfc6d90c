//! Secrets that are handed out once and kept as digests.
//!
//! Each begins with what it is, so that a secret that strayed into a file is found there; it has 256 random bits, so a
//! plain SHA-256 is enough to keep of it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What a client's secret begins with.
pub const CLIENT_SECRET: &str = "acgs_cs_";

/// What a refresh token begins with.
pub const REFRESH_TOKEN: &str = "acgs_rt_";

/// What an API key begins with.
pub const API_KEY: &str = "acgs_ak_";

/// Letters of an API key's id, and how many it has.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const ID: usize = 12;

/// A new client secret.
#[must_use]
pub fn client_secret() -> String {
    format!("{CLIENT_SECRET}{}", random())
}

/// A new refresh token.
#[must_use]
pub fn refresh_token() -> String {
    format!("{REFRESH_TOKEN}{}", random())
}

/// A new password that a person can read: 26 letters and digits with 130 random bits.
#[must_use]
pub fn password() -> String {
    letters(26)
}

/// A new API key: its id, which is no secret, and the whole.
#[must_use]
pub fn api_key() -> (String, String) {
    let id = letters(ID);
    let key = format!("{API_KEY}{id}_{}", random());
    (id, key)
}

/// What an API key says of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyParts {
    /// By which it is looked up.
    pub id: String,
    /// SHA-256 of the whole.
    pub digest: [u8; 32],
}

impl fmt::Debug for ApiKeyParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyParts").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Takes an API key apart; `None` where it is none.
#[must_use]
pub fn parse_api_key(key: &str) -> Option<ApiKeyParts> {
    let (id, secret) = key.strip_prefix(API_KEY)?.split_once('_')?;
    let sound = id.len() == ID && id.bytes().all(|letter| LETTERS.contains(&letter));
    let sound = sound && URL_SAFE_NO_PAD.decode(secret).is_ok_and(|secret| secret.len() == 32);
    sound.then(|| ApiKeyParts { id: id.to_owned(), digest: digest(key) })
}

/// What is kept of a secret: its SHA-256.
#[must_use]
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whether two digests are equal, in a time that does not tell where they differ.
#[must_use]
pub fn equals(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn letters(count: usize) -> String {
    // 32 letters: every byte's low five bits are one, without any bias.
    let letter = |_| LETTERS.get(usize::from(rand::random::<u8>() % 32)).copied().map_or('a', char::from);
    (0..count).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_key_is_known_by_its_id_and_its_digest() {
        let (id, key) = api_key();
        let parts = parse_api_key(&key).unwrap();
        assert_eq!((&parts.id, parts.digest), (&id, digest(&key)));
        assert!(!format!("{parts:?}").contains("digest: ["));
        let (_, other) = api_key();
        assert!(!equals(&parts.digest, &digest(&other)) && equals(&parts.digest, &digest(&key)));
        for wrong in ["", "acgs_ak_", &key[1..], &key[..key.len() - 1], &format!("{key}="), &key.to_uppercase()] {
            assert!(parse_api_key(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_new_each_time_and_say_what_they_are() {
        assert_ne!(client_secret(), client_secret());
        assert!(client_secret().starts_with("acgs_cs_") && refresh_token().starts_with("acgs_rt_"));
        assert_eq!(refresh_token().len(), "acgs_rt_".len() + 43);
        assert_eq!(password().len(), 26);
        assert_ne!(password(), password());
    }
}
