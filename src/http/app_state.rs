//! The state shared by all HTTP workers.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use actix::Addr;
use time::OffsetDateTime;

use super::documents::Documents;
use super::pending_writes::PendingWrites;
use super::rate_limit::Limits;
use crate::actors::Mailbox;
use crate::actors::active::InForce;
use crate::actors::audit::checkpoints::Checkpoints;
use crate::actors::audit::denial_sampler::DenialSampler;
use crate::actors::audit::index_status::IndexStatus;
use crate::actors::audit::journal::Journal;
use crate::actors::audit::queue::AuditQueue;
use crate::actors::audit::reader::LogReader;
use crate::actors::audit::searcher::Searcher;
use crate::actors::cache::application_cache::EntityReader;
use crate::actors::cache::service_cache::SharedVerdicts;
use crate::actors::cache::tiers::Tiers;
use crate::actors::database::Database;
use crate::actors::database::change_feed::FeedStatus;
use crate::actors::database::pool_monitor::PoolMonitor;
use crate::actors::decision::registry::Registry;
use crate::actors::decision::warmer::CacheWarmer;
use crate::actors::health::file_monitor::FileStatus;
use crate::actors::identity::directory::{Directory, PendingWithdrawals};
use crate::actors::identity::jwks_fetcher::KeyFetcher;
use crate::actors::identity::login::Logins;
use crate::actors::identity::trust::Trust;
use crate::actors::monitor::MonitorView;
use crate::actors::monitor::compliance::ComplianceSampler;
use crate::auth::stranger::Strangers;
use crate::logging::LevelSwitch;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::store::{Answers, Replicas, Versions};
use crate::trace::Tracer;

/// The state shared by all HTTP workers.
#[derive(Debug, Clone)]
pub struct AppState {
    /// The settings the daemon was started with.
    pub settings: Arc<Settings>,
    /// The address clients use, without a slash at its end.
    pub public_url: Arc<str>,
    /// Constitution and caches.
    pub decision: DecisionState,
    /// The audit log.
    pub audit: AuditState,
    /// Users, clients, keys and their credentials.
    pub identity: IdentityState,
    /// The database.
    pub store: StoreState,
    /// The findings of the file monitor.
    pub files: FileStatus,
    /// The metrics of all workers.
    pub metrics: Metrics,
    /// Counts decisions that comply.
    pub compliance: ComplianceSampler,
    /// Key figures and alerts.
    pub monitor: MonitorView,
    /// Samples requests and takes their spans; `None` if no collector is set.
    pub tracer: Option<Tracer>,
    /// Changes how much is logged; `None` where only a command is served.
    pub log_level: Option<LevelSwitch>,
    /// Documents about the daemon, once they were asked for.
    pub documents: Documents,
    /// Requests in progress.
    pub in_flight: Arc<AtomicUsize>,
    /// Open streams of key figures.
    pub streams: Arc<AtomicUsize>,
    /// When the daemon became ready to serve.
    pub started_at: OffsetDateTime,
    /// Set when the daemon begins to stop.
    pub draining: Arc<AtomicBool>,
}

/// The constitution in force and the caches.
#[derive(Debug, Clone)]
pub struct DecisionState {
    /// Owns the constitution in force.
    pub registry: Mailbox<Registry>,
    /// The same actor, at which validators register.
    pub registry_addr: Addr<Registry>,
    /// The constitution in force, to be shown.
    pub in_force: InForce,
    /// Reads stored entities through the application cache.
    pub entities: EntityReader,
    /// The fleet's verdicts; `None` without Redis.
    pub verdicts: Option<SharedVerdicts>,
    /// All caches together.
    pub caches: Tiers,
    /// The most frequent questions before the start.
    pub warmer: CacheWarmer,
}

/// The audit log, its readers and its search index.
#[derive(Debug, Clone)]
pub struct AuditState {
    /// Where records wait for the committer.
    pub queue: AuditQueue,
    /// Records events.
    pub journal: Journal,
    /// The log's checkpoints.
    pub checkpoints: Checkpoints,
    /// Reads the log for auditors.
    pub reader: Mailbox<LogReader>,
    /// How far the search index is behind the log.
    pub index_status: IndexStatus,
    /// Searches the index.
    pub searcher: Mailbox<Searcher>,
    /// How many refused requests are recorded.
    pub denial_sampler: DenialSampler,
    /// The form in which unknown names are recorded.
    pub strangers: Strangers,
}

/// The directory of users, clients and keys, and the verification of credentials.
#[derive(Debug, Clone)]
pub struct IdentityState {
    /// Trusted keys and issuers, and withdrawn ids.
    pub trust: Trust,
    /// Users, clients and keys.
    pub directory: Mailbox<Directory>,
    /// Withdrawals of access that are not stored yet.
    pub pending_withdrawals: PendingWithdrawals,
    /// Fetches the keys of foreign issuers.
    pub key_fetcher: Mailbox<KeyFetcher>,
    /// Checks passwords and codes.
    pub logins: Logins,
    /// How often one address or caller may ask for tokens.
    pub rate_limits: Limits,
}

/// The database, its pools and its replicas.
#[derive(Debug, Clone)]
pub struct StoreState {
    /// Reads and writes entities.
    pub database: Mailbox<Database>,
    /// Whether the database answers.
    pub answers: Answers,
    /// How many threads the database actor has.
    pub threads: NonZeroUsize,
    /// Monitors the connection pools.
    pub pool_monitor: Mailbox<PoolMonitor>,
    /// The versions of stored entities.
    pub versions: Versions,
    /// The replicas of the database.
    pub replicas: Replicas,
    /// Whether other daemons may write to the database.
    pub is_shared: bool,
    /// How far changes of other daemons were followed.
    pub feed: FeedStatus,
    /// Changes whose callers got 202, with their outcomes.
    pub writes: PendingWrites,
}
