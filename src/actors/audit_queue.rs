//! Where records wait for the thread that writes them: a lane for each worker, a bound over all of them.

mod lane;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use actix::MailboxError;
pub use lane::{Durable, Lane, Listener};

use super::file_monitor::OpenSegment;
pub use super::log_health::Health;
use super::log_health::{LogHealth, Obstacle};
use super::progress::Progress;
use crate::ledger::Batch;

/// Why a decision cannot be recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Too many records wait.
    #[error("too many decisions wait for the audit log")]
    Full,
    /// The disk does not take records.
    #[error("the audit log cannot be written")]
    Unwritable,
    /// The disk does not answer.
    #[error("the disk of the audit log does not answer")]
    Stalled,
    /// A file that the daemon has open was removed or replaced.
    #[error("a file of the audit log or the database was removed or replaced; `/readyz?verbose` names it")]
    Displaced,
    /// The log has ended.
    #[error("the audit log has ended")]
    Ended,
    /// Who asked for a change stopped waiting before it was recorded. It is not made.
    #[error("nobody waits for the change any more")]
    Abandoned,
    /// The logger did not answer in time.
    #[error("the audit log did not answer in time")]
    Late,
}

impl From<MailboxError> for AuditError {
    fn from(error: MailboxError) -> Self {
        match error {
            MailboxError::Closed => Self::Ended,
            MailboxError::Timeout => Self::Late,
        }
    }
}

/// So many bytes of questions take one more place.
const PLACE: usize = 8 << 10;

/// What the door must know of the log, and the way to its thread; shared by all clones.
#[derive(Debug, Clone)]
pub struct AuditQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    lanes: Mutex<Vec<Arc<Lane>>>,
    /// The lane before all others: its records wait for as long as the log cannot be written.
    first: Arc<Lane>,
    /// Records promised a place and not yet acknowledged.
    waiting: AtomicUsize,
    limit: usize,
    /// How many records of the log are durable.
    durable: AtomicU64,
    health: LogHealth,
    /// What the thread asks of the disk.
    progress: Progress,
    /// The segment that the thread appends to.
    segment: Mutex<Option<OpenSegment>>,
    /// Records in the lanes.
    gathered: AtomicU32,
    /// How many of them the sleeping thread wants to be woken for; 0 while it is awake. Who clears it wakes it.
    wakes_at: AtomicU32,
    stopping: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

/// Places in the queue, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    shared: Arc<Shared>,
    places: usize,
}

impl AuditQueue {
    /// A queue of at most `limit` records, for a log that has `durable` ones.
    #[must_use]
    pub fn new(limit: usize, durable: u64) -> Self {
        Self(Arc::new(Shared {
            lanes: Mutex::default(),
            first: Arc::new(Lane::new(Listener::Nobody(Mutex::default()))),
            waiting: AtomicUsize::new(0),
            limit,
            durable: AtomicU64::new(durable),
            health: LogHealth::default(),
            progress: Progress::default(),
            segment: Mutex::default(),
            gathered: AtomicU32::new(0),
            wakes_at: AtomicU32::new(0),
            stopping: AtomicBool::new(false),
            thread: Mutex::default(),
        }))
    }

    /// A lane, whose listener is told when its records are durable.
    #[must_use]
    pub fn lane(&self, listener: Listener) -> Arc<Lane> {
        let lane = Arc::new(Lane::new(listener));
        lock(&self.0.lanes).push(Arc::clone(&lane));
        lane
    }

    /// Takes places in the queue for so many records *before* anything is decided, so that no decision is made that cannot
    /// be recorded. Records of many bytes take more than one place, so that what waits is bounded in bytes too.
    pub fn reserve(&self, records: usize, bytes: usize) -> Result<Reservation, AuditError> {
        let places = self.places(records, bytes);
        self.check()?;
        let reservation = Reservation { shared: Arc::clone(&self.0), places };
        let before = self.0.waiting.fetch_add(places, Ordering::Relaxed);
        if before.saturating_add(places) > self.0.limit { Err(AuditError::Full) } else { Ok(reservation) }
    }

    /// How many places records take that have so many bytes.
    fn places(&self, records: usize, bytes: usize) -> usize {
        records.max(records.saturating_add(bytes / PLACE).min(self.0.limit))
    }

    /// The same for the decisions of a batch. Batches leave a quarter of the queue to single decisions, as far as the
    /// batch has room in the rest.
    pub fn reserve_batch(&self, records: usize, bytes: usize) -> Result<Reservation, AuditError> {
        let places = self.places(records, bytes);
        let room = (self.0.limit - self.0.limit / 4).max(places);
        if self.0.waiting.load(Ordering::Relaxed).saturating_add(places) > room {
            return Err(AuditError::Full);
        }
        self.reserve(records, bytes)
    }

    /// Whether records become durable now.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.health.get()
    }

    /// Fails where nothing can be recorded now.
    fn check(&self) -> Result<(), AuditError> {
        match self.health() {
            Health::Writing => Ok(()),
            Health::Failing => Err(AuditError::Unwritable),
            Health::Stalled => Err(AuditError::Stalled),
            Health::Displaced => Err(AuditError::Displaced),
            Health::Ended => Err(AuditError::Ended),
        }
    }

    /// How many records wait at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How many records of the log are durable: the index behind the last one.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.0.durable.load(Ordering::Acquire)
    }

    /// Puts records into a lane and sees to it that they are written: those of one batch in one frame.
    pub fn submit(&self, lane: &Lane, records: &Batch) -> Result<(), AuditError> {
        // Decided while writing failed: the answer need not wait for the disk to be tried again.
        self.check()?;
        let count = || self.count(records);
        if let Err(error) = lane.put(records, count) {
            tracing::error!(%error, "records cannot be written to the audit log");
            return Err(AuditError::Unwritable);
        }
        // The thread may have ended after the reservation. It sets its health before it looks at the lanes for the
        // last time, so either it finds these records or this sees that it ended.
        if self.health() == Health::Ended {
            return Err(AuditError::Ended);
        }
        self.wake_where_wanted();
        Ok(())
    }

    /// Puts in records that have to be written whatever happens: while the log cannot be written they wait, and they are
    /// the first that are written when it can be again. Waits for nothing.
    pub fn submit_first(&self, records: &Batch) -> Result<(), AuditError> {
        self.0.first.put(records, || self.count(records)).map_err(|_| AuditError::Full)?;
        self.wake_where_wanted();
        Ok(())
    }

    /// Takes all records of a lane back. Whether the thread has not come to them yet: they are never written then.
    pub(super) fn withdraw(&self, lane: &Lane) -> bool {
        let count = lane.clear();
        self.0.gathered.fetch_sub(count, Ordering::SeqCst);
        count > 0
    }

    /// Tells the thread to end once nothing waits.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn count(&self, records: &Batch) {
        self.0.gathered.fetch_add(records.count(), Ordering::SeqCst);
    }

    fn wake_where_wanted(&self) {
        let wanted = self.0.wakes_at.load(Ordering::SeqCst);
        if wanted > 0 && self.has(wanted) {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.0.wakes_at.swap(0, Ordering::SeqCst) > 0
            && let Some(thread) = &*lock(&self.0.thread)
        {
            thread.unpark();
        }
    }
}

/// What only the threads do that write the log, or look whether it can be written.
impl AuditQueue {
    pub(super) fn raise(&self, obstacle: Obstacle) {
        self.0.health.raise(obstacle);
    }

    pub(super) fn lift(&self, obstacle: Obstacle) {
        self.0.health.lift(obstacle);
    }

    pub(super) fn has_obstacle(&self, obstacle: Obstacle) -> bool {
        self.0.health.has(obstacle)
    }

    /// The segment that is appended to.
    pub(super) fn segment(&self) -> Option<OpenSegment> {
        lock(&self.0.segment).clone()
    }

    /// Names the thread that is to be woken when records come.
    pub(super) fn attach(&self, thread: Thread) {
        *lock(&self.0.thread) = Some(thread);
    }

    pub(super) fn set_durable(&self, size: u64) {
        self.0.durable.store(size, Ordering::Release);
    }

    pub(super) fn set_segment(&self, segment: OpenSegment) {
        *lock(&self.0.segment) = Some(segment);
    }

    /// What the thread asks of the disk.
    pub(super) fn progress(&self) -> &Progress {
        &self.0.progress
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::SeqCst)
    }

    /// Sleeps until there are so many records, the order to stop comes, or that moment, if there is one.
    pub(super) fn wait(&self, records: u32, until: Option<Instant>) {
        while !self.has(records) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            self.0.wakes_at.store(records, Ordering::SeqCst);
            // Who put a record in before this saw no sleeper; so look once more before sleeping.
            if !self.has(records) {
                left.map_or_else(thread::park, thread::park_timeout);
            }
            self.0.wakes_at.store(0, Ordering::SeqCst);
        }
    }

    /// Whether so many records wait, or it is time to stop.
    pub(super) fn has(&self, records: u32) -> bool {
        self.0.gathered.load(Ordering::SeqCst) >= records || self.is_stopping()
    }

    /// Moves what waits into `frame`, as far as `capacity` bytes hold it: each worker's records in one run, which
    /// `parts` names in order.
    pub(super) fn take(&self, capacity: usize, frame: &mut Batch, parts: &mut Vec<(Arc<Lane>, u32)>) {
        self.take_from(&self.0.first, capacity, frame, parts);
        let mut lanes = lock(&self.0.lanes);
        let mut passed_over = None;
        for (nth, lane) in lanes.iter().enumerate() {
            if self.take_from(lane, capacity, frame, parts) {
                passed_over.get_or_insert(nth);
            }
        }
        // Its turn comes first the next time, so that many small batches never keep a large one waiting.
        if let Some(first) = passed_over {
            lanes.rotate_left(first);
        }
    }

    /// The same for one lane. Whether it had more than the frame had room for.
    fn take_from(
        &self,
        lane: &Arc<Lane>,
        capacity: usize,
        frame: &mut Batch,
        parts: &mut Vec<(Arc<Lane>, u32)>,
    ) -> bool {
        let taken = lane.take(capacity, frame);
        if taken.records > 0 {
            parts.push((Arc::clone(lane), taken.records));
            self.0.gathered.fetch_sub(taken.records, Ordering::SeqCst);
        }
        taken.left
    }

    /// Puts back the records that wait whatever happens, where writing them failed.
    pub(super) fn put_back(&self) {
        self.0.gathered.fetch_add(self.0.first.put_back(), Ordering::SeqCst);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.waiting.fetch_sub(self.places, Ordering::Relaxed);
    }
}

/// The lock; one that a panicking thread held is as good as any, since panics end the process.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
