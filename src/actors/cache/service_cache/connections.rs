//! The connections to Redis: some are kept, more are opened while all are busy, and all are closed while the server
//! does not answer.
//!
//! `redis::aio::ConnectionManager` is no substitute: it is one connection, on which requests wait while it reconnects.
//! Here a request fails at once then, since a decision is cheaper than the wait, and nothing is sent until a probe has
//! been answered as fast as a request requires.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout, timeout_at};

use super::L2Options;
use super::breaker::Breaker;
use super::server::{Link, Request};
use super::shared_state::SharedState;

/// With more requests in flight than this on each connection, another one is opened.
const MAX_IN_FLIGHT: u32 = 16;
/// The idle time after which a connection above the minimum is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long nothing is opened after that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The connections. They live in one thread.
pub(super) struct Connections {
    options: L2Options,
    front: Arc<SharedState>,
    links: RefCell<Vec<Slot>>,
    breaker: RefCell<Breaker>,
    error: RefCell<Option<String>>,
    /// There is something to open.
    wanted: Notify,
    /// The server answers again.
    returned: Notify,
    last: Cell<u64>,
}

struct Slot {
    id: u64,
    link: Link,
    in_flight: Rc<Cell<u32>>,
    used: Instant,
}

/// One ask on a connection.
struct Turn {
    id: u64,
    link: Link,
    in_flight: Rc<Cell<u32>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }
}

/// Why there is no answer. The details are in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskError {
    /// There is no connection.
    Away,
    /// The answer did not come in time.
    Late,
    /// The connection broke, or the answer was invalid.
    Failed,
}

impl Connections {
    /// None yet. [`Connections::keep`] opens them.
    pub(super) fn new(options: L2Options, front: Arc<SharedState>) -> Self {
        Self {
            options,
            front,
            links: RefCell::default(),
            breaker: RefCell::new(Breaker::new(Instant::now())),
            error: RefCell::default(),
            wanted: Notify::new(),
            returned: Notify::new(),
            last: Cell::new(0),
        }
    }

    /// Asks. Where a connection turns out to be broken, another one is used.
    pub(super) async fn ask(&self, request: &Request, deadline: Instant) -> Result<Vec<RedisResult<Value>>, AskError> {
        loop {
            let Some(mut turn) = self.turn() else {
                self.give_up();
                return Err(AskError::Away);
            };
            let answers = match timeout_at(deadline.into(), turn.link.ask(request)).await {
                Err(_) => {
                    self.front.counters.late.add(1);
                    self.failed("no answer in time");
                    return Err(AskError::Late);
                }
                Ok(Err(error)) if is_broken(&error) => {
                    self.note(&error.to_string());
                    self.remove(turn.id);
                    continue;
                }
                Ok(Err(error)) => {
                    self.front.counters.failed.add(1);
                    self.failed(&error.to_string());
                    return Err(AskError::Failed);
                }
                Ok(Ok(answers)) => answers,
            };
            match answers.iter().find_map(|answer| answer.as_ref().err().filter(|error| !is_refusal(error))) {
                None => self.breaker.borrow_mut().succeeded(),
                Some(error) => {
                    self.front.counters.failed.add(1);
                    self.failed(&error.to_string());
                    if is_broken(error) {
                        self.remove(turn.id);
                    }
                }
            }
            return Ok(answers);
        }
    }

    /// Opens missing connections, closes superfluous ones, and probes a server that was unavailable; never ends.
    pub(super) async fn keep(&self) {
        loop {
            if !self.is_usable() {
                let pause = self.breaker.borrow().pause(Instant::now());
                sleep(pause).await;
                self.breaker.borrow_mut().tries(Instant::now());
                match self.attempt().await {
                    Ok(link) => self.come_back(link),
                    Err(error) => self.fail_to_open(&error),
                }
            } else if self.is_short() {
                match self.options.server.open().await {
                    Ok(link) => self.add(link),
                    Err(error) => {
                        self.fail_to_open(&error.to_string());
                        sleep(RETRY_INTERVAL).await;
                    }
                }
            } else {
                self.close_idle();
                // Either something is wanted, or it is time to look again.
                drop(timeout(IDLE_TIMEOUT / 2, self.wanted.notified()).await);
            }
        }
    }

    /// Waits until the server answers again, or for the first time.
    pub(super) async fn returned(&self) {
        self.returned.notified().await;
    }

    pub(super) fn is_usable(&self) -> bool {
        self.breaker.borrow().is_closed()
    }

    /// Since when that is so, and how often it stopped.
    pub(super) fn since(&self) -> (Instant, u64) {
        let breaker = self.breaker.borrow();
        (breaker.since(), breaker.opened())
    }

    pub(super) fn error(&self) -> Option<String> {
        self.error.borrow().clone()
    }

    /// How many there are, and how many asks wait for an answer.
    pub(super) fn open(&self) -> (usize, u32) {
        let links = self.links.borrow();
        (links.len(), links.iter().map(|slot| slot.in_flight.get()).sum())
    }

    /// Keeps an error for the status.
    pub(super) fn note(&self, error: &str) {
        self.error.replace(Some(error.to_owned()));
    }

    /// The first of the connections with the fewest requests in flight, so that connections opened for a burst become
    /// idle.
    fn turn(&self) -> Option<Turn> {
        let mut links = self.links.borrow_mut();
        let count = links.len();
        let slot = links.iter_mut().min_by_key(|slot| slot.in_flight.get())?;
        let in_flight = slot.in_flight.get();
        if in_flight >= MAX_IN_FLIGHT && count < self.most() {
            self.wanted.notify_one();
        }
        slot.in_flight.set(in_flight + 1);
        slot.used = Instant::now();
        Some(Turn { id: slot.id, link: slot.link.clone(), in_flight: Rc::clone(&slot.in_flight) })
    }

    /// Opens a connection that answers as fast as a request requires. Runs in the background.
    async fn attempt(&self) -> Result<Link, String> {
        let mut link = self.options.server.open().await.map_err(|error| error.to_string())?;
        let name = format!("{}trial", self.front.secret.load().prefix());
        let mut command = redis::cmd("GET");
        command.arg(name);
        let answer = timeout(self.options.timeout, link.ask(&Request::One(command))).await;
        let answers = answer.map_err(|_| "no answer in time".to_owned())?;
        match answers.map(|answers| answers.into_iter().find_map(Result::err)) {
            Ok(None) => Ok(link),
            Ok(Some(error)) | Err(error) => Err(error.to_string()),
        }
    }

    fn come_back(&self, link: Link) {
        self.add(link);
        self.breaker.borrow_mut().close(Instant::now());
        self.front.usable.store(true, Ordering::Relaxed);
        self.returned.notify_one();
        tracing::info!("the service cache answers");
    }

    fn fail_to_open(&self, error: &str) {
        self.front.counters.unopened.add(1);
        if self.error.borrow().as_deref() != Some(error) {
            tracing::warn!(error, "the service cache cannot be reached: decisions are made without it");
        }
        self.note(error);
    }

    fn failed(&self, error: &str) {
        self.note(error);
        if self.breaker.borrow_mut().failed(Instant::now()) {
            self.leave(error);
        }
    }

    /// There is no connection left.
    fn give_up(&self) {
        if self.breaker.borrow_mut().open(Instant::now()) {
            let error = self.error().unwrap_or_default();
            self.leave(&error);
        }
    }

    /// Closes all, since new ones may lead to where the server is now.
    fn leave(&self, error: &str) {
        self.front.usable.store(false, Ordering::Relaxed);
        let links = self.links.take();
        self.front.counters.closed.add(links.len() as u64);
        self.wanted.notify_one();
        tracing::warn!(error, "the service cache does not answer: decisions are made without it");
    }

    fn add(&self, link: Link) {
        let id = self.last.get() + 1;
        self.last.set(id);
        self.front.counters.opened.add(1);
        self.links.borrow_mut().push(Slot { id, link, in_flight: Rc::default(), used: Instant::now() });
    }

    fn remove(&self, id: u64) {
        let mut links = self.links.borrow_mut();
        let before = links.len();
        links.retain(|slot| slot.id != id);
        // Another task may have closed some already.
        self.front.counters.closed.add((before - links.len()) as u64);
        self.wanted.notify_one();
    }

    fn is_short(&self) -> bool {
        let links = self.links.borrow();
        let busy = || links.iter().all(|slot| slot.in_flight.get() >= MAX_IN_FLIGHT);
        links.len() < self.kept() || (links.len() < self.most() && busy())
    }

    fn close_idle(&self) {
        let mut links = self.links.borrow_mut();
        let kept = self.kept();
        while links.len() > kept
            && links.last().is_some_and(|slot| slot.in_flight.get() == 0 && slot.used.elapsed() > IDLE_TIMEOUT)
        {
            links.pop();
            self.front.counters.closed.add(1);
        }
    }

    fn kept(&self) -> usize {
        self.options.pool_size.get() as usize
    }

    fn most(&self) -> usize {
        self.options.max_connections.max(self.options.pool_size).get() as usize
    }
}

/// Whether the connection is of no use any more: it broke, or leads to a server that is no master any more.
fn is_broken(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Whether the server is well, and only does not do this: its memory or disk is full, or we are not allowed to.
fn is_refusal(error: &RedisError) -> bool {
    matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "NOPERM"))
}
