//! The readings of the monitor, and their sources. Reading waits for nothing: answers of other actors and of servers
//! are refreshed by tasks of their own, so that a database that hangs delays no alert.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::compliance::{ComplianceCounts, ComplianceTotals};
use crate::actors::Mailbox;
use crate::actors::audit::checkpoints::Checkpoints;
use crate::actors::audit::index_status::IndexStatus;
use crate::actors::audit::log_size::LogSize;
use crate::actors::audit::queue::{AuditQueue, Health};
use crate::actors::audit::reader::{LogReader, MeasureLog};
use crate::actors::cache::hit_rates::{HitRates, TierRates};
use crate::actors::cache::service_cache::{ServerMemory, SharedVerdicts};
use crate::actors::database::pool_monitor::{PoolMonitor, PoolReport, PoolStatus};
use crate::actors::health::clock_monitor::Steady;
use crate::actors::identity::directory::{Directory, NextKeyExpiry};
use crate::domain::Reason;
use crate::metrics::{BucketCounts, Metrics, ProcessStat};
use crate::store::{Answers, ReplicaStatus, Replicas};

/// How often the pools are asked for their state.
const POOL_INTERVAL: Duration = Duration::from_secs(1);

/// How often Redis is asked for its memory.
const REDIS_INTERVAL: Duration = Duration::from_secs(5);

/// How often the directory is asked for the next expiry of a key.
const EXPIRY_INTERVAL: Duration = Duration::from_mins(1);

/// How often the log is asked for its size, which it measures as often.
const SIZE_INTERVAL: Duration = Duration::from_mins(1);

/// The sources of readings.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Decisions, requests and credentials.
    pub metrics: Metrics,
    /// The audit log.
    pub queue: AuditQueue,
    /// The reader of the audit log.
    pub log: Mailbox<LogReader>,
    /// The pools; the primary's is the first.
    pub pools: Mailbox<PoolMonitor>,
    /// Whether the database answers.
    pub answers: Answers,
    /// The replicas.
    pub replicas: Replicas,
    /// The caches.
    pub rates: HitRates,
    /// Redis, if it is used.
    pub verdicts: Option<SharedVerdicts>,
    /// The search index.
    pub index: IndexStatus,
    /// The checkpoints.
    pub checkpoints: Checkpoints,
    /// Users, clients and keys.
    pub directory: Mailbox<Directory>,
    /// The wall clock.
    pub steady: Steady,
    /// Whether decisions comply.
    pub compliance: ComplianceCounts,
    /// The folder whose disk is watched.
    pub data_dir: PathBuf,
}

/// Free and total bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiskSpace {
    /// Bytes that the daemon can still use.
    pub free: f64,
    /// All bytes.
    pub total: f64,
}

/// Readings of one moment. Counts are since the start, except for durations, which are since the last readings.
#[derive(Debug, Clone)]
pub struct Readings {
    /// The wall clock.
    pub at: OffsetDateTime,
    /// The monotonic clock.
    pub read_at: Instant,
    /// Decisions that permit.
    pub permitted: u64,
    /// Decisions that deny.
    pub denied: u64,
    /// Requests for decisions without a decision.
    pub undecided: u64,
    /// Refused logins and credentials.
    pub refused_credentials: u64,
    /// The durations of requests for decisions.
    pub decision_latencies: BucketCounts,
    /// The durations of validations of credentials.
    pub token_latencies: BucketCounts,
    /// The durations of commits.
    pub commit_latencies: BucketCounts,
    /// Durable records.
    pub records: u64,
    /// Records that wait.
    pub queue: usize,
    /// Whether records become durable.
    pub log_health: Health,
    /// The pools; the primary's is the first.
    pub pools: Vec<PoolReport>,
    /// The time for which the database has answered no caller, while callers wait.
    pub unanswered: Duration,
    /// The replicas.
    pub replicas: Vec<ReplicaStatus>,
    /// Look-ups since the start.
    pub lookups: TierRates,
    /// Look-ups in the window of the settings.
    pub recent_lookups: TierRates,
    /// The memory of Redis at most five seconds ago; `None` while Redis does not answer.
    pub redis: Option<ServerMemory>,
    /// Records that the search index is behind; `None` while it is not open.
    pub index_lag: Option<u64>,
    /// Records that the newest checkpoint covers.
    pub checkpointed: u64,
    /// The size of the log, measured at most two minutes ago; `None` before that.
    pub log_size: Option<LogSize>,
    /// The disk of the data folder.
    pub disk: Option<DiskSpace>,
    /// This process.
    pub process: ProcessStat,
    /// Jumps of the wall clock.
    pub clock_jumps: u64,
    /// When the next API key in use expires, in seconds since 1970.
    pub next_key_expiry: Option<i64>,
    /// Whether decisions comply.
    pub compliance: ComplianceTotals,
}

/// Reads counters and states, and keeps the last answers of other actors.
#[derive(Debug)]
pub(super) struct Reader {
    sources: Sources,
    pools: watch::Receiver<Vec<PoolReport>>,
    redis: watch::Receiver<Option<ServerMemory>>,
    next_key_expiry: watch::Receiver<Option<i64>>,
    log_size: watch::Receiver<Option<LogSize>>,
}

impl Reader {
    /// Starts the tasks that refresh answers. They end after the reader was dropped.
    pub(super) fn start(sources: Sources) -> Self {
        let pools = sources.pools.clone();
        let pools = refresh(POOL_INTERVAL, async move || pools.ask(PoolStatus).await.ok());
        let verdicts = sources.verdicts.clone();
        let redis = refresh(REDIS_INTERVAL, async move || match &verdicts {
            Some(verdicts) => Some(verdicts.status().await.map(|status| status.memory)),
            None => None,
        });
        let directory = sources.directory.clone();
        let next_key_expiry = refresh(EXPIRY_INTERVAL, async move || directory.ask(NextKeyExpiry).await.ok());
        let log = sources.log.clone();
        let log_size = refresh(SIZE_INTERVAL, async move || log.ask(MeasureLog).await.ok().map(Some));
        Self { sources, pools, redis, next_key_expiry, log_size }
    }

    /// Reads once. A value that cannot be read is empty, or as it was read last.
    pub(super) fn read(&self) -> Readings {
        let from = &self.sources;
        let totals = from.metrics.totals();
        let permitted = totals.decisions.get(Reason::Permitted as usize).copied().unwrap_or_default();
        let decided: u64 = totals.decisions.iter().sum();
        let records = from.queue.durable();
        Readings {
            at: OffsetDateTime::now_utc(),
            read_at: Instant::now(),
            permitted,
            denied: decided - permitted,
            undecided: totals.undecided,
            refused_credentials: totals.refused_credentials,
            decision_latencies: from.metrics.drain_decision_latencies(),
            token_latencies: from.metrics.drain_token_latencies(),
            commit_latencies: from.queue.drain_commit_latencies(),
            records,
            queue: from.queue.waiting(),
            log_health: from.queue.health(),
            pools: self.pools.borrow().clone(),
            unanswered: from.answers.unanswered_for(),
            replicas: from.replicas.status(),
            lookups: from.rates.total(),
            recent_lookups: from.rates.recent(),
            redis: self.redis.borrow().clone(),
            index_lag: from.index.next().map(|next| records.saturating_sub(next)),
            checkpointed: from.checkpoints.size(),
            log_size: *self.log_size.borrow(),
            disk: disk_space(&from.data_dir),
            process: ProcessStat::now(),
            clock_jumps: from.steady.jumps(),
            next_key_expiry: *self.next_key_expiry.borrow(),
            compliance: from.compliance.get(),
        }
    }
}

/// The last answer to a question that is asked at this interval. `None` as an answer
/// leaves the last one.
fn refresh<T: Default + 'static>(period: Duration, ask: impl AsyncFn() -> Option<T> + 'static) -> watch::Receiver<T> {
    let (sender, answers) = watch::channel(T::default());
    actix::spawn(async move {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !sender.is_closed() {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                sender.send_replace(answer);
            }
        }
    });
    answers
}

/// The space of the file system of that folder.
fn disk_space(folder: &Path) -> Option<DiskSpace> {
    let found = rustix::fs::statvfs(folder).ok()?;
    #[expect(clippy::cast_precision_loss, reason = "to a few bytes")]
    let bytes = |blocks: u64| blocks as f64 * found.f_frsize as f64;
    Some(DiskSpace { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
}
