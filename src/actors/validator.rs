//! Decides: one validator an HTTP worker, each distinct question evaluated once.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, MailboxError, Message, ResponseFuture};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::active::Active;
use super::application_cache::{EntityReader, Read};
use super::request_cache::{Fetch, Kept, Key, Put, RequestCache};
use crate::constitution::{Gathering, MAX_ENTITIES};
use crate::domain::{Consistency, EntityUid, Evaluation, Reason, Verdict};
use crate::ledger::EntitySet;
use crate::settings::RequestProperties;
use crate::store::StoreError;

/// How many entities the items of one batch may read together, each counted as often as it is read.
const MAX_BATCH_ENTITIES: usize = 8 * MAX_ENTITIES;

/// Decides for one HTTP worker.
#[derive(Debug)]
pub struct Validator(Rc<Bench>);

/// What the decisions in progress share.
#[derive(Debug)]
struct Bench {
    active: RefCell<Arc<Active>>,
    cache: Addr<RequestCache>,
    entities: EntityReader,
    /// Questions that are being decided, with everybody else who waits for them.
    in_flight: RefCell<HashMap<Key, Vec<oneshot::Sender<Kept>>>>,
}

/// One decision, not yet recorded.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The verdict.
    pub verdict: Arc<Verdict>,
    /// The stored entities that were read; none where none was stored.
    pub entities: Option<Arc<EntitySet>>,
    /// Whether the verdict was made before, for the same question.
    pub cached: bool,
}

/// Decisions under one constitution.
#[derive(Debug)]
pub struct Decisions {
    /// The constitution.
    pub active: Arc<Active>,
    /// The decisions, in the order of the questions; the last one is where they stopped.
    pub decided: Vec<Decided>,
}

/// Why there is no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// The validator did not answer in time.
    #[error("no decision was reached in time")]
    Late,
    /// The validator has ended.
    #[error("the validator has ended")]
    Ended,
    /// It is not known here what others changed, as far as the caller demands.
    #[error("what is known here is not as new as is demanded: {0}")]
    Outdated(String),
}

impl From<MailboxError> for DecideError {
    fn from(error: MailboxError) -> Self {
        match error {
            MailboxError::Closed => Self::Ended,
            MailboxError::Timeout => Self::Late,
        }
    }
}

impl Validator {
    /// Starts the validator of this worker. The registry has to be told of it, to give it what comes into force.
    #[must_use]
    pub fn start(active: Arc<Active>, cache: Addr<RequestCache>, entities: EntityReader) -> Addr<Self> {
        let bench = Bench { active: RefCell::new(active), cache, entities, in_flight: RefCell::default() };
        Actor::start(Self(Rc::new(bench)))
    }
}

impl Actor for Validator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(super::MAILBOX);
    }
}

/// A constitution to decide under from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Activate(pub Arc<Active>);

impl Handler<Activate> for Validator {
    type Result = ();

    fn handle(&mut self, Activate(active): Activate, _: &mut Self::Context) {
        self.0.active.replace(active);
    }
}

/// Decides questions that share one scope: one hash check, one load of entities.
#[derive(Debug, Message)]
#[rtype(result = "Result<Decisions, DecideError>")]
pub struct Decide {
    /// The questions.
    pub evaluations: Arc<[Evaluation]>,
    /// Stop after the first decision that is this one.
    pub stop_at: Option<bool>,
    /// How new what they are decided on must be.
    pub consistency: Consistency,
}

impl Handler<Decide> for Validator {
    type Result = ResponseFuture<Result<Decisions, DecideError>>;

    fn handle(&mut self, decide: Decide, _: &mut Self::Context) -> Self::Result {
        let bench = Rc::clone(&self.0);
        Box::pin(async move {
            bench.catch_up(decide.consistency).await?;
            loop {
                let active = Arc::clone(&bench.active.borrow());
                // INVARIANT: nothing is decided under a constitution that was replaced meanwhile.
                if let Some(decided) = bench.decide(&active, &decide).await {
                    return Ok(Decisions { active, decided });
                }
            }
        })
    }
}

/// How far one question has come.
enum Progress {
    /// It is decided.
    Done(Decided),
    /// Its facts are being gathered here, for everybody who asks the same meanwhile.
    Gathering(Turn, Box<Gathering>, Vec<Read>),
    /// The same question is being decided for somebody else, or as an earlier item.
    Joined(oneshot::Receiver<Kept>),
}

/// The right to decide a question, mostly for everybody on this worker who asks it. When it is dropped without a verdict,
/// they begin anew.
struct Turn {
    key: Key,
    others: Option<Rc<Bench>>,
}

impl Turn {
    /// Everybody who joined until now.
    fn leave(&self) -> Vec<oneshot::Sender<Kept>> {
        self.others.as_ref().and_then(|bench| bench.in_flight.borrow_mut().remove(&self.key)).unwrap_or_default()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Bench {
    /// INVARIANT: after this, everything that the demand covers has moved the versions that caches go by.
    async fn catch_up(&self, demand: Consistency) -> Result<(), DecideError> {
        let caught_up = match demand {
            Consistency::Usual => return Ok(()),
            Consistency::AtLeast(version) => self.entities.follow_to(version).await,
            Consistency::Full => self.entities.follow().await,
        };
        caught_up.map_err(|error| DecideError::Outdated(error.to_string()))
    }

    /// All decisions; `None` where the questions have to be put again, since another constitution came into force or
    /// entities changed while they were read, or somebody else gave up deciding one of them.
    async fn decide(self: &Rc<Self>, active: &Arc<Active>, decide: &Decide) -> Option<Vec<Decided>> {
        let mut progress = self.begin(active, decide).await;
        let loaded = self.load(&mut progress, decide.consistency).await;
        if !Arc::ptr_eq(active, &self.active.borrow()) {
            return None;
        }
        // INVARIANT: what was read, perhaps in several rounds, stood together at this moment, which is after everybody
        // who joined had asked. So no verdict is older than a write that was answered before the question.
        let changed =
            |item: &Progress| matches!(item, Progress::Gathering(_, _, reads) if !self.entities.is_current(reads));
        if loaded.is_ok() && progress.iter().any(changed) {
            return None;
        }
        if let Err(error) = loaded {
            tracing::warn!(%error, "entities cannot be read: decisions that need them are denied");
            let denied =
                fresh(Verdict::deny(Reason::Unavailable, "the entities that the decision needs cannot be read"));
            for item in progress.iter_mut().filter(|item| matches!(item, Progress::Gathering(..))) {
                *item = Progress::Done(denied.clone());
            }
        }
        let mut decided = Vec::with_capacity(progress.len());
        for item in self.judge(active, progress, decide.stop_at) {
            let one = match item {
                Progress::Done(done) => done,
                Progress::Joined(verdict) => verdict.await.as_ref().map(known).ok()?,
                // `judge` leaves none.
                Progress::Gathering(..) => break,
            };
            let stop = decide.stop_at == Some(one.verdict.permits());
            decided.push(one);
            if stop {
                break;
            }
        }
        Some(decided)
    }

    /// Decides what can be decided without entities, and begins to gather the facts of the rest.
    async fn begin(self: &Rc<Self>, active: &Active, decide: &Decide) -> Vec<Progress> {
        let evaluations = &decide.evaluations;
        let denied: Vec<_> = evaluations.iter().map(|evaluation| active.deny_claim(evaluation)).collect();
        let keys: Vec<Key> = evaluations.iter().map(|evaluation| key(active, evaluation)).collect();
        let cached = match decide.consistency {
            Consistency::Full => Vec::new(),
            // A cache that does not answer is as good as an empty one.
            _ => self.cache.send(Fetch(keys.clone())).await.unwrap_or_default(),
        };
        let cached = cached.into_iter().chain(std::iter::repeat(None));
        let items = evaluations.iter().zip(denied).zip(keys.into_iter().zip(cached));
        items
            .map(|((evaluation, denied), (key, cached))| match (denied, cached) {
                (Some(verdict), _) => Progress::Done(fresh(verdict)),
                (None, Some(kept)) => Progress::Done(known(&kept)),
                (None, None) => self.start(active, evaluation, key, decide.consistency),
            })
            .collect()
    }

    fn start(
        self: &Rc<Self>,
        active: &Active,
        evaluation: &Evaluation,
        key: Key,
        consistency: Consistency,
    ) -> Progress {
        let mut in_flight = self.in_flight.borrow_mut();
        // Who takes nothing from a cache does not take what is read from one for somebody else.
        let alone = consistency == Consistency::Full;
        if !alone && let Some(others) = in_flight.get_mut(&key) {
            let (sender, receiver) = oneshot::channel();
            others.push(sender);
            return Progress::Joined(receiver);
        }
        match active.constitution.gather(active.request_properties, evaluation) {
            Err(verdict) => Progress::Done(fresh(*verdict)),
            Ok(gathering) => {
                let turn = if alone {
                    Turn { key, others: None }
                } else {
                    in_flight.insert(key, Vec::new());
                    Turn { key, others: Some(Rc::clone(self)) }
                };
                Progress::Gathering(turn, Box::new(gathering), Vec::new())
            }
        }
    }

    /// Reads what all items want, together, round by round.
    async fn load(&self, progress: &mut [Progress], consistency: Consistency) -> Result<(), StoreError> {
        loop {
            refuse_runaway(progress);
            let wants = |item: &Progress| match item {
                Progress::Gathering(_, gathering, _) => gathering.wanted().to_vec(),
                Progress::Done(_) | Progress::Joined(_) => Vec::new(),
            };
            let mut wanted: Vec<EntityUid> = progress.iter().flat_map(wants).collect();
            if wanted.is_empty() {
                return Ok(());
            }
            if wanted.len() > 2 {
                wanted.sort_unstable();
                wanted.dedup();
            }
            let reads = match consistency {
                Consistency::Full => self.entities.read_stored(&wanted).await?,
                _ => self.entities.read(&wanted).await?,
            };
            let found: HashMap<&EntityUid, &Read> = wanted.iter().zip(&reads).collect();
            for item in progress.iter_mut() {
                if let Progress::Gathering(_, gathering, read) = item {
                    let mine = gathering.wanted().iter().filter_map(|uid| found.get(uid).copied());
                    let mine: Vec<Read> = mine.cloned().collect();
                    let entities = mine.iter().map(|read| read.entity.as_ref().map(|stored| &stored.entity));
                    let supplied = gathering.supply(entities);
                    read.extend(mine);
                    if let Err(verdict) = supplied {
                        *item = Progress::Done(fresh(*verdict));
                    }
                }
            }
        }
    }

    /// Judges what has its facts, in order, up to the first decision that ends the batch.
    fn judge(&self, active: &Active, progress: Vec<Progress>, stop_at: Option<bool>) -> Vec<Progress> {
        let mut judged = Vec::with_capacity(progress.len());
        let mut kept = Vec::new();
        for item in progress {
            let item = match item {
                Progress::Gathering(turn, gathering, reads) => {
                    let verdict = Kept {
                        verdict: Arc::new(active.constitution.judge(&gathering.finish())),
                        entities: entity_set(&reads),
                        stamps: reads.iter().map(|read| read.stamp).collect(),
                    };
                    for other in turn.leave() {
                        // Who asked may have given up.
                        drop(other.send(verdict.clone()));
                    }
                    kept.push((turn.key, verdict.clone()));
                    Progress::Done(Decided { cached: false, ..known(&verdict) })
                }
                decided => decided,
            };
            let stop = matches!(&item, Progress::Done(done) if stop_at == Some(done.verdict.permits()));
            judged.push(item);
            if stop {
                break;
            }
        }
        if !kept.is_empty() {
            self.cache.do_send(Put(kept));
        }
        judged
    }
}

/// Denies what is still gathered where all items together read more than a batch may.
fn refuse_runaway(progress: &mut [Progress]) {
    let asked = |item: &Progress| if let Progress::Gathering(_, gathering, _) = item { gathering.asked() } else { 0 };
    if progress.len() < 2 || progress.iter().map(asked).sum::<usize>() <= MAX_BATCH_ENTITIES {
        return;
    }
    let detail = format!("the batch reads more than {MAX_BATCH_ENTITIES} entities");
    let denied = fresh(Verdict::deny(Reason::Unavailable, detail));
    for item in progress.iter_mut().filter(|item| matches!(item, Progress::Gathering(..))) {
        *item = Progress::Done(denied.clone());
    }
}

/// Everything that the verdict depends on, but for the entities: their versions are checked when it is found.
fn key(active: &Active, evaluation: &Evaluation) -> Key {
    let mode = match active.request_properties {
        RequestProperties::Merge => b'm',
        RequestProperties::Ignore => b'i',
    };
    let hasher = Sha256::new().chain_update(active.constitution.digest().as_bytes()).chain_update([mode]);
    hasher.chain_update(evaluation.canonical()).finalize().into()
}

/// The stored entities that were read, in the order of their names.
fn entity_set(reads: &[Read]) -> Option<Arc<EntitySet>> {
    let stored: BTreeMap<&EntityUid, _> = reads
        .iter()
        .filter_map(|read| read.entity.as_ref())
        .map(|stored| (&stored.entity.uid, &stored.entity))
        .collect();
    if stored.is_empty() {
        return None;
    }
    let mut text = String::new();
    for entity in stored.values() {
        text.push_str(&serde_json::to_string(entity).unwrap_or_default());
        text.push('\n');
    }
    Some(Arc::new(EntitySet::new(text)))
}

/// A verdict that was made now, without any entity.
fn fresh(verdict: Verdict) -> Decided {
    Decided { verdict: Arc::new(verdict), entities: None, cached: false }
}

/// A verdict that was made before.
fn known(kept: &Kept) -> Decided {
    Decided { verdict: Arc::clone(&kept.verdict), entities: kept.entities.clone(), cached: true }
}
