//! L2: the verdicts of the whole fleet, in Redis.
//!
//! This tier is optional: a missing, late or invalid value is evaluated. A verdict is written after it was answered,
//! with the versions of the entities that it read and a MAC ([`codec`]), and is used only if none of these entities
//! has changed since. While the server does not answer, it is not used ([`breaker`]).
//!
//! One thread owns the connections. Others use [`SharedVerdicts`], which opens sealed values on the calling thread.

pub mod breaker;
mod clearing;
pub mod codec;
mod connections;
pub mod counters;
pub mod invalidation_listener;
pub mod lease;
pub mod memory_monitor;
pub mod server;
mod shared_state;
mod shared_verdicts;
mod write_queue;

#[cfg(test)]
mod private_redis;
#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt as _, Arbiter, Context, Handler, MailboxError, Message, MessageResult, ResponseFuture,
    WrapFuture as _,
};
use redis::Value;
use tokio::time::timeout;

use codec::Secret;
use connections::Connections;
use counters::ServiceStatus;
use memory_monitor::ServerMemory;
use server::{Request, Server};
use shared_state::SharedState;
pub use shared_verdicts::SharedVerdicts;
use write_queue::{WriteOp, WriteQueue};

use crate::store::Versions;

/// How often the server's memory is looked at.
const WATCH: Duration = Duration::from_secs(30);
/// How long looking at it, or sending a message, may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long clearing may take.
const CLEARING: Duration = Duration::from_secs(30);

/// How the tier is used.
#[derive(Debug, Clone)]
pub struct L2Options {
    /// Where the server is.
    pub server: Server,
    /// Connections kept open.
    pub pool_size: NonZeroU32,
    /// The most connections while those have much to do.
    pub max_connections: NonZeroU32,
    /// How long a verdict is waited for.
    pub timeout: Duration,
    /// How long a verdict is kept.
    pub ttl: Duration,
}

/// Has the connections to Redis.
pub struct ServiceCache {
    server: Server,
    state: Arc<SharedState>,
    connections: Rc<Connections>,
    write_queue: Rc<WriteQueue>,
    call: invalidation_listener::Call,
    memory: ServerMemory,
}

impl ServiceCache {
    /// Starts the actor on a thread of its own. It does not wait for the server.
    ///
    /// Values are authenticated with the fleet's secret. `changed` is called when another node may have changed
    /// something, and must not block.
    ///
    /// # Panics
    /// Where no actix system runs, or the system has no more threads to give.
    pub fn start(
        options: L2Options,
        secret: Secret,
        versions: Versions,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> SharedVerdicts {
        let state = Arc::new(SharedState::new(secret, versions, options.ttl, options.timeout));
        let shared = Arc::clone(&state);
        let address = Self::start_in_arbiter(&Arbiter::new().handle(), move |_| Self {
            server: options.server.clone(),
            connections: Rc::new(Connections::new(options, Arc::clone(&shared))),
            write_queue: Rc::new(WriteQueue::new(Arc::clone(&shared))),
            state: shared,
            call: Arc::new(changed),
            memory: ServerMemory::default(),
        });
        SharedVerdicts { address, state }
    }

    /// Looks at the server's memory as soon as it is there, and from time to time.
    fn watch(&self, ctx: &mut Context<Self>) {
        let connections = Rc::clone(&self.connections);
        let look = async move {
            // Either it came back, or it is time.
            drop(timeout(WATCH, connections.returned()).await);
            if !connections.is_usable() {
                return None;
            }
            let answers = connections.ask(&ServerMemory::request(), Instant::now() + TIMEOUT).await.ok()?;
            Some(ServerMemory::of(&answers))
        };
        let note = look.into_actor(self).map(|memory, actor, ctx| {
            if let Some(memory) = memory {
                if let Some(advice) = memory.advice().filter(|advice| actor.memory.advice() != Some(advice)) {
                    tracing::warn!("the service cache: {advice}");
                }
                actor.memory = memory;
            }
            actor.watch(ctx);
        });
        actix::AsyncContext::spawn(ctx, note);
    }
}

impl Actor for ServiceCache {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(crate::actors::MAILBOX);
        let connections = Rc::clone(&self.connections);
        actix::spawn(async move { connections.keep().await });
        let (write_queue, connections) = (Rc::clone(&self.write_queue), Rc::clone(&self.connections));
        actix::spawn(async move { write_queue.send(&connections).await });
        let (server, state, call) = (self.server.clone(), Arc::clone(&self.state), Arc::clone(&self.call));
        actix::spawn(async move { invalidation_listener::listen(&server, &state, &call).await });
        self.watch(ctx);
    }
}

impl fmt::Debug for ServiceCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceCache").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Finds the values of some names, in their order; none where the server does not answer in time.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Option<Vec<u8>>>")]
struct FetchShared {
    names: Vec<String>,
    deadline: Instant,
}

impl Handler<FetchShared> for ServiceCache {
    type Result = ResponseFuture<Vec<Option<Vec<u8>>>>;

    fn handle(&mut self, FetchShared { names, deadline }: FetchShared, _: &mut Self::Context) -> Self::Result {
        let (connections, state) = (Rc::clone(&self.connections), Arc::clone(&self.state));
        Box::pin(async move {
            let begun = Instant::now();
            let mut command = redis::cmd("MGET");
            for name in &names {
                command.arg(name);
            }
            let Ok(answers) = connections.ask(&Request::One(command), deadline).await else { return Vec::new() };
            state.counters.asked(begun.elapsed());
            let value = |value| if let Value::BulkString(bytes) = value { Some(bytes) } else { None };
            match answers.into_iter().next() {
                Some(Ok(Value::Array(values))) => values.into_iter().map(value).collect(),
                Some(Err(error)) => {
                    connections.note(&error.to_string());
                    Vec::new()
                }
                _ => Vec::new(),
            }
        })
    }
}

/// Writes verdicts, some time.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct PutShared(Vec<WriteOp>);

impl Handler<PutShared> for ServiceCache {
    type Result = ();

    fn handle(&mut self, PutShared(ops): PutShared, _: &mut Self::Context) {
        self.write_queue.push(ops);
    }
}

/// Claims a lease of that name and duration; whether that succeeded, `None` if Redis did not answer.
#[derive(Debug, Message)]
#[rtype(result = "Option<bool>")]
struct Take {
    name: String,
    lasts: Duration,
    deadline: Instant,
}

impl Handler<Take> for ServiceCache {
    type Result = ResponseFuture<Option<bool>>;

    fn handle(&mut self, Take { name, lasts, deadline }: Take, _: &mut Self::Context) -> Self::Result {
        let connections = Rc::clone(&self.connections);
        Box::pin(async move {
            let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
            let mut command = redis::cmd("SET");
            command.arg(name).arg("").arg("NX").arg("PX").arg(lasts);
            match connections.ask(&Request::One(command), deadline).await.ok()?.into_iter().next()? {
                Ok(Value::Okay) => Some(true),
                Ok(Value::Nil) => Some(false),
                _ => None,
            }
        })
    }
}

/// Gives a claimed name back, after what was put before.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Release(String);

impl Handler<Release> for ServiceCache {
    type Result = ();

    fn handle(&mut self, Release(name): Release, _: &mut Self::Context) {
        let op = WriteOp::Release(name);
        if self.state.admit(op.weight()) {
            self.write_queue.push(vec![op]);
        }
    }
}

/// Tells the other nodes to look. The loss of a message costs them the time to their next look.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Publish(i64);

impl Handler<Publish> for ServiceCache {
    type Result = ();

    fn handle(&mut self, Publish(version): Publish, _: &mut Self::Context) {
        let (connections, state) = (Rc::clone(&self.connections), Arc::clone(&self.state));
        actix::spawn(async move {
            let mut command = redis::cmd("PUBLISH");
            command.arg(invalidation_listener::CHANNEL).arg(version);
            match connections.ask(&Request::One(command), Instant::now() + TIMEOUT).await {
                Ok(answers) if answers.iter().all(Result::is_ok) => state.counters.published.add(1),
                Ok(answers) => {
                    if let Some(error) = answers.iter().find_map(|answer| answer.as_ref().err()) {
                        connections.note(&error.to_string());
                    }
                    state.counters.unpublished.add(1);
                }
                Err(_) => state.counters.unpublished.add(1),
            }
        });
    }
}

/// Why the fleet's verdicts were not removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClearError {
    /// The server does not do it.
    #[error("the service cache cannot be cleared: {0}")]
    Server(String),
    /// It takes too long, or nobody is there to do it.
    #[error("the service cache was not cleared in time")]
    Late,
}

impl From<MailboxError> for ClearError {
    fn from(_: MailboxError) -> Self {
        Self::Late
    }
}

/// Removes all verdicts of the fleet; how many they were.
#[derive(Debug, Message)]
#[rtype(result = "Result<u64, ClearError>")]
struct Clear;

impl Handler<Clear> for ServiceCache {
    type Result = ResponseFuture<Result<u64, ClearError>>;

    fn handle(&mut self, _: Clear, _: &mut Self::Context) -> Self::Result {
        self.write_queue.clear();
        let (server, state) = (self.server.clone(), Arc::clone(&self.state));
        Box::pin(async move {
            let secret = state.secret.load_full();
            match timeout(CLEARING, clearing::clear(&server, secret.prefix())).await {
                Ok(outcome) => outcome.map_err(|error| ClearError::Server(error.to_string())),
                Err(_) => Err(ClearError::Late),
            }
        })
    }
}

/// Shows how the tier does.
#[derive(Debug, Message)]
#[rtype(result = "ServiceStatus")]
struct Show;

impl Handler<Show> for ServiceCache {
    type Result = MessageResult<Show>;

    fn handle(&mut self, _: Show, _: &mut Self::Context) -> Self::Result {
        let (since, outages) = self.connections.since();
        let (connections, in_flight) = self.connections.open();
        MessageResult(ServiceStatus {
            usable: self.connections.is_usable(),
            since_s: since.elapsed().as_secs(),
            outages,
            error: self.connections.error(),
            listening: self.state.listening.load(Ordering::Relaxed),
            connections,
            in_flight,
            waiting_bytes: self.state.waiting(),
            memory: self.memory.clone(),
            counts: self.state.counters.snapshot(),
        })
    }
}
