//! The nouns: parsed once, valid ever after.
