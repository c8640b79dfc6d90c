//! The position after which a search continues.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::place::{LogId, split};
use crate::store::error::StoreError;

/// The position of a search, opaque to callers as text. Any position in any log is valid.
///
/// It stays valid when more entries are added: those are newer, and the search continues to older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryCursor(i64);

impl EntryCursor {
    /// Continues before this position.
    pub(super) fn before(place: i64) -> Self {
        Self(place)
    }

    /// The position before which the search continues; [`StoreError::Cursor`] if it is in another log.
    pub(super) fn place_within(self, log: Option<LogId>) -> Result<i64, StoreError> {
        if log.is_none_or(|log| split(self.0).0 == log) { Ok(self.0) } else { Err(StoreError::Cursor) }
    }
}

impl fmt::Display for EntryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (log, index) = split(self.0);
        let text = serde_json::to_vec(&(log.number(), index)).map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for EntryCursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let text = URL_SAFE_NO_PAD.decode(text).map_err(|_| StoreError::Cursor)?;
        let (log, index) = serde_json::from_slice::<(i64, u64)>(&text).map_err(|_| StoreError::Cursor)?;
        LogId::new(log).and_then(|log| log.place(index)).map(Self).ok_or(StoreError::Cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EntityUid;
    use crate::store::Cursor;

    #[test]
    fn a_cursor_is_what_its_text_says() {
        let (first, second) = (LogId::new(1).unwrap(), LogId::new(2).unwrap());
        for index in [0, 1, 10_000_000, (1 << 40) - 1] {
            let cursor = EntryCursor::before(first.place(index).unwrap());
            let text = cursor.to_string();
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
            assert_eq!(text.parse::<EntryCursor>().unwrap(), cursor);
            assert_eq!(cursor.place_within(Some(first)).unwrap(), cursor.place_within(None).unwrap());
            assert!(matches!(cursor.place_within(Some(second)), Err(StoreError::Cursor)));
        }
    }

    #[test]
    fn what_no_search_gave_is_refused() {
        let json = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let of_entities = Cursor::after(&EntityUid::new("User", "ann")).to_string();
        for text in ["", "1", "a b", &json("[1]"), &json("[-1,1]"), &json("[1,-1]"), &json("[1,1,1]"), &of_entities] {
            assert!(matches!(text.parse::<EntryCursor>(), Err(StoreError::Cursor)), "{text}");
        }
        for text in ["[4194304,0]", "[1,1099511627776]", "[1.5,2]", "[1,2] x"] {
            assert!(matches!(json(text).parse::<EntryCursor>(), Err(StoreError::Cursor)), "{text}");
        }
        assert!(of_entities.parse::<Cursor>().is_ok());
        let of_a_search = EntryCursor::before(LogId::new(1).unwrap().place(7).unwrap()).to_string();
        assert!(of_a_search.parse::<Cursor>().is_err());
    }
}
