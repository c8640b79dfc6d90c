//! Finds a record by its id, which begins with the time of the record (`UUIDv7`).

use std::ops::Range;

use time::OffsetDateTime;
use uuid::Uuid;

use super::fault::LedgerError;
use super::record_text::timestamp;
use super::records::{record, records};
use super::storage::Storage;

/// Records are in the log in nearly the order of their times: so far from its place one may be, in milliseconds.
const DISORDER: u64 = 5_000;

/// The longest time as text: that of a record, with microseconds.
const TIME: usize = "2026-01-01T00:00:00.000000Z".len();
/// The id of an entry, and its time: where they are in its text.
const ID_AT: Range<usize> = 13..49;
const TIME_AT: Range<usize> = 57..57 + TIME;

/// How thoroughly a log is searched for an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thoroughness {
    /// Where the record must be if the clock never jumped.
    ByTime,
    /// In the whole log, if it is not there.
    Everywhere,
}

/// The index of the record with an id, among the first `size` records; `None` where there is none.
///
/// Of a record in parts it is that of its head.
pub fn find_id<S: Storage>(
    storage: &S,
    id: &Uuid,
    size: u64,
    thoroughness: Thoroughness,
) -> Result<Option<u64>, LedgerError> {
    let text = id.hyphenated().to_string();
    if let Some(millis) = millis_of(id) {
        let from = first_from(storage, millis.saturating_sub(DISORDER), size)?;
        let (mut found, end) = (records(storage, from..size), time_text(millis.saturating_add(DISORDER)));
        while let Some((index, entry)) = found.advance()? {
            if entry.get(ID_AT) == Some(text.as_bytes()) {
                return Ok(Some(index));
            }
            if entry.get(TIME_AT).is_some_and(|at| at > end.as_slice()) {
                break;
            }
        }
    }
    if thoroughness == Thoroughness::Everywhere {
        let mut found = records(storage, 0..size);
        while let Some((index, entry)) = found.advance()? {
            if entry.get(ID_AT) == Some(text.as_bytes()) {
                return Ok(Some(index));
            }
        }
    }
    Ok(None)
}

/// The time in an id, in milliseconds since 1970; `None` where it has none.
#[must_use]
pub fn millis_of(id: &Uuid) -> Option<u64> {
    let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    seconds.checked_mul(1000)?.checked_add(u64::from(nanos) / 1_000_000)
}

/// How many records a log has, as far as it can be read.
pub fn size<S: Storage>(storage: &S) -> Result<u64, LedgerError> {
    let mut end = 1_u64;
    while end < 1 << 62 && record(storage, end - 1)?.is_some() {
        end *= 2;
    }
    partition(0, end, |index| Ok(record(storage, index)?.is_some()))
}

/// The first of the records that is not from before a time, where times rise.
fn first_from<S: Storage>(storage: &S, millis: u64, size: u64) -> Result<u64, LedgerError> {
    let time = time_text(millis);
    partition(0, size, |index| {
        let entry = record(storage, index)?.ok_or(LedgerError::Gone(index))?;
        Ok(entry.get(TIME_AT).is_some_and(|at| at < time.as_slice()))
    })
}

/// The first number from `start` on, and before `end`, for which something does not hold that holds for all before it.
fn partition(
    mut start: u64,
    mut end: u64,
    holds: impl Fn(u64) -> Result<bool, LedgerError>,
) -> Result<u64, LedgerError> {
    while start < end {
        let middle = start + (end - start) / 2;
        if holds(middle)? { start = middle + 1 } else { end = middle }
    }
    Ok(start)
}

fn time_text(millis: u64) -> Vec<u8> {
    let nanos = i128::from(millis) * 1_000_000;
    let mut text = Vec::new();
    // A time beyond what can be written is later than that of any record.
    match OffsetDateTime::from_unix_timestamp_nanos(nanos) {
        Ok(at) => timestamp(at, &mut text),
        Err(_) => text.push(b'~'),
    }
    text
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::super::{Batch, DiskStorage, Event, EventKind, Ledger, Options, new_id};
    use super::*;

    #[test]
    fn a_record_is_found_by_its_id_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let storage = DiskStorage::create(folder.path()).unwrap();
        let (mut ledger, _) = Ledger::open(storage.clone(), Options::default()).unwrap();
        let begun = OffsetDateTime::from_unix_timestamp(1_750_000_000).unwrap();
        let mut batch = Batch::default();
        for nth in 0..2_000 {
            // Now and then a little late, and some in parts.
            let late = if nth % 7 == 0 { 1_500 } else { 0 };
            let at = begun + Duration::milliseconds(nth * 20 - late);
            let length = if nth % 500 == 3 { 70_000 } else { 10 };
            Event::new(EventKind::Auth, "ann").detail("text", "x".repeat(length)).push(at, &mut batch).unwrap();
        }
        // One from before the clock was set right.
        Event::new(EventKind::Auth, "ann").push(begun - Duration::days(30), &mut batch).unwrap();
        ledger.append(&batch).unwrap();
        let count = u64::from(batch.count());
        assert_eq!(size(&storage).unwrap(), count);
        for (index, entry) in (0..).zip(batch.records()) {
            let id: Uuid = str::from_utf8(&entry[ID_AT]).unwrap().parse().unwrap();
            let is_out_of_order = index + 1 == count;
            let found = find_id(&storage, &id, count, Thoroughness::ByTime).unwrap();
            assert_eq!(found, (!is_out_of_order).then_some(index));
            if index % 100 == 0 || is_out_of_order {
                assert_eq!(find_id(&storage, &id, count, Thoroughness::Everywhere).unwrap(), Some(index));
            }
        }
        for unknown in [new_id(begun), new_id(OffsetDateTime::now_utc()), Uuid::nil(), Uuid::max()] {
            assert_eq!(find_id(&storage, &unknown, count, Thoroughness::Everywhere).unwrap(), None, "{unknown}");
        }
    }
}
