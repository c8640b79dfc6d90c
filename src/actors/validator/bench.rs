//! The decisions of one worker that are in progress: from questions to verdicts, each distinct one once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix::Addr;
use tokio::sync::oneshot;

use super::fleet::Fleet;
use super::question::{entity_set, fresh, key, known};
use super::{Decide, DecideError, Decided, Purpose, Source};
use crate::actors::active::Active;
use crate::actors::application_cache::{EntityReader, Read};
use crate::actors::hit_rates::Tally;
use crate::actors::request_cache::{Answered, Fetch, Hottest, Kept, Key, Put, RequestCache};
use crate::actors::service_cache::SharedVerdicts;
use crate::actors::service_cache::claim::Claimed;
use crate::constitution::{Gathering, MAX_ENTITIES};
use crate::domain::{Consistency, EntityUid, Evaluation, Reason, Verdict};
use crate::store::StoreError;

/// How many entities the items of one batch may read together, each counted as often as it is read.
const MAX_BATCH_ENTITIES: usize = 8 * MAX_ENTITIES;

/// What the decisions in progress share.
#[derive(Debug)]
pub(super) struct Bench {
    active: RefCell<Arc<Active>>,
    cache: Addr<RequestCache>,
    entities: EntityReader,
    /// None: the tier is off.
    fleet: Option<Fleet>,
    /// Questions that are being decided, with everybody else who waits for them.
    in_flight: RefCell<HashMap<Key, Vec<oneshot::Sender<Kept>>>>,
    tally: Arc<Tally>,
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
    /// The question in its canonical form.
    question: Arc<str>,
    others: Option<Rc<Bench>>,
}

impl Turn {
    /// Gives the verdict to everybody who joined.
    fn tell(&self, verdict: &Kept) {
        for other in self.leave() {
            // Who asked may have given up.
            drop(other.send(verdict.clone()));
        }
    }

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
    /// Nothing is in progress yet.
    pub(super) fn new(
        active: Arc<Active>,
        cache: Addr<RequestCache>,
        entities: EntityReader,
        shared: Option<SharedVerdicts>,
        tally: Arc<Tally>,
    ) -> Self {
        let fleet = shared.map(Fleet::new);
        Self { active: RefCell::new(active), cache, entities, fleet, in_flight: RefCell::default(), tally }
    }

    /// What is decided under.
    pub(super) fn active(&self) -> Arc<Active> {
        Arc::clone(&self.active.borrow())
    }

    /// Decides under another one from now on.
    pub(super) fn activate(&self, active: Arc<Active>) {
        self.active.replace(active);
    }

    /// The questions that were found in the worker's cache in the past hour, the hottest first.
    pub(super) async fn hottest(&self) -> Vec<Arc<str>> {
        let mut questions = self.cache.send(Hottest).await.unwrap_or_default();
        questions.sort_by_key(|(_, uses)| std::cmp::Reverse(*uses));
        questions.into_iter().map(|(question, _)| question).collect()
    }

    /// INVARIANT: after this, everything that the demand covers has moved the versions that caches go by.
    pub(super) async fn catch_up(&self, demand: Consistency) -> Result<(), DecideError> {
        let caught_up = match demand {
            Consistency::Usual => return Ok(()),
            Consistency::AtLeast(revision) => self.entities.follow_to(&revision).await,
            Consistency::Full => self.entities.follow().await,
        };
        caught_up.map_err(|error| match error {
            StoreError::Lost { .. } => DecideError::Lost(error.to_string()),
            error => DecideError::Outdated(error.to_string()),
        })
    }

    /// All decisions; `None` where the questions have to be put again, since another constitution came into force or
    /// entities changed while they were read, or somebody else gave up deciding one of them.
    pub(super) async fn decide(self: &Rc<Self>, active: &Arc<Active>, decide: &Decide) -> Option<Vec<Decided>> {
        let mut progress = self.begin(active, decide).await;
        let claimed = match &self.fleet {
            Some(fleet) if decide.consistency != Consistency::Full => self.recall(fleet, &mut progress).await,
            _ => None,
        };
        let began = Instant::now();
        let loaded = self.load(&mut progress, decide.consistency).await;
        if !Arc::ptr_eq(active, &self.active.borrow()) {
            return None;
        }
        // INVARIANT: taken before it is looked whether what was read is current: so nothing up to it is missing.
        let as_of = self.entities.applied();
        // INVARIANT: what was read, perhaps in several rounds, stood together at this moment, which is after everybody
        // who joined had asked. So no verdict is older than a write that was answered before the question.
        let changed =
            |item: &Progress| matches!(item, Progress::Gathering(_, _, reads) if !self.entities.is_current(reads));
        if loaded.is_ok() && progress.iter().any(changed) {
            return None;
        }
        if let Err(error) = loaded {
            tracing::warn!(%error, "entities cannot be read: decisions that need them are denied");
            let denied = Verdict::deny(Reason::Unavailable, "the entities that the decision needs cannot be read");
            let denied = Decided { source: Source::Database, ..fresh(denied) };
            for item in progress.iter_mut().filter(|item| matches!(item, Progress::Gathering(..))) {
                *item = Progress::Done(denied.clone());
            }
        }
        let mut decided = Vec::with_capacity(progress.len());
        let Judged { items: judged, made, questions } = judge(active, progress, decide.stop_at);
        if !made.is_empty() {
            if let Some(fleet) = &self.fleet {
                fleet.tell(&made, as_of, began.elapsed());
            }
            drop(claimed);
            self.keep(made, questions);
        }
        for item in judged {
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
        if decide.consistency != Consistency::Full && decide.purpose == Purpose::Answer {
            self.count(&decided);
        }
        Some(decided)
    }

    /// Keeps verdicts in the worker's cache.
    fn keep(&self, verdicts: Vec<(Key, Kept)>, questions: Vec<Arc<str>>) {
        let answered = |((key, kept), question)| Answered { key, question, kept };
        self.cache.do_send(Put(verdicts.into_iter().zip(questions).map(answered).collect()));
    }

    fn count(&self, decided: &[Decided]) {
        let of = |sources: &[Source]| decided.iter().filter(|one| sources.contains(&one.source)).count();
        self.tally.overall.add(of(&[Source::Verdicts, Source::Entities]), of(&[Source::Database]));
    }

    /// Decides what can be decided without entities, and begins to gather the facts of the rest.
    async fn begin(self: &Rc<Self>, active: &Active, decide: &Decide) -> Vec<Progress> {
        let evaluations = &decide.evaluations;
        let denied: Vec<_> = evaluations.iter().map(|evaluation| active.deny_claim(evaluation)).collect();
        let keys: Vec<Key> = evaluations.iter().map(|evaluation| key(active, evaluation)).collect();
        let cached = if decide.consistency == Consistency::Full {
            Vec::new()
        } else {
            // A cache that does not answer is as good as an empty one.
            let cached = self.cache.send(Fetch(keys.clone())).await.unwrap_or_default();
            if decide.purpose == Purpose::Answer {
                // Nobody looks for what is settled by the question alone.
                let asked = || cached.iter().zip(&denied).filter(|(_, denied)| denied.is_none());
                let hits = asked().filter(|(kept, _)| kept.is_some()).count();
                self.tally.l1.add(hits, asked().count() - hits);
            }
            cached
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
        let question = evaluation.shared_canonical();
        if !alone && let Some(others) = in_flight.get_mut(&key) {
            let (sender, receiver) = oneshot::channel();
            others.push(sender);
            return Progress::Joined(receiver);
        }
        match active.constitution.gather(active.request_properties, evaluation) {
            Err(verdict) => Progress::Done(fresh(*verdict)),
            Ok(gathering) => {
                let turn = if alone {
                    Turn { key, question, others: None }
                } else {
                    in_flight.insert(key, Vec::new());
                    Turn { key, question, others: Some(Rc::clone(self)) }
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

    /// Takes from the fleet what others have decided already. Answers what this node alone evaluates now.
    async fn recall(&self, fleet: &Fleet, progress: &mut [Progress]) -> Option<Claimed> {
        let key = |item: &Progress| if let Progress::Gathering(turn, ..) = item { Some(turn.key) } else { None };
        let keys: Vec<Key> = progress.iter().filter_map(key).collect();
        let (found, claimed) = fleet.find(&keys).await;
        let found: HashMap<Key, Kept> = found.into_iter().collect();
        let (mut taken, mut questions) = (Vec::new(), Vec::new());
        for item in progress.iter_mut() {
            if let Progress::Gathering(turn, ..) = item
                && let Some(kept) = found.get(&turn.key)
            {
                turn.tell(kept);
                taken.push((turn.key, kept.clone()));
                questions.push(Arc::clone(&turn.question));
                *item = Progress::Done(known(kept));
            }
        }
        if !taken.is_empty() {
            self.keep(taken, questions);
        }
        claimed
    }
}

/// What was judged, and the verdicts that were made for it, each with its question.
struct Judged {
    items: Vec<Progress>,
    made: Vec<(Key, Kept)>,
    questions: Vec<Arc<str>>,
}

/// Judges what has its facts, in order, up to the first decision that ends the batch.
fn judge(active: &Active, progress: Vec<Progress>, stop_at: Option<bool>) -> Judged {
    let mut judged = Vec::with_capacity(progress.len());
    let (mut made, mut questions) = (Vec::new(), Vec::new());
    for item in progress {
        let item = match item {
            Progress::Gathering(turn, gathering, reads) => {
                let verdict = Kept {
                    verdict: Arc::new(active.constitution.judge(&gathering.finish())),
                    entities: entity_set(&reads),
                    stamps: reads.iter().map(|read| read.stamp).collect(),
                };
                turn.tell(&verdict);
                made.push((turn.key, verdict.clone()));
                questions.push(Arc::clone(&turn.question));
                let is_queried = reads.iter().any(|read| read.is_queried);
                let source = if is_queried { Source::Database } else { Source::Entities };
                Progress::Done(Decided { source, ..known(&verdict) })
            }
            decided => decided,
        };
        let stop = matches!(&item, Progress::Done(done) if stop_at == Some(done.verdict.permits()));
        judged.push(item);
        if stop {
            break;
        }
    }
    Judged { items: judged, made, questions }
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
