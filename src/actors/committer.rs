//! The thread that writes the audit log: all that waits becomes one frame, one write, one sync, one answer a worker.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use actix::Recipient;

use super::audit_logger::{AuditError, Durable};
use crate::ledger::{AppendError, Batch, DiskStorage, FilledSegment, Ledger};
use crate::settings::Durability;

/// How often a log that cannot be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How long the answers of a failed sync have to leave before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Exit code of a process whose audit log could not be synced: `EX_IOERR` of sysexits.h.
const EXIT_IO: i32 = 74;

/// What the door must know of the log, and the way to its thread; shared by all clones.
#[derive(Debug, Clone)]
pub struct Committer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    lanes: Mutex<Vec<Arc<Lane>>>,
    /// Records promised a place and not yet acknowledged.
    waiting: AtomicUsize,
    limit: usize,
    health: AtomicU8,
    /// Set while the thread sleeps; who clears it wakes it.
    asleep: AtomicBool,
    stopping: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

/// The records of one worker that are to be written next.
#[derive(Debug)]
pub struct Lane {
    records: Mutex<Batch>,
    worker: Recipient<Durable>,
}

/// Places in the queue, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    shared: Arc<Shared>,
    places: usize,
}

/// How the log is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// Records become durable.
    Writing,
    /// Writing failed; it is tried again every second, and until then nothing is decided.
    Failing,
    /// It was stopped, or a sync failed.
    Ended,
}

/// The running thread.
#[derive(Debug)]
pub struct CommitterThread {
    handle: JoinHandle<()>,
    committer: Committer,
}

impl Committer {
    /// Starts the thread over an open log. At most `limit` records wait at a time.
    pub fn start(
        ledger: Ledger<DiskStorage>,
        storage: DiskStorage,
        durability: Durability,
        flush_interval: Duration,
        limit: usize,
    ) -> io::Result<CommitterThread> {
        let shared = Shared {
            lanes: Mutex::default(),
            waiting: AtomicUsize::new(0),
            limit,
            health: AtomicU8::new(Health::Writing as u8),
            asleep: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            thread: Mutex::default(),
        };
        let committer = Self(Arc::new(shared));
        let (filled, next) = mpsc::channel();
        let writer = Writer {
            ledger,
            storage,
            shared: Arc::clone(&committer.0),
            pause: match durability {
                Durability::Durable => None,
                Durability::Async => Some(flush_interval),
            },
            frame: Batch::default(),
            parts: Vec::new(),
            next,
            filled,
            filling: false,
        };
        let handle = thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        *lock(&committer.0.thread) = Some(handle.thread().clone());
        Ok(CommitterThread { handle, committer })
    }

    /// A lane for one worker, which is told when its records are durable.
    #[must_use]
    pub fn lane(&self, worker: Recipient<Durable>) -> Arc<Lane> {
        let lane = Arc::new(Lane { records: Mutex::default(), worker });
        lock(&self.0.lanes).push(Arc::clone(&lane));
        lane
    }

    /// Takes places in the queue *before* anything is decided, so that no decision is made that cannot be recorded.
    pub fn reserve(&self, places: usize) -> Result<Reservation, AuditError> {
        match self.health() {
            Health::Writing => {}
            Health::Failing => return Err(AuditError::Unwritable),
            Health::Ended => return Err(AuditError::Ended),
        }
        let reservation = Reservation { shared: Arc::clone(&self.0), places };
        let before = self.0.waiting.fetch_add(places, Ordering::Relaxed);
        if before.saturating_add(places) > self.0.limit { Err(AuditError::Full) } else { Ok(reservation) }
    }

    /// Whether records become durable now.
    #[must_use]
    pub fn health(&self) -> Health {
        match self.0.health.load(Ordering::Acquire) {
            0 => Health::Writing,
            1 => Health::Failing,
            _ => Health::Ended,
        }
    }

    /// Puts records into a lane and sees to it that they are written.
    pub fn submit(&self, lane: &Lane, records: &Batch) -> Result<(), AuditError> {
        // Decided while writing failed: the answer need not wait for the disk to be tried again.
        if self.health() == Health::Failing {
            return Err(AuditError::Unwritable);
        }
        lock(&lane.records).extend(records).map_err(|_| AuditError::Full)?;
        // The thread may have ended after the reservation. It sets its health before it looks at the lanes for the
        // last time, so either it finds these records or this sees that it ended.
        if self.health() == Health::Ended {
            return Err(AuditError::Ended);
        }
        self.0.wake();
        Ok(())
    }
}

impl CommitterThread {
    /// The way to the thread.
    #[must_use]
    pub fn committer(&self) -> Committer {
        self.committer.clone()
    }

    /// Writes what still waits, and ends the thread.
    pub fn stop(self) {
        self.committer.0.stopping.store(true, Ordering::Release);
        self.committer.0.wake();
        // It does not panic: the process would have ended with it.
        drop(self.handle.join());
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.waiting.fetch_sub(self.places, Ordering::Relaxed);
    }
}

impl Shared {
    fn wake(&self) {
        if self.asleep.swap(false, Ordering::AcqRel)
            && let Some(thread) = &*lock(&self.thread)
        {
            thread.unpark();
        }
    }

    fn has_work(&self) -> bool {
        self.stopping.load(Ordering::Acquire) || lock(&self.lanes).iter().any(|lane| !lock(&lane.records).is_empty())
    }

    /// Sleeps until a record or the order to stop comes.
    fn wait(&self) {
        while !self.has_work() {
            self.asleep.store(true, Ordering::SeqCst);
            // Who put a record in before this saw no sleeper; so look once more before sleeping.
            if !self.has_work() {
                thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
        }
    }
}

/// A segment made ahead of need; `None` where that failed.
type Filled = Option<FilledSegment<File>>;

/// What the thread owns.
struct Writer {
    ledger: Ledger<DiskStorage>,
    storage: DiskStorage,
    shared: Arc<Shared>,
    /// How long records are gathered; `None`: not at all, the next batch is what came during the last sync.
    pause: Option<Duration>,
    /// Reused from batch to batch.
    frame: Batch,
    parts: Vec<(Arc<Lane>, u32)>,
    next: mpsc::Receiver<Filled>,
    filled: mpsc::Sender<Filled>,
    filling: bool,
}

impl Writer {
    fn run(mut self) {
        loop {
            self.prepare_next_segment();
            self.shared.wait();
            if let Some(pause) = self.pause {
                thread::sleep(pause);
            }
            let stopping = self.shared.stopping.load(Ordering::Acquire);
            self.gather();
            if !self.frame.is_empty() {
                self.commit();
            } else if stopping {
                self.shared.health.store(Health::Ended as u8, Ordering::Release);
                self.gather();
                self.answer(&Err(AuditError::Ended));
                return;
            }
        }
    }

    /// Takes everything that waits, as far as one frame holds it: each worker's records in one run.
    fn gather(&mut self) {
        self.frame.clear();
        self.parts.clear();
        for lane in lock(&self.shared.lanes).iter() {
            let mut records = lock(&lane.records);
            if records.is_empty() || self.frame.bytes().len() + records.bytes().len() > self.ledger.capacity() {
                continue;
            }
            if self.frame.extend(&records).is_ok() {
                self.parts.push((Arc::clone(lane), records.count()));
                records.clear();
            }
        }
    }

    fn commit(&mut self) {
        match self.ledger.append(&self.frame) {
            Ok(first) => self.answer(&Ok(first)),
            Err(error) if error.is_final() => self.end(&error),
            Err(error) => self.fail(&error),
        }
    }

    /// Tells every worker of the batch. A worker that is gone has nobody waiting.
    fn answer(&mut self, outcome: &Result<u64, AuditError>) {
        let mut index = *outcome.as_ref().unwrap_or(&0);
        for (lane, count) in self.parts.drain(..) {
            lane.worker.do_send(Durable { outcome: outcome.clone().map(|_| index), records: count });
            index += u64::from(count);
        }
    }

    /// Nothing of the batch is acknowledged. Nothing more is decided until the disk works again.
    fn fail(&mut self, error: &AppendError) {
        tracing::error!(%error, "the audit log cannot be written: no decision is made until it can");
        self.shared.health.store(Health::Failing as u8, Ordering::Release);
        loop {
            if self.pause.is_none() {
                self.refuse();
            }
            thread::park_timeout(RETRY);
            let stopping = self.shared.stopping.load(Ordering::Acquire);
            // In `async` mode the answers are out already: the batch itself has to be written.
            let retried = match self.pause {
                None => self.ledger.repair().map(|()| None),
                Some(_) => self.ledger.append(&self.frame).map(Some),
            };
            match retried {
                Ok(first) => {
                    tracing::warn!("the audit log can be written again");
                    self.shared.health.store(Health::Writing as u8, Ordering::Release);
                    return self.answer(&first.ok_or(AuditError::Unwritable));
                }
                Err(error) if error.is_final() => return self.end(&error),
                Err(error) => tracing::warn!(%error, "the audit log still cannot be written"),
            }
            if stopping {
                if self.pause.is_some() {
                    tracing::error!(
                        records = self.frame.count(),
                        "answered decisions are lost: they cannot be written"
                    );
                }
                return self.answer(&Err(AuditError::Unwritable));
            }
        }
    }

    /// Refuses the batch, and at once also what came while it failed.
    fn refuse(&mut self) {
        self.answer(&Err(AuditError::Unwritable));
        self.gather();
        self.answer(&Err(AuditError::Unwritable));
    }

    /// A failed sync is final: after it nobody knows what is on disk, and another sync may succeed falsely.
    fn end(&mut self, error: &AppendError) {
        tracing::error!(%error, "the audit log cannot be synced: the process ends");
        self.shared.health.store(Health::Ended as u8, Ordering::Release);
        self.answer(&Err(AuditError::Ended));
        self.gather();
        self.answer(&Err(AuditError::Ended));
        thread::sleep(LAST_WORDS);
        std::process::exit(EXIT_IO);
    }

    /// Has the next segment filled on a thread of its own, ahead of need.
    fn prepare_next_segment(&mut self) {
        while let Ok(done) = self.next.try_recv() {
            self.filling = false;
            if let Some(segment) = done {
                self.ledger.adopt(segment);
            }
        }
        if self.filling || !self.ledger.needs_next_segment() {
            return;
        }
        let order = self.ledger.order_next_segment();
        let (storage, filled) = (self.storage.clone(), self.filled.clone());
        let fill = move || {
            let made = order.fill(&storage);
            if let Err(error) = &made {
                tracing::error!(%error, "the audit log's next segment cannot be made");
                thread::sleep(RETRY);
            }
            // A committer that is gone needs no segment.
            drop(filled.send(made.ok()));
        };
        self.filling = thread::Builder::new().name("audit-segment".to_owned()).spawn(fill).is_ok();
    }
}

/// The lock; one that a panicking thread held is as good as any, since panics end the process.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
