//! Preparation of names and passwords, so that texts which look the same are the same (RFC 8265, PRECIS).
//!
//! Keyboards differ: `ü` may be one code point or two, and a space may be a no-break space. Passwords are prepared by
//! the profile `OpaqueString`, names by `UsernameCasePreserved`. Unassigned code points are not refused: which ones
//! these are depends on the version of Unicode, and a password must not become invalid with an update.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// The character for which a text cannot be prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it contains the character U+{:04X}, which is not allowed in passwords", u32::from(*.0))]
pub struct PrecisError(pub char);

/// Prepares a password by the profile `OpaqueString` (RFC 8265, section 4.2): maps every space to U+0020, then applies
/// NFC.
///
/// # Errors
/// The first disallowed character.
pub fn password(text: &str) -> Result<Cow<'_, str>, PrecisError> {
    if text.is_ascii() {
        return match text.chars().find(char::is_ascii_control) {
            Some(control) => Err(PrecisError(control)),
            None => Ok(Cow::Borrowed(text)),
        };
    }
    if let Some(refused) = text.chars().find(|letter| is_disallowed(*letter)) {
        return Err(PrecisError(refused));
    }
    Ok(Cow::Owned(text.chars().map(|letter| if is_space(letter) { ' ' } else { letter }).nfc().collect()))
}

/// Applies the mappings of `UsernameCasePreserved` to a name (RFC 8265, section 3.4): width mapping and NFC. The
/// allowed characters are checked where users are created.
#[must_use]
pub fn name(text: &str) -> Cow<'_, str> {
    let is_usual = text.is_ascii() || (is_nfc(text) && text.chars().all(|letter| usual_width(letter) == letter));
    if is_usual { Cow::Borrowed(text) } else { Cow::Owned(text.chars().map(usual_width).nfc().collect()) }
}

/// Width mapping for the full-width forms of ASCII. Names allow no other wide or narrow characters.
fn usual_width(letter: char) -> char {
    match letter {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - 0xfee0).unwrap_or(letter),
        '\u{3000}' => ' ',
        other => other,
    }
}

/// Whether a character is a Unicode space separator other than U+0020.
fn is_space(letter: char) -> bool {
    matches!(letter, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Whether a character is disallowed in the `FreeformClass` (RFC 8264, section 4.3): controls, ignorable, private-use
/// and non-characters, and old Hangul jamo.
fn is_disallowed(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
        || matches!(letter, '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97c}' | '\u{d7b0}'..='\u{d7fb}')
        || matches!(letter, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' | '\u{fdd0}'..='\u{fdef}')
        || u32::from(letter) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_look_the_same_are_the_same() {
        for (typed, prepared) in [
            ("correct horse", "correct horse"),
            ("correct\u{a0}horse", "correct horse"),
            ("correct\u{3000}horse\u{2009}battery", "correct horse battery"),
            ("pa\u{308}ssword", "p\u{e4}ssword"),
            ("\u{212b}ngstrom", "\u{c5}ngstrom"),
            ("\u{1100}\u{1161}".nfc().collect::<String>().as_str(), "\u{ac00}"),
            ("\u{3c0}\u{df}\u{e5}", "\u{3c0}\u{df}\u{e5}"),
            ("Jack of \u{2666}s", "Jack of \u{2666}s"),
            ("robot \u{1f916}", "robot \u{1f916}"),
            // Passwords keep their case and width.
            ("\u{ff41}B", "\u{ff41}B"),
        ] {
            assert_eq!(password(typed).as_deref(), Ok(prepared), "{typed:?}");
            assert_eq!(password(prepared).as_deref(), Ok(prepared), "{typed:?}: once more changes nothing");
        }
        for typed in ["tab\t", "\u{0}", "line\n", "\u{7f}", "\u{85}", "\u{200b}x", "\u{feff}x", "\u{e000}", "\u{ffff}"]
        {
            assert!(password(typed).is_err(), "{typed:?}");
        }
    }

    #[test]
    fn names_are_of_the_usual_width_and_keep_their_case() {
        for (typed, prepared) in
            [("ann", "ann"), ("ANN", "ANN"), ("\u{ff41}\u{ff2e}n\u{ff20}x", "aNn@x"), ("u\u{308}", "\u{fc}"), ("", "")]
        {
            assert_eq!(name(typed), prepared, "{typed:?}");
        }
    }
}
