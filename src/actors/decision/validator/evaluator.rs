//! Decides the questions of one worker; concurrent requests share the evaluation of equal questions.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use actix::Addr;
use tokio::time::timeout_at;

use super::cache_key::cache_key;
use super::fleet::Fleet;
use super::item::{Evaluated, InProgress, Item, MAX_BATCH_ENTITIES, NewVerdict, Stage, judge, limit_entities};
use super::single_flight::{Flight, FlightLeader, FlightResult, SingleFlight};
use super::timeslice::Timeslice;
use super::{Decide, DecideError, Decided, Decisions, Purpose, Source};
use crate::actors::active::Active;
use crate::actors::cache::application_cache::{EntityReader, Read};
use crate::actors::cache::hit_rates::HitCounters;
use crate::actors::cache::request_cache::{
    CachedVerdict, Fetch, Hottest, Key, MAX_QUESTION, Put, Remember, RequestCache,
};
use crate::actors::cache::service_cache::SharedVerdicts;
use crate::actors::cache::service_cache::lease::Lease;
use crate::constitution::BatchValues;
use crate::domain::{Consistency, EntityUid, Evaluation, Reason, Verdict};
use crate::metrics::EvaluationTimes;
use crate::store::StoreError;

/// The most attempts at a decision. An attempt is void if the constitution or an entity changed, or the request that
/// leads the flight gave up.
pub(super) const ATTEMPTS: usize = 16;

/// The state shared by the decisions of one worker.
#[derive(Debug)]
pub(super) struct Evaluator {
    active: RefCell<Arc<Active>>,
    cache: Addr<RequestCache>,
    entities: EntityReader,
    /// The fleet's shared cache (L2); `None` if it is off.
    fleet: Option<Fleet>,
    flights: SingleFlight,
    counters: Arc<HitCounters>,
    times: Arc<EvaluationTimes>,
}

impl Evaluator {
    pub(super) fn new(
        active: Arc<Active>,
        cache: Addr<RequestCache>,
        entities: EntityReader,
        shared: Option<SharedVerdicts>,
        counters: Arc<HitCounters>,
        times: Arc<EvaluationTimes>,
    ) -> Self {
        let (active, fleet, flights) = (RefCell::new(active), shared.map(Fleet::new), SingleFlight::default());
        Self { active, cache, entities, fleet, flights, counters, times }
    }

    /// The constitution in force.
    pub(super) fn active(&self) -> Arc<Active> {
        Arc::clone(&self.active.borrow())
    }

    /// Replaces the constitution in force.
    pub(super) fn activate(&self, active: Arc<Active>) {
        self.active.replace(active);
    }

    pub(super) fn is_in_force(&self, active: &Arc<Active>) -> bool {
        Arc::ptr_eq(active, &self.active.borrow())
    }

    /// Reads entities without counting hits and misses.
    pub(super) fn uncounted_entities(&self) -> EntityReader {
        self.entities.clone().counting(&Arc::default())
    }

    /// The questions answered from the worker's cache in the past hour, the most frequent first.
    pub(super) async fn hottest(&self) -> Vec<Arc<str>> {
        let mut questions = self.cache.send(Hottest).await.unwrap_or_default();
        questions.sort_by_key(|(_, uses)| std::cmp::Reverse(*uses));
        questions.into_iter().map(|(question, _)| question).collect()
    }

    /// Decides questions until their deadline, whether or not the caller still waits.
    pub(super) async fn decide(&self, decide: &Decide) -> Result<Decisions, DecideError> {
        self.catch_up(decide.consistency).await?;
        for _ in 0..ATTEMPTS {
            let active = self.active();
            // INVARIANT: no question is decided under a constitution that was replaced meanwhile.
            if let Some(decided) = self.attempt(&active, decide).await? {
                return Ok(Decisions { active, decided });
            }
            if Instant::now() >= decide.deadline {
                return Err(DecideError::Late);
            }
        }
        Err(DecideError::Unsettled)
    }

    /// Applies the changes that the consistency demand requires, so that caches take them into account.
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

    /// Makes one attempt at all decisions. `None` if it has to be repeated, because another constitution came into
    /// force, entities changed while they were read, or a request that leads a flight gave up.
    pub(super) async fn attempt(
        &self,
        active: &Arc<Active>,
        decide: &Decide,
    ) -> Result<Option<Vec<Decided>>, DecideError> {
        let mut slice = Timeslice::new(decide.deadline);
        let looked_up = slice.began();
        let mut items = self.begin(active, decide, &mut slice).await?;
        let (mut claimed, mut began) = (None, looked_up);
        if let Some(fleet) = &self.fleet
            && decide.consistency != Consistency::Full
        {
            claimed = self.recall(fleet, decide, &mut items, looked_up).await?;
            began = Instant::now();
        }
        if let Err(error) = self.load(&mut items, decide, &mut slice).await? {
            tracing::warn!(%error, "entities cannot be read from the database; decisions that need them are denied");
            deny_unread(&mut items);
        }
        if !self.is_in_force(active) {
            return Ok(None);
        }
        // INVARIANT: read before the check that the entities are current, so no change up to it is missing from the
        // verdicts.
        let as_of = self.entities.applied();
        // INVARIANT: all entities, though perhaps read in several rounds, were current together at this moment, and
        // from here on no request can join the flights. So no verdict is older than a write that was answered before a
        // question which gets it.
        if items.iter_mut().any(|item| !item.close(&self.entities)) {
            return Ok(None);
        }
        let Evaluated { items, made } = judge(active, items, decide.stop_at, &mut slice).await?;
        if !made.is_empty() {
            let now = Instant::now();
            if decide.purpose == Purpose::Answer {
                self.times.evaluated(made.len(), now.duration_since(looked_up));
            }
            if let Some(fleet) = &self.fleet {
                let made: Vec<_> = made.iter().map(|made| (made.key, made.kept.clone())).collect();
                fleet.tell(&made, as_of, now.duration_since(began));
            }
            drop(claimed);
            self.keep(made);
        }
        let Some(decided) = collect(items, decide).await? else { return Ok(None) };
        if !self.is_in_force(active) {
            return Ok(None);
        }
        if decide.consistency != Consistency::Full && decide.purpose == Purpose::Answer {
            self.count(&decided);
        }
        Ok(Some(decided))
    }

    /// Keeps verdicts in the worker's cache.
    fn keep(&self, made: Vec<NewVerdict>) {
        self.cache.do_send(Put(made.into_iter().map(|NewVerdict { key, kept }| (key, kept)).collect()));
    }

    fn count(&self, decided: &[Decided]) {
        let of = |sources: &[Source]| decided.iter().filter(|one| sources.contains(&one.source)).count();
        self.counters.overall.add(of(&[Source::Verdicts, Source::Entities]), of(&[Source::Database]));
    }

    /// Decides the questions that need no entities, and begins to gather the facts of the others.
    async fn begin(&self, active: &Active, decide: &Decide, slice: &mut Timeslice) -> Result<Vec<Item>, DecideError> {
        let evaluations = &decide.evaluations;
        let mut keys = Vec::with_capacity(evaluations.len());
        let mut denied = Vec::with_capacity(evaluations.len());
        for evaluation in evaluations.iter() {
            keys.push(cache_key(active.constitution.digest(), active.request_properties, evaluation));
            denied.push(active.deny_claim(evaluation));
            if evaluations.len() > 1 {
                slice.pause().await?;
            }
        }
        let mut cached = self.find(decide, &keys, &denied).await.into_iter();
        let mut items = Vec::with_capacity(evaluations.len());
        let values = (evaluations.len() > 1).then(BatchValues::default);
        let mut asked = 0;
        // The index of the first undecided item for each distinct question.
        let mut open: HashMap<Key, usize> = HashMap::new();
        for ((index, evaluation), (key, denied)) in evaluations.iter().enumerate().zip(keys.into_iter().zip(denied)) {
            let item = match (denied, cached.next().flatten(), open.get(&key)) {
                (Some(verdict), _, _) => Item::Done(Decided::without_entities(verdict)),
                (None, Some(kept), _) => Item::Done(Decided::cached(&kept)),
                (None, None, Some(first)) => Item::Repeats(*first),
                (None, None, None) if asked > MAX_BATCH_ENTITIES => Item::too_many_entities(),
                (None, None, None) => self.start(active, evaluation, key, decide.consistency, values.as_ref()),
            };
            asked += item.asked();
            if evaluations.len() > 1 {
                if matches!(item, Item::Leads(_) | Item::Follows(_)) {
                    open.insert(key, index);
                }
                slice.pause().await?;
            }
            items.push(item);
        }
        Ok(items)
    }

    /// Looks the questions up in the worker's cache.
    async fn find(&self, decide: &Decide, keys: &[Key], denied: &[Option<Verdict>]) -> Vec<Option<CachedVerdict>> {
        if decide.consistency == Consistency::Full {
            return Vec::new();
        }
        // A cache that does not answer counts as empty.
        let found = self.cache.send(Fetch(keys.to_vec())).await.unwrap_or_default();
        for ((hit, key), evaluation) in found.iter().zip(keys).zip(decide.evaluations.iter()) {
            if hit.as_ref().is_some_and(|hit| !hit.has_question) && evaluation.written_bytes() <= MAX_QUESTION {
                self.cache.do_send(Remember(*key, evaluation.canonical().into()));
            }
        }
        let cached: Vec<Option<CachedVerdict>> = found.into_iter().map(|hit| Some(hit?.kept)).collect();
        if decide.purpose == Purpose::Answer {
            // A question that is denied by itself is not looked up.
            let asked = || cached.iter().zip(denied).filter(|(_, denied)| denied.is_none());
            let hits = asked().filter(|(kept, _)| kept.is_some()).count();
            self.counters.l1.add(hits, asked().count() - hits);
        }
        cached
    }

    fn start(
        &self,
        active: &Active,
        evaluation: &Evaluation,
        key: Key,
        consistency: Consistency,
        values: Option<&BatchValues>,
    ) -> Item {
        let leader = match consistency {
            // A request that may not use caches must not use another request's verdict, which may come from one.
            Consistency::Full => FlightLeader::alone(key),
            Consistency::Usual | Consistency::AtLeast(_) => match self.flights.join(key) {
                Flight::Follows(flight) => return Item::Follows(flight),
                Flight::Leads(leader) => leader,
            },
        };
        let (constitution, mode) = (&active.constitution, active.request_properties);
        let gathered = match values {
            None => constitution.gather(mode, evaluation),
            Some(values) => constitution.gather_shared(mode, evaluation, values),
        };
        match gathered {
            Err(verdict) => Item::Done(Decided::without_entities(*verdict)),
            Ok(gathering) => {
                Item::Leads(Box::new(InProgress { leader, stage: Stage::Gathering(gathering), reads: Vec::new() }))
            }
        }
    }

    /// Reads the entities that all items need, together, in rounds.
    async fn load(
        &self,
        items: &mut [Item],
        decide: &Decide,
        slice: &mut Timeslice,
    ) -> Result<Result<(), StoreError>, DecideError> {
        loop {
            limit_entities(items);
            let mut wanted: Vec<EntityUid> = items.iter().flat_map(Item::wanted).cloned().collect();
            if wanted.is_empty() {
                return Ok(Ok(()));
            }
            if items.len() > 1 {
                wanted.sort_unstable();
                wanted.dedup();
            }
            let reading = async {
                match decide.consistency {
                    Consistency::Full => self.entities.read_stored(&wanted).await,
                    Consistency::Usual | Consistency::AtLeast(_) => self.entities.read(&wanted).await,
                }
            };
            let reads = match timeout_at(decide.deadline.into(), reading).await {
                Err(_) => return Err(DecideError::Late),
                Ok(Err(error)) => return Ok(Err(error)),
                Ok(Ok(reads)) => reads,
            };
            if let [Item::Leads(led)] = items {
                led.supply(reads);
                continue;
            }
            let found: HashMap<&EntityUid, &Read> = wanted.iter().zip(&reads).collect();
            for item in items.iter_mut() {
                if let Item::Leads(led) = item {
                    led.supply(led.wanted().iter().filter_map(|uid| found.get(uid).copied().cloned()).collect());
                    slice.pause().await?;
                }
            }
        }
    }

    /// Takes verdicts of other nodes from the shared cache. Returns the lease on the questions that only this node
    /// evaluates now.
    async fn recall(
        &self,
        fleet: &Fleet,
        decide: &Decide,
        items: &mut [Item],
        looked_up: Instant,
    ) -> Result<Option<Lease>, DecideError> {
        let key = |item: &Item| if let Item::Leads(led) = item { Some(led.leader.key()) } else { None };
        let keys: Vec<Key> = items.iter().filter_map(key).collect();
        if keys.is_empty() {
            return Ok(None);
        }
        let finding = timeout_at(decide.deadline.into(), fleet.find(&keys)).await;
        let (found, claimed) = finding.map_err(|_| DecideError::Late)?;
        let found: HashMap<Key, CachedVerdict> = found.into_iter().collect();
        let mut taken = Vec::new();
        for item in items.iter_mut() {
            let kept = key(item).and_then(|key| found.get(&key));
            let Some(kept) = kept else { continue };
            if let Item::Leads(led) = std::mem::replace(item, Item::Done(Decided::cached(kept))) {
                taken.push(NewVerdict { key: led.leader.key(), kept: kept.clone() });
                led.leader.finish(&FlightResult::Verdict(kept.clone()));
            }
        }
        if !taken.is_empty() {
            if decide.purpose == Purpose::Answer {
                self.times.shared(taken.len(), looked_up.elapsed());
            }
            self.keep(taken);
        }
        Ok(claimed)
    }
}

/// Denies the items that still need entities, and informs their followers.
fn deny_unread(items: &mut [Item]) {
    let denied = Verdict::deny(Reason::Unavailable, "the entities that the decision needs cannot be read");
    let denied = Decided { source: Source::Database, ..Decided::without_entities(denied) };
    for item in items {
        if let Item::Leads(led) = item
            && matches!(led.stage, Stage::Gathering(_))
            && let Item::Leads(led) = std::mem::replace(item, Item::Done(denied.clone()))
        {
            led.leader.finish(&FlightResult::Denied(Arc::clone(&denied.verdict)));
        }
    }
}

/// The decisions in order, up to the first that ends the batch; `None` if a leader that one of them followed gave up.
async fn collect(items: Vec<Item>, decide: &Decide) -> Result<Option<Vec<Decided>>, DecideError> {
    let mut decided: Vec<Decided> = Vec::with_capacity(items.len());
    for item in items {
        let one = match item {
            Item::Done(done) => done,
            Item::Repeats(first) => match decided.get(first) {
                Some(first) => first.repeated(),
                None => break,
            },
            Item::Follows(flight) => match timeout_at(decide.deadline.into(), flight).await {
                Err(_) => return Err(DecideError::Late),
                Ok(Err(_)) => return Ok(None),
                Ok(Ok(FlightResult::Verdict(kept))) => Decided::cached(&kept),
                Ok(Ok(FlightResult::Denied(verdict))) => Decided { verdict, entities: None, source: Source::Database },
            },
            // `judge` has ended all flights that this request leads.
            Item::Leads(_) => break,
        };
        let stop = decide.stop_at == Some(one.verdict.permits());
        decided.push(one);
        if stop {
            break;
        }
    }
    Ok(Some(decided))
}
