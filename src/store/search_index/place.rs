//! Where a record is among those of all logs: one number made of its log and its index.

use std::ops::Range;

use crate::store::error::StoreError;

/// Bits of a place that are the index: a log has room for a million million records.
const INDEX_BITS: u32 = 40;
/// One more than the greatest index.
const INDICES: i64 = 1 << INDEX_BITS;
/// One more than the greatest number of a log.
const LOGS: i64 = 1 << 22;

/// A log of which records are stored, as this store numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId(i64);

impl LogId {
    /// The log with that number; `None` if it is out of range.
    pub(super) fn new(number: i64) -> Option<Self> {
        (0..LOGS).contains(&number).then_some(Self(number))
    }

    /// Its number.
    pub(super) fn number(self) -> i64 {
        self.0
    }

    /// All places of this log.
    pub(super) fn places(self) -> Range<i64> {
        let first = self.0 << INDEX_BITS;
        first..first + INDICES
    }

    /// The place of a record; none where the index is out of range.
    pub(super) fn place(self, index: u64) -> Option<i64> {
        let index = i64::try_from(index).ok().filter(|index| *index < INDICES)?;
        Some(self.places().start + index)
    }

    /// The places of `count` records from `first` on.
    pub(super) fn range(self, first: u64, count: usize) -> Result<Range<i64>, StoreError> {
        let range = || {
            let start = self.place(first)?;
            let end = start.checked_add(i64::try_from(count).ok()?)?;
            (end <= self.places().end).then_some(start..end)
        };
        range().ok_or_else(|| StoreError::unavailable(format!("no log has {count} records from index {first} on")))
    }
}

/// Bits of a place that say where in its region it is.
///
/// INVARIANT: the column `region` of SQLite's migrations is made with the same number.
const REGION_BITS: u32 = 18;

/// 2^18 places in a row, of which the first is a multiple of that, so that all are of one log. SQLite's indexes of
/// subjects and resources begin with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region(i64);

impl Region {
    /// The region of a place.
    pub(super) fn of(place: i64) -> Self {
        Self(place >> REGION_BITS)
    }

    /// The region of that number.
    pub(super) fn new(number: i64) -> Self {
        Self(number)
    }

    /// Its number, the column `region`.
    pub(super) fn number(self) -> i64 {
        self.0
    }

    /// All its places.
    pub(super) fn places(self) -> Range<i64> {
        self.0 << REGION_BITS..(self.0 + 1) << REGION_BITS
    }
}

/// All places of all logs.
pub(super) const EVERYWHERE: Range<i64> = 0..LOGS << INDEX_BITS;

/// The log of a place, and the index in it.
pub(super) fn split(place: i64) -> (LogId, u64) {
    (LogId(place >> INDEX_BITS), (place & (INDICES - 1)).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_its_log_and_its_index() {
        for log in [0, 1, LOGS - 1] {
            let log = LogId::new(log).unwrap();
            for index in [0, 1, 4096, INDICES as u64 - 1] {
                assert_eq!(split(log.place(index).unwrap()), (log, index));
                assert!(EVERYWHERE.contains(&log.place(index).unwrap()));
            }
            assert_eq!(log.place(INDICES as u64), None);
            assert_eq!(log.place(u64::MAX), None);
            assert!(log.range(INDICES as u64 - 2, 2).is_ok());
            assert!(log.range(INDICES as u64 - 2, 3).is_err());
        }
        assert_eq!([LogId::new(-1), LogId::new(LOGS)], [None, None]);
    }

    #[test]
    fn a_region_has_the_places_whose_region_it_is() {
        let second = LogId::new(1).unwrap().places().start;
        for place in [0, 1, 262_143, 262_144, 5_000_000, second - 1, second, EVERYWHERE.end - 1] {
            let region = Region::of(place);
            assert!(region.places().contains(&place));
            assert_eq!(region.places().count(), 1 << 18);
            assert_eq!([region.places().start, region.places().end - 1].map(Region::of), [region; 2]);
        }
        assert_ne!(Region::of(second - 1), Region::of(second));
    }
}
