//! Records events other than decisions, from any thread. Callers continue only when the record is durable.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use time::OffsetDateTime;

use crate::actors::audit::queue::{AuditError, AuditQueue, DurabilityListener, FrameOutcome, SubmissionBuffer};
use crate::actors::write_ticket;
use crate::ledger::{Batch, Event};

/// How long a record may wait to be taken by the committer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The way of events into the audit log; shared by all clones.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: AuditQueue,
    buffer: Arc<SubmissionBuffer>,
    submitter: Mutex<Submitter>,
}

/// The state of the thread that records. The others wait for it, so records are submitted in order.
#[derive(Debug)]
struct Submitter {
    told: mpsc::Receiver<FrameOutcome>,
    /// How many records were put into the buffer.
    submitted: u64,
    /// The number of records whose outcome is known.
    settled: u64,
}

impl Journal {
    /// A journal over a queue.
    #[must_use]
    pub fn new(queue: AuditQueue) -> Self {
        let (tell, told) = mpsc::channel();
        let buffer = queue.buffer(DurabilityListener::Thread(tell));
        Self(Arc::new(Inner { queue, buffer, submitter: Mutex::new(Submitter { told, submitted: 0, settled: 0 }) }))
    }

    /// Records events in order, without other records between them. Blocks until they are durable; returns the index of
    /// the first.
    ///
    /// After an error they are not in the log and will not be written, unless the process ends before they are known to
    /// be durable. So once the committer has taken them, this waits for it, however long the disk hangs.
    ///
    /// [`AuditError::Abandoned`] if they belong to a change that its caller has given up.
    pub fn record(&self, events: &[Event]) -> Result<u64, AuditError> {
        let batch = batch(events)?;
        if batch.is_empty() {
            return Ok(self.0.queue.durable());
        }
        let mut submitter = self.0.submitter.lock();
        let _place = self.0.queue.reserve(events.len().min(self.0.queue.limit()), 0)?;
        if !write_ticket::begin() {
            return Err(AuditError::Abandoned);
        }
        self.0.queue.submit(&self.0.buffer, &batch)?;
        let first = submitter.submitted;
        submitter.submitted += u64::from(batch.count());
        loop {
            match submitter.wait(first, TIMEOUT) {
                Some(outcome) => return outcome,
                None if self.0.queue.withdraw(&self.0.buffer) => {
                    submitter.submitted = first;
                    return Err(AuditError::Late);
                }
                None => {}
            }
        }
    }

    /// Queues the records of events that have already happened, without blocking. If the log cannot be written now,
    /// they are written before all others when it can.
    pub fn record_first(&self, events: &[Event]) -> Result<(), AuditError> {
        self.0.queue.submit_first(&batch(events)?)
    }
}

/// A batch with one record for each event, dated now.
fn batch(events: &[Event]) -> Result<Batch, AuditError> {
    let at = OffsetDateTime::now_utc();
    let mut batch = Batch::default();
    for event in events {
        event.push(at, &mut batch)?;
    }
    Ok(batch)
}

impl Submitter {
    /// Waits until the outcome of the record with the number `first` is known, for `timeout` at most.
    fn wait(&mut self, first: u64, timeout: Duration) -> Option<Result<u64, AuditError>> {
        loop {
            let durable = match self.told.recv_timeout(timeout) {
                Ok(durable) => durable,
                Err(mpsc::RecvTimeoutError::Timeout) => return None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Some(Err(AuditError::Ended)),
            };
            let before = self.settled;
            self.settled += u64::from(durable.records);
            if first < self.settled {
                return Some(durable.outcome.map(|index| index + (first - before)));
            }
        }
    }
}
