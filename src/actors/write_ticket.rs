//! A write is refused or takes effect, never both: who stops waiting and who does it agree on which.
//!
//! Every change is recorded before it is made, so handing in its record is the point of no return. Whoever stops waiting
//! before that can be sure that nothing happens; after it the outcome is not known until it has ended.

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
    /// The write that this thread does.
    static CURRENT: RefCell<Option<Ticket>> = const { RefCell::new(None) };
}

/// Whether a write may still be given up; shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct Ticket(Arc<AtomicU8>);

impl Ticket {
    /// Gives the write up, so that it never takes effect. Whether that is still possible.
    #[must_use]
    pub fn abandon(&self) -> bool {
        self.step(ABANDONED)
    }

    /// Goes beyond the point of no return. Whether somebody still waits for it.
    fn begin(&self) -> bool {
        self.step(BEGUN)
    }

    fn step(&self, to: u8) -> bool {
        let found = self.0.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire);
        found.map_or_else(|now| now == to, |_| true)
    }

    /// Does the write on this thread.
    pub(super) fn during<T>(self, job: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(Some(self));
        let done = job();
        CURRENT.set(before);
        done
    }
}

/// Goes beyond the point of no return with what this thread does. Whether it may: nobody has given it up.
pub(super) fn begin() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_none_or(Ticket::begin))
}

/// A change for an actor to make on its own thread, unless nobody waits for it any more.
pub struct Write<A: Actor>(Job<A>);

type Job<A> = Box<dyn FnOnce(&mut A, &mut <A as Actor>::Context) + Send>;

impl<A: Actor> Message for Write<A> {
    type Result = ();
}

impl<A: Actor> Write<A> {
    /// What a message asks for. The result is told to `answer`.
    pub(super) fn new<M, R>(message: M, ticket: Ticket, answer: oneshot::Sender<R>) -> Self
    where
        A: Handler<M, Result = R>,
        M: Message<Result = R> + Send + 'static,
        R: MessageResponse<A, M> + Send + 'static,
    {
        Self(Box::new(move |actor, context| {
            if !answer.is_closed() {
                let done = ticket.during(|| actor.handle(message, context));
                // Whoever waited may be gone meanwhile; it is done all the same.
                let _ = answer.send(done);
            }
        }))
    }

    /// Makes the change.
    pub(super) fn make(self, actor: &mut A, context: &mut A::Context) {
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
