//! The two names of a constitution: the hash that goes over the wire, and the digest of its bytes.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// Why a text is neither a hash nor a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// A constitutional hash has another form.
    #[error("a constitutional hash is 16 lower-case hex digits")]
    Hash,
    /// A digest has another form.
    #[error("a digest is 64 lower-case hex digits")]
    Digest,
}

/// The identifier of a constitution: 16 lower-case hex digits, like `cdd01ef066bc6cf2`.
///
/// It is assigned when a constitution is ratified, and need not be a digest of anything.
// INVARIANT: every byte is one of 0-9 and a-f.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConstitutionalHash([u8; 16]);

impl ConstitutionalHash {
    /// The 16 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for ConstitutionalHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let digits = text.as_bytes().try_into().map_err(|_| HashError::Hash)?;
        if text.bytes().all(is_digit) { Ok(Self(digits)) } else { Err(HashError::Hash) }
    }
}

impl fmt::Display for ConstitutionalHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ConstitutionalHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConstitutionalHash({self})")
    }
}

impl Serialize for ConstitutionalHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The SHA-256 over all files of a constitution; written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConstitutionDigest([u8; 32]);

impl ConstitutionDigest {
    /// The digest's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for ConstitutionDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for ConstitutionDigest {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() || !text.bytes().all(is_digit) {
            return Err(HashError::Digest);
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high) << 4 | nibble(*low);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for ConstitutionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ConstitutionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConstitutionDigest({self})")
    }
}

impl Serialize for ConstitutionDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The value of a hex digit that `is_digit` has seen.
fn nibble(digit: u8) -> u8 {
    if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_16_lower_case_hex_digits_and_nothing_else() {
        let hash: ConstitutionalHash = "cdd01ef066bc6cf2".parse().unwrap();
        assert_eq!(hash.as_str(), "cdd01ef066bc6cf2");
        assert_eq!(serde_json::to_string(&hash).unwrap(), r#""cdd01ef066bc6cf2""#);
        for text in
            ["", "cdd01ef066bc6cf", "cdd01ef066bc6cf22", "CDD01EF066BC6CF2", "cdd01ef066bc6cfg", "cdd01ef066bc6cé"]
        {
            assert_eq!(text.parse::<ConstitutionalHash>(), Err(HashError::Hash), "{text}");
        }
    }

    #[test]
    fn a_digest_is_written_as_it_was_read() {
        let text = "0123456789abcdef".repeat(4);
        let digest: ConstitutionDigest = text.parse().unwrap();
        assert_eq!(digest.to_string(), text);
        assert_eq!(digest.as_bytes()[..4], [0x01, 0x23, 0x45, 0x67]);
        for wrong in [&text[1..], &text[2..], &format!("{text}00"), &text.to_uppercase(), &text.replace('0', "x"), ""] {
            assert_eq!(wrong.parse::<ConstitutionDigest>(), Err(HashError::Digest), "{wrong}");
        }
    }
}
