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

/// The longest question, in bytes, that is kept with its verdict, to be evaluated in advance later.
pub(in crate::actors) const MAX_QUESTION: usize = 4 << 10;
/// The cost of an entry beside its data, in bytes: its key, list node and table slot.
const OVERHEAD: usize = 256;
/// The number of most recently used entries among which the most frequent ones are searched for: scanning all would
/// delay decisions.
const LOOKED_AT: usize = 4096;

/// A cached verdict with its dependencies.
#[derive(Debug, Clone)]
pub struct CachedVerdict {
    /// The verdict.
    pub verdict: Arc<Verdict>,
    /// The stored entities that were read; `None` if none was.
    pub entities: Option<Arc<EntitySet>>,
    /// The versions of all entities that were asked for, absent ones included, from before they were read.
    pub stamps: Arc<[Stamp]>,
}

impl CachedVerdict {
    /// The memory that the entry takes, in bytes, estimated. Text of entities that is freed after its record is
    /// included, and a shared verdict counts in each of its entries.
    fn bytes(&self) -> usize {
        let entities = self.entities.as_ref().map_or(0, |entities| entities.bytes());
        self.verdict.bytes() + entities + size_of_val(&*self.stamps)
    }
}

/// The bounds of a request cache.
#[derive(Debug, Clone, Copy)]
pub struct RequestCacheOptions {
    /// The most verdicts; `None`: the tier is off.
    pub capacity: Option<NonZeroUsize>,
    /// The most memory for entries, in bytes, estimated.
    pub max_bytes: NonZeroUsize,
    /// The lifetime of an entry.
    pub ttl: Duration,
}

/// The request cache of one worker.
#[derive(Debug)]
pub struct RequestCache {
    /// None: the tier is off.
    kept: Option<LruCache<Key, Entry>>,
    options: RequestCacheOptions,
    versions: Versions,
    started: Instant,
    /// The memory that all entries take, in bytes, estimated.
    bytes: usize,
}

/// The entry of one question.
#[derive(Debug)]
struct Entry {
    /// `None`: the verdict is outdated, and there is no newer one yet.
    kept: Option<(CachedVerdict, Instant)>,
    /// The canonical question; `None` before its first hit, and if it is long.
    question: Option<Arc<str>>,
    uses: Uses,
    /// The memory that this entry takes, in bytes, estimated.
    bytes: usize,
}

impl RequestCache {
    /// An empty cache.
    #[must_use]
    pub fn new(options: RequestCacheOptions, versions: Versions) -> Self {
        Self { kept: options.capacity.map(LruCache::new), options, versions, started: Instant::now(), bytes: 0 }
    }

    /// INVARIANT: a verdict whose entities changed since they were read is not given out.
    fn find(&mut self, key: &Key, now: Instant) -> Option<Hit> {
        let entry = self.kept.as_mut()?.get_mut(key)?;
        let (found, since) = entry.kept.as_ref()?;
        if now.duration_since(*since) < self.options.ttl
            && found.stamps.iter().all(|stamp| self.versions.is_current(stamp))
        {
            entry.uses.add(now.duration_since(self.started));
            return Some(Hit { kept: found.clone(), has_question: entry.question.is_some() });
        }
        // How often it was used stays: it is likely to be made again at once.
        entry.kept = None;
        None
    }

    /// Keeps a verdict, and evicts the least recently used ones to make room. A verdict larger than `max_bytes` is not
    /// kept.
    fn put(&mut self, key: Key, kept: CachedVerdict, now: Instant) {
        let Some(all) = &mut self.kept else { return };
        let known = all.pop(&key);
        self.bytes -= known.as_ref().map_or(0, |entry| entry.bytes);
        let (question, uses) = known.map(|entry| (entry.question, entry.uses)).unwrap_or_default();
        let bytes = OVERHEAD + kept.bytes() + question.as_ref().map_or(0, |question| question.len());
        if bytes > self.options.max_bytes.get() {
            return;
        }
        self.bytes += bytes;
        if let Some((_, evicted)) = all.push(key, Entry { kept: Some((kept, now)), question, uses, bytes }) {
            self.bytes -= evicted.bytes;
        }
        self.make_room();
    }

    /// Adds its question to an entry.
    fn remember(&mut self, key: &Key, question: Arc<str>) {
        let Some(entry) = self.kept.as_mut().and_then(|all| all.get_mut(key)) else { return };
        if entry.question.is_none() {
            entry.bytes += question.len();
            self.bytes += question.len();
            entry.question = Some(question);
            self.make_room();
        }
    }

    /// Evicts the least recently used entries until the others have at most `max_bytes`.
    fn make_room(&mut self) {
        let Some(all) = &mut self.kept else { return };
        while self.bytes > self.options.max_bytes.get()
            && let Some((_, evicted)) = all.pop_lru()
        {
            self.bytes -= evicted.bytes;
        }
    }
}

impl Actor for RequestCache {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(crate::actors::MAILBOX_CAPACITY);
    }
}

/// Finds the verdicts for some keys, in their order.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Option<Hit>>")]
pub struct Fetch(pub Vec<Key>);

impl Handler<Fetch> for RequestCache {
    type Result = MessageResult<Fetch>;

    fn handle(&mut self, Fetch(keys): Fetch, _: &mut Self::Context) -> Self::Result {
        let now = Instant::now();
        MessageResult(keys.iter().map(|key| self.find(key, now)).collect())
    }
}

/// A verdict that was found.
#[derive(Debug)]
pub struct Hit {
    /// The verdict.
    pub kept: CachedVerdict,
    /// Whether the cache has the question, too. If it has not, it should be told with [`Remember`].
    pub has_question: bool,
}

/// Keeps verdicts. Their loss costs an evaluation each, and nothing else.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Put(pub Vec<(Key, CachedVerdict)>);

impl Handler<Put> for RequestCache {
    type Result = ();

    fn handle(&mut self, Put(verdicts): Put, _: &mut Self::Context) {
        let now = Instant::now();
        for (key, kept) in verdicts {
            self.put(key, kept, now);
        }
    }
}

/// Adds a canonical question of at most `MAX_QUESTION` bytes to its verdict. Most questions are asked only once, so
/// they are kept from the first hit on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Remember(pub Key, pub Arc<str>);

impl Handler<Remember> for RequestCache {
    type Result = ();

    fn handle(&mut self, Remember(key, question): Remember, _: &mut Self::Context) {
        self.remember(&key, question);
    }
}

/// How much of its room a cache uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheUsage {
    /// The number of verdicts.
    pub entries: usize,
    /// The most that is kept. 0: the tier is off.
    pub capacity: usize,
    /// The memory that the entries take, in bytes, estimated.
    pub bytes: usize,
    /// The most memory that the entries may take, in bytes.
    pub max_bytes: usize,
}

/// Asks for the size of the cache.
#[derive(Debug, Message)]
#[rtype(result = "CacheUsage")]
pub struct Measure;

impl Handler<Measure> for RequestCache {
    type Result = MessageResult<Measure>;

    fn handle(&mut self, _: Measure, _: &mut Self::Context) -> Self::Result {
        let room = |kept: &LruCache<Key, Entry>| CacheUsage {
            entries: kept.len(),
            capacity: kept.cap().get(),
            bytes: self.bytes,
            max_bytes: self.options.max_bytes.get(),
        };
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
        self.bytes = 0;
        forgotten
    }
}

/// Asks for the questions that were hits in the past hour, with the number of hits. Of many, only recently used ones
/// are considered.
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
        bounded(capacity, 1 << 20, versions)
    }

    fn bounded(capacity: usize, max_bytes: usize, versions: &Versions) -> RequestCache {
        let (capacity, max_bytes) = (NonZeroUsize::new(capacity), NonZeroUsize::new(max_bytes).unwrap());
        RequestCache::new(RequestCacheOptions { capacity, max_bytes, ttl: MINUTE }, versions.clone())
    }

    fn kept(stamps: &[Stamp]) -> CachedVerdict {
        let verdict = Arc::new(Verdict::deny(Reason::Unavailable, "no"));
        CachedVerdict { verdict, entities: None, stamps: stamps.into() }
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
        cache.put([1; 32], kept(&[versions.stamp(&ann)]), now);
        assert_eq!(cache.find(&[1; 32], now + MINUTE / 2).map(|hit| hit.has_question), Some(false));
        cache.remember(&[1; 32], "one".into());
        assert!(cache.find(&[1; 32], now + MINUTE).is_none());
        assert!(cache.find(&[1; 32], now + MINUTE / 2).is_none(), "it does not come back");
        cache.put([1; 32], kept(&[versions.stamp(&ann)]), now);
        versions.bump(&ann, 2);
        assert!(cache.find(&[1; 32], now).is_none());
        assert_eq!(hottest(&cache), [("one".to_owned(), 1)], "how often it was used is still known");
        cache.put([1; 32], kept(&[versions.stamp(&ann)]), now);
        assert_eq!(cache.find(&[1; 32], now).map(|hit| hit.has_question), Some(true));
    }

    #[test]
    fn verdicts_take_no_more_memory_than_they_may() {
        let versions = Versions::at_version(1);
        let stamps = vec![versions.stamp(&EntityUid::new("User", "ann")); 1_000];
        let (mut cache, now) = (bounded(1_000_000, 1 << 20, &versions), Instant::now());
        for number in 0..=u8::MAX {
            for more in 0..4_u8 {
                // Putting an entry again replaces it; an outdated entry keeps its memory until it is replaced.
                let size = usize::from(more) * 300;
                let mut key = [number; 32];
                key[0] = more / 2;
                cache.put(key, kept(stamps.get(..size).unwrap()), now);
                assert!(cache.bytes <= 1 << 20);
                cache.remember(&key, "x".repeat(size).into());
                assert!(cache.bytes <= 1 << 20);
            }
        }
        let sum = cache.kept.as_ref().unwrap().iter().map(|(_, entry)| entry.bytes).sum::<usize>();
        assert_eq!((cache.bytes, sum > (1 << 20) / 10 * 9), (sum, true));
        let mut last = [u8::MAX; 32];
        last[0] = 1;
        assert!(cache.find(&last, now).is_some(), "the newest stay");
        let mut small = bounded(10, 1 << 10, &versions);
        small.put([1; 32], kept(&[]), now);
        small.put([2; 32], kept(&stamps), now);
        assert!(small.find(&[1; 32], now).is_some() && small.find(&[2; 32], now).is_none());
        small.put([1; 32], kept(&stamps), now);
        assert_eq!((small.find(&[1; 32], now).is_none(), small.bytes), (true, 0), "what it had is outdated");
    }

    #[actix::test]
    async fn the_room_is_told_and_given_back() {
        let cache = cache(2, &Versions::at_version(1)).start();
        cache.send(Put((1..=3).map(|number| ([number; 32], kept(&[]))).collect())).await.unwrap();
        let room = cache.send(Measure).await.unwrap();
        assert_eq!((room.entries, room.capacity, room.max_bytes), (2, 2, 1 << 20));
        assert!(room.bytes > 0 && room.bytes < 4_000, "{room:?}");
        let found = cache.send(Fetch(vec![[1; 32], [3; 32]])).await.unwrap();
        assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
        assert_eq!(cache.send(Hottest).await.unwrap(), []);
        cache.send(Remember([3; 32], "one".into())).await.unwrap();
        assert_eq!(cache.send(Hottest).await.unwrap(), [("one".into(), 1)]);
        assert!(cache.send(Measure).await.unwrap().bytes > room.bytes);
        assert_eq!(cache.send(Forget).await.unwrap(), 2);
        let room = cache.send(Measure).await.unwrap();
        assert_eq!((room.entries, room.bytes), (0, 0));
        assert!(cache.send(Fetch(vec![[3; 32]])).await.unwrap()[0].is_none());
        let off = bounded(0, 1 << 20, &Versions::at_version(1)).start();
        assert_eq!((off.send(Measure).await.unwrap(), off.send(Forget).await.unwrap()), (CacheUsage::default(), 0));
    }
}
