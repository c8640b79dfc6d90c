//! How fast a log grows, and for how long there is space.
//!
//! The growth is that of the records of the last day, at the size that they have at rest. The free space itself says
//! less: segments are allocated ahead, and freed once they are archived.

use std::time::Duration;

use time::OffsetDateTime;

use super::fault::LedgerError;
use super::find::first_from;
use super::records::record;
use super::storage::{DiskStorage, Storage};
use super::usage::LogUsage;
use super::view::RecordView;

const DAY: Duration = Duration::from_hours(24);
/// The shortest time from which the growth of a day is extrapolated.
const MIN_SPAN: Duration = Duration::from_mins(10);

/// The search index of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexUsage {
    /// Its size in bytes, that of other logs in the same database included.
    pub bytes: u64,
    /// How many records it has.
    pub records: u64,
    /// Whether it is on the disk of the log.
    pub is_beside_log: bool,
}

/// What is to be expected of a log's disk. A figure that cannot be known yet is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Forecast {
    /// The bytes of a record at rest: its share of archives and tiles.
    pub bytes_per_record: Option<f64>,
    /// The bytes of a record in the search index.
    pub index_bytes_per_record: Option<f64>,
    /// The records of the last day; of a younger log, at the rate so far.
    pub records_per_day: Option<f64>,
    /// The bytes that the disk of the log will have to hold for each such day, at rest.
    pub bytes_per_day: Option<f64>,
    /// The days until that disk is full.
    pub days_left: Option<f64>,
}

/// The records of the day before `now`, among the first `size`. Of a log that is younger than a day, the rate so far is
/// extrapolated; `None` in its first ten minutes.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
pub fn records_per_day<S: Storage>(storage: &S, size: u64, now: OffsetDateTime) -> Result<Option<f64>, LedgerError> {
    let millis = |at: OffsetDateTime| u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    let first = first_from(storage, millis(now - DAY), size)?;
    if first > 0 {
        return Ok(Some((size - first) as f64));
    }
    let Some(oldest) = record(storage, 0)?.filter(|_| size > 0) else { return Ok(None) };
    let begun = RecordView::parse(&oldest).ok().map(|record| record.micros());
    let age = begun.and_then(|begun| millis(now).checked_sub(u64::try_from(begun / 1_000).ok()?));
    let age = age.map(Duration::from_millis).filter(|age| *age >= MIN_SPAN);
    Ok(age.map(|age| size as f64 * DAY.as_secs_f64() / age.as_secs_f64()))
}

/// The forecast for a log, its search index, its records of a day, and the free bytes of its disk.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "rates and ratios")]
pub fn forecast(
    usage: &LogUsage,
    index: Option<IndexUsage>,
    records_per_day: Option<f64>,
    free: Option<u64>,
) -> Forecast {
    let bytes_per_record = usage.bytes_per_record();
    let in_index = |index: IndexUsage| (index.records > 0).then(|| index.bytes as f64 / index.records as f64);
    let beside = index.filter(|index| index.is_beside_log).and_then(in_index).unwrap_or_default();
    let bytes_per_day = bytes_per_record.zip(records_per_day).map(|(bytes, records)| (bytes + beside) * records);
    let days_left = bytes_per_day.filter(|bytes| *bytes > 0.0).zip(free).map(|(bytes, free)| free as f64 / bytes);
    Forecast {
        bytes_per_record,
        index_bytes_per_record: index.and_then(in_index),
        records_per_day,
        bytes_per_day,
        days_left,
    }
}

/// The bytes of a log's disk that the daemon can still use; `None` if the file system does not say.
#[must_use]
pub fn free_bytes(storage: &DiskStorage) -> Option<u64> {
    let found = rustix::fs::statvfs(storage.folder()).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Batch, Event, EventKind, Ledger, Options};

    const HOUR: time::Duration = time::Duration::HOUR;

    #[test]
    fn the_records_of_a_day_are_counted_and_of_a_young_log_extrapolated() {
        let folder = tempfile::tempdir().unwrap();
        let storage = DiskStorage::create(folder.path()).unwrap();
        let (mut ledger, _) = Ledger::open(storage.clone(), Options::default()).unwrap();
        let begun = OffsetDateTime::from_unix_timestamp(1_750_000_000).unwrap();
        let mut batch = Batch::default();
        // One in an hour.
        for hour in 0..100 {
            Event::new(EventKind::Auth, "ann").push(begun + HOUR * hour, &mut batch).unwrap();
        }
        ledger.append(&batch).unwrap();
        let at = |size, after| records_per_day(&storage, size, begun + after).unwrap();
        assert_eq!(at(100, HOUR * 99), Some(25.0), "both ends of the day included");
        assert_eq!(at(100, HOUR * 110), Some(14.0));
        assert_eq!(at(100, HOUR * 1_000), Some(0.0));
        assert_eq!(at(12, HOUR * 12), Some(24.0));
        assert_eq!((at(1, HOUR / 60 * 9), at(1, HOUR / 6)), (None, Some(144.0)));
        assert_eq!((at(1, -HOUR), at(0, HOUR)), (None, None));
    }

    #[test]
    fn the_index_counts_for_the_disk_that_it_is_on() {
        let usage = LogUsage { archives: 900, archived: 10, ..LogUsage::default() };
        let bytes = usage.bytes_per_record().unwrap();
        let index = |is_beside_log| Some(IndexUsage { bytes: 4_000, records: 20, is_beside_log });
        let all = forecast(&usage, index(true), Some(100.0), Some(1_000_000));
        assert_eq!((all.bytes_per_record, all.index_bytes_per_record), (Some(bytes), Some(200.0)));
        assert_eq!(all.bytes_per_day, Some((bytes + 200.0) * 100.0));
        assert_eq!(all.days_left, Some(1_000_000.0 / ((bytes + 200.0) * 100.0)));
        let elsewhere = forecast(&usage, index(false), Some(100.0), Some(1_000_000));
        assert_eq!((elsewhere.bytes_per_day, elsewhere.index_bytes_per_record), (Some(bytes * 100.0), Some(200.0)));
        assert_eq!(forecast(&usage, None, Some(0.0), Some(1)).days_left, None, "it does not grow");
        assert_eq!(forecast(&LogUsage::default(), index(true), Some(1.0), Some(1)).bytes_per_day, None);
    }
}
