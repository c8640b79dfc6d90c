//! The tier over a real server.

mod faults;
mod fleet;
mod tls;
mod values;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::codec::Secret;
use super::counters::Counts;
use super::private_redis::PrivateRedis;
use super::server::Server;
use super::{L2Options, ServiceCache, SharedVerdicts};
use crate::actors::cache::request_cache::{CachedVerdict, Key};
use crate::domain::{EntityUid, Finding, Reason, Revision, Severity, Verdict};
use crate::ledger::EntitySet;
use crate::store::Versions;

const SECRET: [u8; 32] = [1; 32];
const TEXT: &str = "{\"uid\":{\"type\":\"User\",\"id\":\"ann\"}}\n";

/// One node of a fleet.
struct Node {
    shared: SharedVerdicts,
    versions: Versions,
    /// How often it was told to look.
    calls: Arc<AtomicU64>,
}

/// With a deadline that a busy machine keeps, two connections and at most four.
fn options(server: Server) -> L2Options {
    let number = |number| NonZeroU32::new(number).unwrap();
    let (timeout, ttl) = (Duration::from_secs(2), Duration::from_mins(5));
    L2Options { server, pool_size: number(2), max_connections: number(4), timeout, ttl }
}

impl Node {
    fn start(options: L2Options) -> Self {
        let (versions, calls) = (Versions::at_version(0), Arc::new(AtomicU64::new(0)));
        let called = Arc::clone(&calls);
        let call = move || {
            called.fetch_add(1, Ordering::Relaxed);
        };
        let shared = ServiceCache::start(options, Secret::new(&SECRET, 0), versions.clone(), call);
        Self { shared, versions, calls }
    }

    /// One that has found its server.
    async fn ready(options: L2Options) -> Self {
        let node = Self::start(options);
        node.until_usable().await;
        node
    }

    async fn until_usable(&self) {
        until(async || self.shared.is_usable()).await;
    }

    async fn counts(&self) -> Counts {
        self.shared.status().await.unwrap().counts
    }

    /// Puts verdicts, and waits until they are written or not.
    async fn put(&self, verdicts: &[(Key, CachedVerdict)]) {
        let done = |counts: Counts| counts.written + counts.refused + counts.lost + counts.too_large;
        let before = done(self.counts().await);
        self.shared.put(verdicts, Revision::default());
        until(async || done(self.counts().await) - before == verdicts.len() as u64).await;
    }

    async fn fetch(&self, key: u8) -> Option<CachedVerdict> {
        self.shared.fetch(&[[key; 32]]).await.pop().unwrap()
    }

    fn cached_verdict(&self) -> CachedVerdict {
        let finding = Finding {
            principle: "privacy".into(),
            severity: Severity::Critical,
            policies: vec!["no-export".into()],
            advice: vec!["ask".into()],
        };
        let policies = vec!["no-export".into()];
        let verdict = Verdict::of_policies(Reason::Forbidden, policies, vec![finding], Vec::new(), 0.7, None);
        let stamps = ["ann", "bob"].map(|id| self.versions.stamp(&user(id)));
        let entities = Some(Arc::new(EntitySet::new(TEXT.to_owned())));
        CachedVerdict { verdict: Arc::new(verdict), entities, stamps: stamps.into() }
    }

    /// The verdict for the key that consists of this byte.
    fn verdict(&self, key: u8) -> (Key, CachedVerdict) {
        ([key; 32], self.cached_verdict())
    }
}

fn user(id: &str) -> EntityUid {
    EntityUid::new("User", id)
}

/// Waits for what no event tells.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it comes to hold");
}
