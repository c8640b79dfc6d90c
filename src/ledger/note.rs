//! Signed notes (C2SP signed-note): a text with Ed25519 signatures of named keys.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use super::record_text::hex;

/// The most bytes of a note; the specification demands room for at least 16 signatures.
const MAX_NOTE: usize = 256 << 10;
/// The most signatures of a note.
const MAX_SIGNATURES: usize = 64;
/// The beginning of a signature line: an em dash and a space.
const LINE: &str = "\u{2014} ";

/// Why a text is no note, no key, or not signed by whom it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It does not have a note's form.
    #[error("it is not a signed note: {0}")]
    Form(&'static str),
    /// It does not have a key's form, or its parts contradict each other.
    #[error("it is not a key: {0}")]
    Key(&'static str),
    /// None of the keys that are known signed it.
    #[error("it is not signed by `{known}`, but by `{signers}`")]
    Unsigned {
        /// The known keys.
        known: String,
        /// Names and ids of the keys that signed it, unverified.
        signers: String,
    },
    /// A proof does not lead from the record to the checkpoint.
    #[error("the record, the index or the hashes in it were changed")]
    Unproven,
    /// It does not have the form of a proof.
    #[error("it is not a proof as `acgs audit prove` prints it")]
    NoProof,
    /// A signature of a known key is not over this text.
    #[error("the signature of `{0}` is not over this text")]
    Forged(String),
}

/// The kind of signatures that a key makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signs {
    /// A note's text; signature type 0x01.
    Notes,
    /// Cosignatures of another log's checkpoints, with the time (C2SP tlog-cosignature); signature type 0x04.
    Cosignatures,
}

impl Signs {
    const fn byte(self) -> u8 {
        match self {
            Self::Notes => 0x01,
            Self::Cosignatures => 0x04,
        }
    }
}

/// A public key with its name (C2SP signed-note, "verifier keys"): `<name>+<hex key id>+<base64(type ‖ key)>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    signs: Signs,
    public: [u8; 32],
}

impl VerifierKey {
    fn new(name: &str, signs: Signs, public: [u8; 32]) -> Self {
        let hash = Sha256::new().chain_update(name).chain_update([b'\n', signs.byte()]).chain_update(public).finalize();
        let id = hash.first_chunk().copied().unwrap_or_default();
        Self { name: name.to_owned(), id, signs, public }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind of signatures that the key makes.
    #[must_use]
    pub const fn signs(&self) -> Signs {
        self.signs
    }

    /// Whether a signature names this key. It may still be forged.
    #[must_use]
    pub fn is_named_by(&self, signature: &Signature) -> bool {
        self.name == signature.name && self.id == signature.id
    }

    /// Whether the signature is this key's over the text.
    #[must_use]
    pub fn verifies(&self, text: &str, signature: &Signature) -> bool {
        if !self.is_named_by(signature) {
            return false;
        }
        let key = UnparsedPublicKey::new(&ED25519, self.public);
        match (self.signs, signature.bytes.split_first_chunk::<8>()) {
            (Signs::Notes, _) => key.verify(text.as_bytes(), &signature.bytes).is_ok(),
            (Signs::Cosignatures, Some((time, bytes))) => {
                let time = u64::from_be_bytes(*time);
                let message = format!("cosignature/v1\ntime {time}\n{text}");
                i64::try_from(time).is_ok() && key.verify(message.as_bytes(), bytes).is_ok()
            }
            (Signs::Cosignatures, None) => false,
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = [&[self.signs.byte()], self.public.as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex(&self.id), STANDARD.encode(material))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, id, material) = parts(text)?;
        let (signs, public) = match material.split_first() {
            Some((0x01, public)) => (Signs::Notes, public),
            Some((0x04, public)) => (Signs::Cosignatures, public),
            _ => return Err(NoteError::Key("its signature type is unknown")),
        };
        let public = public.try_into().map_err(|_| NoteError::Key("it has not 32 bytes"))?;
        let key = Self::new(name, signs, public);
        if hex(&key.id) == id { Ok(key) } else { Err(NoteError::Key("its id is not that of its bytes")) }
    }
}

/// A key that signs notes. It is never shown but by [`secret`](Self::secret).
pub struct SigningKey {
    verifier: VerifierKey,
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// A new random key of that name.
    pub fn generate(name: &str) -> Result<Self, NoteError> {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).map_err(|_| NoteError::Key("the system has no randomness"))?;
        Self::from_seed(name, seed)
    }

    fn from_seed(name: &str, seed: [u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Key("its name is empty, or has white space or a plus sign"));
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| NoteError::Key("its seed is not usable"))?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoteError::Key("it has not 32 bytes"))?;
        Ok(Self { verifier: VerifierKey::new(name, Signs::Notes, public), seed, pair })
    }

    /// Parses the output of [`secret`](Self::secret).
    pub fn from_secret(text: &str) -> Result<Self, NoteError> {
        let rest = text.trim_end().strip_prefix("PRIVATE+KEY+").ok_or(NoteError::Key("it is not a private key"))?;
        let (name, id, material) = parts(rest)?;
        let seed = material.strip_prefix(&[0x01]).and_then(|seed| seed.try_into().ok());
        let key = Self::from_seed(name, seed.ok_or(NoteError::Key("it is not an Ed25519 seed"))?)?;
        if hex(&key.verifier.id) == id { Ok(key) } else { Err(NoteError::Key("its id is not that of its bytes")) }
    }

    /// The private key in the form `PRIVATE+KEY+<name>+<hex key id>+<base64(0x01 ‖ seed)>` of Go's `sumdb/note`.
    #[must_use]
    pub fn secret(&self) -> String {
        let material = [&[0x01], self.seed.as_slice()].concat();
        let (name, id) = (&self.verifier.name, hex(&self.verifier.id));
        format!("PRIVATE+KEY+{name}+{id}+{}\n", STANDARD.encode(material))
    }

    /// Its public half.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Its signature over a text.
    #[must_use]
    pub fn sign(&self, text: &str) -> Signature {
        let bytes = self.pair.sign(text.as_bytes()).as_ref().to_vec();
        Signature { name: self.verifier.name.clone(), id: self.verifier.id, bytes }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier)
    }
}

/// One line of a note below its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.as_slice(), &self.bytes].concat();
        writeln!(f, "{LINE}{} {}", self.name, STANDARD.encode(bytes))
    }
}

impl FromStr for Signature {
    type Err = NoteError;

    /// Reads a line without its newline.
    fn from_str(line: &str) -> Result<Self, NoteError> {
        let wrong = NoteError::Form("a signature line is malformed");
        let parts = line.strip_prefix(LINE).and_then(|rest| rest.split_once(' '));
        let (name, bytes) = parts.filter(|(name, _)| is_name(name)).ok_or(wrong.clone())?;
        let bytes = STANDARD.decode(bytes).map_err(|_| wrong.clone())?;
        let (id, bytes) = bytes.split_first_chunk::<4>().filter(|(_, bytes)| !bytes.is_empty()).ok_or(wrong)?;
        Ok(Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }
}

/// A text with unverified signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// A text, which ends in a newline, with one signature of each key.
    #[must_use]
    pub fn sign<'k>(text: String, keys: impl IntoIterator<Item = &'k SigningKey>) -> Self {
        let signatures = keys.into_iter().map(|key| key.sign(&text)).collect();
        Self { text, signatures }
    }

    /// The text that is signed, with its last newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its signatures.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds signatures.
    pub fn extend(&mut self, signatures: impl IntoIterator<Item = Signature>) {
        self.signatures.extend(signatures);
    }

    /// The keys that signed the text.
    ///
    /// Signatures of other keys are ignored; an invalid one of a known key is an error, as the specification says, and
    /// so is a note signed by none of the keys.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, NoteError> {
        let mut signers = Vec::new();
        for signature in &self.signatures {
            let Some(key) = keys.iter().find(|key| key.is_named_by(signature)) else { continue };
            if !key.verifies(&self.text, signature) {
                return Err(NoteError::Forged(key.to_string()));
            }
            signers.push(key);
        }
        if signers.is_empty() {
            let known = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join("` or `");
            let signers = self.signatures.iter().map(|by| format!("{}+{}", by.name, hex(&by.id)));
            return Err(NoteError::Unsigned { known, signers: signers.collect::<Vec<_>>().join("`, `") });
        }
        Ok(signers)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::Form("it is too long"));
        }
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::Form("it has control characters"));
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Form("it has no signatures"))?;
        let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Form("it does not end in a newline"))?;
        let signatures: Vec<Signature> = signatures.split('\n').map(str::parse).collect::<Result<_, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::Form("it has too many signatures"));
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }
}

/// Name, id and material of a key.
fn parts(text: &str) -> Result<(&str, &str, Vec<u8>), NoteError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::Key("it has not three parts with plus signs between them"));
    };
    if !is_name(name) {
        return Err(NoteError::Key("its name is empty, or has white space or a plus sign"));
    }
    let material = STANDARD.decode(material).map_err(|_| NoteError::Key("its last part is not base64"))?;
    Ok((name, id, material))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|letter: char| letter.is_whitespace() || letter == '+' || letter.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of C2SP signed-note.
    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn the_example_of_the_specification_verifies() {
        let (key, note): (VerifierKey, Note) = (KEY.parse().unwrap(), NOTE.parse().unwrap());
        assert_eq!(note.verify(std::slice::from_ref(&key)), Ok(vec![&key]));
        assert_eq!((key.to_string().as_str(), note.to_string().as_str()), (KEY, NOTE));
    }

    #[test]
    fn a_changed_text_a_foreign_key_and_a_forged_signature_are_told_apart() {
        let key: VerifierKey = KEY.parse().unwrap();
        let keys = std::slice::from_ref(&key);
        let changed: Note = NOTE.replace("an example", "no example").parse().unwrap();
        assert_eq!(changed.verify(keys), Err(NoteError::Forged(KEY.to_owned())));
        let stranger = SigningKey::generate("example.com/foo").unwrap();
        let foreign = Note::sign("This is an example message.\n".to_owned(), [&stranger]);
        let signers = format!("example.com/foo+{}", hex(&stranger.verifier().id));
        assert_eq!(foreign.verify(keys), Err(NoteError::Unsigned { known: KEY.to_owned(), signers }));
        let mut both: Note = NOTE.parse().unwrap();
        both.extend(foreign.signatures().to_vec());
        assert_eq!(both.verify(keys), Ok(vec![&key]), "signatures of unknown keys are ignored");
    }

    #[test]
    fn a_stored_key_signs_as_the_one_that_was_made() {
        let made = SigningKey::generate("acgs.local/host").unwrap();
        let stored = SigningKey::from_secret(&made.secret()).unwrap();
        assert_eq!(stored.sign("text\n"), made.sign("text\n"));
        let key: VerifierKey = made.verifier().to_string().parse().unwrap();
        assert!(key.verifies("text\n", &made.sign("text\n")));
        assert!(!format!("{made:?}").contains(&STANDARD.encode(made.seed)), "a secret is never shown");
    }

    #[test]
    fn what_is_no_note_or_key_is_refused() {
        let refused = [
            "",
            "text\n",
            "text\n\n",
            "text\n\n\u{2014} name\n",
            "text\n\n\u{2014} name AAAA\n",
            "text\n\n\u{2014} name AAAAAAA=",
            "te\txt\n\n\u{2014} name AAAAAAA=\n",
            "text\n\n\u{2014} na+me AAAAAAA=\n",
            "text\n\n- name AAAAAAA=\n",
        ];
        for text in refused {
            assert!(text.parse::<Note>().is_err(), "{text:?}");
        }
        let other_id = KEY.replace("530d903a", "530d903b");
        let other_type = KEY.replace("+Aek", "+Bek");
        for text in ["", "a+b", "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", &other_id, &other_type] {
            assert!(text.parse::<VerifierKey>().is_err(), "{text:?}");
        }
        assert!(SigningKey::generate("white space").is_err());
    }
}
