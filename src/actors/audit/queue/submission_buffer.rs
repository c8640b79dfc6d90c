//! The records of one worker or thread on their way to the committer.

use std::collections::VecDeque;
use std::sync::mpsc;

use actix::{Message, Recipient};
use parking_lot::Mutex;

use super::AuditError;
use crate::ledger::{Batch, BatchError};

/// A queue of one worker's or thread's records for the committer, in order.
#[derive(Debug)]
pub struct SubmissionBuffer {
    // INVARIANT: a batch is empty only if it is the only one.
    batches: Mutex<VecDeque<Batch>>,
    listener: DurabilityListener,
}

/// The receiver of a buffer's outcomes.
#[derive(Debug)]
pub enum DurabilityListener {
    /// The audit logger of an HTTP worker.
    Worker(Recipient<FrameOutcome>),
    /// A thread that blocks until its records are durable.
    Thread(mpsc::Sender<FrameOutcome>),
    /// None, for the priority buffer: its records must be written in any case. The batch holds the records of the frame
    /// in progress until they are durable.
    Nobody(Mutex<Batch>),
}

/// From the committer to a buffer's listener, once for each frame: the outcome of the buffer's oldest records.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct FrameOutcome {
    /// The log index of the first of these records.
    pub outcome: Result<u64, AuditError>,
    /// The number of records.
    pub records: u32,
}

/// The result of taking records from a buffer.
pub(super) struct Taken {
    pub(super) records: u32,
    /// Whether the frame had no room for all records of the buffer.
    pub(super) left: bool,
}

impl SubmissionBuffer {
    pub(super) fn new(listener: DurabilityListener) -> Self {
        Self { batches: Mutex::new(VecDeque::from([Batch::default()])), listener }
    }

    /// Appends records; those of one batch stay together. `count` is called before the committer can take them.
    pub(super) fn put(&self, records: &Batch, count: impl FnOnce()) -> Result<(), BatchError> {
        let mut batches = self.batches.lock();
        match batches.back_mut().map(|last| last.extend(records)) {
            // The last batch is full, so a new one follows it.
            Some(Err(BatchError::Full(_))) | None => {
                batches.push_back(records.clone());
            }
            Some(done) => done?,
        }
        count();
        Ok(())
    }

    /// Moves its oldest batches into `frame`, as far as `capacity` bytes hold them.
    pub(super) fn take(&self, capacity: usize, frame: &mut Batch) -> Taken {
        let mut batches = self.batches.lock();
        let mut records = 0;
        while let Some(batch) = batches.front_mut().filter(|batch| !batch.is_empty()) {
            if frame.bytes().len() + batch.bytes().len() > capacity || frame.extend(batch).is_err() {
                return Taken { records, left: true };
            }
            records += batch.count();
            if let DurabilityListener::Nobody(kept) = &self.listener
                && kept.lock().extend(batch).is_err()
            {
                tracing::error!(
                    "too many withdrawal records are queued; if the next write to the audit log fails, they are lost"
                );
            }
            batch.clear();
            // The last batch is kept for its allocation.
            if batches.len() > 1 {
                batches.pop_front();
            }
        }
        Taken { records, left: false }
    }

    /// Sends the outcome of the buffer's oldest records to its listener. If that listener has ended, the outcome is
    /// dropped.
    pub(in crate::actors) fn tell(&self, durable: FrameOutcome) {
        match &self.listener {
            DurabilityListener::Worker(worker) => worker.do_send(durable),
            DurabilityListener::Thread(thread) => drop(thread.send(durable)),
            DurabilityListener::Nobody(kept) => {
                if durable.outcome.is_ok() {
                    kept.lock().clear();
                }
            }
        }
    }

    /// Removes all records, and returns how many there were.
    pub(super) fn clear(&self) -> u32 {
        let mut batches = self.batches.lock();
        let count = batches.iter().map(Batch::count).sum();
        batches.truncate(1);
        batches.iter_mut().for_each(Batch::clear);
        count
    }

    /// Returns the records of the failed frame to the priority buffer, and answers how many; 0 for any other buffer.
    pub(super) fn put_back(&self) -> u32 {
        let DurabilityListener::Nobody(kept) = &self.listener else { return 0 };
        let mut batches = self.batches.lock();
        let kept = std::mem::take(&mut *kept.lock());
        let count = kept.count();
        if count > 0 {
            batches.retain(|batch| !batch.is_empty());
            batches.push_front(kept);
        }
        count
    }
}
