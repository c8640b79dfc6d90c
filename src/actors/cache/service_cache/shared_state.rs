//! State shared with the L2 thread: what can be decided without asking it, such as whether a value is valid.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use super::codec::{Content, Secret, ValueError};
use super::counters::Counters;
use crate::actors::cache::request_cache::{CachedVerdict, Key};
use crate::domain::Revision;
use crate::ledger::EntitySet;
use crate::store::{Slot, Versions};

/// The most bytes of verdicts that wait to be written.
const MOST_WAITING: usize = 8 << 20;

/// The state shared by the thread and its users.
#[derive(Debug)]
pub(super) struct SharedState {
    pub(super) secret: ArcSwap<Secret>,
    pub(super) versions: Versions,
    pub(super) ttl: Duration,
    pub(super) timeout: Duration,
    /// Whether the server is used. It is checked first, so that an outage costs no wake-up of the thread.
    pub(super) usable: AtomicBool,
    /// Whether messages of other nodes are listened to.
    pub(super) listening: AtomicBool,
    /// Whether the subscription ended, and was not resumed. An access list may forbid it from the beginning; then it is
    /// false.
    pub(super) was_unsubscribed: AtomicBool,
    waiting: AtomicUsize,
    pub(super) counters: Counters,
}

impl SharedState {
    pub(super) fn new(secret: Secret, versions: Versions, ttl: Duration, timeout: Duration) -> Self {
        Self {
            secret: ArcSwap::from_pointee(secret),
            versions,
            ttl,
            timeout,
            usable: AtomicBool::new(false),
            listening: AtomicBool::new(false),
            was_unsubscribed: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            counters: Counters::default(),
        }
    }

    pub(super) fn is_usable(&self) -> bool {
        self.usable.load(Ordering::Relaxed)
    }

    /// The value to be written for a verdict as of a revision; `None` if the text of its entities has been taken.
    pub(super) fn content(&self, verdict: &CachedVerdict, as_of: Revision) -> Option<Content> {
        let entities = match &verdict.entities {
            Some(set) => Some(set.text()?),
            None => None,
        };
        let mut slots: Vec<Slot> = verdict.stamps.iter().map(crate::store::Stamp::slot).collect();
        slots.sort_unstable_by_key(|slot| slot.number());
        slots.dedup();
        let ttl = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        let expires = now().saturating_add(ttl);
        Some(Content { verdict: Arc::clone(&verdict.verdict), entities, slots, as_of, expires })
    }

    /// The verdict in a value, if it holds here and now. Everything else is a miss.
    pub(super) fn open(&self, key: &Key, value: &[u8]) -> Option<CachedVerdict> {
        match self.secret.load().open(key, value, now()) {
            Ok(content) => {
                let verdict = self.current(content);
                self.counters.outdated.add(verdict.is_none().into());
                verdict
            }
            Err(flaw) => {
                let counter = match flaw {
                    ValueError::Malformed => &self.counters.malformed,
                    ValueError::Forged => &self.counters.forged,
                    ValueError::Expired => &self.counters.expired,
                };
                counter.add(1);
                None
            }
        }
    }

    /// INVARIANT: a verdict is not returned if its entities have changed since it was made, as far as this node knows.
    /// The stamps are taken before that check, so a later change is seen by whoever compares them. Nor is a verdict
    /// returned as of a revision that this node does not know: that may be one that was lost.
    fn current(&self, content: Content) -> Option<CachedVerdict> {
        let stamps = content.slots.iter().map(|slot| self.versions.stamp_of(*slot)).collect();
        let holds = self.versions.contains(&content.as_of)
            && content.slots.iter().all(|slot| self.versions.is_unchanged_since(*slot, content.as_of.version));
        if !holds {
            return None;
        }
        let entities = content.entities.map(|text| Arc::new(EntitySet::new(text.as_ref().to_owned())));
        Some(CachedVerdict { verdict: content.verdict, entities, stamps })
    }

    /// Reserves `bytes` bytes for pending writes; false if there are too many.
    pub(super) fn admit(&self, bytes: usize) -> bool {
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > MOST_WAITING {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// They wait no more.
    pub(super) fn dismiss(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
