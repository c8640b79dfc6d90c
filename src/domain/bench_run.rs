//! The name of a run of `acgs bench`, which marks the decisions that it asks for.

use std::fmt;

/// The longest name, in bytes.
const MAX_BENCH_RUN: usize = 64;

/// The name of a run of `acgs bench`: 1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`.
// INVARIANT: JSON and HTTP headers take the text as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BenchRun<'a>(&'a str);

/// The text is no name of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a run has 1 to {MAX_BENCH_RUN} letters of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`")]
pub struct NoBenchRun;

impl<'a> BenchRun<'a> {
    /// Reads a name.
    pub fn new(text: &'a str) -> Result<Self, NoBenchRun> {
        let is_usable = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if (1..=MAX_BENCH_RUN).contains(&text.len()) && text.bytes().all(is_usable) {
            Ok(Self(text))
        } else {
            Err(NoBenchRun)
        }
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for BenchRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_needs_no_escape() {
        let longest = "x".repeat(MAX_BENCH_RUN);
        for name in ["a", "load-20261201T071500-3f2a", "A.b_C-9", &longest] {
            assert_eq!(BenchRun::new(name).map(BenchRun::as_str), Ok(name));
        }
        let longer = "x".repeat(MAX_BENCH_RUN + 1);
        for wrong in ["", " ", "a b", "a\"", "a\\", "a\u{0}", "ä", "a,b", "a/b", &longer] {
            assert_eq!(BenchRun::new(wrong), Err(NoBenchRun), "{wrong}");
        }
    }
}
