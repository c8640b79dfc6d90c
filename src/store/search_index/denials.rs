//! Denials over time: how many there were in each interval, by principle, by subject or by reason.
//!
//! Counting goes from the newest entries to older ones in steps, each of which examines a bounded number of entries of
//! an index. So it may stop after any step: then the newest denials are counted, and the result has the time from which
//! on all are.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use super::criteria::DenialQuery;
use super::denial_scan::{DenialScan, denial_scans};
use super::search::reach;
use super::time_ranges;
use crate::store::connection::Connection;
use crate::store::error::StoreError;

/// The most entries of an index that a step examines.
const STEP: i64 = 4096;

/// The most names that are told apart. Denials of further names are counted together.
const NAMES: usize = 10_000;

/// The denials of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenialSeries {
    /// The principle, subject or reason.
    pub name: String,
    /// The number of denials.
    pub total: u64,
    /// The number in each interval, by the interval's number; intervals without any are left out.
    pub counts: Vec<(usize, u64)>,
}

/// Counted denials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DenialCounts {
    /// The names with the most denials, the greatest number first.
    pub series: Vec<DenialSeries>,
    /// The denials of all other names.
    pub others: u64,
    /// Whether all entries of the time were examined. If not, only the newest were.
    pub is_complete: bool,
    /// The time from which on all denials are counted, in microseconds since 1970; the beginning of the query's time if
    /// all entries were examined.
    pub counted_since: i64,
}

/// Counts denials at `places`, until the deadline has passed. At least one step is made.
pub(super) fn count(
    conn: &mut Connection,
    query: &DenialQuery,
    places: Range<i64>,
    deadline: Instant,
) -> Result<DenialCounts, StoreError> {
    let times = query.from..=query.to.saturating_sub(1);
    let scans = denial_scans(conn, query.key)?;
    let branches = scans.iter().map(DenialScan::scan).cloned().collect::<Vec<_>>();
    let (mut tally, mut end) = (Tally::default(), places.end);
    while let Some(mut run) = time_ranges::last_run(conn, &(places.start..end), &times)? {
        while !run.is_empty() {
            let start = reach(conn, &branches, &run, STEP)?;
            for scan in &scans {
                for (name, interval, count) in scan.counts(&(start..run.end), query).counts(conn)? {
                    tally.add(name, interval, count);
                }
            }
            run.end = start;
            if start > places.start && Instant::now() >= deadline {
                let uncounted = time_ranges::latest(conn, &(places.start..start), &times)?;
                let counted_since = uncounted.map_or(query.from, |latest| latest.saturating_add(1));
                return Ok(DenialCounts { is_complete: uncounted.is_none(), counted_since, ..tally.top(query.top) });
            }
        }
        end = run.start;
    }
    Ok(DenialCounts { is_complete: true, counted_since: query.from, ..tally.top(query.top) })
}

/// Denials by name and interval.
#[derive(Debug, Default)]
struct Tally {
    names: HashMap<String, HashMap<usize, u64>>,
    others: u64,
}

impl Tally {
    fn add(&mut self, name: String, interval: i64, count: i64) {
        let (Ok(interval), Ok(count)) = (usize::try_from(interval), u64::try_from(count)) else { return };
        if self.names.len() >= NAMES && !self.names.contains_key(&name) {
            self.others += count;
        } else {
            *self.names.entry(name).or_default().entry(interval).or_default() += count;
        }
    }

    /// The series of the `most` greatest names, and the number of all other denials.
    fn top(self, most: usize) -> DenialCounts {
        let series = self.names.into_iter().map(|(name, counts)| {
            let mut counts = counts.into_iter().collect::<Vec<_>>();
            counts.sort_unstable();
            DenialSeries { name, total: counts.iter().map(|(_, count)| count).sum(), counts }
        });
        let mut series = series.collect::<Vec<_>>();
        series.sort_unstable_by(|a, b| b.total.cmp(&a.total).then_with(|| a.name.cmp(&b.name)));
        let cut = series.split_off(most.min(series.len()));
        let others = self.others + cut.iter().map(|series| series.total).sum::<u64>();
        DenialCounts { series, others, ..DenialCounts::default() }
    }
}
