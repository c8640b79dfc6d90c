//! L2: the verdicts of the whole fleet, in Redis.
//!
//! This tier is optional: without a valid value in time, it is evaluated. A verdict is written after it was answered,
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
pub use counters::ServiceStatus;
pub use memory_monitor::ServerMemory;
use server::{Request, Server};
use shared_state::SharedState;
pub use shared_verdicts::SharedVerdicts;
use write_queue::{WriteOp, WriteQueue};

use crate::store::Versions;

/// The interval for reading the server's memory counters.
const MEMORY_INTERVAL: Duration = Duration::from_secs(5);
/// The deadline for reading them, and for publishing a notification.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The deadline for clearing.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(30);

/// How the tier is used.
#[derive(Debug, Clone)]
pub struct L2Options {
    /// The servers, and the user on them.
    pub server: Server,
    /// Connections kept open.
    pub pool_size: NonZeroU32,
    /// The most connections; more than `pool_size` only under load.
    pub max_connections: NonZeroU32,
    /// The deadline of a read.
    pub timeout: Duration,
    /// The lifetime of a written verdict.
    pub ttl: Duration,
}

/// The actor that owns the connections to Redis.
pub struct ServiceCache {
    server: Server,
    state: Arc<SharedState>,
    connections: Rc<Connections>,
    write_queue: Rc<WriteQueue>,
    on_change: invalidation_listener::OnChange,
    memory: ServerMemory,
}

impl ServiceCache {
    /// Starts the actor on a thread of its own. It does not wait for the server.
    ///
    /// Values are authenticated with the fleet's secret. `on_change` is called when another node may have changed
    /// something; it must not block.
    ///
    /// # Panics
    /// Where no actix system runs, or the system has no more threads to give.
    pub fn start(
        options: L2Options,
        secret: Secret,
        versions: Versions,
        on_change: impl Fn() + Send + Sync + 'static,
    ) -> SharedVerdicts {
        let state = Arc::new(SharedState::new(secret, versions, options.ttl, options.timeout));
        let shared = Arc::clone(&state);
        let address = Self::start_in_arbiter(&Arbiter::new().handle(), move |_| Self {
            server: options.server.clone(),
            connections: Rc::new(Connections::new(options, Arc::clone(&shared))),
            write_queue: Rc::new(WriteQueue::new(Arc::clone(&shared))),
            state: shared,
            on_change: Arc::new(on_change),
            memory: ServerMemory::default(),
        });
        SharedVerdicts { address, state }
    }

    /// Reads the server's memory counters when it becomes available, and periodically.
    fn watch_memory(&self, ctx: &mut Context<Self>) {
        let connections = Rc::clone(&self.connections);
        let read = async move {
            // Either it became available, or the interval is over.
            drop(timeout(MEMORY_INTERVAL, connections.wait_for_recovery()).await);
            if !connections.is_usable() {
                return None;
            }
            let answers = connections.ask(&ServerMemory::request(), Instant::now() + TIMEOUT).await?;
            Some(ServerMemory::of(&answers))
        };
        let watching = read.into_actor(self).map(|memory, actor, ctx| {
            if let Some(memory) = memory {
                if let Some(advice) = memory.advice().filter(|advice| actor.memory.advice() != Some(advice)) {
                    tracing::warn!("Redis (`cache.l2.url`): {advice}");
                }
                actor.memory = memory;
            }
            actor.watch_memory(ctx);
        });
        actix::AsyncContext::spawn(ctx, watching);
    }
}

impl Actor for ServiceCache {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(crate::actors::MAILBOX_CAPACITY);
        let connections = Rc::clone(&self.connections);
        actix::spawn(async move { connections.maintain().await });
        let (write_queue, connections) = (Rc::clone(&self.write_queue), Rc::clone(&self.connections));
        actix::spawn(async move { write_queue.send(&connections).await });
        let (server, state, on_change) = (self.server.clone(), Arc::clone(&self.state), Arc::clone(&self.on_change));
        actix::spawn(async move { invalidation_listener::listen(&server, &state, &on_change).await });
        self.watch_memory(ctx);
    }
}

impl fmt::Debug for ServiceCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceCache").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Reads the values of some names, in their order; an empty list if the server does not answer in time.
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
            let Some(answers) = connections.ask(&Request::One(command), deadline).await else { return Vec::new() };
            state.counters.asked(begun.elapsed());
            let value = |value| if let Value::BulkString(bytes) = value { Some(bytes) } else { None };
            match answers.into_iter().next() {
                Some(Ok(Value::Array(values))) => values.into_iter().map(value).collect(),
                Some(Err(error)) => {
                    connections.set_error(&error.to_string());
                    Vec::new()
                }
                _ => Vec::new(),
            }
        })
    }
}

/// Queues verdicts to be written.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct PutShared(Vec<WriteOp>);

impl Handler<PutShared> for ServiceCache {
    type Result = ();

    fn handle(&mut self, PutShared(ops): PutShared, _: &mut Self::Context) {
        self.write_queue.push(ops);
    }
}

/// Acquires a lease that expires after `ttl`; false if another node has it, `None` if Redis did not answer.
#[derive(Debug, Message)]
#[rtype(result = "Option<bool>")]
struct AcquireLease {
    name: String,
    ttl: Duration,
    deadline: Instant,
}

impl Handler<AcquireLease> for ServiceCache {
    type Result = ResponseFuture<Option<bool>>;

    fn handle(&mut self, AcquireLease { name, ttl, deadline }: AcquireLease, _: &mut Self::Context) -> Self::Result {
        let connections = Rc::clone(&self.connections);
        Box::pin(async move {
            let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            let mut command = redis::cmd("SET");
            command.arg(name).arg("").arg("NX").arg("PX").arg(ttl_ms);
            match connections.ask(&Request::One(command), deadline).await?.into_iter().next()? {
                Ok(Value::Okay) => Some(true),
                Ok(Value::Nil) => Some(false),
                _ => None,
            }
        })
    }
}

/// Releases a lease, after the writes that were queued before.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct ReleaseLease(String);

impl Handler<ReleaseLease> for ServiceCache {
    type Result = ();

    fn handle(&mut self, ReleaseLease(name): ReleaseLease, _: &mut Self::Context) {
        let op = WriteOp::Release(name);
        if self.state.admit(op.weight()) {
            self.write_queue.push(vec![op]);
        }
    }
}

/// Notifies the other nodes of changes up to a version. Without the notification they find them with their next poll.
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
                Some(answers) if answers.iter().all(Result::is_ok) => state.counters.published.add(1),
                Some(answers) => {
                    if let Some(error) = answers.iter().find_map(|answer| answer.as_ref().err()) {
                        connections.set_error(&error.to_string());
                    }
                    state.counters.unpublished.add(1);
                }
                None => state.counters.unpublished.add(1),
            }
        });
    }
}

/// Why the fleet's verdicts could not be removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClearError {
    /// The server answered with an error.
    #[error("the verdicts in Redis cannot be removed: {0}")]
    Server(String),
    /// It takes too long, or the actor has ended.
    #[error("the verdicts in Redis were not all removed in time")]
    Late,
}

impl From<MailboxError> for ClearError {
    fn from(_: MailboxError) -> Self {
        Self::Late
    }
}

/// Removes all verdicts of the fleet, and returns how many.
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
            match timeout(CLEAR_TIMEOUT, clearing::clear(&server, secret.prefix())).await {
                Ok(outcome) => outcome.map_err(|error| ClearError::Server(error.to_string())),
                Err(_) => Err(ClearError::Late),
            }
        })
    }
}

/// Returns the tier's status.
#[derive(Debug, Message)]
#[rtype(result = "ServiceStatus")]
struct GetStatus;

impl Handler<GetStatus> for ServiceCache {
    type Result = MessageResult<GetStatus>;

    fn handle(&mut self, _: GetStatus, _: &mut Self::Context) -> Self::Result {
        let (since, outages) = self.connections.since();
        let (connections, in_flight) = self.connections.usage();
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
