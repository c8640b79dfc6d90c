//! The records of one worker or thread on their way to the thread that writes them.

use std::collections::VecDeque;
use std::sync::{Mutex, mpsc};

use actix::{Message, Recipient};

use super::{AuditError, lock};
use crate::ledger::{Batch, BatchError};

/// The records of one worker or thread that are to be written next.
#[derive(Debug)]
pub struct Lane {
    // INVARIANT: no batch is empty but the only one.
    batches: Mutex<VecDeque<Batch>>,
    listener: Listener,
}

/// Who is told when records of a lane are durable.
#[derive(Debug)]
pub enum Listener {
    /// The logger of an HTTP worker.
    Worker(Recipient<Durable>),
    /// A thread that waits.
    Thread(mpsc::Sender<Durable>),
    /// No one: the records have to be written whatever happens. Those that are being written are kept here until they
    /// are durable.
    Nobody(Mutex<Batch>),
}

/// From the committer, once a batch: what became of this worker's oldest records.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Durable {
    /// The index of the first of them.
    pub outcome: Result<u64, AuditError>,
    /// How many they are.
    pub records: u32,
}

/// What was taken out of a lane.
pub(super) struct Taken {
    pub(super) records: u32,
    /// Whether there was more than the frame had room for.
    pub(super) left: bool,
}

impl Lane {
    pub(super) fn new(listener: Listener) -> Self {
        Self { batches: Mutex::new(VecDeque::from([Batch::default()])), listener }
    }

    /// Adds records behind the others: those of one batch stay together. `count` is called before they can be taken.
    pub(super) fn put(&self, records: &Batch, count: impl FnOnce()) -> Result<(), BatchError> {
        let mut batches = lock(&self.batches);
        match batches.back_mut().map(|last| last.extend(records)) {
            // No room in that one: it goes behind it.
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
        let mut batches = lock(&self.batches);
        let mut records = 0;
        while let Some(batch) = batches.front_mut().filter(|batch| !batch.is_empty()) {
            if frame.bytes().len() + batch.bytes().len() > capacity || frame.extend(batch).is_err() {
                return Taken { records, left: true };
            }
            records += batch.count();
            if let Listener::Nobody(kept) = &self.listener
                && lock(kept).extend(batch).is_err()
            {
                tracing::error!("records of withdrawals are lost if writing them fails: too many wait");
            }
            batch.clear();
            // The last one keeps its memory.
            if batches.len() > 1 {
                batches.pop_front();
            }
        }
        Taken { records, left: false }
    }

    /// Tells the listener what became of its oldest records. One that is gone has nobody waiting.
    pub(in crate::actors) fn tell(&self, durable: Durable) {
        match &self.listener {
            Listener::Worker(worker) => worker.do_send(durable),
            Listener::Thread(thread) => drop(thread.send(durable)),
            Listener::Nobody(kept) => {
                if durable.outcome.is_ok() {
                    lock(kept).clear();
                }
            }
        }
    }

    /// Takes all records back; how many there were.
    pub(super) fn clear(&self) -> u32 {
        let mut batches = lock(&self.batches);
        let count = batches.iter().map(Batch::count).sum();
        batches.truncate(1);
        batches.iter_mut().for_each(Batch::clear);
        count
    }

    /// Puts back the records that are being written, where they wait whatever happens; how many they are.
    pub(super) fn put_back(&self) -> u32 {
        let Listener::Nobody(kept) = &self.listener else { return 0 };
        let mut batches = lock(&self.batches);
        let kept = std::mem::take(&mut *lock(kept));
        let count = kept.count();
        if count > 0 {
            batches.retain(|batch| !batch.is_empty());
            batches.push_front(kept);
        }
        count
    }
}
