//! The metrics of one HTTP worker. Their locks are contended only while a scrape reads them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Totals;
use super::evaluations::EvaluationTimes;
use super::exemplars::Exemplars;
use super::histogram::{Histogram, usual_bucket};
use super::latency::LatencyRecorder;
use crate::domain::{Reason, Verdict};

/// The routes whose requests are for decisions.
const DECISION_ROUTES: [&str; 3] = ["/access/v1/evaluation", "/access/v1/evaluations", "/v1/validate"];

/// The routes at which passwords, secrets, codes and refresh tokens are tried, by POST.
const LOGIN_ROUTES: [&str; 4] = ["/v1/auth/login", "/v1/auth/session", "/v1/auth/refresh", "/oauth2/token"];

/// The labels of requests. Their number is bounded: routes are templates, and unknown methods are `other`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestLabels {
    /// The template of the route, such as `/v1/entities/{type}/{id}`; `None` for a request that fits none.
    pub route: Option<Arc<str>>,
    /// The method.
    pub method: &'static str,
    /// The status of the answer.
    pub status: u16,
}

/// The metrics of one worker.
#[derive(Debug, Default)]
pub struct WorkerMetrics {
    decisions: [AtomicU64; Reason::ALL.len()],
    denials: Mutex<HashMap<Arc<str>, u64>>,
    requests: Mutex<Vec<(RequestLabels, Histogram)>>,
    pub(super) decision_latencies: LatencyRecorder,
    pub(super) token_latencies: LatencyRecorder,
    undecided: AtomicU64,
    refused_credentials: AtomicU64,
    /// Sampled requests in the buckets of their durations.
    exemplars: Mutex<HashMap<RequestLabels, Exemplars>>,
    /// The durations of evaluations.
    pub evaluations: Arc<EvaluationTimes>,
}

impl WorkerMetrics {
    /// Counts a decision that is answered.
    pub fn decided(&self, verdict: &Verdict) {
        if let Some(count) = self.decisions.get(verdict.reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if !verdict.violations.is_empty() {
            let mut denials = self.denials.lock();
            for violation in &verdict.violations {
                match denials.get_mut(&*violation.principle) {
                    Some(count) => *count += 1,
                    None => drop(denials.insert(Arc::clone(&violation.principle), 1)),
                }
            }
        }
    }

    /// Counts a request that was answered after `duration`.
    pub fn answered(&self, labels: RequestLabels, duration: Duration) {
        let route = labels.route.as_deref().unwrap_or_default();
        if DECISION_ROUTES.contains(&route) {
            match labels.status {
                200 => self.decision_latencies.record(duration),
                500.. => {
                    self.undecided.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            }
        }
        if matches!(labels.status, 401 | 429) && labels.method == "POST" && LOGIN_ROUTES.contains(&route) {
            self.refused_credential();
        }
        let mut requests = self.requests.lock();
        // There are few, and the first ones are those of the most frequent requests.
        if let Some((_, histogram)) = requests.iter().find(|(known, _)| *known == labels) {
            return histogram.record(duration);
        }
        let histogram = Histogram::default();
        histogram.record(duration);
        requests.push((labels, histogram));
    }

    /// Counts a credential that was found valid after `duration`.
    pub fn authenticated(&self, duration: Duration) {
        self.token_latencies.record(duration);
    }

    /// Counts a credential that was refused. Refused logins are counted as requests.
    pub fn refused_credential(&self) {
        self.refused_credentials.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps the trace of a sampled request that was answered after `duration`.
    pub fn sampled(&self, labels: &RequestLabels, duration: Duration, trace: String) {
        let mut exemplars = self.exemplars.lock();
        exemplars.entry(labels.clone()).or_default().put(usual_bucket(duration), trace, duration);
    }

    pub(super) fn add_to(&self, totals: &mut Totals) {
        for (total, count) in totals.decisions.iter_mut().zip(&self.decisions) {
            *total += count.load(Ordering::Relaxed);
        }
        totals.undecided += self.undecided.load(Ordering::Relaxed);
        totals.refused_credentials += self.refused_credentials.load(Ordering::Relaxed);
        for (principle, count) in &*self.denials.lock() {
            *totals.denials.entry(Arc::clone(principle)).or_default() += count;
        }
        for (labels, histogram) in &*self.requests.lock() {
            totals.requests.entry(labels.clone()).or_default().add(histogram);
        }
        for (labels, exemplars) in &*self.exemplars.lock() {
            totals.requests.entry(labels.clone()).or_default().exemplars.add(exemplars);
        }
        self.evaluations.add_to(&mut totals.evaluations);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    #[test]
    fn the_totals_are_the_sums_over_all_workers() {
        let metrics = Metrics::default();
        let workers = [metrics.worker(), metrics.worker()];
        let labels = RequestLabels { route: Some("/livez".into()), method: "GET", status: 200 };
        for worker in &workers {
            worker.decided(&Verdict::deny(Reason::NoPermit, "no"));
            worker.answered(labels.clone(), Duration::from_millis(3));
        }
        workers[1].decided(&Verdict::deny(Reason::UnknownType, "no"));
        let totals = metrics.totals();
        let of = |reason: Reason| totals.decisions[reason as usize];
        assert_eq!((of(Reason::NoPermit), of(Reason::UnknownType), of(Reason::Permitted)), (2, 1, 0));
        assert_eq!(totals.requests[&labels].count(), 2);
    }

    #[test]
    fn a_login_that_is_refused_counts_and_a_look_for_a_session_does_not() {
        let metrics = Metrics::default();
        let worker = metrics.worker();
        let answered = |method, route: &str, status| {
            worker.answered(RequestLabels { route: Some(route.into()), method, status }, Duration::from_millis(1));
            metrics.totals().refused_credentials
        };
        assert_eq!(answered("GET", "/v1/auth/session", 401), 0);
        assert_eq!(answered("POST", "/v1/users", 401), 0);
        assert_eq!(answered("POST", "/v1/auth/session", 201), 0);
        assert_eq!(answered("POST", "/v1/auth/session", 401), 1);
        assert_eq!(answered("POST", "/v1/auth/refresh", 401), 2);
        assert_eq!(answered("POST", "/v1/auth/login", 429), 3);
    }

    #[test]
    fn each_reason_has_a_place_of_its_own() {
        let places = Reason::ALL.map(|reason| reason as usize);
        assert_eq!(places.to_vec(), (0..Reason::ALL.len()).collect::<Vec<_>>());
    }
}
