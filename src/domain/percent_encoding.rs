//! Percent-encoding (RFC 3986, section 2.1).

use data_encoding::{HEXLOWER_PERMISSIVE, HEXUPPER};

/// Encodes every byte that is not unreserved, so that the text is one part of a path or query.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&HEXUPPER.encode(&[byte]));
        }
        encoded
    })
}

/// Decodes a text; `None` if a `%` is not followed by two hex digits, or the bytes are not UTF-8.
#[must_use]
pub fn percent_decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.as_bytes().split_at_checked(2)?;
        decoded.extend(HEXLOWER_PERMISSIVE.decode(digits).ok()?);
        decoded.extend(rest);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_again() {
        for (text, encoded) in [("", ""), ("a-._~9", "a-._~9"), ("a b/ü?%", "a%20b%2F%C3%BC%3F%25")] {
            assert_eq!(percent_encode(text), encoded);
            assert_eq!(percent_decode(encoded).as_deref(), Some(text));
        }
        assert_eq!(percent_decode("%2f%2F+").as_deref(), Some("//+"));
    }

    #[test]
    fn wrong_encodings_are_refused() {
        for text in ["%", "%4", "%4g", "%+4", "%ff", "a%", "%é"] {
            assert_eq!(percent_decode(text), None, "{text}");
        }
    }
}
