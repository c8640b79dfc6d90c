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
    state: Arc<SharedState>,
    links: RefCell<Vec<Slot>>,
    breaker: RefCell<Breaker>,
    error: RefCell<Option<String>>,
    /// There is something to open.
    wanted: Notify,
    /// The server answers again.
    recovery: Notify,
    last_id: Cell<u64>,
}

struct Slot {
    id: u64,
    link: Link,
    in_flight: Rc<Cell<u32>>,
    used: Instant,
}

/// A connection in use by one request.
struct Checkout {
    id: u64,
    link: Link,
    in_flight: Rc<Cell<u32>>,
}

impl Drop for Checkout {
    fn drop(&mut self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }
}

impl Connections {
    /// None yet. [`Connections::maintain`] opens them.
    pub(super) fn new(options: L2Options, state: Arc<SharedState>) -> Self {
        Self {
            options,
            state,
            links: RefCell::default(),
            breaker: RefCell::new(Breaker::new(Instant::now())),
            error: RefCell::default(),
            wanted: Notify::new(),
            recovery: Notify::new(),
            last_id: Cell::new(0),
        }
    }

    /// Sends a request and returns the answers to its commands. If a connection turns out to be broken, the next one is
    /// used. `None` if the server did not answer; the counters and the last error say why.
    pub(super) async fn ask(&self, request: &Request, deadline: Instant) -> Option<Vec<RedisResult<Value>>> {
        loop {
            let Some(mut checkout) = self.checkout() else {
                self.open_breaker();
                return None;
            };
            let answers = match timeout_at(deadline.into(), checkout.link.ask(request)).await {
                Err(_) => {
                    self.state.counters.late.add(1);
                    self.failed("no answer in time");
                    return None;
                }
                Ok(Err(error)) if is_broken(&error) => {
                    self.set_error(&error.to_string());
                    self.remove(checkout.id);
                    continue;
                }
                Ok(Err(error)) => {
                    self.state.counters.failed.add(1);
                    self.failed(&error.to_string());
                    return None;
                }
                Ok(Ok(answers)) => answers,
            };
            match answers.iter().find_map(|answer| answer.as_ref().err().filter(|error| !is_refusal(error))) {
                None => self.breaker.borrow_mut().succeeded(),
                Some(error) => {
                    self.state.counters.failed.add(1);
                    self.failed(&error.to_string());
                    if is_broken(error) {
                        self.remove(checkout.id);
                    }
                }
            }
            return Some(answers);
        }
    }

    /// Opens missing connections, closes idle ones, and probes a server that was unavailable; never ends.
    pub(super) async fn maintain(&self) {
        loop {
            if !self.is_usable() {
                let pause = self.breaker.borrow().pause(Instant::now());
                sleep(pause).await;
                self.breaker.borrow_mut().probe_begins(Instant::now());
                match self.probe().await {
                    Ok(link) => self.recovered(link),
                    Err(error) => self.fail_to_open(&error),
                }
            } else if self.needs_connection() {
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
    pub(super) async fn wait_for_recovery(&self) {
        self.recovery.notified().await;
    }

    pub(super) fn is_usable(&self) -> bool {
        self.breaker.borrow().is_closed()
    }

    /// When the breaker last opened or closed, and how often it opened.
    pub(super) fn since(&self) -> (Instant, u64) {
        let breaker = self.breaker.borrow();
        (breaker.since(), breaker.opened())
    }

    pub(super) fn error(&self) -> Option<String> {
        self.error.borrow().clone()
    }

    /// The number of connections, and of requests in flight.
    pub(super) fn usage(&self) -> (usize, u32) {
        let links = self.links.borrow();
        (links.len(), links.iter().map(|slot| slot.in_flight.get()).sum())
    }

    /// Keeps an error for the status.
    pub(super) fn set_error(&self, error: &str) {
        self.error.replace(Some(error.to_owned()));
    }

    /// The first of the connections with the fewest requests in flight, so that connections opened for a burst become
    /// idle.
    fn checkout(&self) -> Option<Checkout> {
        let mut links = self.links.borrow_mut();
        let count = links.len();
        let slot = links.iter_mut().min_by_key(|slot| slot.in_flight.get())?;
        let in_flight = slot.in_flight.get();
        if in_flight >= MAX_IN_FLIGHT && count < self.max_connections() {
            self.wanted.notify_one();
        }
        slot.in_flight.set(in_flight + 1);
        slot.used = Instant::now();
        Some(Checkout { id: slot.id, link: slot.link.clone(), in_flight: Rc::clone(&slot.in_flight) })
    }

    /// Opens a connection, which must answer as fast as a request requires.
    async fn probe(&self) -> Result<Link, String> {
        let mut link = self.options.server.open().await.map_err(|error| error.to_string())?;
        let name = format!("{}trial", self.state.secret.load().prefix());
        let mut command = redis::cmd("GET");
        command.arg(name);
        let answer = timeout(self.options.timeout, link.ask(&Request::One(command))).await;
        let answers = answer.map_err(|_| "no answer in time".to_owned())?;
        match answers.map(|answers| answers.into_iter().find_map(Result::err)) {
            Ok(None) => Ok(link),
            Ok(Some(error)) | Err(error) => Err(error.to_string()),
        }
    }

    fn recovered(&self, link: Link) {
        self.add(link);
        self.breaker.borrow_mut().close(Instant::now());
        self.state.usable.store(true, Ordering::Relaxed);
        self.recovery.notify_one();
        tracing::info!("Redis (`cache.l2.url`) answers");
    }

    fn fail_to_open(&self, error: &str) {
        self.state.counters.unopened.add(1);
        if self.error.borrow().as_deref() != Some(error) {
            tracing::warn!(error, "Redis (`cache.l2.url`) cannot be reached; deciding without it");
        }
        self.set_error(error);
    }

    fn failed(&self, error: &str) {
        self.set_error(error);
        if self.breaker.borrow_mut().failed(Instant::now()) {
            self.close_all(error);
        }
    }

    /// Opens the breaker, since there is no connection left.
    fn open_breaker(&self) {
        if self.breaker.borrow_mut().open(Instant::now()) {
            let error = self.error().unwrap_or_default();
            self.close_all(&error);
        }
    }

    /// Closes all connections: the server may have moved, and new ones lead to where it is now.
    fn close_all(&self, error: &str) {
        self.state.usable.store(false, Ordering::Relaxed);
        let links = self.links.take();
        self.state.counters.closed.add(links.len() as u64);
        self.wanted.notify_one();
        tracing::warn!(error, "Redis (`cache.l2.url`) does not answer; deciding without it");
    }

    fn add(&self, link: Link) {
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        self.state.counters.opened.add(1);
        self.links.borrow_mut().push(Slot { id, link, in_flight: Rc::default(), used: Instant::now() });
    }

    fn remove(&self, id: u64) {
        let mut links = self.links.borrow_mut();
        let before = links.len();
        links.retain(|slot| slot.id != id);
        // Another task may have closed some already.
        self.state.counters.closed.add((before - links.len()) as u64);
        self.wanted.notify_one();
    }

    fn needs_connection(&self) -> bool {
        let links = self.links.borrow();
        let busy = || links.iter().all(|slot| slot.in_flight.get() >= MAX_IN_FLIGHT);
        links.len() < self.min_connections() || (links.len() < self.max_connections() && busy())
    }

    fn close_idle(&self) {
        let mut links = self.links.borrow_mut();
        let min = self.min_connections();
        while links.len() > min
            && links.last().is_some_and(|slot| slot.in_flight.get() == 0 && slot.used.elapsed() > IDLE_TIMEOUT)
        {
            links.pop();
            self.state.counters.closed.add(1);
        }
    }

    fn min_connections(&self) -> usize {
        self.options.pool_size.get() as usize
    }

    fn max_connections(&self) -> usize {
        self.options.max_connections.max(self.options.pool_size).get() as usize
    }
}

/// Whether the connection must be replaced: it broke, or leads to a server that is no longer the master.
fn is_broken(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Whether the server works and only refuses this command: its memory or disk is full, or the ACL forbids it.
fn is_refusal(error: &RedisError) -> bool {
    matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "NOPERM"))
}
