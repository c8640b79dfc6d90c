//! The thread that writes the audit log: all that waits becomes one frame, one write, one sync, one answer a worker.

use std::fs::File;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::actors::audit::log_health::Obstacle;
use crate::actors::audit::pacer::{GroupCommitPacer, WORTH_A_SYNC};
use crate::actors::audit::queue::{AuditError, AuditQueue, FrameOutcome, SubmissionBuffer};
use crate::actors::file_identity::FileIdentity;
use crate::ledger::{AppendError, Batch, DiskStorage, FilledSegment, Ledger};

/// How often a log that cannot be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The time for the answers after a failed sync to be sent, before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Exit code of a process whose audit log could not be synced: `EX_IOERR` of sysexits.h.
pub(super) const EXIT_IO: i32 = 74;

/// When records are written.
#[derive(Debug)]
pub enum FlushPolicy {
    /// At once; where callers overlap, in syncs that keep an interval. Answers wait for it.
    Durable(GroupCommitPacer),
    /// At this interval. Answers do not wait for it.
    Async(Duration),
}

/// The running thread.
#[derive(Debug)]
pub struct Committer {
    handle: JoinHandle<()>,
    queue: AuditQueue,
}

impl Committer {
    /// Starts the thread over an open log. At most `limit` records wait at a time.
    pub fn start(
        ledger: Ledger<DiskStorage>,
        storage: DiskStorage,
        policy: FlushPolicy,
        limit: usize,
    ) -> io::Result<Self> {
        let queue = AuditQueue::new(limit, ledger.size());
        let (filled, next) = mpsc::channel();
        let mut writer = Writer {
            ledger,
            shown: String::new(),
            storage,
            queue: queue.clone(),
            policy,
            frame: Batch::default(),
            parts: Vec::new(),
            next,
            filled,
            filling: false,
        };
        writer.show_segment();
        let handle = thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        queue.attach(handle.thread().clone());
        Ok(Self { handle, queue })
    }

    /// Where records are handed in.
    #[must_use]
    pub fn queue(&self) -> AuditQueue {
        self.queue.clone()
    }

    /// Writes the queued records, and ends the thread.
    pub fn stop(self) {
        self.queue.stop();
        // It does not panic: the process would have ended with it.
        drop(self.handle.join());
    }
}

/// A segment made in advance; `None` if that failed.
type Filled = Option<FilledSegment<File>>;

/// The state of the thread.
struct Writer {
    ledger: Ledger<DiskStorage>,
    /// The name of the segment that was last published to the queue.
    shown: String,
    storage: DiskStorage,
    queue: AuditQueue,
    policy: FlushPolicy,
    /// Reused from batch to batch.
    frame: Batch,
    parts: Vec<(Arc<SubmissionBuffer>, u32)>,
    next: mpsc::Receiver<Filled>,
    filled: mpsc::Sender<Filled>,
    filling: bool,
}

impl Writer {
    fn run(mut self) {
        loop {
            self.queue.wait(1, None);
            self.rest();
            let stopping = self.queue.is_stopping();
            self.gather();
            if !self.frame.is_empty() {
                self.commit();
                self.prepare_next_segment();
            } else if stopping {
                self.queue.raise(Obstacle::Ended);
                self.gather();
                self.answer(&Err(AuditError::Ended));
                return;
            }
        }
    }

    /// Lets records gather.
    fn rest(&mut self) {
        match &mut self.policy {
            FlushPolicy::Async(gathering) => thread::sleep(*gathering),
            FlushPolicy::Durable(pace) => {
                if let Some(until) = pace.rest() {
                    self.queue.wait(WORTH_A_SYNC, Some(until));
                }
                pace.begin();
            }
        }
    }

    /// Takes everything that waits, as far as one frame holds it: each worker's records in one run.
    fn gather(&mut self) {
        self.frame.clear();
        self.parts.clear();
        self.queue.take(self.ledger.capacity(), &mut self.frame, &mut self.parts);
    }

    fn commit(&mut self) {
        let began = Instant::now();
        match self.queue.progress().during(|| self.ledger.append(&self.frame)) {
            Ok(first) => {
                self.queue.record_commit(began.elapsed());
                self.show_segment();
                if let FlushPolicy::Durable(pace) = &mut self.policy {
                    // INVARIANT: before any answer is sent, since its caller may send the next request at once.
                    pace.end(self.queue.has(1));
                }
                self.queue.set_durable(self.ledger.size());
                self.answer(&Ok(first));
            }
            Err(error) if error.is_final() => self.end(&error),
            Err(error) => self.fail(&error),
        }
    }

    /// Publishes the current segment for the file monitor, if it has changed.
    fn show_segment(&mut self) {
        let (name, file) = self.ledger.segment();
        if self.shown == name {
            return;
        }
        if let Ok(found) = file.metadata() {
            self.queue.set_segment((name.to_owned(), FileIdentity::from(&found)));
            name.clone_into(&mut self.shown);
        }
    }

    /// Informs every buffer of the frame about its outcome.
    fn answer(&mut self, outcome: &Result<u64, AuditError>) {
        let mut index = *outcome.as_ref().unwrap_or(&0);
        for (buffer, count) in self.parts.drain(..) {
            buffer.tell(FrameOutcome { outcome: outcome.clone().map(|_| index), records: count });
            index += u64::from(count);
        }
        if outcome.is_err() && !self.queue.is_stopping() {
            self.queue.put_back();
        }
    }

    /// Nothing of the batch is acknowledged. Nothing more is decided until the disk works again.
    fn fail(&mut self, error: &AppendError) {
        tracing::error!(%error, "the audit log cannot be written: no decision is made until it can");
        self.queue.set_fault(Some(error.to_string()));
        self.queue.raise(Obstacle::Failing);
        loop {
            if let FlushPolicy::Durable(_) = self.policy {
                self.refuse();
            }
            thread::park_timeout(RETRY);
            let stopping = self.queue.is_stopping();
            // In `async` mode the answers were sent already: the records must be written all the same.
            let queue = self.queue.clone();
            let retried = queue.progress().during(|| match self.policy {
                FlushPolicy::Durable(_) => self.ledger.repair().and_then(|()| self.write_what_waited()),
                FlushPolicy::Async(_) => self.ledger.append(&self.frame).map(Some),
            });
            match retried {
                Ok(first) => {
                    tracing::warn!("the audit log can be written again");
                    self.show_segment();
                    self.queue.set_durable(self.ledger.size());
                    self.queue.clear(Obstacle::Failing);
                    self.queue.set_fault(None);
                    return self.answer(&first.ok_or(AuditError::Unwritable));
                }
                Err(error) if error.is_final() => return self.end(&error),
                Err(error) => {
                    tracing::warn!(%error, "the audit log still cannot be written");
                    self.queue.set_fault(Some(error.to_string()));
                }
            }
            if stopping {
                if let FlushPolicy::Async(_) = self.policy {
                    tracing::error!(
                        records = self.frame.count(),
                        "answered decisions are lost: they cannot be written"
                    );
                }
                return self.answer(&Err(AuditError::Unwritable));
            }
        }
    }

    /// Writes the records that queued up while the log could not be written, before new records are accepted.
    fn write_what_waited(&mut self) -> Result<Option<u64>, AppendError> {
        self.gather();
        if self.frame.is_empty() { Ok(None) } else { self.ledger.append(&self.frame).map(Some) }
    }

    /// Refuses the frame, and the records that were queued while it failed.
    fn refuse(&mut self) {
        self.answer(&Err(AuditError::Unwritable));
        self.gather();
        self.answer(&Err(AuditError::Unwritable));
    }

    /// A failed sync is final: the contents of the disk are unknown after it, and another sync may succeed falsely.
    fn end(&mut self, error: &AppendError) {
        tracing::error!(%error, "the audit log cannot be synced; the process exits with 74: check the disk before it is started again");
        self.queue.raise(Obstacle::Ended);
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
            let made = order.fill_gently(&storage);
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

#[cfg(test)]
mod tests {

    use super::*;
    use crate::actors::audit::journal::Journal;
    use crate::actors::audit::queue::DurabilityListener;
    use crate::ledger::{Event, EventKind, Options};

    const HOUR: Duration = Duration::from_hours(1);

    /// A log whose callers overlapped so far.
    fn start(interval: Duration) -> (tempfile::TempDir, Committer) {
        let mut pace = GroupCommitPacer::new(interval);
        (0..32).for_each(|_| pace.end(true));
        start_at(pace)
    }

    fn start_at(pace: GroupCommitPacer) -> (tempfile::TempDir, Committer) {
        let folder = tempfile::tempdir().unwrap();
        let storage = DiskStorage::at(folder.path());
        let (ledger, _) = Ledger::open(storage.clone(), Options::default()).unwrap();
        (folder, Committer::start(ledger, storage, FlushPolicy::Durable(pace), 100).unwrap())
    }

    fn event() -> Event {
        Event::new(EventKind::Settings, "acgs")
    }

    #[test]
    fn a_few_records_wait_until_the_interval_is_over() {
        const INTERVAL: Duration = Duration::from_millis(20);
        let since = Instant::now();
        let (_folder, committer) = start(INTERVAL);
        let journal = Journal::new(committer.queue());
        for _ in 0..5 {
            journal.record(&[event()]).unwrap();
        }
        assert!(since.elapsed() >= INTERVAL * 5, "{:?}", since.elapsed());
        assert_eq!(committer.queue().durable(), 5);
        committer.stop();
    }

    #[test]
    fn a_caller_alone_does_not_wait_for_the_interval() {
        let (_folder, committer) = start_at(GroupCommitPacer::new(HOUR));
        let journal = Journal::new(committer.queue());
        for index in 0..50 {
            assert_eq!(journal.record(&[event()]), Ok(index));
        }
        committer.stop();
    }

    #[test]
    fn many_records_do_not_wait_for_the_interval() {
        let (_folder, committer) = start(HOUR);
        let journal = Journal::new(committer.queue());
        for first in [0, 8] {
            assert_eq!(journal.record(&[(); 8].map(|()| event())), Ok(first));
        }
        committer.stop();
    }

    #[test]
    fn who_stops_does_not_wait_for_the_interval_and_what_waits_is_written() {
        let (_folder, committer) = start(HOUR);
        let (told, outcome) = mpsc::channel();
        let queue = committer.queue();
        let buffer = queue.buffer(DurabilityListener::Thread(told));
        let mut batch = Batch::default();
        batch.push(b"a record").unwrap();
        queue.submit(&buffer, &batch).unwrap();
        committer.stop();
        assert_eq!(outcome.recv().unwrap().outcome, Ok(0));
        assert_eq!(queue.durable(), 1);
    }
}
