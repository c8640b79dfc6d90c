//! Counters and histograms for `/metrics` and for the key figures.
//!
//! Each HTTP worker records into a [`WorkerMetrics`] of its own. A scrape adds them up.

mod evaluations;
mod exemplars;
mod exposition;
mod histogram;
pub mod kpi;
mod latency;
mod process;
mod rolling;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

pub use evaluations::{EvaluationTimes, EvaluationTotals};
pub use exposition::{Family, Format, Labels, render};
pub use histogram::{Distribution, Histogram};
pub use latency::{BucketCounts, Latencies, LatencyRecorder};
pub use process::{ProcessStat, families as process_families};
pub use rolling::{RollingCount, RollingLatencies};
pub use worker::{RequestLabels, WorkerMetrics};

use crate::domain::Reason;

/// The metrics of all workers; shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Vec<Arc<WorkerMetrics>>>>);

/// The sums over all workers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// The number of decisions for each reason, in the order of [`Reason::ALL`].
    pub decisions: [u64; Reason::ALL.len()],
    /// The number of denials for each principle that was violated.
    pub denials: BTreeMap<Arc<str>, u64>,
    /// The durations of requests, in seconds.
    pub requests: BTreeMap<RequestLabels, Distribution>,
    /// Requests for decisions that were answered with an error of the daemon, such as by too much load.
    pub undecided: u64,
    /// Refused logins and credentials.
    pub refused_credentials: u64,
    /// The durations of evaluations.
    pub evaluations: EvaluationTotals,
}

impl Metrics {
    /// The metrics of one more worker.
    #[must_use]
    pub fn worker(&self) -> Arc<WorkerMetrics> {
        let worker = Arc::new(WorkerMetrics::default());
        self.0.lock().push(Arc::clone(&worker));
        worker
    }

    /// The sums over all workers.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for worker in &*self.0.lock() {
            worker.add_to(&mut totals);
        }
        totals
    }

    /// Takes the durations of requests for decisions out of all workers.
    #[must_use]
    pub fn drain_decision_latencies(&self) -> BucketCounts {
        self.drain(|worker| &worker.decision_latencies)
    }

    /// Takes the durations of the validation of credentials out of all workers.
    #[must_use]
    pub fn drain_token_latencies(&self) -> BucketCounts {
        self.drain(|worker| &worker.token_latencies)
    }

    fn drain(&self, of: fn(&WorkerMetrics) -> &LatencyRecorder) -> BucketCounts {
        let mut all = BucketCounts::new();
        for worker in &*self.0.lock() {
            of(worker).drain(&mut all);
        }
        all
    }
}
