//! The handle through which others use L2. Without an answer of Redis in time, a look-up is a miss.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::dev::ToEnvelope;
use actix::{Addr, Handler, Message};

use super::codec::Secret;
use super::counters::ServiceStatus;
use super::shared_state::SharedState;
use super::write_queue::WriteOp;
use super::{Clear, ClearError, FetchShared, GetStatus, Publish, PutShared, ServiceCache};
use crate::actors::cache::hit_rates::HitRate;
use crate::actors::cache::request_cache::{CachedVerdict, Key};
use crate::domain::Revision;

/// How long the status is waited for.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The verdicts of the fleet, for readers and writers. Clones share them.
#[derive(Clone)]
pub struct SharedVerdicts {
    pub(super) address: Addr<ServiceCache>,
    pub(super) state: Arc<SharedState>,
}

impl SharedVerdicts {
    /// Whether the server is asked at the moment. Looking costs nothing.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.state.is_usable()
    }

    /// Why the server is used less than it should be; `None` if it is well.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        if !self.is_usable() {
            Some("it does not answer, and is done without")
        } else if self.state.was_unsubscribed.load(Ordering::Relaxed) {
            Some("pub/sub is unavailable: changes of other nodes are found by polling the database")
        } else {
            None
        }
    }

    /// Finds the valid verdicts for some keys, in their order. It takes no longer than the tier's timeout.
    ///
    /// INVARIANT: each of them was valid after this was called. Its stamps are of this process, and show later changes.
    pub async fn fetch(&self, keys: &[Key]) -> Vec<Option<CachedVerdict>> {
        let counters = &self.state.counters;
        if !self.is_usable() {
            counters.bypassed.add(keys.len() as u64);
            return vec![None; keys.len()];
        }
        if keys.is_empty() {
            return Vec::new();
        }
        let secret = self.state.secret.load();
        let names = keys.iter().map(|key| secret.name(key)).collect();
        let deadline = Instant::now() + self.state.timeout;
        let mut values = self.ask(FetchShared { names, deadline }, deadline).await.unwrap_or_default();
        values.resize(keys.len(), None);
        let opened = keys.iter().zip(values).map(|(key, value)| self.state.open(key, &value?));
        let found: Vec<Option<CachedVerdict>> = opened.collect();
        let hits = found.iter().flatten().count() as u64;
        counters.hits.add(hits);
        counters.misses.add(found.len() as u64 - hits);
        found
    }

    /// Writes verdicts, after this returns. Their loss costs an evaluation each, and nothing else.
    ///
    /// All changes up to the revision `as_of` must be in them: read it before the last check that the entities are
    /// current.
    pub fn put(&self, verdicts: &[(Key, CachedVerdict)], as_of: Revision) {
        let counters = &self.state.counters;
        if !self.is_usable() {
            return counters.lost.add(verdicts.len() as u64);
        }
        let op = |(key, verdict): &(Key, CachedVerdict)| {
            let op = WriteOp::Verdict(*key, self.state.content(verdict, as_of)?);
            self.state.admit(op.weight()).then_some(op)
        };
        let ops: Vec<WriteOp> = verdicts.iter().filter_map(op).collect();
        counters.lost.add((verdicts.len() - ops.len()) as u64);
        if !ops.is_empty() {
            self.address.do_send(PutShared(ops));
        }
    }

    /// Notifies the other nodes of changes up to a version, after their commit.
    pub fn publish(&self, version: i64) {
        self.address.do_send(Publish(version));
    }

    /// Removes all verdicts of the fleet, and returns how many. Values that other nodes are just writing may remain.
    pub async fn clear(&self) -> Result<u64, ClearError> {
        self.address.send(Clear).await?
    }

    /// Hits and misses of look-ups.
    #[must_use]
    pub fn share(&self) -> HitRate {
        HitRate { hits: self.state.counters.hits.get(), misses: self.state.counters.misses.get() }
    }

    /// The status of the tier; `None` if its thread does not answer.
    pub async fn status(&self) -> Option<ServiceStatus> {
        self.ask(GetStatus, Instant::now() + TIMEOUT).await
    }

    /// Replaces the secret: values written with the old one are not found any more.
    pub fn replace_secret(&self, secret: Secret) {
        self.state.secret.store(Arc::new(secret));
    }

    /// Asks the thread of the tier; `None` if it does not answer by the deadline.
    pub(super) async fn ask<M>(&self, message: M, deadline: Instant) -> Option<M::Result>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        ServiceCache: Handler<M>,
        <ServiceCache as actix::Actor>::Context: ToEnvelope<ServiceCache, M>,
    {
        let left = deadline.saturating_duration_since(Instant::now());
        self.address.send(message).timeout(left).await.ok()
    }
}

impl fmt::Debug for SharedVerdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedVerdicts").field("usable", &self.is_usable()).finish_non_exhaustive()
    }
}
