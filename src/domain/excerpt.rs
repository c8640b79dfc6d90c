//! Excerpts of texts from callers: a message or a record quotes a long text by its beginning and its length.

use std::borrow::Cow;

/// The longest text, in bytes, that is quoted whole.
pub(crate) const MAX_QUOTED: usize = 128;
/// How many characters of a longer one are quoted.
const SHOWN: usize = 64;

/// The first 64 characters of a text.
pub(crate) fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default()
}

/// A text of up to 128 bytes, or the beginning and the length of a longer one.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_QUOTED { text.into() } else { format!("{}… ({} bytes)", beginning(text), text.len()).into() }
}

/// A text of up to `max` bytes, or the beginning of a longer one.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_quoted_by_its_beginning_and_its_length() {
        let whole = "é".repeat(64);
        assert_eq!(excerpt(&whole), whole);
        let longer = "é".repeat(65);
        assert_eq!(excerpt(&longer), format!("{whole}… (130 bytes)"));
        assert_eq!(cut("aéb".to_owned(), 4), "aéb");
        assert_eq!(cut("aéb".to_owned(), 2), "a…");
    }
}
