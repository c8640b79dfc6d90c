//! Measures whether decisions comply: whether each was made under the constitution in force and is recorded, and for a
//! sample, whether an evaluation without caches gives the same verdict.

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

/// The most decisions that wait for their comparison; further ones are left out.
const QUEUE_LIMIT: usize = 64;

/// The timeout of one evaluation.
const TIMEOUT: Duration = Duration::from_secs(5);

/// After a comparison the thread sleeps so many times as long, so that it uses a hundredth of a core at most.
const IDLE_FACTOR: u32 = 99;

/// The longest of these pauses: a comparison that takes longer than a fiftieth of a second mostly waits for the database.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// The time within which committed changes of entities are applied.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(500);

/// Counts decisions and comparisons; shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct ComplianceCounts(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    decided: AtomicU64,
    displaced: AtomicU64,
    unrecorded: AtomicU64,
    agreed: AtomicU64,
    disagreed: AtomicU64,
    undecidable: AtomicU64,
    left_out: AtomicU64,
}

/// Numbers of decisions since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ComplianceTotals {
    /// All decisions.
    pub decided: u64,
    /// Decisions under a constitution that was not in force.
    pub displaced: u64,
    /// Decisions without a durable record.
    pub unrecorded: u64,
    /// Compared decisions that got the same verdict again.
    pub agreed: u64,
    /// Compared decisions that got another verdict.
    pub disagreed: u64,
    /// Decisions of the sample that could not be compared: entities or the constitution changed meanwhile, or the
    /// verdict holds only for the moment.
    pub undecidable: u64,
    /// Decisions of the sample that were not evaluated again, to bound the work.
    pub left_out: u64,
}

impl ComplianceTotals {
    /// Decisions under another constitution, or without a durable record.
    #[must_use]
    pub fn noncompliant(&self) -> u64 {
        self.displaced + self.unrecorded
    }

    /// Decisions that were evaluated again and compared.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.agreed + self.disagreed
    }
}

impl ComplianceCounts {
    /// The numbers since the start.
    #[must_use]
    pub fn get(&self) -> ComplianceTotals {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.0;
        ComplianceTotals {
            decided: of(&counts.decided),
            displaced: of(&counts.displaced),
            unrecorded: of(&counts.unrecorded),
            agreed: of(&counts.agreed),
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

/// Counts decisions and takes a sample of them; shared by all clones.
#[derive(Debug, Clone)]
pub struct ComplianceSampler {
    counts: ComplianceCounts,
    /// The share of decisions in the sample, from 0 to 1.
    share: f64,
    samples: mpsc::Sender<Sample>,
}

impl ComplianceSampler {
    /// Whether one of the decisions of a request is to be in the sample, at random; `decisions` is their number.
    #[must_use]
    pub fn is_sampled(&self, decisions: usize) -> bool {
        let decisions = f64::from(u32::try_from(decisions).unwrap_or(u32::MAX));
        self.share > 0.0 && rand::random::<f64>() < self.share * decisions
    }

    /// Counts decisions that are about to be answered. `unrecorded` is the number of them without a durable record; if
    /// `is_displaced`, the constitution of all was not in force.
    pub fn answered(&self, decisions: usize, unrecorded: usize, is_displaced: bool) {
        let counts = &self.counts.0;
        add(&counts.decided, decisions);
        if unrecorded > 0 || is_displaced {
            add(&counts.unrecorded, unrecorded);
            add(&counts.displaced, if is_displaced { decisions } else { 0 });
            tracing::error!(
                decisions,
                unrecorded,
                is_displaced,
                "decisions do not comply: they were made under a constitution that was not in force, or have no durable \
                 record; /alerts/compliance says what to do"
            );
        }
    }

    /// Puts a decision into the sample, unless too many wait.
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
    pub fn start(self) -> ComplianceSampler {
        let (sender, taken) = mpsc::channel(QUEUE_LIMIT);
        let sampler = ComplianceSampler { counts: self.counts.clone(), share: self.share, samples: sender };
        Arbiter::new().spawn_fn(move || {
            actix::spawn(self.run(taken));
        });
        sampler
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
            let outcome = self.compare(&sample, &validator).await;
            let counts = &self.counts.0;
            match outcome {
                Outcome::Equal => add(&counts.agreed, 1),
                Outcome::Different(fresh) => {
                    add(&counts.disagreed, 1);
                    self.disagree(&sample, &fresh).await;
                }
                Outcome::Undecidable => add(&counts.undecidable, 1),
            }
            tokio::time::sleep((began.elapsed() * IDLE_FACTOR).min(MAX_PAUSE)).await;
        }
    }

    /// Decides again, and compares the verdicts.
    async fn compare(&self, sample: &Sample, validator: &Addr<Validator>) -> Outcome {
        if is_of_the_moment(sample.verdict.reason) {
            return Outcome::Undecidable;
        }
        match self.decide(sample, validator).await {
            None => Outcome::Undecidable,
            Some(fresh) if fresh.verdict == sample.verdict => Outcome::Equal,
            Some(_) => {
                // The entities may just be changing: a change that is committed is applied a little later.
                tokio::time::sleep(SETTLE_TIMEOUT).await;
                match self.decide(sample, validator).await {
                    None => Outcome::Undecidable,
                    Some(fresh) if fresh.verdict == sample.verdict => Outcome::Equal,
                    Some(fresh) => Outcome::Different(Box::new(fresh)),
                }
            }
        }
    }

    /// The decision without caches; `None` if the constitution or the entities changed since the sampled decision, or if
    /// this one failed.
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
        let is_same_constitution = Arc::ptr_eq(&decisions.active, &sample.active);
        // With equal entities nothing else could have changed the verdict, whatever was written meanwhile.
        let digest = |entities: &Option<Arc<EntitySet>>| entities.as_deref().map(|set| set.digest().to_owned());
        let is_same_data =
            digest(&fresh.entities) == digest(&sample.entities) || self.versions.applied() == sample.revision;
        (is_same_constitution && is_same_data && !is_of_the_moment(fresh.verdict.reason)).then_some(fresh)
    }

    /// Reports a disagreement, and empties the caches, so that the wrong verdict is not given again.
    async fn disagree(&self, sample: &Sample, fresh: &Decided) {
        let (answered, now) = (&sample.verdict, &fresh.verdict);
        tracing::error!(
            id = %sample.id,
            answered = answered.reason.as_str(),
            evaluated = now.reason.as_str(),
            "a decision differs from a fresh evaluation; all caches are emptied; if the database was changed other than \
             through the API, undo that; see /alerts/compliance"
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

/// The outcome of a comparison.
enum Outcome {
    /// The verdict is the same.
    Equal,
    /// The verdict is another one.
    Different(Box<Decided>),
    /// Nothing follows about the sampled decision.
    Undecidable,
}

fn add(count: &AtomicU64, number: usize) {
    count.fetch_add(number as u64, Ordering::Relaxed);
}

/// Whether a verdict may be another one a moment later: because of a failure, or by the hash that a caller claims.
fn is_of_the_moment(reason: Reason) -> bool {
    reason.is_transient() || matches!(reason, Reason::ConstitutionMismatch | Reason::ConstitutionHashRequired)
}
