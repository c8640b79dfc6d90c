//! L1: the verdicts that this HTTP worker just used.

mod uses;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, Message, MessageResult};
use lru::LruCache;

use crate::domain::Verdict;
use crate::ledger::EntitySet;
use crate::store::{Stamp, Versions};
use uses::Uses;

/// SHA-256 over everything that a verdict depends on, but for the entities, whose versions are kept with it.
pub type Key = [u8; 32];

/// The longest question, in bytes, that is kept beside its verdict, to be evaluated again unasked.
const MAX_QUESTION: usize = 4 << 10;
/// The most bytes of questions that one worker keeps.
const MAX_QUESTIONS: usize = 8 << 20;
/// Among so many that were used last the hottest are looked for: looking at all would hold up decisions.
const LOOKED_AT: usize = 4096;

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
    kept: Option<LruCache<Key, Entry>>,
    ttl: Duration,
    versions: Versions,
    started: Instant,
    /// Bytes of all questions.
    questions: usize,
}

/// What is kept of one question.
#[derive(Debug)]
struct Entry {
    /// None: what was kept is outdated, and nothing newer is known yet.
    kept: Option<(Kept, Instant)>,
    /// The canonical question; none where it is long, or many are kept.
    question: Option<Arc<str>>,
    uses: Uses,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.question.as_ref().map_or(0, |question| question.len())
    }
}

impl RequestCache {
    /// A cache of that many verdicts, each for no longer than `ttl`.
    #[must_use]
    pub fn new(capacity: Option<NonZeroUsize>, ttl: Duration, versions: Versions) -> Self {
        Self { kept: capacity.map(LruCache::new), ttl, versions, started: Instant::now(), questions: 0 }
    }

    /// INVARIANT: a verdict whose entities changed since they were read is not given out.
    fn find(&mut self, key: &Key, now: Instant) -> Option<Kept> {
        let entry = self.kept.as_mut()?.get_mut(key)?;
        let (found, since) = entry.kept.as_ref()?;
        if now.duration_since(*since) < self.ttl && found.stamps.iter().all(|stamp| self.versions.is_current(stamp)) {
            entry.uses.add(now.duration_since(self.started));
            return Some(found.clone());
        }
        // How often it was used stays: it is likely to be made again at once.
        entry.kept = None;
        None
    }

    fn put(&mut self, answered: Answered, now: Instant) {
        let Answered { key, question, kept } = answered;
        let Some(all) = &mut self.kept else { return };
        if let Some(entry) = all.get_mut(&key) {
            entry.kept = Some((kept, now));
            return;
        }
        let fits = question.len() <= MAX_QUESTION && self.questions + question.len() <= MAX_QUESTIONS;
        let entry = Entry { kept: Some((kept, now)), question: fits.then_some(question), uses: Uses::default() };
        self.questions += entry.bytes();
        if let Some((_, evicted)) = all.push(key, entry) {
            self.questions -= evicted.bytes();
        }
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
        let now = Instant::now();
        MessageResult(keys.iter().map(|key| self.find(key, now)).collect())
    }
}

/// A question and its verdict.
#[derive(Debug)]
pub struct Answered {
    /// By which it is found.
    pub key: Key,
    /// The question in its canonical form.
    pub question: Arc<str>,
    /// The verdict.
    pub kept: Kept,
}

/// Keeps verdicts. Their loss costs an evaluation each, and nothing else.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Put(pub Vec<Answered>);

impl Handler<Put> for RequestCache {
    type Result = ();

    fn handle(&mut self, Put(verdicts): Put, _: &mut Self::Context) {
        let now = Instant::now();
        for answered in verdicts {
            self.put(answered, now);
        }
    }
}

/// How much of its room a cache uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// What is kept.
    pub entries: usize,
    /// The most that is kept. 0: the tier is off.
    pub capacity: usize,
}

/// Tells how much room is used.
#[derive(Debug, Message)]
#[rtype(result = "Room")]
pub struct Measure;

impl Handler<Measure> for RequestCache {
    type Result = MessageResult<Measure>;

    fn handle(&mut self, _: Measure, _: &mut Self::Context) -> Self::Result {
        let room = |kept: &LruCache<Key, Entry>| Room { entries: kept.len(), capacity: kept.cap().get() };
        MessageResult(self.kept.as_ref().map(room).unwrap_or_default())
    }
}

/// Forgets all verdicts; how many they were.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub struct Forget;

impl Handler<Forget> for RequestCache {
    type Result = usize;

    fn handle(&mut self, _: Forget, _: &mut Self::Context) -> Self::Result {
        let Some(kept) = &mut self.kept else { return 0 };
        let forgotten = kept.len();
        kept.clear();
        self.questions = 0;
        forgotten
    }
}

/// Tells which questions were found here in the past hour, and how often each. Those that were not used for long are
/// left out where there are many.
#[derive(Debug, Message)]
#[rtype(result = "Vec<(Arc<str>, u64)>")]
pub struct Hottest;

impl Handler<Hottest> for RequestCache {
    type Result = MessageResult<Hottest>;

    fn handle(&mut self, _: Hottest, _: &mut Self::Context) -> Self::Result {
        let now = self.started.elapsed();
        let used = |entry: &Entry| Some((entry.question.clone()?, entry.uses.sum(now))).filter(|(_, uses)| *uses > 0);
        let recent = self.kept.iter().flat_map(|kept| kept.iter().take(LOOKED_AT));
        MessageResult(recent.filter_map(|(_, entry)| used(entry)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EntityUid, Reason};

    const MINUTE: Duration = Duration::from_mins(1);

    fn cache(capacity: usize, versions: &Versions) -> RequestCache {
        RequestCache::new(NonZeroUsize::new(capacity), MINUTE, versions.clone())
    }

    fn answered(number: u8, question: &str, stamps: &[Stamp]) -> Answered {
        let verdict = Arc::new(Verdict::deny(Reason::Unavailable, "no"));
        Answered {
            key: [number; 32],
            question: question.into(),
            kept: Kept { verdict, entities: None, stamps: stamps.into() },
        }
    }

    fn hottest(cache: &RequestCache) -> Vec<(String, u64)> {
        let used = |entry: &Entry| Some((entry.question.clone()?.to_string(), entry.uses.sum(cache.started.elapsed())));
        cache.kept.iter().flat_map(LruCache::iter).filter_map(|(_, entry)| used(entry)).collect()
    }

    #[test]
    fn a_verdict_is_kept_until_its_time_is_over_or_an_entity_changes() {
        let versions = Versions::at_version(1);
        let ann = EntityUid::new("User", "ann");
        let (mut cache, now) = (cache(2, &versions), Instant::now());
        cache.put(answered(1, "one", &[versions.stamp(&ann)]), now);
        assert!(cache.find(&[1; 32], now + MINUTE / 2).is_some());
        assert!(cache.find(&[1; 32], now + MINUTE).is_none());
        assert!(cache.find(&[1; 32], now + MINUTE / 2).is_none(), "it does not come back");
        cache.put(answered(1, "one", &[versions.stamp(&ann)]), now);
        versions.bump(&ann, 2);
        assert!(cache.find(&[1; 32], now).is_none());
        assert_eq!(hottest(&cache), [("one".to_owned(), 1)], "how often it was used is still known");
    }

    #[test]
    fn long_questions_are_not_kept_and_those_that_are_have_a_bound() {
        let (mut cache, now) = (cache(MAX_QUESTIONS / MAX_QUESTION, &Versions::at_version(1)), Instant::now());
        cache.put(answered(0, &"x".repeat(MAX_QUESTION + 1), &[]), now);
        assert_eq!((cache.questions, cache.find(&[0; 32], now).is_some()), (0, true));
        let long = "x".repeat(MAX_QUESTION);
        for round in 0..3_u8 {
            for number in 0..=u8::MAX {
                for more in 0..12_u8 {
                    let mut answered = answered(number, &long, &[]);
                    answered.key[..2].copy_from_slice(&[round, more]);
                    cache.put(answered, now);
                    assert!(cache.questions <= MAX_QUESTIONS);
                }
            }
        }
        let kept = cache.kept.as_ref().unwrap().iter().map(|(_, entry)| entry.bytes()).sum::<usize>();
        assert_eq!((cache.questions, kept > MAX_QUESTIONS / 2), (kept, true));
    }

    #[actix::test]
    async fn the_room_is_told_and_given_back() {
        let cache = cache(2, &Versions::at_version(1)).start();
        cache.send(Put((1..=3).map(|number| answered(number, "one", &[])).collect())).await.unwrap();
        assert_eq!(cache.send(Measure).await.unwrap(), Room { entries: 2, capacity: 2 });
        let found = cache.send(Fetch(vec![[1; 32], [3; 32]])).await.unwrap();
        assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
        assert_eq!(cache.send(Hottest).await.unwrap(), [("one".into(), 1)]);
        assert_eq!(cache.send(Forget).await.unwrap(), 2);
        assert_eq!(cache.send(Measure).await.unwrap(), Room { entries: 0, capacity: 2 });
        assert!(cache.send(Fetch(vec![[3; 32]])).await.unwrap()[0].is_none());
        let off = RequestCache::new(None, MINUTE, Versions::at_version(1)).start();
        assert_eq!((off.send(Measure).await.unwrap(), off.send(Forget).await.unwrap()), (Room::default(), 0));
    }
}
