//! Counts and latencies of a load, as a whole and in its course.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::live::Live;
use crate::metrics::{BucketCounts, Latencies, LatencyRecorder};

/// The most intervals of a load, for charts.
const MAX_INTERVALS: u32 = 600;

/// A part of a load. Answers are counted when they arrive.
#[derive(Debug, Clone, Serialize)]
pub struct Interval {
    /// When it began, in seconds after the begin of the load.
    pub at_s: f64,
    /// Its length in seconds.
    pub length_s: f64,
    /// Requests that were due.
    pub offered: u64,
    /// Good answers.
    pub answered: u64,
    /// Failures.
    pub failed: u64,
    /// The median latency in milliseconds; none without an answer.
    pub p50_ms: Option<f64>,
    /// The 99th percentile, in milliseconds.
    pub p99_ms: Option<f64>,
    /// The longest latency, in milliseconds.
    pub max_ms: Option<f64>,
}

/// A quantile in milliseconds.
#[must_use]
pub fn quantile_ms(latencies: &Latencies, percent: f64) -> Option<f64> {
    latencies.quantile(percent).map(|latency| latency.as_secs_f64() * 1e3)
}

/// What a load has counted so far.
#[derive(Debug)]
pub(super) struct Timeline<'a> {
    live: &'a Live,
    begin: Instant,
    length: Duration,
    /// When the present interval ends.
    end: Instant,
    current: LatencyRecorder,
    late: LatencyRecorder,
    counts: [u64; 3],
    latencies: Latencies,
    lateness: Latencies,
    answered: u64,
    failed: u64,
    intervals: Vec<Interval>,
}

impl<'a> Timeline<'a> {
    /// For a load of this duration.
    pub(super) fn new(duration: Duration, live: &'a Live) -> Self {
        let length = (duration / MAX_INTERVALS).max(Duration::from_secs(1));
        let now = Instant::now();
        Self {
            live,
            begin: now,
            length,
            end: now + length,
            current: LatencyRecorder::default(),
            late: LatencyRecorder::default(),
            counts: [0; 3],
            latencies: Latencies::default(),
            lateness: Latencies::default(),
            answered: 0,
            failed: 0,
            intervals: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, begin: Instant) {
        (self.begin, self.end) = (begin, begin + self.length);
    }

    /// A request is due; the client ran so late.
    pub(super) fn due(&mut self, late: Duration) {
        let [offered, ..] = &mut self.counts;
        *offered += 1;
        self.late.record(late);
    }

    pub(super) fn answered(&mut self, latency: Duration) {
        let [_, answered, _] = &mut self.counts;
        *answered += 1;
        self.answered += 1;
        self.current.record(latency);
        self.live.show(self.answered, self.failed);
    }

    pub(super) fn failed(&mut self) {
        let [.., failed] = &mut self.counts;
        *failed += 1;
        self.failed += 1;
        self.live.show(self.answered, self.failed);
    }

    /// A request was given up: its latency is at least this.
    pub(super) fn expired(&mut self, latency: Duration) {
        self.current.record(latency);
    }

    /// Ends the present interval if its time is over.
    pub(super) fn advance(&mut self, now: Instant) {
        while now >= self.end {
            self.close(self.end);
            self.end += self.length;
        }
    }

    fn close(&mut self, end: Instant) {
        let at = self.begin + self.length * u32::try_from(self.intervals.len()).unwrap_or(u32::MAX);
        let mut counts = BucketCounts::new();
        self.current.drain(&mut counts);
        self.latencies.add(&counts);
        let mut own = Latencies::default();
        own.add(&counts);
        counts.clear();
        self.late.drain(&mut counts);
        self.lateness.add(&counts);
        let [offered, answered, failed] = std::mem::take(&mut self.counts);
        let interval = Interval {
            at_s: at.saturating_duration_since(self.begin).as_secs_f64(),
            length_s: end.saturating_duration_since(at).as_secs_f64(),
            offered,
            answered,
            failed,
            p50_ms: quantile_ms(&own, 50.0),
            p99_ms: quantile_ms(&own, 99.0),
            max_ms: quantile_ms(&own, 100.0),
        };
        let p99 = own.quantile(99.0).map_or(0, |p99| p99.as_micros());
        self.live.show_p99(u64::try_from(p99).unwrap_or(u64::MAX));
        self.intervals.push(interval);
    }

    /// Latencies, lateness, the number of good answers, and the course.
    pub(super) fn finish(mut self) -> (Latencies, Latencies, u64, Vec<Interval>) {
        let now = Instant::now();
        self.advance(now);
        // The rest, if it is long enough for rates; else it belongs to the interval before.
        let rest = self.intervals.len();
        self.close(now);
        if let Some(last) =
            self.intervals.get(rest).filter(|last| rest > 0 && last.length_s < self.length.as_secs_f64() / 2.0)
        {
            let (offered, answered, failed, length) = (last.offered, last.answered, last.failed, last.length_s);
            self.intervals.pop();
            if let Some(before) = self.intervals.last_mut() {
                before.offered += offered;
                before.answered += answered;
                before.failed += failed;
                before.length_s += length;
            }
        }
        (self.latencies, self.lateness, self.answered, self.intervals)
    }
}
