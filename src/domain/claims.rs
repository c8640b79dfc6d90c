//! The constitutional hashes that a caller claims.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::excerpt::{MAX_QUOTED, beginning};

/// The constitutional hashes that a caller states; every one of them must be the one in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// From the header `X-Constitutional-Hash`.
    pub header: Option<Arc<str>>,
    /// From `context.constitutional_hash`.
    pub context: Option<Arc<str>>,
}

impl Claims {
    /// A claim as it is compared and recorded. One of more than 128 bytes is no hash, so only its beginning, its length
    /// and its digest are kept: the record of every item of a batch has the claim.
    #[must_use]
    pub fn stated(text: &str) -> Arc<str> {
        if text.len() <= MAX_QUOTED {
            return text.into();
        }
        let digest = HEXLOWER.encode(&Sha256::digest(text));
        format!("{}… ({} bytes, SHA-256 {digest})", beginning(text), text.len()).into()
    }

    /// The length of both together, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        [&self.header, &self.context].into_iter().flatten().map(|claim| claim.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_is_too_long_for_a_hash_is_kept_by_its_digest() {
        let longest = "h".repeat(MAX_QUOTED);
        assert_eq!(*Claims::stated(&longest), longest);
        let kept = Claims::stated(&"h".repeat(130_000));
        let expected = format!("{}… (130000 bytes, SHA-256 ", "h".repeat(64));
        assert!(kept.starts_with(&expected) && kept.len() < 256, "{kept}");
    }
}
