//! The name of the audit log.

use std::fmt;

use super::rule::TextSetting;

/// The most bytes that cosignatures have for an origin.
const LONGEST: usize = 255;

/// The name of a log: the first line of its checkpoints, and the name of its key in signatures.
///
/// 1 to 255 bytes of printable text, without white space and `+` (C2SP signed-note and tlog-checkpoint).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOrigin(String);

impl LogOrigin {
    /// The name, without a line feed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TextSetting for LogOrigin {
    fn allowed() -> String {
        format!("1 to {LONGEST} bytes of printable text without white space and `+`, like `example.com/log`")
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            Err("too long")
        } else if is_key_name(text) && is_printable(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("not the name of a log")
        }
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

/// Whether a signed note can name a key so.
pub(super) fn is_key_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '+')
}

/// Whether every character can be seen.
fn is_printable(text: &str) -> bool {
    // Invisible characters are escaped, and so are these three visible ones.
    let text = text.replace(['"', '\'', '\\'], ".");
    text.escape_debug().eq(text.chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_one_printable_word_of_a_signed_note() {
        for text in ["a", "acgs.local/host", "example.com/log42", "\"it's\\", "b\u{fc}ro.example/\u{7b14}", "e\u{301}"]
        {
            assert_eq!(LogOrigin::read(text).map(|origin| origin.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "",
            " ",
            "a b",
            "a\u{a0}b",
            "a\u{2028}b",
            "a\u{3000}",
            "a+b",
            "a\n",
            "\ta",
            "a\u{0}",
            "a\u{7f}",
            "a\u{85}b",
            "a\u{200b}b",
            "a\u{202e}b",
            "\u{feff}a",
            "a\u{e000}",
        ] {
            assert_eq!(LogOrigin::read(text), Err("not the name of a log"), "{text:?}");
        }
        // Bytes, not characters.
        for (text, fits) in [("a".repeat(255), true), ("a".repeat(256), false), ("\u{fc}".repeat(128), false)] {
            assert_eq!(LogOrigin::read(&text).is_ok(), fits, "{text}");
        }
    }
}
