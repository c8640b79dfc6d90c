//! The state available to the handlers of one HTTP worker.

use std::cell::OnceCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Actor, Addr};
use nonzero_ext::nonzero;

use super::body::Bounds;
use super::host::AcceptedHosts;
use super::limits::Limits;
use super::recording::RecordedSets;
use super::refusals::Refusals;
use super::web_page::WebPages;
use super::writes::Writes;
use crate::actors::Mailbox;
use crate::actors::audit::checkpoints::Checkpoints;
use crate::actors::audit::index_status::IndexStatus;
use crate::actors::audit::journal::Journal;
use crate::actors::audit::logger::AuditLogger;
use crate::actors::audit::queue::AuditQueue;
use crate::actors::audit::reader::LogReader;
use crate::actors::audit::searcher::Searcher;
use crate::actors::cache::application_cache::EntityReader;
use crate::actors::cache::request_cache::{RequestCache, RequestCacheOptions};
use crate::actors::cache::service_cache::SharedVerdicts;
use crate::actors::cache::tiers::Tiers;
use crate::actors::database::Database;
use crate::actors::database::change_feed::FeedStatus;
use crate::actors::database::pool_monitor::PoolKeeper;
use crate::actors::decision::active::InForce;
use crate::actors::decision::large_requests::LargeRequests;
use crate::actors::decision::registry::{Register, Registry};
use crate::actors::decision::validator::{Validator, Warm};
use crate::actors::decision::warmer::CacheWarmer;
use crate::actors::health::file_monitor::FileStatus;
use crate::actors::identity::authenticator::Authenticator;
use crate::actors::identity::directory::{Directory, OwedWithdrawals};
use crate::actors::identity::jwks_fetcher::KeyFetcher;
use crate::actors::identity::lockouts::Lockouts;
use crate::actors::identity::password_hasher::Passwords;
use crate::actors::identity::trust::Trust;
use crate::auth::stranger::Strangers;
use crate::settings::Settings;
use crate::store::{Answers, Replicas, Versions};

/// How many callers a worker remembers.
const CALLERS: NonZeroUsize = nonzero!(16_384_usize);

/// The state shared by all workers.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The settings the daemon was started with.
    pub settings: Arc<Settings>,
    /// The address clients use, without a slash at its end.
    pub public_url: Arc<str>,
    /// The entity store.
    pub database: Mailbox<Database>,
    /// Whether the database answers its callers.
    pub answers: Answers,
    /// The findings of the file monitor.
    pub files: FileStatus,
    /// How many threads the entity store has.
    pub database_threads: NonZeroUsize,
    /// Monitors the connection pools.
    pub pool_keeper: Mailbox<PoolKeeper>,
    /// Owns the constitution in force.
    pub registry: Mailbox<Registry>,
    /// The same actor, at which validators register.
    pub registry_addr: Addr<Registry>,
    /// The constitution in force, to be shown.
    pub in_force: InForce,
    /// Where records wait for the audit log.
    pub audit_queue: AuditQueue,
    /// Where events are recorded.
    pub journal: Journal,
    /// The log's checkpoints.
    pub checkpoints: Checkpoints,
    /// Reads the log for auditors.
    pub log_reader: Mailbox<LogReader>,
    /// How far the log is copied into the database.
    pub index_status: IndexStatus,
    /// Searches the index of the log.
    pub searcher: Mailbox<Searcher>,
    /// The way to stored entities.
    pub entities: EntityReader,
    /// The versions of stored entities.
    pub versions: Versions,
    /// The replicas of the database.
    pub replicas: Replicas,
    /// Whether other daemons may write to the database.
    pub is_database_shared: bool,
    /// The fleet's verdicts; `None` without Redis.
    pub verdicts: Option<SharedVerdicts>,
    /// All caches together.
    pub tiers: Tiers,
    /// The most frequent questions before the start.
    pub warmer: CacheWarmer,
    /// How far changes of other daemons were followed.
    pub following: FeedStatus,
    /// Whose credentials count.
    pub trust: Trust,
    /// People, clients and keys.
    pub directory: Mailbox<Directory>,
    /// Withdrawals of access that are not stored yet.
    pub owed_withdrawals: OwedWithdrawals,
    /// Fetches the keys of foreign issuers.
    pub key_fetcher: Mailbox<KeyFetcher>,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// Throttles password guessing.
    pub lockouts: Lockouts,
    /// How often one address may ask for tokens.
    pub limits: Limits,
    /// How many refusals are recorded.
    pub refusals: Refusals,
    /// The form in which unknown names are recorded.
    pub strangers: Strangers,
    /// Changes whose callers got 202, with their outcomes.
    pub writes: Writes,
    /// Requests in progress.
    pub in_flight: Arc<AtomicUsize>,
    /// Set when the daemon begins to stop.
    pub draining: Arc<AtomicBool>,
}

/// One worker's own actors, and the state shared by all workers.
#[derive(Debug, Clone)]
pub struct WorkerState {
    /// The state shared by all workers.
    pub shared: Shared,
    /// Decides.
    pub validator: Addr<Validator>,
    /// Knows callers.
    pub authenticator: Addr<Authenticator>,
    /// Records.
    pub audit: Addr<AuditLogger>,
    /// Which entities are recorded already.
    pub recorded_sets: RecordedSets,
    /// The hosts that requests may name.
    pub hosts: Rc<AcceptedHosts>,
    /// The origins of web pages that may call.
    pub pages: Rc<WebPages>,
    /// The slots for large requests of this worker.
    pub large_requests: LargeRequests,
}

thread_local! {
    /// The app factory runs once per worker *and* per listener, so the actors are kept per thread.
    static HERE: OnceCell<WorkerState> = const { OnceCell::new() };
}

impl WorkerState {
    /// The state of this HTTP worker, started on first use.
    #[must_use]
    pub fn here(shared: &Shared) -> Self {
        HERE.with(|here| here.get_or_init(|| Self::start(shared)).clone())
    }

    fn start(shared: &Shared) -> Self {
        let cache = &shared.settings.cache;
        let options =
            RequestCacheOptions { capacity: cache.l1.capacity, max_bytes: cache.l1.max_bytes, ttl: cache.default_ttl };
        let cache = RequestCache::new(options, shared.versions.clone()).start();
        shared.tiers.add(cache.clone());
        let validator = Validator::start(
            shared.in_force.get(),
            cache,
            shared.entities.clone(),
            shared.verdicts.clone(),
            shared.tiers.rates().worker(),
        );
        shared.registry_addr.do_send(Register(validator.clone().recipient()));
        let (warmer, target) = (shared.warmer.clone(), validator.clone());
        actix::spawn(async move {
            target.do_send(Warm(warmer.questions().await));
        });
        let authenticator =
            Authenticator::start(shared.trust.clone(), shared.directory.clone(), shared.key_fetcher.clone(), CALLERS);
        Self {
            validator,
            authenticator,
            audit: AuditLogger::start(shared.audit_queue.clone(), shared.settings.audit.durability),
            recorded_sets: RecordedSets::default(),
            hosts: Rc::new(AcceptedHosts::of(&shared.settings.http)),
            pages: Rc::new(WebPages::of(&shared.settings.http)),
            large_requests: LargeRequests::new(shared.settings.http.max_large_requests),
            shared: shared.clone(),
        }
    }

    /// How large a body may be, and how long it may take to arrive.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        Bounds { bytes: self.shared.settings.http.max_body_bytes.get(), time: self.deadline() }
    }

    /// How long a request may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.shared.settings.http.request_timeout
    }

    /// Whether the daemon is on its way out.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }
}
