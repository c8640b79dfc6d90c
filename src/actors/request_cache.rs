//! L1: the verdicts that this HTTP worker just used.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, Message, MessageResult};
use lru::LruCache;

use crate::domain::Verdict;
use crate::ledger::EntitySet;
use crate::store::{Stamp, Versions};

/// SHA-256 over everything that a verdict depends on, but for the entities, whose versions are kept with it.
pub type Key = [u8; 32];

/// A verdict and what it was made from.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The verdict.
    pub verdict: Arc<Verdict>,
    /// The stored entities that were read; none where none was stored.
    pub entities: Option<Arc<EntitySet>>,
    /// The versions of all entities that were asked for, absent ones included, from before they were read.
    pub stamps: Arc<[Stamp]>,
}

/// The request cache of one worker.
#[derive(Debug)]
pub struct RequestCache {
    /// None: the tier is off.
    kept: Option<LruCache<Key, (Kept, Instant)>>,
    ttl: Duration,
    versions: Versions,
}

impl RequestCache {
    /// A cache of that many verdicts, each for no longer than `ttl`.
    #[must_use]
    pub fn new(capacity: Option<NonZeroUsize>, ttl: Duration, versions: Versions) -> Self {
        Self { kept: capacity.map(LruCache::new), ttl, versions }
    }

    /// INVARIANT: a verdict whose entities changed since they were read is not given out.
    fn find(&mut self, key: &Key) -> Option<Kept> {
        let kept = self.kept.as_mut()?;
        let (found, since) = kept.get(key)?;
        if since.elapsed() < self.ttl && found.stamps.iter().all(|stamp| self.versions.is_current(stamp)) {
            return Some(found.clone());
        }
        kept.pop(key);
        None
    }
}

impl Actor for RequestCache {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(super::MAILBOX);
    }
}

/// Finds the verdicts for some keys, in their order.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Option<Kept>>")]
pub struct Fetch(pub Vec<Key>);

impl Handler<Fetch> for RequestCache {
    type Result = MessageResult<Fetch>;

    fn handle(&mut self, Fetch(keys): Fetch, _: &mut Self::Context) -> Self::Result {
        MessageResult(keys.iter().map(|key| self.find(key)).collect())
    }
}

/// Keeps verdicts. Their loss costs an evaluation each, and nothing else.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Put(pub Vec<(Key, Kept)>);

impl Handler<Put> for RequestCache {
    type Result = ();

    fn handle(&mut self, Put(verdicts): Put, _: &mut Self::Context) {
        let now = Instant::now();
        if let Some(kept) = &mut self.kept {
            for (key, verdict) in verdicts {
                kept.put(key, (verdict, now));
            }
        }
    }
}
