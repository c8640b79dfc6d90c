//! Searches: the entries that meet all conditions, newest first.
//!
//! A search goes from the newest position to older ones in steps. Each step determines how far back every index has to
//! be scanned for a number of entries, and scans the index that has to go the furthest: however conditions are
//! combined, a step costs no more than that number of entries, and one selective condition makes the search short.
//! Between steps it may stop, and return its position. In SQLite the indexes of subjects and resources are partitioned
//! into regions: a search for one of these takes no step beyond a region, and another selective condition makes it
//! short only within each of them.

use std::ops::{Range, RangeInclusive};
use std::time::Instant;

use super::criteria::Search;
use super::place::{Region, split};
use super::predicate::{Condition, IndexScan, Predicate, last_region, predicates};
use super::statement::Value;
use super::time_ranges;
use crate::store::connection::Connection;
use crate::store::error::StoreError;

/// The entries found, and the position before which the search continues, if it does.
#[derive(Debug)]
pub(super) struct Found {
    /// Places and records, the newest first.
    pub(super) records: Vec<(i64, Option<String>)>,
    /// Nothing from here on is left to be found.
    pub(super) next: Option<i64>,
}

/// The number of regions examined at once for one with an entry: a few milliseconds' worth.
const REGIONS: i64 = 256;
/// The number of entries that the first step examines. It is small, since most searches find enough in them.
const FIRST_STEP: i64 = 256;
/// The most entries that a step examines: some ten milliseconds' worth, and far more if they come from a disk.
const LAST_STEP: i64 = 4096;

/// The most entries that are read at once with the texts of their records.
const BATCH: usize = 64;
/// A search ends with the entries whose records make all of them together this large, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// Searches a range of positions, until `limit` entries are found or the deadline has passed. At least one step is
/// made, so that a continued search makes progress.
pub(super) fn search(
    conn: &mut Connection,
    search: &Search,
    places: Range<i64>,
    limit: usize,
    deadline: Instant,
) -> Result<Found, StoreError> {
    let times = search.times();
    let is_over = |reached: i64| reached > places.start && Instant::now() >= deadline;
    let mut plan = None::<Plan>;
    let (mut records, mut bytes) = (Vec::new(), 0);
    // Only a server has the records' texts.
    let part = if matches!(conn, Connection::Postgres(_)) { BATCH } else { usize::MAX };
    let mut step = FIRST_STEP;
    let mut end = places.end;
    while let Some(mut run) = last_run(conn, places.start..end, times.as_ref())? {
        while !run.is_empty() {
            let Some(current) = Plan::for_end(conn, search, plan.take(), &mut run)? else {
                if is_over(run.end) {
                    return Ok(Found { records, next: Some(run.end) });
                }
                continue;
            };
            let within = current.within_region(&run);
            let Step { start, branches, filters } = current.next_step(conn, &within, times.as_ref(), step)?;
            plan = Some(current);
            // One more than the limit shows whether there is a next page.
            let part = part.min(limit + 1 - records.len());
            let most = i64::try_from(part).map_err(StoreError::unavailable)?;
            let mut found = Vec::new();
            for branch in &branches {
                found.extend(branch.records(&(start..run.end), &filters, most).records(conn)?);
            }
            found.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
            found.truncate(part);
            let start = found.last().filter(|_| found.len() == part).map_or(start, |(place, _)| *place);
            bytes += found.iter().filter_map(|(_, record)| record.as_ref()).map(String::len).sum::<usize>();
            records.extend(found);
            if records.len() > limit {
                records.truncate(limit);
                let next = records.last().map(|(place, _)| *place);
                return Ok(Found { records, next });
            }
            run.end = start;
            step = LAST_STEP.min(step * 2);
            if is_over(start) || (bytes >= MAX_BYTES && start > places.start) {
                return Ok(Found { records, next: Some(start) });
            }
        }
        end = run.start;
    }
    Ok(Found { records, next: None })
}

/// The scan of the next step.
#[derive(Debug)]
struct Step<'a> {
    /// The first place; it ends where the step before began.
    start: i64,
    /// The parts of an index that it reads.
    branches: Vec<IndexScan<'a>>,
    /// Further conditions.
    filters: Vec<Condition<'a>>,
}

/// The last run of positions that may have entries of the sought times; `None` if there is none.
fn last_run(
    conn: &mut Connection,
    places: Range<i64>,
    times: Option<&RangeInclusive<i64>>,
) -> Result<Option<Range<i64>>, StoreError> {
    match times {
        Some(times) => time_ranges::last_run(conn, &places, times),
        None => Ok(Some(places).filter(|places| !places.is_empty())),
    }
}

/// Whether the sought entities are found by partitioned indexes.
fn is_regional(conn: &Connection, search: &Search) -> bool {
    matches!(conn, Connection::Sqlite(_)) && (search.subject.is_some() || search.resource.is_some())
}

/// The last region in `run` that may have an entry; `None` if none of the last [`REGIONS`] has one. `run` is shortened
/// to end with it, or before those.
fn last_region_of(conn: &mut Connection, search: &Search, run: &mut Range<i64>) -> Result<Option<Region>, StoreError> {
    let Some(last) = IndexScan::everything().nth_last(run, 1).place(conn)? else {
        run.end = run.start;
        return Ok(None);
    };
    // Of one log: between it and the one before are millions of regions without any entry.
    let earliest = Region::of(run.start.max(split(last).0.places().start)).number();
    let first = Region::new(earliest.max(Region::of(last).number() - REGIONS + 1));
    let found = last_region(search, &(first..=Region::of(last))).place(conn)?.map(Region::new);
    run.end = match found {
        Some(region) => region.places().end.min(last + 1),
        None => first.places().start.max(run.start),
    };
    Ok(found)
}

/// The plan of a search.
#[derive(Debug)]
struct Plan<'a> {
    /// The region for which it is valid; `None`: all, since no index is partitioned.
    region: Option<Region>,
    predicates: Vec<Predicate<'a>>,
}

impl<'a> Plan<'a> {
    /// The plan for the end of `run`: this one if it is valid there, or a new one. `run` may be shortened, if there is
    /// nothing at its end; `None` if this has to be repeated.
    fn for_end(
        conn: &mut Connection,
        search: &'a Search,
        plan: Option<Self>,
        run: &mut Range<i64>,
    ) -> Result<Option<Self>, StoreError> {
        let holds = |plan: &Self| plan.region.is_none_or(|region| region == Region::of(run.end - 1));
        if let Some(plan) = plan.filter(holds) {
            return Ok(Some(plan));
        }
        let region = if is_regional(conn, search) {
            let Some(region) = last_region_of(conn, search, run)? else { return Ok(None) };
            Some(region)
        } else {
            None
        };
        Ok(Some(Self { region, predicates: predicates(conn, search, region)? }))
    }

    /// The end of `run` for which the plan is valid.
    fn within_region(&self, run: &Range<i64>) -> Range<i64> {
        self.region.map_or(run.start, |region| run.start.max(region.places().start))..run.end
    }

    /// The step that ends with `run` and examines at most `size` entries of an index scan.
    fn next_step(
        &self,
        conn: &mut Connection,
        run: &Range<i64>,
        times: Option<&RangeInclusive<i64>>,
        size: i64,
    ) -> Result<Step<'a>, StoreError> {
        let everything = IndexScan::everything();
        // Without further conditions every scanned entry matches, so the limit alone bounds the scan.
        let whole = match (&*self.predicates, times) {
            ([], None) => Some(vec![everything.clone()]),
            ([Predicate { branches: Some(branches), .. }], None) => Some(branches.clone()),
            _ => None,
        };
        if let Some(branches) = whole {
            return Ok(Step { start: run.start, branches, filters: Vec::new() });
        }
        let last = everything.nth_last(run, 1).place(conn)?;
        let mut start = last.map_or(run.start, |last| run.start.max(last + 1 - size));
        let mut chosen = None;
        for (number, predicate) in self.predicates.iter().enumerate() {
            let Some(branches) = &predicate.branches else { continue };
            let reached = reach(conn, branches, run, size)?;
            if reached < start {
                start = reached;
                chosen = Some((number, branches));
            }
        }
        let chosen_number = chosen.map(|(number, _)| number);
        let others = self.predicates.iter().enumerate().filter(|(number, _)| Some(*number) != chosen_number);
        let mut filters = others.flat_map(|(_, predicate)| predicate.filter.iter().cloned()).collect::<Vec<_>>();
        if let Some(times) = times {
            filters.push(("e.at >= ?", Value::Number(*times.start())));
            filters.push(("e.at <= ?", Value::Number(*times.end())));
        }
        let branches = chosen.map_or_else(|| vec![everything], |(_, branches)| branches.clone());
        Ok(Step { start, branches, filters })
    }
}

/// How far back from the end of `run` none of these parts has more than `size` entries.
pub(super) fn reach(
    conn: &mut Connection,
    branches: &[IndexScan<'_>],
    run: &Range<i64>,
    size: i64,
) -> Result<i64, StoreError> {
    let mut start = run.start;
    for branch in branches {
        start = start.max(branch.nth_last(run, size).place(conn)?.unwrap_or(start));
    }
    Ok(start)
}
