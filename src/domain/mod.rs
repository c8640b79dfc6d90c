//! The nouns: parsed once, valid ever after.

mod hash;

pub use hash::{ConstitutionDigest, ConstitutionalHash, HashError};
