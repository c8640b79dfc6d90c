//! The charts of a load, and of rounds.

use std::time::Duration;

use super::super::baseline::Round;
use super::super::progress::time;
use super::super::regression::RegressionResult;
use super::super::result::{Distribution, LoadResult};
use super::super::samples::Sample;
use super::super::timeline::Interval;
use super::chart::{Chart, Scale, Series};

/// The percentiles that are named on the axis.
const NAMED: [(f64, &str); 6] =
    [(0.0, "0 %"), (90.0, "90 %"), (99.0, "99 %"), (99.9, "99.9 %"), (99.99, "99.99 %"), (99.999, "99.999 %")];

/// All charts, as markup.
#[must_use]
pub fn of_load(load: &LoadResult, duration_s: f64) -> String {
    let course = |title, unit, scale, series, target| Chart {
        title,
        unit,
        scale,
        ticks: time_ticks(duration_s),
        below: "time",
        series,
        target,
        is_wide: false,
    };
    let intervals = |name, value: fn(&Interval) -> Option<f64>| Series {
        name,
        points: load.intervals.iter().map(|one| (one.at_s + one.length_s / 2.0, value(one))).collect(),
    };
    let samples = |name, value: fn(&Sample) -> Option<f64>| Series {
        name,
        points: load.daemon.iter().map(|one| (one.at_s, value(one))).collect(),
    };
    let charts = [
        percentiles(load),
        course(
            "Latency",
            "ms",
            Scale::Logarithmic,
            vec![
                intervals("99th percentile", |one| one.p99_ms),
                intervals("median", |one| one.p50_ms),
                intervals("longest", |one| one.max_ms),
            ],
            None,
        ),
        course(
            "Throughput",
            "decisions/s",
            Scale::Linear(0.0),
            vec![
                intervals("answered", |one| Some(rate(one.answered, one.length_s))),
                intervals("offered", |one| Some(rate(one.offered, one.length_s))),
                intervals("failed", |one| Some(rate(one.failed, one.length_s))),
            ],
            None,
        ),
        course(
            "Cache hit rate",
            "%",
            Scale::Linear(100.0),
            vec![samples("hit rate", |one| one.hit_percent)],
            Some(85.0),
        ),
        course(
            "Processors used by the daemon",
            "%",
            Scale::Linear(100.0),
            vec![samples("processors", |one| one.cpu_percent)],
            Some(70.0),
        ),
        course(
            "Memory of the daemon",
            "MB",
            Scale::Linear(64.0),
            vec![samples("resident memory", |one| Some(one.memory_bytes? / 1e6))],
            None,
        ),
        course(
            "Open descriptors of the daemon",
            "descriptors",
            Scale::Linear(10.0),
            vec![samples("descriptors", |one| one.open_files)],
            None,
        ),
    ];
    format!("<div class=\"charts\">{}</div>", charts.iter().map(Chart::draw).collect::<String>())
}

/// The charts of rounds.
#[must_use]
pub fn of_rounds(result: &RegressionResult) -> String {
    let count = result.rounds.len().max(result.baseline.len()).max(2);
    let last = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let chart = |title, unit, pick: fn(&Round) -> f64| {
        let series = |name, rounds: &[Round]| Series {
            name,
            points: (1_u32..).zip(rounds).map(|(number, round)| (f64::from(number), Some(pick(round)))).collect(),
        };
        let mut lines = vec![series("this run", &result.rounds)];
        if !result.baseline.is_empty() {
            lines.push(series("baseline", &result.baseline));
        }
        Chart {
            title,
            unit,
            scale: Scale::Linear(0.0),
            ticks: vec![(1.0, "1".to_owned()), (last, format!("{last:.0}"))],
            below: "round",
            series: lines,
            target: None,
            is_wide: false,
        }
    };
    let charts = [
        chart("Latency ÷ floor", "times", |round| round.latency_ratio),
        chart("Throughput of decisions ÷ that of /livez", "times", |round| round.throughput_ratio),
    ];
    format!("<div class=\"charts\">{}</div>", charts.iter().map(Chart::draw).collect::<String>())
}

fn percentiles(load: &LoadResult) -> Chart {
    // The longest latency has no place on such an axis; it is in the table.
    let points = |distribution: &Distribution| {
        let curve = distribution.curve.iter().filter(|(percent, _)| *percent < 100.0);
        curve.map(|(percent, ms)| (place(*percent), Some(ms.max(0.001)))).collect::<Vec<_>>()
    };
    let series = |name, distribution: &Distribution| Series { name, points: points(distribution) };
    let most = load.latency.curve.iter().map(|(percent, _)| *percent).filter(|percent| *percent < 100.0);
    let most = most.fold(90.0, f64::max);
    let named = NAMED.iter().filter(|(percent, _)| place(most) - place(*percent) > 0.4);
    let mut ticks: Vec<(f64, String)> = named.map(|(percent, name)| (place(*percent), (*name).to_owned())).collect();
    ticks.push((place(most), format!("{most} %")));
    Chart {
        title: "Latency by percentile",
        unit: "ms",
        scale: Scale::Logarithmic,
        ticks,
        below: "percentile, on a logarithmic axis",
        series: vec![
            series("decisions", &load.latency),
            series("client's own lateness", &load.client_lateness),
            series("floor: /livez", &load.floor.livez),
            series("floor: sync of 4 KiB", &load.floor.sync),
        ],
        target: None,
        is_wide: true,
    }
}

/// The place of a percentile on an axis on which each further nine is as long as the one before.
fn place(percent: f64) -> f64 {
    -(1.0 - percent / 100.0).max(1e-9).log10()
}

fn time_ticks(duration_s: f64) -> Vec<(f64, String)> {
    let at = |share: f64| {
        let seconds = duration_s * share;
        (seconds, time(Duration::from_secs_f64(seconds.max(0.0).round())))
    };
    [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0].into_iter().map(at).collect()
}

fn rate(count: u64, length_s: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 requests")]
    let count = count as f64;
    count / length_s.max(1e-3)
}
