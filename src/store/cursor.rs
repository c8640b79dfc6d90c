//! Where the next part of a list begins.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use smol_str::SmolStr;

use super::error::StoreError;
use crate::domain::EntityUid;

/// The last entity of a page, opaque to callers as text; only cursors from a page are accepted.
///
/// It stays valid when that entity is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(EntityUid);

impl Cursor {
    /// The part after this entity.
    pub(super) fn after(last: &EntityUid) -> Self {
        Self(last.clone())
    }

    /// The id after which the list of this type continues; [`StoreError::Cursor`] if it is that of another list.
    pub(super) fn id_within(&self, kind: &str) -> Result<&str, StoreError> {
        if self.0.kind == kind { Ok(&self.0.id) } else { Err(StoreError::Cursor) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_vec(&(&self.0.kind, &self.0.id)).map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for Cursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let text = URL_SAFE_NO_PAD.decode(text).map_err(|_| StoreError::Cursor)?;
        let (kind, id) = serde_json::from_slice::<(SmolStr, SmolStr)>(&text).map_err(|_| StoreError::Cursor)?;
        Ok(Self(EntityUid { kind, id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_what_its_text_says_whatever_the_id() {
        for id in ["", "ann", "a\"b\\c", "\u{0}\n", "日本語 🦀", "%_*?"] {
            let cursor = Cursor::after(&EntityUid::new("acgs::Agent", id));
            let text = cursor.to_string();
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
            assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
            assert_eq!(cursor.id_within("acgs::Agent").unwrap(), id);
        }
    }

    #[test]
    fn what_no_list_gave_is_refused() {
        let json = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for text in ["", "ann", "a b", "%", "WyJ=", &json("[\"User\"]"), &json("{}"), &json("[\"User\",\"a\",1]")] {
            assert!(matches!(text.parse::<Cursor>(), Err(StoreError::Cursor)), "{text}");
        }
        let cursor = Cursor::after(&EntityUid::new("User", "ann"));
        assert!(matches!(cursor.id_within("Team"), Err(StoreError::Cursor)));
    }
}
