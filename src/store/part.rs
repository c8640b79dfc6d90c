//! One part of a list of rows.

use std::num::NonZeroU16;

/// Some rows of a list, and where it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<T> {
    /// The rows, in the order of the bytes of what they are listed by.
    pub items: Vec<T>,
    /// After which the next part begins, if there is one. It stays good when that row is removed.
    pub next: Option<String>,
}

impl<T> Part<T> {
    /// How many rows to ask for: one more than wanted tells whether there is a next part.
    pub(super) fn rows(limit: NonZeroU16) -> i64 {
        i64::from(limit.get()) + 1
    }

    /// Of the rows that were found, the part to answer; `key` is what they are listed by.
    pub(super) fn of(mut items: Vec<T>, limit: NonZeroU16, key: impl FnOnce(&T) -> &str) -> Self {
        let more = items.len() > usize::from(limit.get());
        items.truncate(usize::from(limit.get()));
        let next = items.last().filter(|_| more).map(|last| key(last).to_owned());
        Self { items, next }
    }
}
