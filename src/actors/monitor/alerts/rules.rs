//! The table of all alert rules.

use std::time::Duration;

use super::super::figures::Figures;
use super::super::kpis::{count, quantile, redis_memory};
use super::rule::{AlertRule, AlertSeverity, Bound};
use crate::actors::audit::queue::Health;
use crate::settings::Settings;
use crate::store::{Answers, PoolLoad};

/// The least number of decisions or look-ups in the window for a figure of them.
const MIN_SAMPLES: u64 = 20;

/// The bound of a state: the alert fires while the state lasts.
const fn while_true(_: &Settings) -> Bound {
    Bound::AtLeast(1.0)
}

fn state(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Whether the peak of used connections of a pool is at this load, or above.
fn pools_at(figures: &Figures, load: PoolLoad) -> Option<f64> {
    let pools = &figures.now.pools;
    if pools.is_empty() { None } else { Some(state(pools.iter().any(|pool| pool.load >= load))) }
}

/// A latency, unless too few decisions were made.
fn latency(figures: &Figures, percent: f64) -> Option<f64> {
    let latencies = figures.decisions.recent();
    (latencies.count() >= MIN_SAMPLES).then(|| quantile(latencies, percent)).flatten()
}

const LATENCY_MEANING: &str = "Agents wait longer for decisions than they should. The figure is of the last 60 seconds, \
                               from the first byte of a request to the last of its answer.";
const LATENCY_REMEDY: &str = "Look at `commit_sync_p99` of /v1/performance first: if it is as long, the disk of the \
                              audit log is slow. If the hit rate is low, entities are read from the database: see the \
                              alert `hit_rate`, and `pool_wait_p99`. If `cpu` is high, more processors or nodes are \
                              needed. Large batches take longer than single decisions.";

/// All alerts, roughly from the most to the least urgent.
pub const RULES: [AlertRule; 24] = [
    AlertRule {
        name: "audit_log_unwritable",
        severity: AlertSeverity::Critical,
        summary: "the audit log cannot be written",
        meaning: "No decision is made, since none could be recorded: every request for a decision gets 503.",
        remedy: "`acgs status` and /readyz?verbose name the cause: a full disk, a disk that hangs, or a file that was \
                 removed or replaced. Free space or repair the disk; decisions resume by themselves, but for a failed \
                 sync, after which the service manager restarts the daemon.",
        unit: "",
        at_once: true,
        margin_percent: 0.0,
        bound: while_true,
        figure: |figures, _| Some(state(figures.now.log_health != Health::Writing)),
    },
    AlertRule {
        name: "compliance",
        severity: AlertSeverity::Critical,
        summary: "decisions do not comply",
        meaning: "A decision of the last minute was made under a constitution that was not in force, has no \
                  durable record, or differs from a fresh evaluation without caches.",
        remedy: "Search the audit log for records of the kind `compliance`. One with `disagreed` names a decision and both \
                 verdicts: if the database was changed other than through the API, undo that; the caches were emptied. \
                 One with `noncompliant` has the numbers of decisions that were made under another constitution \
                 (`displaced`) or without a durable record (`unrecorded`): compare decisions of that second with the \
                 constitution in force, and repeat those that are missing in the log. Report `noncompliant`, and a \
                 disagreement without a change of the database, as a fault of this program.",
        unit: "%",
        at_once: true,
        margin_percent: 0.0,
        bound: |_| Bound::Below(100.0),
        figure: |figures, _| figures.compliance.percent(),
    },
    AlertRule {
        name: "database_unavailable",
        severity: AlertSeverity::Critical,
        summary: "the database does not answer",
        meaning: "Decisions whose entities are not cached are denied as `unavailable`, and nothing can be changed.",
        remedy: "`acgs status` has the error. Start the database, or mend the network or the credentials; the pool \
                 connects again by itself.",
        unit: "",
        at_once: false,
        margin_percent: 0.0,
        bound: while_true,
        figure: |figures, _| {
            let is_faulty = figures.now.pools.first().is_some_and(|pool| pool.fault.is_some());
            Some(state(is_faulty || figures.now.unanswered >= Answers::HANGS_AFTER))
        },
    },
    AlertRule {
        name: "disk_space",
        severity: AlertSeverity::Critical,
        summary: "the disk of the data folder is nearly full",
        meaning: "When it is full, no decision can be recorded, and so none is made.",
        remedy: "Free space or enlarge the disk. `acgs audit size` says what the audit log takes; other programs may \
                 use the same disk.",
        unit: "%",
        at_once: false,
        margin_percent: 5.0,
        bound: |settings| Bound::Below(settings.monitor.alerts.disk_free_percent.get()),
        figure: |figures, _| figures.disk.free_percent(),
    },
    AlertRule {
        name: "disk_growth",
        severity: AlertSeverity::Critical,
        summary: "the disk of the data folder will soon be full",
        meaning: "At the growth of the last five minutes there is no space left after this many seconds.",
        remedy: "Find out what writes: `audit.bytes` of /v1/status is the size of the log, and other programs may use the \
                 same disk. Free space or reduce the load.",
        unit: "s",
        at_once: false,
        margin_percent: 50.0,
        bound: |settings| Bound::Below(settings.monitor.alerts.disk_full_in.as_secs_f64()),
        figure: |figures, _| figures.disk.full_in_s(),
    },
    AlertRule {
        name: "disk_days_left",
        severity: AlertSeverity::Warning,
        summary: "the audit log will fill its disk in some days",
        meaning: "At the growth of the last day, and at the size that records have in the archive, the disk is full \
                  after this many days.",
        remedy: "Enlarge the disk, or move the data folder to a larger one, before that. `acgs audit size` shows what \
                 the log takes and what it grows by.",
        unit: "days",
        at_once: false,
        margin_percent: 10.0,
        bound: |settings| Bound::Below(f64::from(settings.monitor.alerts.disk_days_left.get())),
        figure: |figures, _| figures.now.log_size.as_ref().and_then(|size| size.forecast.days_left),
    },
    AlertRule {
        name: "pool_exhausted",
        severity: AlertSeverity::Critical,
        summary: "all database connections are in use",
        meaning: "Work waits for connections; what waits longer than `database.pool.acquire_timeout_ms` gets 503.",
        remedy: "If queries are slow, look at the database. If they are not, enlarge `database.pool.size` or \
                 `database.pool.max_overflow`, as far as the server allows connections.",
        unit: "",
        at_once: false,
        margin_percent: 0.0,
        bound: while_true,
        figure: |figures, _| pools_at(figures, PoolLoad::Exhausted),
    },
    AlertRule {
        name: "clock_step",
        severity: AlertSeverity::Critical,
        summary: "the wall clock jumped or stands still",
        meaning: "In the last minute the wall clock moved otherwise than time does. Tokens are judged by it, and \
                  records are dated by it. Withdrawn access stays withdrawn.",
        remedy: "Set up time synchronization that slews (chrony, systemd-timesyncd). If the clock was wrong before, \
                 `acgs key rotate token --withdraw` ends all tokens.",
        unit: "jumps",
        at_once: true,
        margin_percent: 0.0,
        bound: while_true,
        figure: |figures, _| Some(count(figures.clock_jumps.recent())),
    },
    AlertRule {
        name: "latency_p99",
        severity: AlertSeverity::Critical,
        summary: "the slowest decisions are too slow",
        meaning: LATENCY_MEANING,
        remedy: LATENCY_REMEDY,
        unit: "ms",
        at_once: false,
        margin_percent: 10.0,
        bound: |settings| Bound::Above(ms(settings.monitor.alerts.latency_p99)),
        figure: |figures, _| latency(figures, 99.0),
    },
    AlertRule {
        name: "latency_p95",
        severity: AlertSeverity::Warning,
        summary: "slow decisions are too slow",
        meaning: LATENCY_MEANING,
        remedy: LATENCY_REMEDY,
        unit: "ms",
        at_once: false,
        margin_percent: 10.0,
        bound: |settings| Bound::Above(ms(settings.monitor.alerts.latency_p95)),
        figure: |figures, _| latency(figures, 95.0),
    },
    AlertRule {
        name: "latency_p50",
        severity: AlertSeverity::Warning,
        summary: "half of the decisions are too slow",
        meaning: LATENCY_MEANING,
        remedy: LATENCY_REMEDY,
        unit: "ms",
        at_once: false,
        margin_percent: 10.0,
        bound: |settings| Bound::Above(ms(settings.monitor.alerts.latency_p50)),
        figure: |figures, _| latency(figures, 50.0),
    },
    AlertRule {
        name: "throughput",
        severity: AlertSeverity::Critical,
        summary: "fewer decisions are answered than are asked for",
        meaning: "More decisions per second are asked for than the target, and fewer are answered: requests fail with \
                  errors of the daemon.",
        remedy: "acgs_http_request_duration_seconds at /metrics counts requests by status; /readyz?verbose names what fails. 503 with \
                 `overloaded` means that more processors or nodes are needed.",
        unit: "1/s",
        at_once: false,
        margin_percent: 10.0,
        bound: |settings| Bound::Below(f64::from(settings.monitor.alerts.min_throughput)),
        figure: |figures, settings| {
            let is_asked = figures.offered() >= f64::from(settings.monitor.alerts.min_throughput);
            (is_asked && figures.undecided.recent() >= MIN_SAMPLES).then(|| figures.answered())
        },
    },
    AlertRule {
        name: "hit_rate",
        severity: AlertSeverity::Warning,
        summary: "few decisions come from caches",
        meaning: "The database is asked for more decisions than it should be, so they are slower.",
        remedy: "After a start or a reload the caches fill within minutes. Otherwise look at /v1/cache: enlarge the tier \
                 that is full (`cache.l1.capacity`, `cache.l3.capacity`), and find out whether entities are written all \
                 the time, which makes their verdicts outdated.",
        unit: "%",
        at_once: false,
        margin_percent: 1.0,
        bound: |settings| Bound::Below(settings.cache.hit_rate_target.get()),
        figure: |figures, _| {
            let overall = figures.now.recent_lookups.overall;
            (overall.hits + overall.misses >= MIN_SAMPLES).then(|| overall.percent()).flatten()
        },
    },
    AlertRule {
        name: "pool_utilization",
        severity: AlertSeverity::Warning,
        summary: "most database connections are in use",
        meaning: "With a little more load, work will wait for connections.",
        remedy: "As for `pool_exhausted`: look for slow queries, or enlarge `database.pool.size`.",
        unit: "",
        at_once: false,
        margin_percent: 0.0,
        bound: while_true,
        figure: |figures, _| pools_at(figures, PoolLoad::High),
    },
    AlertRule {
        name: "redis_memory",
        severity: AlertSeverity::Warning,
        summary: "Redis is nearly full",
        meaning: "Redis uses most of its `maxmemory`. Verdicts are evicted, or not taken, so fewer come from the shared \
                  cache; no answer changes by that.",
        remedy: "Enlarge `maxmemory` of the server, or remove what other programs keep there.",
        unit: "%",
        at_once: false,
        margin_percent: 5.0,
        bound: |settings| Bound::AtLeast(settings.monitor.alerts.redis_memory_percent.get()),
        figure: |figures, _| redis_memory(figures),
    },
    AlertRule {
        name: "redis_policy",
        severity: AlertSeverity::Warning,
        summary: "Redis is not configured as a cache",
        meaning: "`maxmemory` is not set, or `maxmemory-policy` is neither `allkeys-lru` nor `allkeys-lfu`: when its \
                  memory is full, Redis refuses new verdicts, or the host runs out of memory.",
        remedy: "Set `maxmemory` and `maxmemory-policy allkeys-lru` in the configuration of the server.",
        unit: "",
        at_once: false,
        margin_percent: 0.0,
        bound: while_true,
        figure: |figures, _| figures.now.redis.as_ref().map(|memory| state(memory.advice().is_some())),
    },
    AlertRule {
        name: "replica_lag",
        severity: AlertSeverity::Warning,
        summary: "a replica is not used",
        meaning: "A read replica does not answer, or is further behind than `database.max_replica_lag_ms`; the primary \
                  has its load.",
        remedy: "GET /v1/pool shows the lag and the error of each replica.",
        unit: "replicas",
        at_once: false,
        margin_percent: 0.0,
        bound: while_true,
        figure: |figures, _| {
            let unhealthy = figures.now.replicas.iter().filter(|replica| !replica.is_healthy).count();
            (!figures.now.replicas.is_empty()).then(|| count(unhealthy as u64))
        },
    },
    AlertRule {
        name: "index_lag",
        severity: AlertSeverity::Warning,
        summary: "the search index is far behind the audit log",
        meaning: "Searches do not find the newest records, and segments of the log are not archived. Decisions go on.",
        remedy: "/readyz?verbose says whether the index has a fault. Otherwise it has too little of the disk or the \
                 processor: it catches up when the load is lower.",
        unit: "records",
        at_once: false,
        margin_percent: 20.0,
        bound: |settings| Bound::Above(count(settings.monitor.alerts.index_lag.get() as u64)),
        figure: |figures, _| figures.now.index_lag.map(count),
    },
    AlertRule {
        name: "checkpoint_age",
        severity: AlertSeverity::Critical,
        summary: "records have no signed checkpoint",
        meaning: "The newest records cannot be proved to outsiders, and a rollback of them would not be noticed.",
        remedy: "/readyz?verbose names the fault: most often tiles or checkpoints cannot be written.",
        unit: "s",
        at_once: false,
        margin_percent: 0.0,
        bound: |settings| Bound::Above(settings.monitor.alerts.checkpoint_age.as_secs_f64()),
        figure: |figures, _| Some(figures.unsigned_s()),
    },
    AlertRule {
        name: "key_expiry",
        severity: AlertSeverity::Warning,
        summary: "an API key in use expires soon",
        meaning: "An API key that was used in the last 30 days expires in this many days; its service will then be \
                  refused. The daemon's own signing keys are replaced by themselves.",
        remedy: "`acgs api-key list` shows the expiries. Make a new key, deploy it, and revoke the old one.",
        unit: "days",
        at_once: true,
        margin_percent: 0.0,
        bound: |settings| Bound::Below(f64::from(settings.monitor.alerts.key_expiry_days.get())),
        figure: |figures, _| {
            let left = figures.now.next_key_expiry? - figures.now.at.unix_timestamp();
            Some(count(u64::try_from(left).unwrap_or(0)) / 86_400.0)
        },
    },
    AlertRule {
        name: "login_failures",
        severity: AlertSeverity::Warning,
        summary: "many logins or credentials are refused",
        meaning: "In the last minute many passwords, tokens or keys were refused: a password or key is being guessed, or a \
                  service uses a credential that was withdrawn or has expired.",
        remedy: "Find the address in the refused logins and credentials: the dashboard lists them under What was changed of \
                 Operations, and `/v1/audit/entries?kind=auth` has them. Block it, or give the service a new credential.",
        unit: "1/min",
        at_once: true,
        margin_percent: 50.0,
        bound: |settings| Bound::AtLeast(f64::from(settings.monitor.alerts.refused_credentials.get())),
        figure: |figures, _| Some(count(figures.refused_credentials.recent())),
    },
    AlertRule {
        name: "denial_surge",
        severity: AlertSeverity::Warning,
        summary: "many more decisions than usual are denials",
        meaning: "In the last ten minutes there were many times as many denials as in ten minutes of the hour before, and \
                  as in the same ten minutes of the day before: an agent misbehaves, or the constitution or the entities \
                  were changed by mistake.",
        remedy: "The dashboard's page Denials shows the principles and the subjects of denials. Compare with changes of the \
                 constitution and of entities in the audit log.",
        unit: "times",
        at_once: true,
        margin_percent: 33.0,
        bound: |settings| Bound::AtLeast(f64::from(settings.monitor.alerts.denial_surge.get())),
        figure: |figures, _| figures.denials.surge(),
    },
    AlertRule {
        name: "memory",
        severity: AlertSeverity::Warning,
        summary: "the process uses much memory",
        meaning: "It uses more than `monitor.alerts.memory_bytes`. If the host runs out of memory, the kernel ends it.",
        remedy: "Reduce `cache.l1.max_bytes` or `cache.l3.max_bytes`, or raise the threshold if the host has the memory.",
        unit: "bytes",
        at_once: false,
        margin_percent: 5.0,
        bound: |settings| Bound::Above(count(settings.monitor.alerts.memory.get() as u64)),
        figure: |figures, _| figures.now.process.resident_bytes,
    },
    AlertRule {
        name: "cpu",
        severity: AlertSeverity::Warning,
        summary: "the process uses most of the processors",
        meaning: "Little more load fits on this host: latencies will rise.",
        remedy: "Add processors, or nodes that share the database; look at the hit rate, since cached decisions cost \
                 least.",
        unit: "%",
        at_once: false,
        margin_percent: 10.0,
        bound: |settings| Bound::Above(settings.monitor.alerts.cpu_percent.get()),
        figure: |figures, _| figures.cpu_percent(),
    },
];
