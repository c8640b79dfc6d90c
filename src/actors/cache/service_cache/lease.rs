//! Leases that let one node of the fleet evaluate an expensive question, while the others wait for its verdict, for no
//! longer than evaluating takes.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::{AcquireLease, ReleaseLease, SharedVerdicts};
use crate::actors::cache::request_cache::{CachedVerdict, Key};

/// How long it is from one look to the next.
const POLL_INTERVAL: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// The least and the longest duration of a lease, after which it expires if its holder has disappeared.
const LEASE_DURATION: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(10));

/// The result of claiming a question.
#[derive(Debug)]
pub enum LeaseOutcome {
    /// This node has the lease and evaluates. Put the verdict, then drop the lease.
    Granted(Lease),
    /// Another node evaluated.
    Found(CachedVerdict),
    /// Redis does not answer, or the other node took too long: evaluate.
    Unavailable,
}

/// A lease on a question. When it is dropped, it is released, after the values queued before.
pub struct Lease {
    name: String,
    shared: SharedVerdicts,
}

impl SharedVerdicts {
    /// Claims a question whose evaluation takes about `evaluation`, or waits for the verdict of the node that has
    /// claimed it, for no longer than that.
    pub async fn claim(&self, key: &Key, evaluation: Duration) -> LeaseOutcome {
        let end = Instant::now() + evaluation;
        let name = self.state.secret.load().claim(key);
        let ttl = (evaluation * 2).clamp(LEASE_DURATION.0, LEASE_DURATION.1);
        let deadline = Instant::now() + self.state.timeout.min(evaluation);
        match self.ask(AcquireLease { name: name.clone(), ttl, deadline }, deadline).await.flatten() {
            Some(true) => return LeaseOutcome::Granted(Lease { name, shared: self.clone() }),
            Some(false) => {}
            None => return LeaseOutcome::Unavailable,
        }
        let pause = (evaluation / 8).clamp(POLL_INTERVAL.0, POLL_INTERVAL.1);
        let look = async {
            loop {
                sleep(pause).await;
                if let Some(kept) = self.fetch(&[*key]).await.into_iter().next().flatten() {
                    return kept;
                }
            }
        };
        match timeout(end.saturating_duration_since(Instant::now()), look).await {
            Ok(kept) => LeaseOutcome::Found(kept),
            Err(_) => LeaseOutcome::Unavailable,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.address.do_send(ReleaseLease(std::mem::take(&mut self.name)));
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("name", &self.name).finish_non_exhaustive()
    }
}
