//! Searches: which entries have everything that is sought, the newest first.
//!
//! A search goes from the newest place to older ones in steps. Each step looks how far back every index has to go for
//! so many entries, and reads those of the index that has to go the furthest: however members are combined, a step
//! costs no more than so many entries, and one rare member makes the search short. Between steps it may end, and say
//! where it goes on. In SQLite the indexes of subjects and resources are made of regions: where one of these is sought, no
//! step goes beyond a region, and another rare member makes the search short only within each of them.

use std::ops::{Range, RangeInclusive};
use std::time::Instant;

use smol_str::SmolStr;

use super::member::{Branch, Condition, Member, last_region, members};
use super::place::{Region, split};
use super::spans;
use super::statement::Value;
use crate::store::connection::Connection;
use crate::store::error::StoreError;

/// What entries must have: all of it. By default, everything is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// The earliest time, in microseconds since 1970.
    pub from: Option<i64>,
    /// The time before which they were made, in microseconds since 1970.
    pub to: Option<i64>,
    /// Who wanted to act.
    pub subject: Option<SoughtEntity>,
    /// What it wanted to do.
    pub action: Option<SmolStr>,
    /// To what.
    pub resource: Option<SoughtEntity>,
    /// Whether it may.
    pub decision: Option<bool>,
    /// Why.
    pub reason: Option<SmolStr>,
    /// A principle that was violated.
    pub principle: Option<SmolStr>,
    /// What the record is about.
    pub kind: Option<SmolStr>,
    /// Who asked.
    pub caller: Option<SmolStr>,
    /// The id of the request that caused the entry.
    pub request_id: Option<SmolStr>,
}

/// An entity that is sought by its id, and by its type where one is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoughtEntity {
    /// Its type; any without one.
    pub kind: Option<SmolStr>,
    /// Its id.
    pub id: SmolStr,
}

/// What was found, and the place before which the search goes on, if it does.
#[derive(Debug)]
pub(super) struct Found {
    /// Places and records, the newest first.
    pub(super) records: Vec<(i64, Option<String>)>,
    /// Nothing from here on is left to be found.
    pub(super) next: Option<i64>,
}

/// How many regions are looked into at once for one that has something: a few milliseconds' worth.
const REGIONS: i64 = 256;
/// How many entries the first step looks at. Few, since most searches find enough in them.
const FIRST_STEP: i64 = 256;
/// How many entries a step looks at, at most: some ten milliseconds' worth, and far more where they come from a disk.
const LAST_STEP: i64 = 4096;

/// Searches some places, until `limit` entries are found or the deadline has passed. One step is always made, so that
/// who goes on comes to the end.
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
    let mut records = Vec::new();
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
            // One more than asked for tells whether there is a next part.
            let missing = i64::try_from(limit + 1 - records.len()).map_err(StoreError::unavailable)?;
            let mut found = Vec::new();
            for branch in &branches {
                found.extend(branch.records(&(start..run.end), &filters, missing).records(conn)?);
            }
            found.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
            records.extend(found);
            if records.len() > limit {
                records.truncate(limit);
                let next = records.last().map(|(place, _)| *place);
                return Ok(Found { records, next });
            }
            run.end = start;
            step = LAST_STEP.min(step * 2);
            if is_over(start) {
                return Ok(Found { records, next: Some(start) });
            }
        }
        end = run.start;
    }
    Ok(Found { records, next: None })
}

impl Search {
    /// The times that are sought, if not all are.
    fn times(&self) -> Option<RangeInclusive<i64>> {
        if self.from.is_none() && self.to.is_none() {
            return None;
        }
        // Nothing was made at the earliest time there is.
        let last = self.to.map_or(i64::MAX, |to| to.saturating_sub(1));
        Some(self.from.unwrap_or(i64::MIN)..=last)
    }
}

/// What the next step reads.
#[derive(Debug)]
struct Step<'a> {
    /// The first place; it ends where the step before began.
    start: i64,
    /// The parts of an index that it reads.
    branches: Vec<Branch<'a>>,
    /// What else must hold.
    filters: Vec<Condition<'a>>,
}

/// The last places that may have something of the times that are sought; none where no more have.
fn last_run(
    conn: &mut Connection,
    places: Range<i64>,
    times: Option<&RangeInclusive<i64>>,
) -> Result<Option<Range<i64>>, StoreError> {
    match times {
        Some(times) => spans::last_run(conn, &places, times),
        None => Ok(Some(places).filter(|places| !places.is_empty())),
    }
}

/// Whether those who are sought are found by indexes that are made of regions.
fn is_regional(conn: &Connection, search: &Search) -> bool {
    matches!(conn, Connection::Sqlite(_)) && (search.subject.is_some() || search.resource.is_some())
}

/// The last region in `run` that may have something; none where none of the last [`REGIONS`] has. With it, or before
/// those, `run` ends from now on.
fn last_region_of(conn: &mut Connection, search: &Search, run: &mut Range<i64>) -> Result<Option<Region>, StoreError> {
    let Some(last) = Branch::everything().nth_last(run, 1).place(conn)? else {
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

/// A search as it is gone about.
#[derive(Debug)]
struct Plan<'a> {
    /// Where it holds; none: everywhere, since no index is made of regions.
    region: Option<Region>,
    members: Vec<Member<'a>>,
}

impl<'a> Plan<'a> {
    /// The plan for the end of `run`: this one where it holds there, or else a new one. `run` may end sooner from then on,
    /// since nothing is there; none where it is to be tried again.
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
        Ok(Some(Self { region, members: members(conn, search, region)? }))
    }

    /// The end of `run` where it holds.
    fn within_region(&self, run: &Range<i64>) -> Range<i64> {
        self.region.map_or(run.start, |region| run.start.max(region.places().start))..run.end
    }

    /// The step that ends with `run` and looks at no more than `size` entries of a part of an index.
    fn next_step(
        &self,
        conn: &mut Connection,
        run: &Range<i64>,
        times: Option<&RangeInclusive<i64>>,
        size: i64,
    ) -> Result<Step<'a>, StoreError> {
        let everything = Branch::everything();
        // Whatever an index finds is good where nothing else is asked for: the limit alone bounds what is read.
        let whole = match (&*self.members, times) {
            ([], None) => Some(vec![everything.clone()]),
            ([Member { branches: Some(branches), .. }], None) => Some(branches.clone()),
            _ => None,
        };
        if let Some(branches) = whole {
            return Ok(Step { start: run.start, branches, filters: Vec::new() });
        }
        let last = everything.nth_last(run, 1).place(conn)?;
        let mut start = last.map_or(run.start, |last| run.start.max(last + 1 - size));
        let mut chosen = None;
        for (number, member) in self.members.iter().enumerate() {
            let Some(branches) = &member.branches else { continue };
            let reached = reach(conn, branches, run, size)?;
            if reached < start {
                start = reached;
                chosen = Some((number, branches));
            }
        }
        let chosen_number = chosen.map(|(number, _)| number);
        let others = self.members.iter().enumerate().filter(|(number, _)| Some(*number) != chosen_number);
        let mut filters = others.flat_map(|(_, member)| member.filter.iter().cloned()).collect::<Vec<_>>();
        if let Some(times) = times {
            filters.push(("e.at >= ?", Value::Number(*times.start())));
            filters.push(("e.at <= ?", Value::Number(*times.end())));
        }
        let branches = chosen.map_or_else(|| vec![everything], |(_, branches)| branches.clone());
        Ok(Step { start, branches, filters })
    }
}

/// How far back from the end of `run` none of these parts has more than `size` entries.
fn reach(conn: &mut Connection, branches: &[Branch<'_>], run: &Range<i64>, size: i64) -> Result<i64, StoreError> {
    let mut start = run.start;
    for branch in branches {
        start = start.max(branch.nth_last(run, size).place(conn)?.unwrap_or(start));
    }
    Ok(start)
}
