//! What the monitor reads each second, and from where.

use std::path::{Path, PathBuf};
use std::time::Duration;

use time::OffsetDateTime;

use super::compliance::ComplianceCounts;
use crate::actors::Mailbox;
use crate::actors::audit::checkpoints::Checkpoints;
use crate::actors::audit::index_status::IndexStatus;
use crate::actors::audit::queue::{AuditQueue, Health};
use crate::actors::cache::hit_rates::{HitRates, TierRates};
use crate::actors::cache::service_cache::{ServerMemory, SharedVerdicts};
use crate::actors::database::pool_monitor::{PoolMonitor, PoolReport, PoolStatus};
use crate::actors::health::clock_monitor::Steady;
use crate::actors::identity::directory::{Directory, NextKeyExpiry};
use crate::domain::Reason;
use crate::metrics::{Counts, Metrics, ProcessStat};
use crate::store::{Answers, ReplicaStatus, Replicas};

/// Redis is asked for its memory once in so many seconds.
const REDIS_INTERVAL: u64 = 5;

/// The expiry of keys is asked for once in so many seconds.
const EXPIRY_INTERVAL: u64 = 60;

/// Where readings are from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Decisions, requests and credentials.
    pub metrics: Metrics,
    /// The audit log.
    pub queue: AuditQueue,
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

/// Readings of one second. Counts are since the start, except for durations, which are of that second.
#[derive(Debug, Clone)]
pub struct Readings {
    /// When they were read.
    pub at: OffsetDateTime,
    /// Decisions that permit.
    pub permitted: u64,
    /// Decisions that deny.
    pub denied: u64,
    /// Requests for decisions without a decision.
    pub undecided: u64,
    /// Refused logins and credentials.
    pub refused_credentials: u64,
    /// The durations of requests for decisions.
    pub decision_latencies: Counts,
    /// The durations of validations of credentials.
    pub token_latencies: Counts,
    /// The durations of commits.
    pub commit_latencies: Counts,
    /// Durable records.
    pub records: u64,
    /// Records that wait.
    pub queue: usize,
    /// Whether records become durable.
    pub log_health: Health,
    /// The pools; the primary's is the first.
    pub pools: Vec<PoolReport>,
    /// For how long the database has answered nobody who waits.
    pub unanswered: Duration,
    /// The replicas.
    pub replicas: Vec<ReplicaStatus>,
    /// Look-ups since the start.
    pub lookups: TierRates,
    /// Look-ups in the window of the settings.
    pub recent_lookups: TierRates,
    /// The memory of Redis, as it was last told.
    pub redis: Option<ServerMemory>,
    /// Records that the search index is behind; `None` while it is not open.
    pub index_lag: Option<u64>,
    /// Records that the newest checkpoint covers.
    pub checkpointed: u64,
    /// The disk of the data folder.
    pub disk: Option<DiskSpace>,
    /// This process.
    pub process: ProcessStat,
    /// Jumps of the wall clock.
    pub clock_jumps: u64,
    /// When the next API key in use expires, in seconds since 1970.
    pub next_key_expiry: Option<i64>,
    /// Whether decisions comply.
    pub compliance: super::compliance::Counted,
}

/// Reads.
#[derive(Debug)]
pub(super) struct Reader {
    sources: Sources,
    second: u64,
    redis: Option<ServerMemory>,
    next_key_expiry: Option<i64>,
}

impl Reader {
    pub(super) fn new(sources: Sources) -> Self {
        Self { sources, second: 0, redis: None, next_key_expiry: None }
    }

    /// Reads once. What cannot be read is empty, or as it was read last.
    pub(super) async fn read(&mut self) -> Readings {
        if self.second.is_multiple_of(REDIS_INTERVAL)
            && let Some(verdicts) = &self.sources.verdicts
        {
            self.redis = verdicts.status().await.map(|status| status.memory);
        }
        if self.second.is_multiple_of(EXPIRY_INTERVAL)
            && let Ok(next) = self.sources.directory.ask(NextKeyExpiry).await
        {
            self.next_key_expiry = next;
        }
        self.second += 1;
        let from = &self.sources;
        let pools = from.pools.ask(PoolStatus).await.unwrap_or_default();
        let totals = from.metrics.totals();
        let permitted = totals.decisions.get(Reason::Permitted as usize).copied().unwrap_or_default();
        let decided: u64 = totals.decisions.iter().sum();
        let records = from.queue.durable();
        Readings {
            at: OffsetDateTime::now_utc(),
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
            pools,
            unanswered: from.answers.unanswered_for(),
            replicas: from.replicas.status(),
            lookups: from.rates.total(),
            recent_lookups: from.rates.recent(),
            redis: self.redis.clone(),
            index_lag: from.index.next().map(|next| records.saturating_sub(next)),
            checkpointed: from.checkpoints.size(),
            disk: disk_space(&from.data_dir),
            process: ProcessStat::now(),
            clock_jumps: from.steady.jumps(),
            next_key_expiry: self.next_key_expiry,
            compliance: from.compliance.get(),
        }
    }
}

/// The space of the file system of that folder.
fn disk_space(folder: &Path) -> Option<DiskSpace> {
    let found = rustix::fs::statvfs(folder).ok()?;
    #[expect(clippy::cast_precision_loss, reason = "to a few bytes")]
    let bytes = |blocks: u64| blocks as f64 * found.f_frsize as f64;
    Some(DiskSpace { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
}
