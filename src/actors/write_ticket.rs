//! Cancellation of writes: a write is either cancelled or takes effect, and its caller and its actor agree on which.
//!
//! Every change is recorded before it is made, so handing in its record is the point of no return. A caller that stops
//! waiting before that has cancelled the change; after it the outcome is unknown until the change has ended.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use actix::dev::MessageResponse;
use actix::{Actor, Handler, Message};
use tokio::sync::oneshot;

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const ABANDONED: u8 = 2;

thread_local! {
    /// The write in progress on this thread.
    static CURRENT: RefCell<Option<Ticket>> = const { RefCell::new(None) };
}

/// Whether a write can still be cancelled; shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct Ticket(Arc<AtomicU8>);

impl Ticket {
    /// Cancels the write, so that it never takes effect. False if it has begun.
    #[must_use]
    pub fn abandon(&self) -> bool {
        self.step(ABANDONED)
    }

    /// Passes the point of no return. False if the write was cancelled.
    fn begin(&self) -> bool {
        self.step(BEGUN)
    }

    fn step(&self, to: u8) -> bool {
        let found = self.0.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire);
        found.map_or_else(|now| now == to, |_| true)
    }

    /// Runs the write on this thread.
    pub(super) fn during<T>(self, job: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(Some(self));
        let done = job();
        CURRENT.set(before);
        done
    }
}

/// Passes the point of no return with this thread's write, if it has one. False if that was cancelled.
pub(in crate::actors) fn begin() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_none_or(Ticket::begin))
}

/// A change for an actor to make on its own thread, unless it has been cancelled.
pub struct Write<A: Actor>(Job<A>);

type Job<A> = Box<dyn FnOnce(&mut A, &mut <A as Actor>::Context) + Send>;

impl<A: Actor> Message for Write<A> {
    type Result = ();
}

impl<A: Actor> Write<A> {
    /// Wraps a message; its result is sent to `answer`.
    pub(in crate::actors) fn new<M, R>(message: M, ticket: Ticket, answer: oneshot::Sender<R>) -> Self
    where
        A: Handler<M, Result = R>,
        M: Message<Result = R> + Send + 'static,
        R: MessageResponse<A, M> + Send + 'static,
    {
        Self(Box::new(move |actor, context| {
            if !answer.is_closed() {
                let done = ticket.during(|| actor.handle(message, context));
                // The receiver may be gone; the change is made all the same.
                let _ = answer.send(done);
            }
        }))
    }

    /// Makes the change.
    pub(in crate::actors) fn make(self, actor: &mut A, context: &mut A::Context) {
        (self.0)(actor, context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_either_given_up_or_begun() {
        let given_up = Ticket::default();
        assert!(given_up.abandon() && given_up.abandon());
        assert!(!given_up.clone().during(begin));
        let begun = Ticket::default();
        assert!(begun.clone().during(|| begin() && begin()));
        assert!(!begun.abandon());
    }

    #[test]
    fn what_has_no_ticket_is_nobodys_to_give_up() {
        assert!(begin());
        let given_up = Ticket::default();
        assert!(given_up.abandon());
        given_up.during(|| ());
        assert!(begin());
    }
}
