//! The table `audit_spans`: the time range of each block of 4,096 positions.
//!
//! Records get their time before their index, and clocks are set back, so times increase only approximately with
//! positions, and there is no bound on the deviation. So the earliest and the latest time of each block are stored: a
//! search by time skips the blocks outside of its range, and checks each record of the others.

use std::ops::{Range, RangeInclusive};

use diesel::dsl::auto_type;
use diesel::prelude::*;

use super::schema::audit_spans;
use crate::store::connection::Connection;
use crate::store::error::StoreError;

/// Bits of a place that say where in its block it is.
const BLOCK_BITS: u32 = 12;

/// Extends the ranges by new entries, given as positions, which increase, with their times.
///
/// INVARIANT: it is called in the transaction that stores them, so that no entry is outside the range of its block.
pub(super) fn widen(conn: &mut Connection, entries: &[(i64, i64)]) -> Result<(), StoreError> {
    for block in entries.chunk_by(|a, b| block(a.0) == block(b.0)) {
        let (Some(&(place, _)), Some(earliest), Some(latest)) =
            (block.first(), block.iter().map(|entry| entry.1).min(), block.iter().map(|entry| entry.1).max())
        else {
            continue;
        };
        let span = audit_spans::table.find(self::block(place)).select((audit_spans::earliest, audit_spans::latest));
        let known = span.first::<(i64, i64)>(conn).optional()?;
        let (before, after) = known.unwrap_or((earliest, latest));
        let times = (audit_spans::earliest.eq(earliest.min(before)), audit_spans::latest.eq(latest.max(after)));
        if known.is_some() {
            diesel::update(audit_spans::table.find(self::block(place))).set(times).execute(conn)?;
        } else {
            let row = (audit_spans::block.eq(self::block(place)), times.0, times.1);
            diesel::insert_into(audit_spans::table).values(row).execute(conn)?;
        }
    }
    Ok(())
}

/// The last run within `places` whose blocks all overlap with these times; `None` if no block does.
pub(super) fn last_run(
    conn: &mut Connection,
    places: &Range<i64>,
    times: &RangeInclusive<i64>,
) -> Result<Option<Range<i64>>, StoreError> {
    if places.is_empty() || times.is_empty() {
        return Ok(None);
    }
    let (first, last) = (block(places.start), block(places.end - 1));
    let Some(newest) = last_within(first, last, *times.start(), *times.end()).first::<i64>(conn).optional()? else {
        return Ok(None);
    };
    let gap = last_without(first, newest, *times.start(), *times.end()).first::<i64>(conn).optional()?;
    let start = gap.map_or(places.start, |gap| places.start.max((gap + 1) << BLOCK_BITS));
    Ok(Some(start..places.end.min((newest + 1) << BLOCK_BITS)))
}

/// The latest of these times that an entry within `places` may have; `None` if no entry has one of them.
pub(super) fn latest(
    conn: &mut Connection,
    places: &Range<i64>,
    times: &RangeInclusive<i64>,
) -> Result<Option<i64>, StoreError> {
    if places.is_empty() || times.is_empty() {
        return Ok(None);
    }
    let (first, last) = (block(places.start), block(places.end - 1));
    let latest: Option<i64> = audit_spans::table
        .filter(audit_spans::block.between(first, last))
        .filter(audit_spans::earliest.le(times.end()).and(audit_spans::latest.ge(times.start())))
        .select(diesel::dsl::max(audit_spans::latest))
        .get_result(conn)?;
    Ok(latest.map(|latest| latest.min(*times.end())))
}

fn block(place: i64) -> i64 {
    place >> BLOCK_BITS
}

/// The last of some blocks that has some of the times.
#[auto_type(no_type_alias)]
pub(super) fn last_within(first: i64, last: i64, from: i64, to: i64) -> _ {
    audit_spans::table
        .filter(audit_spans::block.between(first, last))
        .filter(audit_spans::earliest.le(to).and(audit_spans::latest.ge(from)))
        .order(audit_spans::block.desc())
        .select(audit_spans::block)
}

/// The last of some blocks that has none of the times.
#[auto_type(no_type_alias)]
pub(super) fn last_without(first: i64, last: i64, from: i64, to: i64) -> _ {
    audit_spans::table
        .filter(audit_spans::block.between(first, last))
        .filter(audit_spans::earliest.gt(to).or(audit_spans::latest.lt(from)))
        .order(audit_spans::block.desc())
        .select(audit_spans::block)
}
