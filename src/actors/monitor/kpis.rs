//! The key figures with their targets, and the points of the charts.

use std::time::Duration;

use super::figures::{self, COMPLIANCE_WINDOW, Figures};
use crate::actors::cache::hit_rates::HitRate;
use crate::metrics::Latencies;
use crate::metrics::kpi::{Kpi, KpiTarget};
use crate::settings::Settings;
use crate::store::PoolStats;

/// The figures of one second, for charts: names and values, in the order in which they are shown.
pub(super) type Point = [(&'static str, Option<f64>); 20];

/// The window of most figures.
const WINDOW: Option<Duration> = Some(figures::WINDOW);

/// The key figures.
pub(super) fn kpis(figures: &Figures, settings: &Settings) -> Vec<Kpi> {
    let alerts = &settings.monitor.alerts;
    let mut kpis = latencies(figures, settings);
    let rate = f64::from(alerts.min_throughput);
    let (offered, answered) = (figures.offered(), figures.answered());
    let per_second = |name, value| Kpi::new(name, WINDOW, "1/s", Some(value));
    let throughput = per_second("decisions_per_s", answered).target(KpiTarget::Min(rate));
    kpis.push(per_second("decisions_offered_per_s", offered));
    // Without enough requests the target says nothing.
    kpis.push(if offered >= rate { throughput } else { throughput.not_assessed() });
    let window = Some(settings.monitor.cache_hit_rate_window);
    let hits = &figures.now.recent_lookups;
    let hit_rate = |name, rate: HitRate| Kpi::new(name, window, "%", rate.percent());
    kpis.push(hit_rate("hit_rate", hits.overall).target(KpiTarget::Min(settings.cache.hit_rate_target.get())));
    kpis.extend([hit_rate("hit_rate_l1", hits.l1), hit_rate("hit_rate_l2", hits.l2), hit_rate("hit_rate_l3", hits.l3)]);
    kpis.push(
        Kpi::new("compliance", Some(COMPLIANCE_WINDOW), "%", figures.compliance.percent())
            .target(KpiTarget::Min(100.0)),
    );
    kpis.extend(pool(figures, settings));
    let commits = figures.commits.recent();
    kpis.extend([
        Kpi::new("commit_batch", WINDOW, "records", figures.commit_batch()),
        Kpi::new("commit_sync_p50", WINDOW, "ms", quantile(commits, 50.0)),
        Kpi::new("commit_sync_p99", WINDOW, "ms", quantile(commits, 99.0)),
        now("audit_queue", "records", Some(count(figures.now.queue as u64))),
    ]);
    let process = &figures.now.process;
    #[expect(clippy::cast_precision_loss, reason = "a limit in bytes")]
    let memory = alerts.memory.get() as f64;
    kpis.extend([
        now("memory", "bytes", process.resident_bytes).target(KpiTarget::Max(memory)),
        now("cpu", "%", figures.cpu_percent()).target(KpiTarget::Max(alerts.cpu_percent.get())),
        now("open_files", "files", process.open_files),
        now("redis_memory", "%", redis_memory(figures)).target(KpiTarget::Below(alerts.redis_memory_percent.get())),
        now("index_lag", "records", figures.now.index_lag.map(count))
            .target(KpiTarget::Max(count(alerts.index_lag.get() as u64))),
        now("checkpoint_age", "s", Some(figures.unsigned_s()))
            .target(KpiTarget::Max(alerts.checkpoint_age.as_secs_f64())),
        now("disk_free", "%", figures.disk.free_percent()).target(KpiTarget::Min(alerts.disk_free_percent.get())),
        now("disk_full_in", "s", figures.disk.full_in_s()).target(KpiTarget::Min(alerts.disk_full_in.as_secs_f64())),
    ]);
    kpis.extend(log_size(figures, settings));
    kpis
}

/// The growth of the log, which is measured once a minute.
fn log_size(figures: &Figures, settings: &Settings) -> [Kpi; 3] {
    let forecast = figures.now.log_size.map(|size| size.forecast).unwrap_or_default();
    let target = f64::from(settings.monitor.alerts.disk_days_left.get());
    [
        now("log_bytes_per_record", "bytes", forecast.bytes_per_record),
        now("log_growth_per_day", "bytes", forecast.bytes_per_day),
        now("disk_days_left", "days", forecast.days_left).target(KpiTarget::Min(target)),
    ]
}

fn latencies(figures: &Figures, settings: &Settings) -> Vec<Kpi> {
    let alerts = &settings.monitor.alerts;
    let targets = [alerts.latency_p50, alerts.latency_p95, alerts.latency_p99].map(|target| target.as_secs_f64() * 1e3);
    let uptime = Some(figures.uptime());
    let rows = [
        (["decision_latency_p50", "decision_latency_p95", "decision_latency_p99"], WINDOW, figures.decisions.recent()),
        (
            [
                "decision_latency_p50_since_start",
                "decision_latency_p95_since_start",
                "decision_latency_p99_since_start",
            ],
            uptime,
            figures.decisions.all(),
        ),
        (["token_validation_p50", "token_validation_p95", "token_validation_p99"], WINDOW, figures.tokens.recent()),
        (
            [
                "token_validation_p50_since_start",
                "token_validation_p95_since_start",
                "token_validation_p99_since_start",
            ],
            uptime,
            figures.tokens.all(),
        ),
    ];
    let row = |(names, window, latencies): ([&'static str; 3], Option<Duration>, &Latencies)| {
        let percents = [50.0, 95.0, 99.0].into_iter().zip(targets);
        let kpis = names.into_iter().zip(percents).map(|(name, (percent, target))| {
            Kpi::new(name, window, "ms", quantile(latencies, percent)).target(KpiTarget::Max(target))
        });
        kpis.collect::<Vec<_>>()
    };
    rows.into_iter().flat_map(row).collect()
}

fn pool(figures: &Figures, settings: &Settings) -> Vec<Kpi> {
    let primary = figures.now.pools.first().map(|pool| &pool.stats);
    let of = |value: fn(&PoolStats) -> u32| primary.map(|stats| f64::from(value(stats)));
    let wait = primary.map(|stats| stats.waits.p99.as_secs_f64() * 1e3);
    let high = settings.monitor.alerts.pool_utilization_percent.get();
    vec![
        now("pool_size", "connections", of(PoolStats::open)),
        now("pool_busy", "connections", of(PoolStats::busy)),
        now("pool_waiting", "jobs", of(|stats| stats.waiting)),
        Kpi::new("pool_wait_p99", WINDOW, "ms", wait),
        now("pool_utilization", "%", figures.pool_utilization()).target(KpiTarget::Below(high)),
    ]
}

/// The figures between the last two readings; counts are per second.
pub(super) fn point(figures: &Figures) -> Point {
    let (latencies, commits) = (figures.decisions.last(), figures.commits.last());
    let primary = figures.now.pools.first().map(|pool| &pool.stats);
    let hits = &figures.hits;
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    let at = figures.now.at.unix_timestamp() as f64;
    [
        ("at", Some(at)),
        ("permitted", Some(figures.permitted.last_per_second())),
        ("denied", Some(figures.denied.last_per_second())),
        ("p50", quantile(&latencies, 50.0)),
        ("p95", quantile(&latencies, 95.0)),
        ("p99", quantile(&latencies, 99.0)),
        ("hit_l1", hits.l1.percent()),
        ("hit_l2", hits.l2.percent()),
        ("hit_l3", hits.l3.percent()),
        ("hit", hits.overall.percent()),
        ("pool_busy", primary.map(|stats| f64::from(stats.busy()))),
        ("pool_open", primary.map(|stats| f64::from(stats.open()))),
        ("pool_waiting", primary.map(|stats| f64::from(stats.waiting))),
        ("commit_p50", quantile(&commits, 50.0)),
        ("commit_p99", quantile(&commits, 99.0)),
        ("commit_batch", figures.last_commit_batch()),
        ("queue", Some(count(figures.now.queue as u64))),
        ("cpu", figures.cpu_percent()),
        ("memory", figures.now.process.resident_bytes),
        ("open_files", figures.now.process.open_files),
    ]
}

/// The memory of Redis in use, in percent of its limit.
pub(super) fn redis_memory(figures: &Figures) -> Option<f64> {
    let memory = figures.now.redis.as_ref()?;
    let (used, limit) = (memory.used?, memory.limit.filter(|limit| *limit > 0)?);
    Some(count(used) * 100.0 / count(limit))
}

/// A quantile in milliseconds.
pub(super) fn quantile(latencies: &Latencies, percent: f64) -> Option<f64> {
    latencies.quantile(percent).map(|duration| duration.as_secs_f64() * 1e3)
}

fn now(name: &'static str, unit: &'static str, value: Option<f64>) -> Kpi {
    Kpi::new(name, None, unit, value)
}

pub(super) fn count(number: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no count is that large")]
    let number = number as f64;
    number
}
