//! Counters of this tier, shared by all threads that use it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::memory_monitor::ServerMemory;

/// A number that goes up.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) bypassed: Counter,
    pub(super) forged: Counter,
    pub(super) malformed: Counter,
    pub(super) expired: Counter,
    pub(super) outdated: Counter,
    pub(super) written: Counter,
    pub(super) refused: Counter,
    pub(super) lost: Counter,
    pub(super) too_large: Counter,
    pub(super) late: Counter,
    pub(super) failed: Counter,
    pub(super) opened: Counter,
    pub(super) closed: Counter,
    pub(super) unopened: Counter,
    pub(super) published: Counter,
    pub(super) unpublished: Counter,
    pub(super) messages: Counter,
    /// Running average of the time of an ask, in nanoseconds; only one thread writes it.
    ask: AtomicU64,
}

impl Counters {
    /// Counts a request that was answered after `took`.
    pub(super) fn asked(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let before = self.ask.load(Ordering::Relaxed);
        let after = if before == 0 { took } else { before - before / 16 + took / 16 };
        self.ask.store(after, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> Counts {
        #[expect(clippy::cast_precision_loss, reason = "times are far from 2^53 nanoseconds")]
        let ask_ms = self.ask.load(Ordering::Relaxed) as f64 / 1e6;
        Counts {
            hits: self.hits.get(),
            misses: self.misses.get(),
            bypassed: self.bypassed.get(),
            forged: self.forged.get(),
            malformed: self.malformed.get(),
            expired: self.expired.get(),
            outdated: self.outdated.get(),
            written: self.written.get(),
            refused: self.refused.get(),
            lost: self.lost.get(),
            too_large: self.too_large.get(),
            late: self.late.get(),
            failed: self.failed.get(),
            opened: self.opened.get(),
            closed: self.closed.get(),
            unopened: self.unopened.get(),
            published: self.published.get(),
            unpublished: self.unpublished.get(),
            messages: self.messages.get(),
            ask_ms,
        }
    }
}

/// The counts since the start of the process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Counts {
    /// Verdicts that were found and used.
    pub hits: u64,
    /// Verdicts that were asked for and not found, or not used.
    pub misses: u64,
    /// Verdicts that were not asked for, since the server does not answer.
    pub bypassed: u64,
    /// Misses because a value was not authenticated for its key.
    pub forged: u64,
    /// Of the misses, values of another form.
    pub malformed: u64,
    /// Of the misses, values whose time was over.
    pub expired: u64,
    /// Of the misses, values whose entities may have changed since, or that are of a newer state than this node's.
    pub outdated: u64,
    /// Verdicts that were written.
    pub written: u64,
    /// Verdicts that the server did not take, such as when its memory is full.
    pub refused: u64,
    /// Verdicts that were not written, since the server did not answer or too many waited.
    pub lost: u64,
    /// Verdicts that were not written, since they are too large.
    pub too_large: u64,
    /// Asks that had no answer in time.
    pub late: u64,
    /// Asks that failed otherwise.
    pub failed: u64,
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that were closed, or that broke.
    pub closed: u64,
    /// Connections that could not be opened.
    pub unopened: u64,
    /// Messages that were sent.
    pub published: u64,
    /// Messages that could not be sent.
    pub unpublished: u64,
    /// Messages that came.
    pub messages: u64,
    /// Running average of the time of an ask, in milliseconds.
    pub ask_ms: f64,
}

/// How the tier does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceStatus {
    /// Whether the server is asked.
    pub usable: bool,
    /// Seconds since `usable` last changed.
    pub since_s: u64,
    /// How often the server stopped answering.
    pub outages: u64,
    /// The last error; `None` if there was none.
    pub error: Option<String>,
    /// Whether messages of other nodes are listened to.
    pub listening: bool,
    /// Open connections.
    pub connections: usize,
    /// Asks that wait for an answer.
    pub in_flight: u32,
    /// Bytes of verdicts that wait to be written.
    pub waiting_bytes: usize,
    /// The memory of the server.
    pub memory: ServerMemory,
    /// The counters.
    pub counts: Counts,
}
