//! Hashes passwords on threads of their own, a limited number at once; client addresses take turns.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use actix::{Actor, Addr, Handler, MailboxError, Message, SyncArbiter, SyncContext};
use nonzero_ext::nonzero;

use crate::actors::Mailbox;
use crate::actors::fair_queue::{FairQueue, QueueFull, QueueLimits, Running};
use crate::auth::network::ClientAddress;
use crate::auth::password;

/// How many are hashed at once: each takes 19 MiB and some ten milliseconds of a processor.
const THREADS: NonZeroUsize = nonzero!(2_usize);

/// The bounds of the queue. A further attempt is refused at once, so that a user who logs in does not wait for minutes
/// behind password guessing. The full queue is hashed within [`DEADLINE`] on a slow processor.
const LIMITS: QueueLimits = QueueLimits { running: THREADS.get(), per_address: 32, waiting: 256 };

/// The longest wait, for a slot and for the hash together.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many at once.
    #[error("too many passwords are being checked")]
    Busy,
    /// The stored hash is malformed, or there is not enough memory to compute one.
    #[error("the password cannot be checked: {0}")]
    Failed(String),
    /// No answer in time, or never.
    #[error("the password was not checked in time")]
    Late,
}

impl From<QueueFull> for HashError {
    fn from(_: QueueFull) -> Self {
        Self::Busy
    }
}

impl From<MailboxError> for HashError {
    fn from(_: MailboxError) -> Self {
        Self::Late
    }
}

/// Hashes passwords; shared by all clones.
#[derive(Debug, Clone)]
pub struct Passwords {
    hasher: Mailbox<Hasher>,
    queue: FairQueue,
}

impl Passwords {
    /// Starts the threads.
    ///
    /// # Panics
    /// Where no actix system runs, or the system has no more threads to give.
    #[must_use]
    pub fn start() -> Self {
        let thread = || thread::Builder::new().name("acgs-passwords".to_owned());
        let hasher: Addr<Hasher> = SyncArbiter::start_with_thread_builder(THREADS.get(), thread, || Hasher);
        Self { hasher: Mailbox::new(hasher, DEADLINE), queue: FairQueue::new(LIMITS) }
    }

    /// Hashes a password for a client at `from`; the result is a PHC string.
    pub async fn hash(&self, password: String, from: ClientAddress) -> Result<String, HashError> {
        let _running = self.turn(from).await?;
        self.hasher.ask(Hash(password)).await
    }

    /// Whether a password matches a hash. Without a hash the answer is false, after the same time.
    pub async fn verify(&self, password: String, hash: Option<String>, from: ClientAddress) -> Result<bool, HashError> {
        let _running = self.turn(from).await?;
        self.hasher.ask(Verify { password, hash }).await
    }

    async fn turn(&self, from: ClientAddress) -> Result<Running, HashError> {
        // A slot that does not come in time means that the queue is too long.
        Ok(tokio::time::timeout(DEADLINE, self.queue.wait(from)).await.map_err(|_| HashError::Busy)??)
    }
}

/// One of the threads that hash.
#[derive(Debug)]
struct Hasher;

impl Actor for Hasher {
    type Context = SyncContext<Self>;
}

/// Hashes a password.
#[derive(Message)]
#[rtype(result = "Result<String, HashError>")]
struct Hash(String);

impl Handler<Hash> for Hasher {
    type Result = Result<String, HashError>;

    fn handle(&mut self, Hash(password): Hash, _: &mut Self::Context) -> Self::Result {
        password::hash(&password).map_err(|error| HashError::Failed(error.to_string()))
    }
}

/// Compares a password with a hash.
#[derive(Message)]
#[rtype(result = "Result<bool, HashError>")]
struct Verify {
    password: String,
    hash: Option<String>,
}

impl Handler<Verify> for Hasher {
    type Result = Result<bool, HashError>;

    fn handle(&mut self, Verify { password, hash }: Verify, _: &mut Self::Context) -> Self::Result {
        let stored = hash.as_deref().unwrap_or_else(|| password::absent());
        let same = password::verify(&password, stored).map_err(|error| HashError::Failed(error.to_string()))?;
        Ok(same && hash.is_some())
    }
}
