//! The result of a run, as JSON has it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::compliance::ComplianceResult;
use super::measure::Measured;
use super::plan::{self, Kind, Plan};
use super::population::Mix;
use super::regression::RegressionResult;
use super::samples::Sample;
use super::timeline::{Interval, quantile_ms};
use super::verdicts::{Conclusion, Outcome, Verdict};
use crate::metrics::Latencies;

/// The version of this form.
const FORM: u32 = 1;

/// The percentiles of a distribution's curve.
const CURVE: [f64; 22] = [
    0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 85.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99,
    99.995, 99.999, 100.0,
];

/// A run.
#[derive(Debug, Serialize)]
pub struct RunResult {
    form: u32,
    /// Its name, which the records of its decisions have as `bench`.
    pub run: String,
    /// The version of the client.
    pub version: &'static str,
    /// When it began, RFC 3339.
    pub began_at: String,
    /// Where the load was sent.
    pub url: String,
    /// The host of the client.
    pub machine: Machine,
    /// The population.
    pub mix: Mix,
    /// Whether no target is missed, and none is undecided.
    pub passed: bool,
    /// The tests, in the order in which they were run.
    pub tests: Vec<TestResult>,
}

impl RunResult {
    /// From its parts.
    #[must_use]
    pub fn new(run: &str, began_at: String, url: String, mix: Mix, tests: Vec<TestResult>) -> Self {
        let passed = tests.iter().all(|test| test.conclusion() <= Conclusion::Passed);
        let (run, version) = (run.to_owned(), env!("CARGO_PKG_VERSION"));
        Self { form: FORM, run, version, began_at, url, machine: Machine::here(), mix, passed, tests }
    }

    /// The worst of the tests' conclusions.
    #[must_use]
    pub fn conclusion(&self) -> Conclusion {
        self.tests.iter().map(TestResult::conclusion).max().unwrap_or(Conclusion::Passed)
    }
}

/// The host on which the client runs.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Its processors.
    pub processors: usize,
    /// Their model.
    pub model: String,
    /// The kernel.
    pub kernel: String,
    /// The load average of the last minute, at the end of the run.
    pub load_average: String,
}

impl Machine {
    fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let information = read("/proc/cpuinfo");
        let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self {
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            model: model.map_or_else(String::new, |(_, model)| model.trim().to_owned()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_average: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

/// Percentiles of a distribution, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Distribution {
    /// The number of values.
    pub count: u64,
    /// The median.
    pub p50_ms: Option<f64>,
    /// The 95th percentile.
    pub p95_ms: Option<f64>,
    /// The 99th percentile.
    pub p99_ms: Option<f64>,
    /// The 99.9th percentile.
    pub p999_ms: Option<f64>,
    /// The largest value.
    pub max_ms: Option<f64>,
    /// Pairs of a percentile and its value, as far as there are enough values for it.
    pub curve: Vec<(f64, f64)>,
}

impl Distribution {
    /// Of these values.
    #[must_use]
    pub fn of(values: &Latencies) -> Self {
        let at = |percent| quantile_ms(values, percent);
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 values")]
        let count = values.count() as f64;
        let enough = |percent: &f64| *percent <= 50.0 || *percent >= 100.0 || count * (100.0 - percent) >= 100.0;
        let curve = CURVE.into_iter().filter(enough).filter_map(|percent| Some((percent, at(percent)?)));
        Self {
            count: values.count(),
            p50_ms: at(50.0),
            p95_ms: at(95.0),
            p99_ms: at(99.0),
            p999_ms: at(99.9),
            max_ms: at(100.0),
            curve: curve.collect(),
        }
    }
}

/// What the machine took for the parts of a decision, and how many times as long decisions took.
#[derive(Debug, Clone, Serialize)]
pub struct Floor {
    /// `GET /livez` with the same client, during the load.
    pub livez: Distribution,
    /// A sync of 4 KiB by a thread that slept, during the load.
    pub sync: Distribution,
    /// The median latency of decisions ÷ the sum of both medians.
    pub p50_ratio: Option<f64>,
    /// The same of 99th percentiles.
    pub p99_ratio: Option<f64>,
}

/// A load and its figures.
#[derive(Debug, Serialize)]
pub struct LoadResult {
    /// Requests that were due.
    pub offered: u64,
    /// Good answers.
    pub answered: u64,
    /// Good answers a second.
    pub throughput: f64,
    /// Failures, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Answers that differ from the verdict before the run, as they do after entities were changed.
    pub unexpected: u64,
    /// From when a request was due until its answer was there.
    pub latency: Distribution,
    /// From when a request was due until the client ran to send it.
    pub client_lateness: Distribution,
    /// The floor.
    pub floor: Floor,
    /// The hit rate of all caches together, in percent.
    pub hit_percent: Option<f64>,
    /// The course of the load.
    pub intervals: Vec<Interval>,
    /// The daemon's figures in the course of the load.
    pub daemon: Vec<Sample>,
}

/// A test.
#[derive(Debug, Serialize)]
pub struct TestResult {
    /// Which one.
    pub kind: Kind,
    /// Requests a second.
    pub rate: u32,
    /// How long requests were to be due, in seconds.
    pub duration_s: f64,
    /// Whether it was ended early.
    pub interrupted: bool,
    /// Its targets.
    pub verdicts: Vec<Verdict>,
    /// Its load.
    pub load: Option<LoadResult>,
    /// The comparison of answers, and with the log.
    pub compliance: Option<ComplianceResult>,
    /// The comparison with a baseline.
    pub regression: Option<RegressionResult>,
}

impl TestResult {
    /// How it ended.
    #[must_use]
    pub fn conclusion(&self) -> Conclusion {
        if self.verdicts.iter().any(|verdict| verdict.outcome == Outcome::Missed) {
            return Conclusion::Missed;
        }
        self.regression.as_ref().map_or(Conclusion::Passed, RegressionResult::conclusion)
    }

    /// Of a load.
    #[must_use]
    pub fn of(plan: &Plan, measured: &Measured) -> Self {
        let (load, verdicts) = load_result(plan, measured);
        Self {
            kind: plan.kind,
            rate: plan.rate.get(),
            duration_s: plan.duration.as_secs_f64(),
            interrupted: measured.interrupted,
            verdicts,
            load: Some(load),
            compliance: None,
            regression: None,
        }
    }

    /// The same with a comparison of all answers.
    #[must_use]
    pub fn of_compliance(plan: &Plan, measured: &Measured, compliance: ComplianceResult) -> Self {
        let mut test = Self::of(plan, measured);
        let compared = compliance.equal + compliance.different;
        test.verdicts.push(Verdict::of(plan::COMPLIANCE, Some(compliance.percent)).noting(format!(
            "{compared} answers compared with fresh evaluations, {} records read",
            compliance.log.records
        )));
        test.compliance = Some(compliance);
        test
    }

    /// Of a comparison with a baseline, and the number of requests that failed in it.
    #[must_use]
    pub fn of_regression(plan: &Plan, interrupted: bool, failed: u64, regression: RegressionResult) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 requests")]
        let failed = failed as f64;
        Self {
            kind: plan.kind,
            rate: plan.rate.get(),
            duration_s: plan.duration.as_secs_f64(),
            interrupted,
            verdicts: vec![Verdict::of(plan::ERRORS, Some(failed))],
            load: None,
            compliance: None,
            regression: Some(regression),
        }
    }
}

fn load_result(plan: &Plan, measured: &Measured) -> (LoadResult, Vec<Verdict>) {
    let Measured { run, livez, sync, sampler, unexpected, .. } = measured;
    let at = |percent| quantile_ms(&run.latencies, percent);
    let longer = |percent| {
        let floors = [quantile_ms(livez, percent), quantile_ms(sync, percent)];
        floors.into_iter().flatten().reduce(f64::max)
    };
    let latency = |target, percent| Verdict::of_latency(target, at(percent), longer(percent));
    let ratio = |percent| Some(at(percent)? / (quantile_ms(livez, percent)? + quantile_ms(sync, percent)?));
    let (cpu, memory) = sampler.processors_and_memory();
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 requests")]
    let failed = run.failed() as f64;
    let mut verdicts = vec![latency(plan::P99, 99.0), latency(plan::P95, 95.0), latency(plan::P50, 50.0)];
    // A lower rate cannot meet the target, and says nothing about it.
    if plan.rate.get() > 100 {
        verdicts.push(Verdict::of(plan::THROUGHPUT, Some(run.throughput())));
    }
    verdicts.extend([
        Verdict::of(plan::HIT_RATE, sampler.hit_percent()),
        Verdict::of(plan::MEMORY, memory.map(|bytes| bytes / 1e6)),
        Verdict::of(plan::CPU, cpu),
        Verdict::of(plan::ERRORS, Some(failed)),
    ]);
    let load = LoadResult {
        offered: run.offered,
        answered: run.answered,
        throughput: run.throughput(),
        errors: run.errors.clone(),
        unexpected: *unexpected,
        latency: Distribution::of(&run.latencies),
        client_lateness: Distribution::of(&run.late),
        floor: Floor {
            livez: Distribution::of(livez),
            sync: Distribution::of(sync),
            p50_ratio: ratio(50.0),
            p99_ratio: ratio(99.0),
        },
        hit_percent: sampler.hit_percent(),
        intervals: run.intervals.clone(),
        daemon: sampler.samples(),
    };
    (load, verdicts)
}

/// The result as JSON.
#[must_use]
pub fn to_json(result: &RunResult) -> String {
    let value = serde_json::to_value(result).unwrap_or(Value::Null);
    serde_json::to_string_pretty(&value).unwrap_or_default()
}
