//! The conditions of a search, and of a count of denials.

use std::ops::RangeInclusive;

use smol_str::SmolStr;

/// The conditions of a search; an entry must meet all of them. By default, every entry does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// The earliest time, in microseconds since 1970.
    pub from: Option<i64>,
    /// The time before which they were made, in microseconds since 1970.
    pub to: Option<i64>,
    /// The subject.
    pub subject: Option<SoughtEntity>,
    /// The action.
    pub action: Option<SmolStr>,
    /// To what.
    pub resource: Option<SoughtEntity>,
    /// Whether it may.
    pub decision: Option<bool>,
    /// Why.
    pub reason: Option<SmolStr>,
    /// A principle that was violated.
    pub principle: Option<SmolStr>,
    /// The record's kind.
    pub kind: Option<SmolStr>,
    /// The caller.
    pub caller: Option<SmolStr>,
    /// The id of the request that caused the entry.
    pub request_id: Option<SmolStr>,
}

/// An entity, by its id, and by its type if one is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoughtEntity {
    /// Its type; any without one.
    pub kind: Option<SmolStr>,
    /// Its id.
    pub id: SmolStr,
}

impl Search {
    /// The times that are sought, if not all are.
    pub(super) fn times(&self) -> Option<RangeInclusive<i64>> {
        if self.from.is_none() && self.to.is_none() {
            return None;
        }
        // Nothing was made at the earliest time there is.
        let last = self.to.map_or(i64::MAX, |to| to.saturating_sub(1));
        Some(self.from.unwrap_or(i64::MIN)..=last)
    }
}

/// By what denials are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialKey {
    /// By each violated principle. A denial that violates several counts for each, and one that violates none for none.
    Principle,
    /// By the subject, as `Type::"id"`, with the id as it is, without escapes: a type has no quotes, so the id is all
    /// between the first `::"` and the last character. A faulty item of a batch has no subject; its name is empty.
    Subject,
    /// By the reason.
    Reason,
}

/// Which denials to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenialQuery {
    /// By what they are counted.
    pub key: DenialKey,
    /// The earliest time, in microseconds since 1970.
    pub from: i64,
    /// The time before which they were made, in microseconds since 1970.
    pub to: i64,
    /// The length of an interval, in microseconds; at least 1.
    pub interval: i64,
    /// How many names are answered: those with the most denials.
    pub top: usize,
}
