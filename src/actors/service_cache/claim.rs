//! An expensive question is evaluated once in the fleet, where that can be had: who claims it evaluates, and the others
//! look for the verdict. Nobody waits longer than evaluating takes.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::{Release, SharedVerdicts, Take};
use crate::actors::request_cache::{Kept, Key};

/// How long it is from one look to the next.
const LOOKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// How long a claim lasts of somebody who is heard of no more.
const LASTS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(10));

/// Who evaluates.
#[derive(Debug)]
pub enum Claim {
    /// This node does. Put the verdict, then drop this.
    Mine(Claimed),
    /// Another node did.
    Found(Kept),
    /// Nobody knows, or it took another node too long: evaluate.
    Nobody,
}

/// The claim to a question. Dropped, it is given back, after what was put before.
pub struct Claimed {
    name: String,
    shared: SharedVerdicts,
}

impl SharedVerdicts {
    /// Claims a question that takes about so long to evaluate, or waits for the verdict of who has claimed it, and no
    /// longer than that.
    pub async fn claim(&self, key: &Key, evaluation: Duration) -> Claim {
        let end = Instant::now() + evaluation;
        let name = self.front.secret.load().claim(key);
        let lasts = (evaluation * 2).clamp(LASTS.0, LASTS.1);
        let deadline = Instant::now() + self.front.timeout.min(evaluation);
        match self.ask(Take { name: name.clone(), lasts, deadline }, deadline).await.flatten() {
            Some(true) => return Claim::Mine(Claimed { name, shared: self.clone() }),
            Some(false) => {}
            None => return Claim::Nobody,
        }
        let pause = (evaluation / 8).clamp(LOOKS.0, LOOKS.1);
        let look = async {
            loop {
                sleep(pause).await;
                if let Some(kept) = self.fetch(&[*key]).await.into_iter().next().flatten() {
                    return kept;
                }
            }
        };
        match timeout(end.saturating_duration_since(Instant::now()), look).await {
            Ok(kept) => Claim::Found(kept),
            Err(_) => Claim::Nobody,
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.shared.address.do_send(Release(std::mem::take(&mut self.name)));
    }
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claimed").field("name", &self.name).finish_non_exhaustive()
    }
}
