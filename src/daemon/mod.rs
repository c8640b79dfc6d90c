//! The composition root: opens settings, constitution, audit log and database, starts actors and server, and stops
//! them again.

mod audit_subsystem;
mod descriptors;
mod error;
mod files;
mod fleet;
mod folders;
mod identity;
mod monitoring;
mod pools;
mod reload;
mod rollback;
mod signals;
mod source;
mod upkeep;
mod waiting;

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix::Actor;
use actix_web::dev::ServerHandle;
use actix_web::rt::task::JoinHandle;
use nonzero_ext::nonzero;
use sd_notify::NotifyState;

use crate::actors::Mailbox;
use crate::actors::active::Active;
use crate::actors::cache::application_cache::{ApplicationCache, EntityReader};
use crate::actors::database::Database;
use crate::actors::database::change_feed::ChangeFeed;
use crate::actors::database::replica_monitor::ReplicaWatch;
use crate::actors::decision::registry::{ConstitutionArchive, OnObjections, Registry};
use crate::actors::decision::warmer::CacheWarmer;
use crate::actors::health::file_monitor::FileMonitor;
use crate::actors::health::watchdog::Watchdog;
use crate::constitution::{Fault, Faults, Misfits};
use crate::http::{self, AppState, DecisionState, Documents};
use crate::logging::{self, LevelSwitch};
use crate::metrics::Metrics;
use crate::settings::{Bind, Settings};
use crate::store::{self, Lock, StartupLock, Store};
use crate::trace::Exporter;
use audit_subsystem::{AuditSubsystem, DAEMON};
pub use audit_subsystem::{check_keys, is_unrecorded};
pub use error::DaemonError;
use error::system;
pub use files::create_data_dir;
use files::{Locks, claim_data_dir};
pub use fleet::check_redis;
pub use folders::{admin_socket, audit_folder, constitutions_folder};
use monitoring::MonitoringThreads;
pub use pools::{search_options, store_options};
pub use rollback::Rollback;
use signals::{Asked, Signals, notify};
pub use source::Source;
use upkeep::Upkeep;

/// The deadline for a new constitution to be in force in every worker.
const RELOAD_DEADLINE: Duration = Duration::from_mins(1);

/// Threads of the directory of users, clients and keys; each can block on the database.
const DIRECTORY_THREADS: NonZeroUsize = nonzero!(4_usize);

/// Runs the daemon until it is told to stop. `accepted` names the parts that this start accepts in an older state.
pub fn run(source: &Source, accepted: &[Rollback], on_objections: OnObjections) -> Result<(), DaemonError> {
    let signals = Signals::listen().map_err(system("listen to signals"))?;
    let loaded = source.load()?;
    let level = logging::start(&loaded.settings.log, http::current_request_ids);
    if let Some(notice) = loaded.notice() {
        tracing::info!("{notice}");
    }
    let settings = loaded.settings;
    descriptors::raise_limit();
    waiting::for_database(&settings);
    let parts = Parts::open(settings, accepted, on_objections)?;
    let runtime = actix_web::rt::System::new();
    runtime.block_on(parts.serve(source, signals, &level))
}

/// Runs the daemon's parts for one administrative command while no daemon runs: it listens on the admin socket only,
/// whose path is given to `job`.
pub fn run_embedded<T: Send + 'static>(
    source: &Source,
    job: impl FnOnce(&Path) -> T + Send + 'static,
) -> Result<T, DaemonError> {
    let settings = source.load()?.settings;
    let path = admin_socket(&settings.data_dir);
    // No decision is made here, so objections to the constitution do not matter.
    let parts = Parts::open(settings, &[], OnObjections::Override)?;
    let runtime = actix_web::rt::System::new();
    runtime.block_on(async move {
        let admin = http::bind_admin(&path).map_err(system(&format!("listen on `{}`", path.display())))?;
        let listeners = http::Listeners { public: None, admin: Some(admin) };
        let running = parts.start(listeners, "http://localhost", source.clone(), None, || ())?;
        let done = tokio::task::spawn_blocking(move || job(&path)).await;
        running.stop().await;
        done.map_err(|error| system("ask the daemon's parts")(io::Error::other(error)))
    })
}

/// Everything that is opened before anything is served.
struct Parts {
    settings: Arc<Settings>,
    audit: AuditSubsystem,
    locks: Locks,
    store: Store,
    startup_lock: StartupLock,
    active: Active,
}

impl Parts {
    fn open(settings: Settings, accepted: &[Rollback], on_objections: OnObjections) -> Result<Self, DaemonError> {
        // The constitution is loaded first: it is the most likely to have faults.
        let (active, bundle) = Active::load(&settings.constitution)
            .map_err(|faults| DaemonError::Constitution { folder: settings.constitution.path.clone(), faults })?;
        for warning in active.constitution.warnings() {
            tracing::warn!("constitution: {warning}");
        }
        create_data_dir(&settings.data_dir)?;
        let data_dir = claim_data_dir(&settings.data_dir)?;
        let archive = constitutions_folder(&settings.data_dir);
        bundle.keep(&archive).map_err(system(&format!("keep the constitution in `{}`", archive.display())))?;
        let options = store_options(&settings);
        let replicas = pools::replicas(&settings, &options)?;
        // Locked before the log is compared with the database, which may belong to another daemon.
        let mut database_lock = options.target.path().map(Lock::take).transpose()?;
        let audit = AuditSubsystem::open(&settings, replicas.clone(), rollback::on_log(accepted))?;
        if audit.is_new() {
            store::discard_unfinished(&options.target)?;
        }
        let store = Store::open(&options)?.with_replicas(replicas);
        if let Some(lock) = &mut database_lock {
            // `Store::open` has created the file if it was missing.
            lock.cover_file()?;
        }
        let locks = Locks::new(data_dir, database_lock);
        let startup_lock = store.startup_lock()?;
        rollback::check_database(&settings, &store, &audit, accepted)?;
        let objections = objections(&active, &store)?;
        if !objections.is_empty() && on_objections == OnObjections::Refuse {
            let folder = settings.constitution.path.clone();
            return Err(DaemonError::Objected { folder, faults: Faults(objections) });
        }
        for objection in &objections {
            tracing::warn!("constitution: {objection}");
        }
        audit
            .record_start(&settings, &active.constitution, store.versions().followed(), &objections)
            .map_err(|error| DaemonError::Unrecorded { error, cause: audit.queue().fault() })?;
        // A store in which nothing was ever stored gets the constitution's seed entities.
        if store.types().is_empty() && !active.constitution.seed().is_empty() {
            let entities = audit.recorder(settings.audit.request);
            entities.put_many(&store, DAEMON, active.constitution.seed())?;
        }
        Ok(Self { settings: Arc::new(settings), audit, locks, store, startup_lock, active })
    }

    /// Starts the actors, each after those that it asks, and the server last. `before_serving` is called just before
    /// the first answer.
    fn start(
        self,
        listeners: http::Listeners,
        own_url: &str,
        source: Source,
        level: Option<LevelSwitch>,
        before_serving: impl FnOnce(),
    ) -> Result<Running, DaemonError> {
        let Self { settings, audit, locks, store, startup_lock, active } = self;
        let public_url = settings.http.public_url.as_ref().map_or(own_url, |url| url.as_str());
        let deadline = settings.http.request_timeout;
        let recorder = audit.recorder(settings.audit.request);
        let threads = pools::database_threads(&settings);
        let database = Mailbox::new(Database::start(store.clone(), recorder, threads), deadline);
        let entities = ApplicationCache::start(
            database.clone(),
            deadline,
            fleet::entity_cache_options(&settings.cache),
            store.versions().clone(),
            store.types().clone(),
        );
        let journal = audit.journal();
        let kept = constitutions_folder(&settings.data_dir);
        let reader = reload::settings_reader(source, Arc::clone(&settings), journal.clone(), level.clone());
        let archive = ConstitutionArchive { kept, journal, store: store.clone(), settings: reader };
        let registry = Registry::new(active, archive);
        let in_force = registry.in_force();
        let registry_addr = registry.start();
        let registry = Mailbox::new(registry_addr.clone(), RELOAD_DEADLINE);
        let directory = identity::open(&settings, &store, &audit.changes(), in_force.clone())?;
        let secret = fleet::secret(&settings, &store)?;
        // Signing key, first administrator and fleet secret exist now, so another daemon creates none.
        drop(startup_lock);
        let trust = directory.trust().clone();
        let change_feed = ChangeFeed::start(store.clone(), directory.clone(), audit.changes())
            .map_err(system("follow the database's changes"))?;
        let replica_watch = ReplicaWatch::start(&store).map_err(system("watch the replicas"))?;
        let pending = directory.pending();
        let directory = Mailbox::new(directory.start(DIRECTORY_THREADS), identity::DEADLINE);
        let verdicts = fleet::open(&settings, secret, &store, &change_feed.status());
        let warmer = match listeners.public {
            Some(_) => warmer(&settings, &audit, &entities, &database),
            None => CacheWarmer::nothing(),
        };
        let paths = locks.watched_paths(&settings.data_dir, &store);
        let folder = audit_folder(&settings.data_dir);
        let files = FileMonitor::start(paths, &folder, audit.queue()).map_err(system("watch the files"))?;
        let watchdog = Watchdog::start(audit.queue(), files.status()).map_err(system("watch the disk"))?;
        let exporter = listeners.public.as_ref().map(|_| Exporter::start(&settings.trace)).transpose();
        let (exporter, tracer) = exporter.map_err(system("start the export of traces"))?.flatten().unzip();
        let draining = Arc::new(AtomicBool::new(false));
        let decision = DecisionState {
            registry: registry.clone(),
            registry_addr,
            in_force,
            caches: fleet::tiers(&settings, &entities, verdicts.as_ref()),
            entities,
            verdicts,
            warmer,
        };
        let audit_state = audit.state(deadline);
        let identity = identity::state(&settings, trust, &directory, pending.clone(), &audit_state);
        let store_state = pools::state(&settings, &store, database, change_feed.status());
        let upkeep = Upkeep::start(directory.clone(), pending, settings.auth.key_rotation_days, audit.journal());
        let metrics = Metrics::default();
        let monitoring =
            monitoring::start(&settings, &metrics, &decision, &audit_state, &store_state, directory, upkeep.steady())?;
        let app = AppState {
            settings: Arc::clone(&settings),
            public_url: public_url.trim_end_matches('/').into(),
            decision,
            audit: audit_state,
            identity,
            store: store_state,
            files: files.status(),
            metrics,
            compliance: monitoring.compliance,
            monitor: monitoring.view,
            tracer,
            log_level: level,
            documents: Documents::default(),
            in_flight: Arc::new(AtomicUsize::new(0)),
            streams: Arc::new(AtomicUsize::new(0)),
            started_at: time::OffsetDateTime::now_utc(),
            draining: Arc::clone(&draining),
        };
        let connections = descriptors::connection_limits(&settings);
        before_serving();
        let server = listeners.serve(app, connections).map_err(system("start the server"))?;
        let handle = server.handle();
        Ok(Running {
            settings,
            audit,
            store,
            change_feed,
            registry,
            upkeep,
            exporter,
            draining,
            handle,
            monitoring: monitoring.threads,
            server: actix_web::rt::spawn(server),
            _files: files,
            _watchdog: watchdog,
            _replica_watch: replica_watch,
            _locks: locks,
        })
    }

    async fn serve(self, source: &Source, mut signals: Signals, level: &LevelSwitch) -> Result<(), DaemonError> {
        let settings = Arc::clone(&self.settings);
        let listener =
            http::bind(&settings.http.bind).map_err(system(&format!("listen on `{}`", settings.http.bind)))?;
        let own_url = listener.url().map_err(system("learn the address listened on"))?;
        let admin = admin_socket(&settings.data_dir);
        let admin = http::bind_admin(&admin).inspect_err(|error| {
            tracing::warn!(%error, socket = %admin.display(), "administration on the host is not possible");
        });
        let hash = self.active.constitution.hash();
        let listeners = http::Listeners { public: Some(listener), admin: admin.ok() };
        let level = Some(level.clone());
        let mut running = self.start(listeners, &own_url, source.clone(), level, || signals.serve())?;
        tracing::info!(url = own_url, %hash, "ready");
        let place = match &settings.http.bind {
            Bind::Tcp(_) => own_url,
            bind @ Bind::Unix(_) => bind.to_string(),
        };
        notify(&[NotifyState::Ready, NotifyState::Status(&format!("listening on {place}"))]);
        loop {
            tokio::select! {
                ended = &mut running.server => {
                    running.monitoring.stop().await;
                    running.audit.stop(running.store.versions().followed());
                    let cause = ended.map_err(io::Error::other).flatten().err();
                    let source = cause.unwrap_or_else(|| io::Error::other("it ended by itself"));
                    return Err(DaemonError::System { action: "go on serving".to_owned(), source });
                }
                asked = signals.next() => match asked {
                    Asked::Reload => reload::reload(&running.registry).await,
                    Asked::Stop => break,
                },
            }
        }
        tracing::info!("stopping: requests in progress are finished");
        notify(&[NotifyState::Stopping]);
        running.stop().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Begins to warm the caches.
fn warmer(
    settings: &Settings,
    audit: &AuditSubsystem,
    entities: &EntityReader,
    database: &Mailbox<Database>,
) -> CacheWarmer {
    let (end, workers) = (audit.queue().durable(), http::workers(&settings.http));
    CacheWarmer::start(audit.storage(), end, entities.clone(), database.clone(), workers)
}

/// Objections to a valid constitution: failing test cases, and stored entities that do not fit its schema.
fn objections(active: &Active, store: &Store) -> Result<Vec<Fault>, DaemonError> {
    let mut misfits = Misfits::default();
    store.visit(|entities| misfits.check(&active.constitution, entities))?;
    Ok(active.objections.iter().cloned().chain(misfits.objections()).collect())
}

/// A daemon that serves.
struct Running {
    settings: Arc<Settings>,
    audit: AuditSubsystem,
    store: Store,
    change_feed: ChangeFeed,
    registry: Mailbox<Registry>,
    upkeep: Upkeep,
    exporter: Option<Exporter>,
    draining: Arc<AtomicBool>,
    handle: ServerHandle,
    monitoring: MonitoringThreads,
    server: JoinHandle<io::Result<()>>,
    _files: FileMonitor,
    _watchdog: Watchdog,
    _replica_watch: ReplicaWatch,
    /// INVARIANT: a database file is this process's own until it ends, so the locks are dropped last.
    _locks: Locks,
}

impl Running {
    /// Completes the requests in flight, stops monitoring, change feed and upkeep, then closes the log, checkpoints the
    /// database and removes the admin socket.
    async fn stop(self) {
        self.draining.store(true, Ordering::Relaxed);
        self.handle.stop(true).await;
        self.monitoring.stop().await;
        if let Some(exporter) = self.exporter {
            // An error would be a panic of the thread.
            drop(tokio::task::spawn_blocking(|| exporter.stop()).await);
        }
        self.change_feed.stop();
        self.upkeep.stop().await;
        self.audit.stop(self.store.versions().followed());
        if let Err(error) = self.store.checkpoint() {
            tracing::warn!(%error, "the write-ahead log of the database could not be checkpointed and remains");
        }
        if let Err(error) = fs::remove_file(admin_socket(&self.settings.data_dir))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the admin socket stays behind");
        }
    }
}
