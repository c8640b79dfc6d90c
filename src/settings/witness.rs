//! Witnesses, which cosign the audit log's checkpoints.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::{
    address::HttpUrl,
    origin::is_key_name,
    rule::{Named, Rule, Text, TextSetting, Unique},
    section::section,
};

/// The signature type of a timestamped Ed25519 cosignature (C2SP tlog-cosignature).
const COSIGNATURE: u8 = 0x04;

section! {
    /// A witness: it signs a checkpoint once it has seen that the log only grew.
    Witness {
        /// The URL to which `/add-checkpoint` is appended.
        url: HttpUrl = "audit.witness.url", none, Text;
        /// The key that verifies its cosignatures.
        key: WitnessKey = "audit.witness.key", none, Unique;
    }
}

/// A verifier key (C2SP signed-note) for Ed25519 cosignatures. Whether its point is on the curve is not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    id: [u8; 4],
    public_key: [u8; 32],
}

impl WitnessKey {
    /// The name in the witness's signature lines.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id that its signatures begin with.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }
}

/// The verifier key as it was written.
impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[COSIGNATURE], self.public_key.as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(key))
    }
}

impl TextSetting for WitnessKey {
    fn allowed() -> String {
        "a verifier key `<name>+<key id>+<base64>` of type 4, for Ed25519 cosignatures".to_owned()
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        let wrong = "not a verifier key";
        let (name, rest) = text.split_once('+').ok_or(wrong)?;
        let (id, key) = rest.split_once('+').ok_or(wrong)?;
        let is_id = id.len() == 8 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let key = STANDARD.decode(key).map_err(|_| wrong)?;
        if !is_key_name(name) || !is_id {
            return Err(wrong);
        }
        let public_key = key.strip_prefix(&[COSIGNATURE]).and_then(|key| key.try_into().ok());
        let public_key: [u8; 32] = public_key.ok_or("not a key for Ed25519 cosignatures")?;
        let hash = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(&key).finalize();
        let key = Self { name: name.to_owned(), id: *hash.first_chunk().ok_or(wrong)?, public_key };
        // Each part has only one form, so that the texts differ only where the id does.
        if key.to_string() == text { Ok(key) } else { Err("but its key id is not that of its name and key") }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Named for WitnessKey {
    fn name(&self) -> &str {
        self.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_public_witnesses_are_read() {
        for (text, name, id) in [
            (
                "witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G",
                "witness.navigli.sunlight.geomys.org",
                [0xa3, 0xe0, 0x0f, 0xe2],
            ),
            (
                "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
                "transparency.dev/DEV:witness-little-garden",
                [0xd8, 0x04, 0x2a, 0x87],
            ),
        ] {
            let key = WitnessKey::read(text).unwrap();
            assert_eq!((key.name(), key.id(), key.write().as_str()), (name, id, text));
            assert_eq!(
                [&[4], key.public_key().as_slice()].concat(),
                STANDARD.decode(&text[name.len() + 10..]).unwrap()
            );
        }
    }

    #[test]
    fn a_key_has_a_name_its_own_id_and_an_ed25519_key() {
        let text = |name: &str, key: &[u8]| {
            let hash = Sha256::new().chain_update(name).chain_update("\n").chain_update(key).finalize();
            let id = u32::from_be_bytes(*hash.first_chunk().unwrap());
            format!("{name}+{id:08x}+{}", STANDARD.encode(key))
        };
        let key = [&[4], [7; 32].as_slice()].concat();
        let good = text("w", &key);
        assert_eq!(good, "w+f26ca44c+BAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH");
        for (text, wrong) in [
            (good.clone(), None),
            (text("w\u{fc}.example/1", &key), None),
            (String::new(), Some("not a verifier key")),
            ("w".to_owned(), Some("not a verifier key")),
            ("w+f26ca44c".to_owned(), Some("not a verifier key")),
            (text("", &key), Some("not a verifier key")),
            (text("a w", &key), Some("not a verifier key")),
            (text("a\u{a0}w", &key), Some("not a verifier key")),
            (text("a\u{1}w", &key), Some("not a verifier key")),
            (text("a+w", &key), Some("not a verifier key")),
            (good.replace("f26c", "F26C"), Some("not a verifier key")),
            (good.replace("f26c", "0f26c"), Some("not a verifier key")),
            (good.replace("f26c", "+26c"), Some("not a verifier key")),
            (format!("{good} "), Some("not a verifier key")),
            (format!("{good}="), Some("not a verifier key")),
            (good.replace('w', "v"), Some("but its key id is not that of its name and key")),
            (good.replace("f26c", "f26d"), Some("but its key id is not that of its name and key")),
            (good.replace("BwcH", "BwcI"), Some("but its key id is not that of its name and key")),
            (text("w", &key[..32]), Some("not a key for Ed25519 cosignatures")),
            (text("w", &[&[4], [7; 33].as_slice()].concat()), Some("not a key for Ed25519 cosignatures")),
            (text("w", &[&[1], [7; 32].as_slice()].concat()), Some("not a key for Ed25519 cosignatures")),
            (text("w", &[&[6], [7; 1312].as_slice()].concat()), Some("not a key for Ed25519 cosignatures")),
            (text("w", &[]), Some("not a key for Ed25519 cosignatures")),
        ] {
            assert_eq!(WitnessKey::read(&text).err(), wrong, "{text:?}");
        }
    }
}
