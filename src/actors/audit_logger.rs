//! Keeps the answers of one worker back until their records are durable.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};

use super::audit_queue::{AuditError, AuditQueue, Durable, Lane, Listener, Reservation};
use crate::ledger::Batch;
use crate::settings::Durability;

/// The index of the first of some records that follow each other in the log; `None` in `async` mode, where the
/// answer does not wait for one.
pub type FirstIndex = Option<u64>;

/// Holds back the answers of one HTTP worker.
#[derive(Debug)]
pub struct AuditLogger {
    queue: AuditQueue,
    lane: Arc<Lane>,
    durability: Durability,
    waiting: Waiting,
}

/// Who waits, in the order of their records in the lane.
type Waiting = Rc<RefCell<VecDeque<Waiter>>>;

#[derive(Debug)]
struct Waiter {
    records: u32,
    /// Who is to be told; nobody in `async` mode, where the answer is out.
    answer: Option<OneshotSender<Result<FirstIndex, AuditError>>>,
    /// INVARIANT: the place in the queue is kept until the records are durable, whether or not anybody still waits.
    _place: Reservation,
}

impl AuditLogger {
    /// Starts the logger of this worker.
    #[must_use]
    pub fn start(queue: AuditQueue, durability: Durability) -> Addr<Self> {
        Self::create(|ctx| {
            let lane = queue.lane(Listener::Worker(ctx.address().recipient()));
            Self { queue, lane, durability, waiting: Waiting::default() }
        })
    }
}

impl Actor for AuditLogger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(super::MAILBOX);
    }
}

/// Records decisions; answered once they are durable.
#[derive(Debug, Message)]
#[rtype(result = "Result<FirstIndex, AuditError>")]
pub struct Record {
    /// The records.
    pub records: Batch,
    /// Their place in the queue, taken before anything was decided.
    pub place: Reservation,
}

impl Handler<Record> for AuditLogger {
    type Result = Recorded;

    fn handle(&mut self, Record { records, place }: Record, _: &mut Self::Context) -> Recorded {
        if let Err(error) = self.queue.submit(&self.lane, &records) {
            return Recorded(Answer::Now(Err(error)));
        }
        let waiter = Waiter { records: records.count(), answer: None, _place: place };
        match self.durability {
            Durability::Durable => Recorded(Answer::Later(Rc::clone(&self.waiting), waiter)),
            Durability::Async => {
                self.waiting.borrow_mut().push_back(waiter);
                Recorded(Answer::Now(Ok(None)))
            }
        }
    }
}

/// The answer to [`Record`], which waits in line without a task of its own.
#[derive(Debug)]
pub struct Recorded(Answer);

#[derive(Debug)]
enum Answer {
    /// Known already.
    Now(Result<FirstIndex, AuditError>),
    /// When the records are durable.
    Later(Waiting, Waiter),
}

impl MessageResponse<AuditLogger, Record> for Recorded {
    fn handle(self, _: &mut Context<AuditLogger>, answer: Option<OneshotSender<Result<FirstIndex, AuditError>>>) {
        match self.0 {
            Answer::Later(waiting, waiter) => waiting.borrow_mut().push_back(Waiter { answer, ..waiter }),
            // Who asked may be gone; then nobody waits.
            Answer::Now(outcome) => {
                let _ = answer.map(|answer| answer.send(outcome));
            }
        }
    }
}

impl Handler<Durable> for AuditLogger {
    type Result = ();

    fn handle(&mut self, durable: Durable, _: &mut Self::Context) {
        let mut waiting = self.waiting.borrow_mut();
        let mut answered = 0;
        while answered < durable.records {
            let Some(waiter) = waiting.pop_front() else {
                return;
            };
            let outcome = durable.outcome.clone().map(|first| Some(first + u64::from(answered)));
            answered += waiter.records;
            // Who asked may have given up; the record stands all the same.
            let _ = waiter.answer.map(|answer| answer.send(outcome));
        }
    }
}
