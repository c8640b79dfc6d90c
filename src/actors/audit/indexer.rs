//! The thread that writes the search index of the log into the database. It lags behind, has idle priority, and delays
//! nothing else.

use std::io;
use std::os::unix::thread::JoinHandleExt as _;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::actors::audit::archiving::{ArchivingError, archive_oldest};
use crate::actors::audit::checkpoints::Checkpoints;
use crate::actors::audit::committer::EXIT_IO;
use crate::actors::audit::index_batch::IndexBatch;
use crate::actors::audit::index_entry::entry;
use crate::actors::audit::index_status::{IndexStatus, NOT_OPEN};
use crate::actors::audit::log_health::Obstacle;
use crate::actors::audit::queue::AuditQueue;
use crate::actors::audit::rollback::{LogRollback, OnRollback};
use crate::actors::background::{set_idle_priority, set_idle_priority_of};
use crate::ledger::{self, DiskStorage, Hash, LedgerError, whole_records};
use crate::settings::Archiving;
use crate::store::search_index::{IndexError, IndexedLog, SearchIndex};
use crate::store::{Replicas, StoreError, StoreOptions};

/// The interval between two looks at the log at low load.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long a start waits for the database, so that searches work from the first moment on. Migrating a large one may
/// take minutes.
const OPENING: Duration = Duration::from_secs(1);
/// How long a fault is left alone.
const RETRY: Duration = Duration::from_secs(2);
/// How often it is looked whether there is a segment to archive.
const ARCHIVE: Duration = Duration::from_secs(1);
/// How long archiving is left alone after a fault.
const ARCHIVE_RETRY: Duration = Duration::from_mins(1);
/// The log is busy if it grew by more than this since the last look. Then nothing is indexed until a large batch is
/// pending, so that a short burst of decisions is not disturbed at all.
const CALM: u64 = 250;
const HELD: u64 = 65_536;
/// The ratio of rest to work while decisions are being made.
const REST_FACTOR: u32 = 4;
/// The most that is copied when the daemon stops, so that it does stop.
const LAST_BATCHES: usize = 4;
/// How long a stop waits for that: the thread has idle priority, so other processes may delay it for any time.
const STOPPING: Duration = Duration::from_secs(5);

/// Why the log is not copied.
#[derive(Debug, thiserror::Error)]
pub enum IndexingError {
    /// The log cannot be read.
    #[error("the audit log cannot be read: {0}")]
    Ledger(#[from] LedgerError),
    /// The database does not take it, or has something else.
    #[error("{0}")]
    Ship(#[from] IndexError),
    /// The database cannot be used.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The database has records that the log does not have.
    #[error("the audit log does not match its search index: {0}")]
    RolledBack(#[from] LogRollback),
}

/// Why the thread was not started.
#[derive(Debug, thiserror::Error)]
pub enum IndexerError {
    /// The log has fewer records than its search index, or other ones.
    #[error("{0}")]
    RolledBack(#[from] LogRollback),
    /// The system gives no thread.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// The parts that the thread needs.
#[derive(Debug)]
pub struct IndexerParts {
    /// The log's folder.
    pub storage: DiskStorage,
    /// The database.
    pub options: StoreOptions,
    /// The replicas that searches may use.
    pub replicas: Replicas,
    /// The log's origin.
    pub origin: String,
    /// How far the log is durable.
    pub queue: AuditQueue,
    /// The number of records in the log when it was opened.
    pub opened: u64,
    /// Whether a log behind its search index is refused.
    pub on_rollback: OnRollback,
    /// How far it is signed, and when to stop.
    pub checkpoints: Checkpoints,
    /// Which segments are archived.
    pub archiving: Archiving,
}

/// The running thread.
#[derive(Debug)]
pub struct Indexer {
    handle: JoinHandle<()>,
    /// Closed when the thread ends.
    end: Receiver<()>,
    index_status: IndexStatus,
    queue: AuditQueue,
}

impl Indexer {
    /// Starts the thread. Opening the database is retried until it succeeds, while the daemon works without it. Also
    /// returns evidence of a rollback that was accepted.
    pub fn start(parts: IndexerParts) -> Result<(Self, Vec<LogRollback>), IndexerError> {
        let index_status = IndexStatus::new(parts.origin.clone());
        let seen = parts.queue.durable();
        let mut thread = Thread {
            parts,
            index_status: index_status.clone(),
            log: None,
            compared: false,
            accepted: Vec::new(),
            seen,
            next_archiving: Instant::now(),
            archiving_fault: None,
            last_batches: LAST_BATCHES,
        };
        let queue = thread.parts.queue.clone();
        let (opening, opened) = mpsc::channel();
        let (running, end) = mpsc::channel();
        let run = move || {
            let _running = running;
            let found = match thread.open() {
                Err(IndexingError::RolledBack(found)) => Err(found),
                // Any other error recurs in the first round, which reports it.
                Ok(_) | Err(_) => Ok(std::mem::take(&mut thread.accepted)),
            };
            let is_refused = found.is_err();
            // If the start has stopped waiting, the first round reports the refusal.
            let is_heard = opening.send(found).is_ok();
            if !(is_refused && is_heard) {
                thread.run();
            }
        };
        let handle = thread::Builder::new().name("audit-index".to_owned()).spawn(run)?;
        let accepted = match opened.recv_timeout(OPENING) {
            Ok(found) => found?,
            Err(RecvTimeoutError::Disconnected) => Vec::new(),
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("{NOT_OPEN}; starting without it");
                set_idle_priority_of(handle.as_pthread_t());
                Vec::new()
            }
        };
        drop(opened);
        Ok((Self { handle, end, index_status, queue }, accepted))
    }

    /// How far the index is.
    #[must_use]
    pub fn index_status(&self) -> IndexStatus {
        self.index_status.clone()
    }

    /// Joins the thread, which ends after the checkpointer, unless it is still opening the database or takes longer
    /// than five seconds. The next user of the database rolls its last transaction back then.
    pub fn stop(self) {
        if self.index_status.store().is_err() {
            return;
        }
        if self.end.recv_timeout(STOPPING) == Err(RecvTimeoutError::Timeout) {
            let records = self.index_status.next().map_or(0, |next| self.queue.durable().saturating_sub(next));
            tracing::warn!(records, "stopping before the search index is complete; the next start continues it");
        } else {
            // It does not panic: the process would have ended with it.
            drop(self.handle.join());
        }
    }
}

/// The state of the thread.
struct Thread {
    parts: IndexerParts,
    index_status: IndexStatus,
    log: Option<(SearchIndex, IndexedLog)>,
    /// Whether the last record that was copied by an earlier process is the one that the log has.
    compared: bool,
    /// Evidence of a rollback that was accepted.
    accepted: Vec<LogRollback>,
    /// The log's size at the last look.
    seen: u64,
    /// When to look again whether there is a segment to archive.
    next_archiving: Instant,
    /// Why no segment is archived, if there is a fault.
    archiving_fault: Option<String>,
    /// How many batches are still copied once the daemon stops.
    last_batches: usize,
}

impl Thread {
    fn run(mut self) {
        set_idle_priority();
        loop {
            let stopping = self.parts.checkpoints.is_stopping();
            let pause = match self.index() {
                Ok(()) => {
                    self.index_status.set_fault(None);
                    self.index_status.measure();
                    if self.parts.archiving == Archiving::Closed {
                        self.archive();
                    }
                    INTERVAL
                }
                Err(IndexingError::RolledBack(found)) => {
                    tracing::error!(%found, "the audit log was rolled back or replaced; exiting");
                    std::process::exit(EXIT_IO);
                }
                Err(error) => {
                    if self.index_status.set_fault(Some(error.to_string())).is_none() {
                        tracing::error!(%error, "the audit log cannot be indexed: searches miss its newest records; retrying every second");
                    }
                    RETRY
                }
            };
            if stopping {
                return self.close();
            }
            self.parts.checkpoints.pause(pause);
        }
    }

    fn close(self) {
        if let Some((store, _)) = self.log
            && let Err(error) = store.checkpoint()
        {
            tracing::warn!(%error, "the write-ahead log of the audit database could not be checkpointed and remains");
        }
    }

    /// Indexes the durable records; once the daemon stops, a limited number of batches.
    fn index(&mut self) -> Result<(), IndexingError> {
        self.let_go_of_what_is_displaced();
        let (store, log) = self.open()?;
        let size = self.parts.queue.durable();
        let mut next = self.index_status.next().unwrap_or(log.next);
        let is_busy = size - self.seen > CALM;
        self.seen = size;
        if is_busy && size - next < HELD && !self.parts.checkpoints.is_stopping() {
            return Ok(());
        }
        // The last record copied by an earlier process is copied again: if it differs from the log, that is an error.
        if !self.compared {
            next = next.saturating_sub(1);
        }
        let mut found = whole_records(&self.parts.storage, next..size);
        while !store.is_displaced() {
            if self.parts.checkpoints.is_stopping() {
                let Some(left) = self.last_batches.checked_sub(1) else { break };
                self.last_batches = left;
            }
            let (began, size) = (Instant::now(), self.parts.queue.durable());
            let mut batch = IndexBatch::default();
            let is_last = self.parts.checkpoints.is_stopping();
            // The beginning of a stop ends a batch early: only a few more follow.
            while !batch.is_full()
                && (is_last || !self.parts.checkpoints.is_stopping())
                && let Some(record) = found.advance()?
            {
                let text = record.text?;
                batch.push(entry(record.entry, &text, &store), text.len());
            }
            if batch.entries().is_empty() {
                if is_last || !self.parts.checkpoints.is_stopping() {
                    break;
                }
                continue;
            }
            next = match store.index(log.id, next, batch.entries()) {
                Err(IndexError::Gap { first, next }) => {
                    tracing::warn!(
                        indexed = first,
                        next,
                        "the search index has lost records, since its database was restored or failed over; indexing \
                         them again"
                    );
                    // The last record that is left is compared with the log, as after a start.
                    self.compared = false;
                    self.index_status.set_next(next);
                    return Ok(());
                }
                indexed => indexed?,
            };
            self.compared = true;
            self.index_status.set_next(next);
            if self.parts.queue.durable() > size {
                self.parts.checkpoints.pause(began.elapsed() * REST_FACTOR);
            }
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(SearchIndex, IndexedLog), IndexingError> {
        if let Some(log) = &self.log {
            return Ok(log.clone());
        }
        let store = SearchIndex::open(&self.parts.options)?.with_replicas(self.parts.replicas.clone());
        let log = store.log(&self.parts.origin)?;
        let log = self.compare(&store, log)?;
        self.index_status.set_next(log.next);
        self.index_status.set_store(Some(store.clone()));
        Ok(self.log.insert((store, log)).clone())
    }

    /// Checks that the log has at least the records that an earlier process copied. If it has not, and that is
    /// accepted, the index is truncated to fit.
    fn compare(&mut self, store: &SearchIndex, log: IndexedLog) -> Result<IndexedLog, IndexingError> {
        let parts = &self.parts;
        let size = parts.queue.durable();
        let found =
            |copied, origin: &str| LogRollback::Copy { database: store.place(), copied, origin: origin.to_owned() };
        if parts.opened == 0 && !store.needs_records() {
            // A database file belongs to one daemon, so a new log beside another log's index means that the log was
            // replaced.
            for other in store.logs()?.iter().filter(|other| other.id != log.id && other.next > 0) {
                parts.on_rollback.meet(found(other.next, &other.origin), &mut self.accepted)?;
            }
        }
        let is_same = |next: u64| -> Result<bool, IndexingError> {
            let Some(last) = next.checked_sub(1) else { return Ok(true) };
            let Some(copied) = store.leaf(log.id, last)? else { return Ok(true) };
            let record = ledger::record(&parts.storage, last)?;
            Ok(record.is_some_and(|record| *Hash::leaf(&record).as_bytes() == copied))
        };
        let is_accepted = parts.on_rollback == OnRollback::Accept;
        if log.next <= size && (!is_accepted || is_same(log.next)?) {
            return Ok(log);
        }
        parts.on_rollback.meet(found(log.next, &log.origin), &mut self.accepted)?;
        let shared = log.next.min(parts.opened);
        let kept = if is_same(shared)? { shared } else { 0 };
        store.forget(log.id, kept)?;
        Ok(store.log(&parts.origin)?)
    }

    /// If the database was deleted or replaced, closes it, so that it is opened or created again.
    fn let_go_of_what_is_displaced(&mut self) {
        if self.log.as_ref().is_some_and(|(store, _)| store.is_displaced()) {
            self.index_status.set_store(None);
            tracing::warn!("the audit database was moved or deleted; opening it again");
            self.log = None;
            self.compared = false;
        }
    }

    /// Moves closed segments into the archive, as far as their records are signed and indexed. Indexing comes first
    /// where the log grows faster than both can follow.
    fn archive(&mut self) {
        while Instant::now() >= self.next_archiving && !self.parts.checkpoints.is_stopping() {
            let Some((store, _)) = &self.log else { return };
            if self.parts.queue.has_obstacle(Obstacle::Displaced) {
                return;
            }
            let (began, size) = (Instant::now(), self.parts.queue.durable());
            let indexed = self.index_status.next().unwrap_or_default();
            let safe = indexed.min(self.parts.checkpoints.size());
            let goes_on = || !self.parts.checkpoints.is_stopping();
            match archive_oldest(&self.parts.storage, safe, || store.sync(), &goes_on) {
                Ok(true) => {
                    self.archiving_fault = None;
                    tracing::debug!("a segment of the audit log was moved into its archive");
                }
                Ok(false) => {
                    self.archiving_fault = None;
                    self.next_archiving = Instant::now() + ARCHIVE;
                }
                // A search was in the way.
                Err(ArchivingError::Store(StoreError::Busy(_))) => self.next_archiving = Instant::now() + ARCHIVE,
                Err(error @ (ArchivingError::Ledger(_) | ArchivingError::Store(_))) => {
                    let fault = error.to_string();
                    if self.archiving_fault.as_ref() != Some(&fault) {
                        tracing::error!(%error, "segments of the audit log are not archived and take disk space");
                    }
                    self.archiving_fault = Some(fault);
                    self.next_archiving = Instant::now() + ARCHIVE_RETRY;
                }
            }
            if self.parts.queue.durable() > size {
                self.parts.checkpoints.pause(began.elapsed());
            }
            if self.parts.queue.durable().saturating_sub(indexed) >= HELD {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
