//! The thread that polls the database for changes of other nodes. The store applies them by moving the versions of the
//! changed entities, which invalidates the values cached under older versions. The thread also detects a database that
//! was restored or failed over.
//!
//! Notifications only trigger a poll; the changes themselves are read from the table, in order. So a lost notification
//! delays a change by one polling interval at most.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::actors::audit::change_recorder::ChangeRecorder;
use crate::actors::identity::directory::Directory;
use crate::domain::Revision;
use crate::store::{HistoryRelation, Listener, Store, StoreError};

/// The interval for checking PostgreSQL notifications.
const NOTIFICATION_INTERVAL: Duration = Duration::from_millis(10);
/// The interval for polling without a notification.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The daemon's own name as the caller in records.
const DAEMON: &str = "acgs";
/// How long it waits before it connects again.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// How far the thread is; shared by all clones.
#[derive(Debug, Clone)]
pub struct FeedStatus(Arc<State>);

struct State {
    /// The time of the last successful poll.
    seen: Mutex<Instant>,
    fault: Mutex<Option<String>>,
    is_woken: AtomicBool,
    is_stopping: AtomicBool,
    thread: Mutex<Option<Thread>>,
    secret: OnceLock<Box<dyn SharedSecret>>,
}

/// A secret that authenticates values which daemons share outside of the database.
pub trait SharedSecret: Send + Sync {
    /// Replaces the secret by that of the database's new incarnation.
    fn renew(&self) -> Result<(), StoreError>;
}

impl FeedStatus {
    fn new() -> Self {
        Self(Arc::new(State {
            seen: Mutex::new(Instant::now()),
            fault: Mutex::default(),
            is_woken: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            thread: Mutex::default(),
            secret: OnceLock::new(),
        }))
    }

    /// Triggers a poll.
    pub fn wake(&self) {
        self.0.is_woken.store(true, Ordering::Release);
        if let Some(thread) = &*self.0.thread.lock() {
            thread.unpark();
        }
    }

    /// Registers the secret to be renewed with each new incarnation; only the first registration counts. A failed
    /// renewal is retried.
    pub fn share(&self, secret: impl SharedSecret + 'static) {
        drop(self.0.secret.set(Box::new(secret)));
    }

    /// The time since the last successful poll: all changes committed before it are applied.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.0.seen.lock().elapsed()
    }

    /// Why others cannot be followed, if so.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.0.fault.lock().clone()
    }

    fn set_fault(&self, fault: Option<String>) {
        *self.0.fault.lock() = fault;
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("fault", &self.fault).finish_non_exhaustive()
    }
}

/// The running thread.
#[derive(Debug)]
pub struct ChangeFeed {
    handle: JoinHandle<()>,
    feed: FeedStatus,
}

impl ChangeFeed {
    /// Starts the thread, also for a database that only this daemon writes to, since that may be restored while it
    /// runs.
    pub fn start(store: Store, directory: Directory, changes: ChangeRecorder) -> io::Result<Self> {
        let feed = FeedStatus::new();
        let callers = store.callers_epoch();
        let known = store.versions().followed();
        let (status, reported) = (feed.clone(), known.incarnation);
        let work = Work { store, directory, changes, feed: status, callers, known, reported, listener: None };
        let handle = thread::Builder::new().name("acgs-changefeed".to_owned()).spawn(move || work.run())?;
        *feed.0.thread.lock() = Some(handle.thread().clone());
        Ok(Self { handle, feed })
    }

    /// How far it is.
    #[must_use]
    pub fn status(&self) -> FeedStatus {
        self.feed.clone()
    }

    /// Ends the thread. One that waits for a database which does not answer is left to itself.
    pub fn stop(self) {
        self.feed.0.is_stopping.store(true, Ordering::Release);
        self.feed.wake();
        if self.feed.age() < POLL_INTERVAL * 4 {
            drop(self.handle.join());
        }
    }
}

/// The state of the thread.
struct Work {
    store: Store,
    directory: Directory,
    changes: ChangeRecorder,
    feed: FeedStatus,
    /// The epoch of callers that has been applied.
    callers: u64,
    /// The revision at the last poll. All users of its incarnation have been informed.
    known: Revision,
    /// The newest incarnation that was reported in the daemon's log.
    reported: i64,
    listener: Option<Listener>,
}

impl Work {
    fn run(mut self) {
        let mut looked = None::<Instant>;
        let usual = if self.store.is_shared() { NOTIFICATION_INTERVAL } else { POLL_INTERVAL };
        while !self.feed.0.is_stopping.load(Ordering::Acquire) {
            let pause = match self.look(looked) {
                Ok(is_done) => {
                    if is_done {
                        looked = Some(Instant::now());
                    }
                    usual
                }
                Err(error) => {
                    if self.feed.fault().is_none() {
                        tracing::warn!(%error, "changes of other nodes cannot be read from the database; retrying");
                    }
                    self.feed.set_fault(Some(error));
                    self.listener = None;
                    RECONNECT_DELAY
                }
            };
            thread::park_timeout(pause);
        }
    }

    /// Polls if there is a reason to; returns whether it did.
    fn look(&mut self, looked: Option<Instant>) -> Result<bool, String> {
        let text = |error: StoreError| error.to_string();
        let listener = match &mut self.listener {
            Some(listener) => listener,
            None => self.listener.insert(Listener::open(&self.store).map_err(text)?),
        };
        let is_told = listener.is_told().map_err(text)?;
        let is_woken = self.feed.0.is_woken.swap(false, Ordering::AcqRel);
        if !is_told && !is_woken && looked.is_some_and(|looked| looked.elapsed() < POLL_INTERVAL) {
            return Ok(false);
        }
        let began = Instant::now();
        listener.follow().map_err(text)?;
        // Before signing keys are read again: a lost withdrawal may be one of them.
        self.directory.requeue_lost().map_err(|error| error.to_string())?;
        let callers = self.store.callers_epoch();
        if callers != self.callers {
            self.directory.recall().map_err(|error| error.to_string())?;
            self.callers = callers;
        }
        let revision = self.store.versions().followed();
        if revision.incarnation != self.known.incarnation {
            self.report(revision.incarnation);
            if let Some(secret) = self.feed.0.secret.get() {
                secret.renew().map_err(text)?;
            }
            // Before the loss is recorded, since a start accepts the database from then on.
            self.directory.settle().map_err(|error| error.to_string())?;
            let recorded = self.changes.record_rollback(self.known, revision, DAEMON);
            recorded.map_err(|error| error.to_string())?;
        }
        self.known = revision;
        *self.feed.0.seen.lock() = began;
        if self.feed.fault().is_some() {
            tracing::info!("changes of other nodes are read from the database again");
            self.feed.set_fault(None);
        }
        Ok(true)
    }

    /// Reports in the daemon's log, once for each incarnation, that the database has lost changes, and the withdrawals
    /// that are to be repeated by hand.
    fn report(&mut self, incarnation: i64) {
        if self.reported == incarnation {
            return;
        }
        self.reported = incarnation;
        // A database that does not answer is not known to have a change.
        let is_lost = |revision: &Revision| !matches!(self.store.relation_to(revision), Ok(HistoryRelation::Contains));
        let listed = match self.changes.first_lost(incarnation, is_lost) {
            Some(index) => format!("those of this node are in its log: `acgs audit export --from {index}`"),
            None => "this node made none of them since its start".to_owned(),
        };
        tracing::error!(
            newest_lost = %self.known,
            "the database has lost changes; {listed}; this node repeats its withdrawals of the last 48 h, at most \
             4,096: repeat older ones, and those of nodes that were restarted since, or end all tokens with `acgs key \
             rotate token --withdraw`"
        );
    }
}
