//! Finds a record by its id, which begins with the record's time (`UUIDv7`).

use std::ops::Range;

use time::OffsetDateTime;
use uuid::Uuid;

use super::fault::LedgerError;
use super::lookup::RecordLookup;
use super::record_text::timestamp;
use super::records::records;
use super::storage::Storage;

/// Records are almost in order of time. These are the deviations in which a record is searched for, in milliseconds:
/// the one of nearly all records first, the greatest one last.
const DISORDER: [u64; 2] = [50, 5_000];

/// The length of a record's time.
const TIME: usize = "2026-01-01T00:00:00.000000Z".len();
/// The offsets of the id and the time in an entry's text.
const ID_AT: Range<usize> = 13..49;
const TIME_AT: Range<usize> = 57..57 + TIME;

/// How much of a log is searched for an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thoroughness {
    /// The records around the time in the id.
    ByTime,
    /// These, and then the whole log, for records made while the clock was wrong.
    Everywhere,
}

/// The index of the record with an id, among the first `size` records; `None` if there is none.
///
/// For a record in parts, this is the index of its head.
pub fn find_id<S: Storage>(
    storage: &S,
    id: &Uuid,
    size: u64,
    thoroughness: Thoroughness,
) -> Result<Option<u64>, LedgerError> {
    let text = id.hyphenated().to_string();
    for (millis, disorder) in millis_of(id).into_iter().flat_map(|millis| DISORDER.map(|disorder| (millis, disorder))) {
        let from = first_from(storage, millis.saturating_sub(disorder), size)?;
        let (mut found, end) = (records(storage, from..size), time_text(millis.saturating_add(disorder)));
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

/// The time in an id, in milliseconds since 1970; `None` if the id is not a `UUIDv7`.
#[must_use]
pub fn millis_of(id: &Uuid) -> Option<u64> {
    let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    seconds.checked_mul(1000)?.checked_add(u64::from(nanos) / 1_000_000)
}

/// The number of readable records in a log.
pub fn size<S: Storage>(storage: &S) -> Result<u64, LedgerError> {
    let mut lookup = RecordLookup::new(storage);
    let mut end = 1_u64;
    while end < 1 << 62 && lookup.get(end - 1)?.is_some() {
        end *= 2;
    }
    partition(0, end, |index| Ok(lookup.get(index)?.is_some()))
}

/// The index of the first record at or after a time, in milliseconds since 1970, by binary search.
pub(super) fn first_from<S: Storage>(storage: &S, millis: u64, size: u64) -> Result<u64, LedgerError> {
    let (time, mut lookup) = (time_text(millis), RecordLookup::new(storage));
    partition(0, size, |index| {
        let entry = lookup.get(index)?.ok_or(LedgerError::Gone(index))?;
        Ok(entry.get(TIME_AT).is_some_and(|at| at < time.as_slice()))
    })
}

/// The first number in `start..end` for which `holds` is false; it must be true for all before and false for all after.
fn partition(
    mut start: u64,
    mut end: u64,
    mut holds: impl FnMut(u64) -> Result<bool, LedgerError>,
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
    // A time that cannot be written sorts after every record.
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
            // Some records are a little late, and some are in parts.
            let late = if nth % 7 == 0 { 1_500 } else { 0 };
            let at = begun + Duration::milliseconds(nth * 20 - late);
            let length = if nth % 500 == 3 { 70_000 } else { 10 };
            Event::new(EventKind::Auth, "ann").detail("text", "x".repeat(length)).push(at, &mut batch).unwrap();
        }
        // A record made while the clock was wrong.
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
