//! The form in which unknown names are recorded: people type passwords into the name field, and attackers send
//! anything.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// The bytes shown of the digest, enough to recognize a repeated name.
const SHOWN: usize = 6;

/// Describes unknown names for records; shared by all clones. The salt is kept in memory only, so that no later reader
/// of the log can guess what was typed.
#[derive(Debug, Clone)]
pub struct Strangers(Arc<[u8; 32]>);

impl Strangers {
    /// With a random salt.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(rand::random()))
    }

    /// The form in which an unknown name is recorded: `unknown:`, a salted digest, and the length in bytes. Known names
    /// contain no colon.
    #[must_use]
    pub fn describe(&self, name: &str) -> String {
        let digest = Sha256::new_with_prefix(*self.0).chain_update(name).finalize();
        let mut text = "unknown:".to_owned();
        for byte in digest.iter().take(SHOWN) {
            let _ = write!(text, "{byte:02x}");
        }
        let _ = write!(text, ":{}", name.len());
        text
    }
}

impl Default for Strangers {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_told_from_others_and_not_told() {
        let strangers = Strangers::new();
        let long = "x".repeat(60_000);
        let described = ["hunter2 hunter2", "hunter2 hunter3", &long, ""].map(|name| strangers.describe(name));
        for (name, described) in ["hunter2 hunter2", "hunter2 hunter3", &long, ""].iter().zip(&described) {
            assert_eq!(*described, strangers.describe(name));
            let (digest, length) = described.strip_prefix("unknown:").unwrap().split_once(':').unwrap();
            assert_eq!((digest.len(), length), (2 * SHOWN, name.len().to_string().as_str()));
        }
        assert_ne!(described[0], described[1]);
        assert_ne!(described[0], Strangers::new().describe("hunter2 hunter2"), "with another salt");
    }
}
