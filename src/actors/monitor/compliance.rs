//! Whether decisions comply, measured: whether each was made under the constitution in force and is recorded, and for a
//! sample, whether it is decided in the same way again without caches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor as _, Addr, Arbiter};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::actors::active::Active;
use crate::actors::audit::journal::Journal;
use crate::actors::cache::application_cache::EntityReader;
use crate::actors::cache::request_cache::{RequestCache, RequestCacheOptions};
use crate::actors::cache::tiers::{Tier, Tiers};
use crate::actors::decision::registry::{Register, Registry};
use crate::actors::decision::validator::{Decide, Decided, Purpose, Validator};
use crate::domain::{Consistency, Evaluation, Reason, Revision, Verdict};
use crate::ledger::{EntitySet, Event, EventKind};
use crate::store::Versions;

/// Decisions that may wait for their comparison; more are left out.
const WAITING: usize = 64;

/// How long one evaluation may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// After an evaluation the thread sleeps so many times as long, so that it uses a hundredth of a core at most.
const REST: u32 = 99;

/// Changes of entities that are committed and not applied yet are applied within this time.
const SETTLING: Duration = Duration::from_millis(500);

/// The counts of compliance; shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct ComplianceCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    decided: AtomicU64,
    displaced: AtomicU64,
    unrecorded: AtomicU64,
    compared: AtomicU64,
    disagreed: AtomicU64,
    undecidable: AtomicU64,
    left_out: AtomicU64,
}

/// The counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Decisions that were answered.
    pub decided: u64,
    /// Of these, those made under a constitution that was not in force.
    pub displaced: u64,
    /// Of these, those without a durable record.
    pub unrecorded: u64,
    /// Decisions that were evaluated again and compared.
    pub compared: u64,
    /// Of these, those with another verdict.
    pub disagreed: u64,
    /// Decisions that could not be compared: entities or the constitution changed meanwhile.
    pub undecidable: u64,
    /// Decisions of the sample that were left out, to bound the work.
    pub left_out: u64,
}

impl Counted {
    /// Decisions that were made under another constitution, or not recorded.
    #[must_use]
    pub fn unlawful(&self) -> u64 {
        self.displaced + self.unrecorded
    }
}

impl ComplianceCounts {
    /// The counts since the start.
    #[must_use]
    pub fn get(&self) -> Counted {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.0;
        Counted {
            decided: of(&counts.decided),
            displaced: of(&counts.displaced),
            unrecorded: of(&counts.unrecorded),
            compared: of(&counts.compared),
            disagreed: of(&counts.disagreed),
            undecidable: of(&counts.undecidable),
            left_out: of(&counts.left_out),
        }
    }
}

/// A decision that is to be compared.
#[derive(Debug)]
pub struct Sample {
    /// The question.
    pub evaluation: Evaluation,
    /// The verdict that was answered.
    pub verdict: Arc<Verdict>,
    /// The entities that it read.
    pub entities: Option<Arc<EntitySet>>,
    /// The constitution under which it was made.
    pub active: Arc<Active>,
    /// The revision of the entities that was applied when the request began.
    pub revision: Revision,
    /// The decision's id.
    pub id: Uuid,
    /// The index of its record.
    pub index: Option<u64>,
}

/// Counts decisions and takes the sample; shared by all clones.
#[derive(Debug, Clone)]
pub struct Compliance {
    counts: ComplianceCounts,
    /// The share of decisions in the sample, from 0 to 1.
    share: f64,
    samples: mpsc::Sender<Sample>,
}

impl Compliance {
    /// Whether one of so many decisions, which are about to be made, is to be in the sample.
    #[must_use]
    pub fn is_sampled(&self, decisions: usize) -> bool {
        let decisions = f64::from(u32::try_from(decisions).unwrap_or(u32::MAX));
        self.share > 0.0 && rand::random::<f64>() < self.share * decisions
    }

    /// Counts decisions that are about to be answered. `unrecorded` of them have no durable record; if `is_displaced`,
    /// the constitution of all was not in force.
    pub fn answered(&self, decisions: usize, unrecorded: usize, is_displaced: bool) {
        let counts = &self.counts.0;
        add(&counts.decided, decisions);
        if unrecorded > 0 || is_displaced {
            add(&counts.unrecorded, unrecorded);
            add(&counts.displaced, if is_displaced { decisions } else { 0 });
            tracing::error!(decisions, unrecorded, is_displaced, "decisions were answered that do not comply");
        }
    }

    /// Puts a decision into the sample, if there is room.
    pub fn compare(&self, sample: Sample) {
        if self.samples.try_send(sample).is_err() {
            add(&self.counts.0.left_out, 1);
        }
    }
}

/// The inputs of the thread that compares decisions with fresh evaluations.
#[derive(Debug)]
pub struct Comparison {
    /// Gives each constitution that comes into force.
    pub registry: Addr<Registry>,
    /// The constitution in force.
    pub active: Arc<Active>,
    /// Reads entities.
    pub entities: EntityReader,
    /// The versions of entities.
    pub versions: Versions,
    /// The caches, emptied after a disagreement.
    pub caches: Tiers,
    /// Records disagreements.
    pub journal: Journal,
    /// The share of decisions in the sample, from 0 to 1.
    pub share: f64,
    /// Where results are counted.
    pub counts: ComplianceCounts,
}

impl Comparison {
    /// Starts the thread that compares. It has a validator of its own, without caches.
    #[must_use]
    pub fn start(self) -> Compliance {
        let (samples, taken) = mpsc::channel(WAITING);
        let compliance = Compliance { counts: self.counts.clone(), share: self.share, samples };
        Arbiter::new().spawn_fn(move || {
            actix::spawn(self.run(taken));
        });
        compliance
    }

    async fn run(self, mut samples: mpsc::Receiver<Sample>) {
        let options =
            RequestCacheOptions { capacity: None, max_bytes: std::num::NonZeroUsize::MIN, ttl: Duration::from_secs(1) };
        let cache = RequestCache::new(options, self.versions.clone()).start();
        let (active, entities) = (Arc::clone(&self.active), self.entities.clone());
        let validator = Validator::start(active, cache, entities, None, Arc::default(), Arc::default());
        self.registry.do_send(Register(validator.clone().recipient()));
        while let Some(sample) = samples.recv().await {
            let began = Instant::now();
            let result = self.compare(&sample, &validator).await;
            let counts = &self.counts.0;
            match result {
                Some(None) => add(&counts.compared, 1),
                Some(Some(fresh)) => {
                    add(&counts.compared, 1);
                    add(&counts.disagreed, 1);
                    self.disagree(&sample, &fresh).await;
                }
                None => add(&counts.undecidable, 1),
            }
            tokio::time::sleep(began.elapsed().min(TIMEOUT) * REST).await;
        }
    }

    /// Decides again. `None` if nothing follows; the other verdict if it is another one.
    async fn compare(&self, sample: &Sample, validator: &Addr<Validator>) -> Option<Option<Decided>> {
        if is_of_the_moment(sample.verdict.reason) {
            return Some(None);
        }
        let fresh = self.decide(sample, validator).await?;
        if fresh.verdict == sample.verdict {
            return Some(None);
        }
        // The entities may just be changing: a change that is committed is applied a moment later.
        tokio::time::sleep(SETTLING).await;
        let fresh = self.decide(sample, validator).await?;
        Some((fresh.verdict != sample.verdict).then_some(fresh))
    }

    /// The decision without caches; `None` if it is not one of the same moment.
    async fn decide(&self, sample: &Sample, validator: &Addr<Validator>) -> Option<Decided> {
        let decide = Decide {
            evaluations: Arc::from([sample.evaluation.clone()]),
            stop_at: None,
            consistency: Consistency::Full,
            purpose: Purpose::Warming,
            deadline: Instant::now() + TIMEOUT,
        };
        let decisions = validator.send(decide).await.ok()?.ok()?;
        let fresh = decisions.decided.into_iter().next()?;
        let is_same_law = Arc::ptr_eq(&decisions.active, &sample.active);
        // With equal entities nothing else could have changed the verdict, whatever was written meanwhile.
        let digest = |entities: &Option<Arc<EntitySet>>| entities.as_deref().map(|set| set.digest().to_owned());
        let is_same_data =
            digest(&fresh.entities) == digest(&sample.entities) || self.versions.applied() == sample.revision;
        (is_same_law && is_same_data && !is_of_the_moment(fresh.verdict.reason)).then_some(fresh)
    }

    /// Reports a disagreement, and empties the caches, so that the wrong verdict is not given again.
    async fn disagree(&self, sample: &Sample, fresh: &Decided) {
        let (answered, now) = (&sample.verdict, &fresh.verdict);
        tracing::error!(
            id = %sample.id,
            answered = answered.reason.as_str(),
            evaluated = now.reason.as_str(),
            "a decision differs from a fresh evaluation; all caches are emptied: was the database changed other than \
             through this API?"
        );
        let verdict = |verdict: &Verdict| serde_json::json!({"decision": verdict.permits(), "reason": verdict.reason});
        let event = Event::new(EventKind::Compliance, super::DAEMON)
            .name("event", "disagreed")
            .name("decision_id", sample.id.hyphenated().to_string())
            .name("decision_index", sample.index)
            .detail("answered", verdict(answered))
            .detail("evaluated", verdict(now));
        if let Err(error) = self.journal.record_first(&[event]) {
            tracing::error!(%error, "the disagreement cannot be recorded in the audit log");
        }
        for tier in [Tier::L3, Tier::L2, Tier::L1] {
            if let Err(error) = self.caches.clear(tier).await {
                tracing::error!(%error, tier = tier.as_str(), "a cache with a wrong verdict was not emptied");
            }
        }
    }
}

fn add(count: &AtomicU64, number: usize) {
    count.fetch_add(number as u64, Ordering::Relaxed);
}

/// Whether a verdict may be another one a moment later: because of a failure, or by the hash that a caller claims.
fn is_of_the_moment(reason: Reason) -> bool {
    reason.is_transient() || matches!(reason, Reason::ConstitutionMismatch | Reason::ConstitutionHashRequired)
}
