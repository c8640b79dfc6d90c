//! Whose tokens are accepted beside the daemon's own.

use std::{fmt, path::PathBuf};

use super::{
    address::HttpUrl,
    algorithm::Algorithm,
    rule::{Named, Rule, Text, TextSetting, Unique},
    section::section,
    urls::Urls,
};

/// The most bytes of a name in a token that settings can ask for.
const LONGEST: usize = 255;

section! {
    /// A foreign issuer, whose tokens authenticate callers.
    ///
    /// INVARIANT: either `jwks_url` or `jwks_file` is set.
    Issuer {
        /// The `iss` of its tokens.
        issuer: IssuerUrl = "auth.issuers.issuer", none, Unique;
        /// The URL of its public keys.
        jwks_url: Option<HttpUrl> = "auth.issuers.jwks_url", "", Text;
        /// The file of its public keys. A relative path starts at the settings folder.
        jwks_file: Option<PathBuf> = "auth.issuers.jwks_file", "", Text;
        /// The required `aud` of its tokens, among others.
        audience: ClaimText = "auth.issuers.audience", "acgs", Text;
        /// The required `typ` header of its tokens. `None`: any value, or none.
        typ: Option<ClaimText> = "auth.issuers.typ", "at+jwt", Text;
        /// Where its tokens name roles: a claim, a JSON pointer, or a dotted path.
        role_claim: ClaimText = "auth.issuers.role_claim", "roles", Text;
        /// The accepted signature algorithms. Empty: all that this daemon supports.
        algorithms: Vec<Algorithm> = "auth.issuers.algorithms", [], Urls(9);
    }
}

/// The issuer of a token: an `http` or `https` URL without query and fragment (RFC 8414, section 2).
///
/// It is compared exactly, so a trailing slash matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerUrl(String);

impl IssuerUrl {
    /// The URL as it is in tokens.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TextSetting for IssuerUrl {
    fn allowed() -> String {
        format!("{}, just as it stands in its tokens", HttpUrl::allowed())
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        HttpUrl::read(text).map(|_| Self(text.to_owned()))
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Named for IssuerUrl {
    fn name(&self) -> &str {
        self.as_str()
    }
}

/// The name of a claim or the value of one: 1 to 255 printable ASCII characters without white space.
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

impl TextSetting for ClaimText {
    fn allowed() -> String {
        format!("1 to {LONGEST} printable ASCII characters without white space")
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            Err("too long")
        } else if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("not such a text")
        }
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_kept_letter_for_letter() {
        for text in ["https://id.example", "https://id.example/", "http://[::1]:8080/realms/a"] {
            assert_eq!(IssuerUrl::read(text).unwrap().write(), text);
        }
        for text in ["", "id.example", "https://", "https://a?b", "https://a#b", "user:ann", "https://me:secret@a"] {
            assert_eq!(IssuerUrl::read(text), Err("not such a URL"), "{text}");
        }
    }

    #[test]
    fn a_claim_is_printable() {
        for (text, wrong) in [
            ("acgs", None),
            ("https://a.example/roles", None),
            (&*"x".repeat(255), None),
            (&*"x".repeat(256), Some("too long")),
            ("", Some("not such a text")),
            ("a b", Some("not such a text")),
            ("é", Some("not such a text")),
            ("a\n", Some("not such a text")),
        ] {
            assert_eq!(ClaimText::read(text).err(), wrong, "{text:?}");
        }
    }
}
