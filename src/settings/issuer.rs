//! Issuers of tokens other than this daemon.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{
    address::HttpUrl,
    rule::{Named, PathOrEmpty, Rule, Text, Unique, Word},
    section::section,
};

/// The most bytes of a name.
const LONGEST: usize = 255;

section! {
    /// An issuer whose access tokens are accepted.
    Issuer {
        /// The `iss` of its tokens, exactly.
        issuer: ClaimText = "auth.issuers.issuer", none, Unique;
        /// Where its public keys are.
        jwks_url: Option<HttpUrl> = "auth.issuers.jwks_url", "", Text;
        /// The file with its public keys, in place of a URL.
        jwks_file: PathBuf = "auth.issuers.jwks_file", "", PathOrEmpty;
        /// What its tokens must have as `aud`.
        audience: ClaimText = "auth.issuers.audience", "acgs", Text;
        /// The claim that has the roles of its callers.
        role_claim: ClaimText = "auth.issuers.role_claim", "roles", Text;
    }
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace<'a> {
    /// At a URL.
    Url(&'a HttpUrl),
    /// In a file.
    File(&'a Path),
}

impl Issuer {
    /// Where its keys are; `None` where that is said twice or not at all, which checked settings never do.
    #[must_use]
    pub fn keys(&self) -> Option<KeyPlace<'_>> {
        match (&self.jwks_url, self.jwks_file.as_os_str().is_empty()) {
            (Some(url), true) => Some(KeyPlace::Url(url)),
            (None, false) => Some(KeyPlace::File(&self.jwks_file)),
            _ => None,
        }
    }
}

/// A text in a claim, or a claim's name: 1 to 255 bytes that can be seen, without `#`, which ends an issuer's name in
/// records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimText(String);

impl ClaimText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClaimText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Word for ClaimText {
    fn allowed() -> String {
        format!("1 to {LONGEST} bytes of text without white space and `#`")
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        let odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '#';
        if text.is_empty() || text.len() > LONGEST || text.contains(odd) {
            return Err("not such a text");
        }
        Ok(Self(text.to_owned()))
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Named for ClaimText {
    fn name(&self) -> &str {
        &self.0
    }
}
