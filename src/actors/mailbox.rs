//! How one asks an actor.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, MailboxError, Message};
use tokio::sync::oneshot;

use crate::actors::write_ticket::{Ticket, Write};

/// The address of an actor, and how long its answers are waited for.
pub struct Mailbox<A: Actor> {
    addr: Addr<A>,
    deadline: Duration,
    unanswered: Arc<AtomicUsize>,
}

/// The state of a change at its deadline.
pub enum Outcome<T, E> {
    /// The change was made, or it never will be.
    Known(Result<T, E>),
    /// The change was begun; the future resolves to its result.
    Unknown(Pin<Box<dyn Future<Output = Result<T, E>>>>),
}

/// A question that is counted until it is answered or given up.
struct Asked<'a>(&'a AtomicUsize);

impl<A: Actor> Mailbox<A> {
    /// Asks this actor, each time waiting no longer than `deadline`.
    #[must_use]
    pub fn new(addr: Addr<A>, deadline: Duration) -> Self {
        Self { addr, deadline, unanswered: Arc::default() }
    }

    /// Asks. An answer that is late or can never come is an error of the actor's own kind.
    ///
    /// A question that is dropped or late before the actor comes to it may be left out, but one that the actor has
    /// begun is done to its end.
    pub async fn ask<M, T, E>(&self, message: M) -> Result<T, E>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message<Result = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<MailboxError> + Send + 'static,
    {
        let _asked = Asked::new(&self.unanswered);
        self.addr.send(message).timeout(self.deadline).await?
    }

    /// Asks for a change. At the deadline it is cancelled, so that it never takes effect; if it has begun by then, its
    /// result can still be awaited.
    pub async fn write<M, T, E>(&self, message: M) -> Outcome<T, E>
    where
        A: Handler<M, Result = Result<T, E>> + Handler<Write<A>>,
        A::Context: ToEnvelope<A, Write<A>>,
        M: Message<Result = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<MailboxError> + Send + 'static,
    {
        let _asked = Asked::new(&self.unanswered);
        let (ticket, (answer, answered)) = (Ticket::default(), oneshot::channel());
        self.addr.do_send(Write::new(message, ticket.clone(), answer));
        let mut answered = Box::pin(async {
            // The sender is dropped if the actor has ended.
            answered.await.unwrap_or_else(|_| Err(MailboxError::Closed.into()))
        });
        match tokio::time::timeout(self.deadline, &mut answered).await {
            Ok(done) => Outcome::Known(done),
            Err(_) if ticket.abandon() => Outcome::Known(Err(MailboxError::Timeout.into())),
            Err(_) => Outcome::Unknown(answered),
        }
    }

    /// The number of messages sent through this mailbox and its clones that are neither answered nor given up. For an
    /// actor on N threads, all but N of them are queued.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::Relaxed)
    }
}

impl<'a> Asked<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self { addr: self.addr.clone(), deadline: self.deadline, unanswered: Arc::clone(&self.unanswered) }
    }
}

impl<A: Actor> fmt::Debug for Mailbox<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
