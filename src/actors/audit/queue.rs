//! Where records wait for the thread that writes them: a buffer for each worker, a bound over all of them.

mod submission_buffer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use actix::MailboxError;
use parking_lot::Mutex;
pub use submission_buffer::{DurabilityListener, FrameOutcome, SubmissionBuffer};

pub use crate::actors::audit::log_health::Health;
use crate::actors::audit::log_health::{LogHealth, Obstacle};
use crate::actors::file_identity::OpenSegment;
use crate::actors::progress::Progress;
use crate::ledger::{Batch, BatchError};
use crate::metrics::{BucketCounts, Distribution, Histogram, LatencyRecorder};

/// Why a decision cannot be recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Too many records wait.
    #[error("too many decisions wait for the audit log")]
    Full,
    /// A record cannot be written in the log's format: it is too long, or there are too many.
    #[error("{0}")]
    Unrecordable(#[from] BatchError),
    /// The disk does not take records.
    #[error("the audit log cannot be written")]
    Unwritable,
    /// A write or sync of the log has not returned for a second.
    #[error("the disk of the audit log does not answer")]
    Stalled,
    /// A file that the daemon has open was removed or replaced.
    #[error("a file of the audit log or the database was removed or replaced; see `/readyz?verbose`")]
    Displaced,
    /// The log has ended.
    #[error("the audit log is closed: the daemon is stopping, or a sync of the log failed")]
    Ended,
    /// The caller gave the change up before it was recorded, so it is not made.
    #[error("the caller gave the change up before it was recorded; it was not made")]
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

/// Bytes of questions for which one additional place is reserved.
const PLACE: usize = 8 << 10;

/// The audit log's queue and health; shared by all clones.
#[derive(Debug, Clone)]
pub struct AuditQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    buffers: Mutex<Vec<Arc<SubmissionBuffer>>>,
    /// The priority buffer, written before all others. Its records are kept while the log cannot be written.
    first: Arc<SubmissionBuffer>,
    /// Records promised a place and not yet acknowledged.
    waiting: AtomicUsize,
    limit: usize,
    /// How many records of the log are durable.
    durable: AtomicU64,
    health: LogHealth,
    /// Why the last write failed, until one succeeds.
    fault: Mutex<Option<String>>,
    /// The committer's disk operation in progress, if any.
    progress: Progress,
    /// The durations of its successful operations.
    commits: Histogram,
    /// The same, until they are drained.
    commit_latencies: LatencyRecorder,
    /// The segment to which the committer appends.
    segment: Mutex<Option<OpenSegment>>,
    /// Records in the buffers.
    gathered: AtomicU32,
    /// The number of records for which the sleeping committer must be woken; 0 while it is awake. The thread that
    /// resets it wakes the committer.
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
            buffers: Mutex::default(),
            first: Arc::new(SubmissionBuffer::new(DurabilityListener::Nobody(Mutex::default()))),
            waiting: AtomicUsize::new(0),
            limit,
            durable: AtomicU64::new(durable),
            health: LogHealth::default(),
            fault: Mutex::default(),
            progress: Progress::default(),
            commits: Histogram::default(),
            commit_latencies: LatencyRecorder::default(),
            segment: Mutex::default(),
            gathered: AtomicU32::new(0),
            wakes_at: AtomicU32::new(0),
            stopping: AtomicBool::new(false),
            thread: Mutex::default(),
        }))
    }

    /// A buffer, whose listener is informed when its records are durable.
    #[must_use]
    pub fn buffer(&self, listener: DurabilityListener) -> Arc<SubmissionBuffer> {
        let buffer = Arc::new(SubmissionBuffer::new(listener));
        self.0.buffers.lock().push(Arc::clone(&buffer));
        buffer
    }

    /// Reserves places in the queue for `records` records of `bytes` bytes together *before* anything is decided, so
    /// that no decision is made that cannot be recorded. Large records take additional places, which bounds the queue
    /// in bytes too.
    pub fn reserve(&self, records: usize, bytes: usize) -> Result<Reservation, AuditError> {
        let places = self.places(records, bytes);
        self.check()?;
        let reservation = Reservation { shared: Arc::clone(&self.0), places };
        let before = self.0.waiting.fetch_add(places, Ordering::Relaxed);
        if before.saturating_add(places) > self.0.limit { Err(AuditError::Full) } else { Ok(reservation) }
    }

    /// The number of places that `records` records of `bytes` bytes together take.
    fn places(&self, records: usize, bytes: usize) -> usize {
        records.max(records.saturating_add(bytes / PLACE).min(self.0.limit))
    }

    /// Like [`Self::reserve`], for the decisions of a batch. Batches leave a quarter of the queue to single decisions,
    /// unless a batch needs more than the other three quarters.
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

    /// Why the last write failed; `None` if it succeeded.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.0.fault.lock().clone()
    }

    /// Fails if no record can be written at the moment.
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

    /// How many records wait, those that have only a reserved place included.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// How long the commits of frames took.
    #[must_use]
    pub fn commits(&self) -> Distribution {
        self.0.commits.distribution()
    }

    /// Takes the durations of commits out. To be called by one thread at a time.
    #[must_use]
    pub fn drain_commit_latencies(&self) -> BucketCounts {
        let mut counts = BucketCounts::new();
        self.0.commit_latencies.drain(&mut counts);
        counts
    }

    pub(super) fn record_commit(&self, duration: Duration) {
        self.0.commits.record(duration);
        self.0.commit_latencies.record(duration);
    }

    /// How many records of the log are durable: the index behind the last one.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.0.durable.load(Ordering::Acquire)
    }

    /// Adds records to a buffer and wakes the committer. The records of one batch are written in one frame.
    pub fn submit(&self, buffer: &SubmissionBuffer, records: &Batch) -> Result<(), AuditError> {
        // Decided while writing failed: the answer need not wait for the disk to be tried again.
        self.check()?;
        let count = || self.count(records);
        if let Err(error) = buffer.put(records, count) {
            tracing::error!(%error, "records cannot be written to the audit log");
            return Err(AuditError::Unwritable);
        }
        // The committer may have ended after the reservation. It sets its health before it looks at the buffers for the
        // last time, so either it finds these records, or this call sees that it has ended.
        if self.health() == Health::Ended {
            return Err(AuditError::Ended);
        }
        self.wake_where_wanted();
        Ok(())
    }

    /// Adds records to the priority buffer without blocking. While the log cannot be written they are kept, and they
    /// are written first once it can be.
    pub fn submit_first(&self, records: &Batch) -> Result<(), AuditError> {
        self.0.first.put(records, || self.count(records)).map_err(|_| AuditError::Full)?;
        self.wake_where_wanted();
        Ok(())
    }

    /// Removes all records of a buffer that the committer has not taken yet; these are never written. False if there
    /// were none.
    pub(super) fn withdraw(&self, buffer: &SubmissionBuffer) -> bool {
        let count = buffer.clear();
        self.0.gathered.fetch_sub(count, Ordering::SeqCst);
        count > 0
    }

    /// Makes the committer end once the queue is empty.
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
            && let Some(thread) = &*self.0.thread.lock()
        {
            thread.unpark();
        }
    }
}

/// For the committer and the monitors of files and disk only.
impl AuditQueue {
    pub(in crate::actors) fn raise(&self, obstacle: Obstacle) {
        self.0.health.raise(obstacle);
    }

    pub(in crate::actors) fn clear(&self, obstacle: Obstacle) {
        self.0.health.clear(obstacle);
    }

    pub(super) fn set_fault(&self, fault: Option<String>) {
        *self.0.fault.lock() = fault;
    }

    pub(in crate::actors) fn has_obstacle(&self, obstacle: Obstacle) -> bool {
        self.0.health.has(obstacle)
    }

    /// The segment to which the committer appends.
    pub(in crate::actors) fn segment(&self) -> Option<OpenSegment> {
        self.0.segment.lock().clone()
    }

    /// Names the thread that is to be woken when records come.
    pub(super) fn attach(&self, thread: Thread) {
        *self.0.thread.lock() = Some(thread);
    }

    pub(super) fn set_durable(&self, size: u64) {
        self.0.durable.store(size, Ordering::Release);
    }

    pub(super) fn set_segment(&self, segment: OpenSegment) {
        *self.0.segment.lock() = Some(segment);
    }

    /// The committer's disk operation in progress, if any.
    pub(in crate::actors) fn progress(&self) -> &Progress {
        &self.0.progress
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::SeqCst)
    }

    /// Sleeps until `records` records are queued, the queue is stopped, or `until`, if it is given.
    pub(super) fn wait(&self, records: u32, until: Option<Instant>) {
        while !self.has(records) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            self.0.wakes_at.store(records, Ordering::SeqCst);
            // A record submitted before this saw no sleeper, so the queue is checked again before sleeping.
            if !self.has(records) {
                left.map_or_else(thread::park, thread::park_timeout);
            }
            self.0.wakes_at.store(0, Ordering::SeqCst);
        }
    }

    /// Whether at least `records` records are queued, or the queue is stopped.
    pub(super) fn has(&self, records: u32) -> bool {
        self.0.gathered.load(Ordering::SeqCst) >= records || self.is_stopping()
    }

    /// Moves queued records into `frame`, up to `capacity` bytes. Each buffer's records form one run; `parts` lists the
    /// runs in order.
    pub(super) fn take(&self, capacity: usize, frame: &mut Batch, parts: &mut Vec<(Arc<SubmissionBuffer>, u32)>) {
        self.take_from(&self.0.first, capacity, frame, parts);
        let mut buffers = self.0.buffers.lock();
        let mut passed_over = None;
        for (nth, buffer) in buffers.iter().enumerate() {
            if self.take_from(buffer, capacity, frame, parts) {
                passed_over.get_or_insert(nth);
            }
        }
        // The buffer that was cut short comes first in the next frame: many small batches must not starve a large one.
        if let Some(first) = passed_over {
            buffers.rotate_left(first);
        }
    }

    /// Takes from one buffer. True if the frame had no room for all of its records.
    fn take_from(
        &self,
        buffer: &Arc<SubmissionBuffer>,
        capacity: usize,
        frame: &mut Batch,
        parts: &mut Vec<(Arc<SubmissionBuffer>, u32)>,
    ) -> bool {
        let taken = buffer.take(capacity, frame);
        if taken.records > 0 {
            parts.push((Arc::clone(buffer), taken.records));
            self.0.gathered.fetch_sub(taken.records, Ordering::SeqCst);
        }
        taken.left
    }

    /// Returns the priority buffer's records to it after a failed write.
    pub(super) fn put_back(&self) {
        self.0.gathered.fetch_add(self.0.first.put_back(), Ordering::SeqCst);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.waiting.fetch_sub(self.places, Ordering::Relaxed);
    }
}
