//! One part of a list of rows.

use std::num::NonZeroU16;

/// A page of a list, and the position after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage<T> {
    /// The rows, ordered by the bytes of their key.
    pub items: Vec<T>,
    /// After which the next part begins, if there is one. It stays good when that row is removed.
    pub next: Option<String>,
}

impl<T> ListPage<T> {
    /// The number of rows to query: one more than the limit shows whether there is a next page.
    pub(super) fn rows(limit: NonZeroU16) -> i64 {
        i64::from(limit.get()) + 1
    }

    /// Makes the page from the rows that were found; `key` returns the sort key of a row.
    pub(super) fn of(mut items: Vec<T>, limit: NonZeroU16, key: impl FnOnce(&T) -> &str) -> Self {
        let more = items.len() > usize::from(limit.get());
        items.truncate(usize::from(limit.get()));
        let next = items.last().filter(|_| more).map(|last| key(last).to_owned());
        Self { items, next }
    }
}
