//! Submits the records of one worker to the committer, and holds back their answers until the records are durable.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};

use crate::actors::audit::queue::{
    AuditError, AuditQueue, DurabilityListener, FrameOutcome, Reservation, SubmissionBuffer,
};
use crate::ledger::Batches;
use crate::settings::Durability;

/// The log indices of one request's records, consecutive within each frame.
#[derive(Debug, Clone, Default)]
pub struct Indices {
    first: u64,
    /// Pairs of a record number and its index, one for each frame after the first. Empty if one frame has all records.
    jumps: Vec<(u32, u64)>,
}

impl Indices {
    /// The log index of the request's record `number`, counted from 0.
    #[must_use]
    pub fn of(&self, number: u32) -> u64 {
        let (from, first) = self.jumps.iter().rfind(|(from, _)| *from <= number).copied().unwrap_or((0, self.first));
        first + u64::from(number - from)
    }

    /// Sets that the records from `number` on have indices from `first` on.
    fn go_on(&mut self, number: u32, first: u64) {
        if number == 0 {
            self.first = first;
        } else {
            self.jumps.push((number, first));
        }
    }
}

/// Holds back the answers of one HTTP worker.
#[derive(Debug)]
pub struct AuditLogger {
    queue: AuditQueue,
    buffer: Arc<SubmissionBuffer>,
    durability: Durability,
    waiting: Waiting,
}

/// The waiting requests, in the order of their records in the buffer.
pub type Waiting = Rc<RefCell<VecDeque<Waiter>>>;

/// A request that waits until its records are durable.
#[derive(Debug)]
pub struct Waiter {
    records: u32,
    /// The number of its records that are durable.
    written: u32,
    indices: Indices,
    /// The sender of the answer; `None` in `async` mode, in which the request was answered already.
    answer: Option<OneshotSender<Result<Option<Indices>, AuditError>>>,
    /// INVARIANT: the reservation is held until the records are durable, even if the request has ended.
    _place: Reservation,
}

impl AuditLogger {
    /// Starts the logger of this worker.
    #[must_use]
    pub fn start(queue: AuditQueue, durability: Durability) -> Addr<Self> {
        Self::create(|ctx| {
            let buffer = queue.buffer(DurabilityListener::Worker(ctx.address().recipient()));
            Self { queue, buffer, durability, waiting: Waiting::default() }
        })
    }
}

impl Actor for AuditLogger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(crate::actors::MAILBOX_CAPACITY);
    }
}

/// Records decisions; answered with their log indices once they are durable. In `async` mode, the answer is `None` and
/// does not wait.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<Indices>, AuditError>")]
pub struct Record {
    /// The records.
    pub records: Batches,
    /// Their place in the queue, taken before anything was decided.
    pub place: Reservation,
}

impl Handler<Record> for AuditLogger {
    type Result = Answer;

    fn handle(&mut self, Record { records, place }: Record, _: &mut Self::Context) -> Answer {
        let mut submitted = 0;
        for batch in records.batches() {
            if let Err(error) = self.queue.submit(&self.buffer, batch) {
                // The records in the buffer become durable, but their answer is not sent.
                if submitted > 0 {
                    self.waiting.borrow_mut().push_back(Waiter::new(submitted, place));
                }
                return Answer::Now(Err(error));
            }
            submitted += batch.count();
        }
        let waiter = Waiter::new(submitted, place);
        match self.durability {
            Durability::Durable => Answer::Later(Rc::clone(&self.waiting), waiter),
            Durability::Async => {
                self.waiting.borrow_mut().push_back(waiter);
                Answer::Now(Ok(None))
            }
        }
    }
}

impl Waiter {
    /// A request whose `records` records have no outcome yet.
    fn new(records: u32, place: Reservation) -> Self {
        Self { records, written: 0, indices: Indices::default(), answer: None, _place: place }
    }
}

/// The answer to [`Record`]: an actor response without a task of its own.
#[derive(Debug)]
pub enum Answer {
    /// Known already.
    Now(Result<Option<Indices>, AuditError>),
    /// When the records are durable.
    Later(Waiting, Waiter),
}

impl MessageResponse<AuditLogger, Record> for Answer {
    fn handle(self, _: &mut Context<AuditLogger>, answer: Option<OneshotSender<Result<Option<Indices>, AuditError>>>) {
        match self {
            Self::Later(waiting, waiter) => waiting.borrow_mut().push_back(Waiter { answer, ..waiter }),
            // The receiver may be gone.
            Self::Now(outcome) => {
                let _ = answer.map(|answer| answer.send(outcome));
            }
        }
    }
}

impl Handler<FrameOutcome> for AuditLogger {
    type Result = ();

    fn handle(&mut self, FrameOutcome { outcome, records }: FrameOutcome, _: &mut Self::Context) {
        let mut waiting = self.waiting.borrow_mut();
        let mut told = 0;
        while told < records {
            let Some(waiter) = waiting.front_mut() else { return };
            let now = (waiter.records - waiter.written).min(records - told);
            match &outcome {
                Ok(first) => waiter.indices.go_on(waiter.written, first + u64::from(told)),
                // One failed frame fails the request, whatever the outcome of its other frames.
                Err(error) => {
                    let _ = waiter.answer.take().map(|answer| answer.send(Err(error.clone())));
                }
            }
            told += now;
            waiter.written += now;
            if waiter.written == waiter.records
                && let Some(Waiter { answer, indices, .. }) = waiting.pop_front()
            {
                // The receiver may be gone; the records are durable all the same.
                let _ = answer.map(|answer| answer.send(Ok(Some(indices))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_in_several_frames_have_indices_of_their_own() {
        let mut indices = Indices::default();
        indices.go_on(0, 100);
        assert_eq!([indices.of(0), indices.of(7)], [100, 107]);
        indices.go_on(8, 500);
        indices.go_on(10, 501);
        assert_eq!([0, 7, 8, 9, 10, 12].map(|number| indices.of(number)), [100, 107, 500, 501, 501, 503]);
    }
}
