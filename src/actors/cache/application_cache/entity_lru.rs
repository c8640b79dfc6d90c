//! The cached entities, bounded in number and in memory.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::{Mutex, MutexGuard};

use super::Read;
use crate::domain::EntityUid;
use crate::store::Versions;

/// How many locks the entities are spread over.
const SHARDS: usize = 16;

/// The cost of an entity beside its own data, in bytes: its uid, list node, table slot and version.
const OVERHEAD: usize = 256;

/// How many entities are kept, in how much memory, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct EntityCacheOptions {
    /// The most entities; none: the tier is off.
    pub capacity: Option<NonZeroUsize>,
    /// The most bytes of memory that they take, about.
    pub max_bytes: NonZeroUsize,
    /// How long each is kept.
    pub ttl: Duration,
}

/// How full the cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityCacheUsage {
    /// Cached entities, including those known to be absent.
    pub entries: usize,
    /// The most there may be. 0: the tier is off.
    pub capacity: usize,
    /// Bytes that they take, about.
    pub bytes: usize,
    /// The most that they may take.
    pub max_bytes: usize,
}

/// The entities that this process used.
#[derive(Debug)]
pub(super) struct EntityLru {
    /// Empty: the tier is off.
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    options: EntityCacheOptions,
}

#[derive(Debug)]
struct Shard {
    kept: LruCache<EntityUid, (Read, Instant)>,
    bytes: usize,
}

impl EntityLru {
    pub(super) fn new(options: EntityCacheOptions) -> Self {
        let shard = |capacity: NonZeroUsize| {
            let each = NonZeroUsize::new(capacity.get().div_ceil(SHARDS)).unwrap_or(capacity);
            Mutex::new(Shard { kept: LruCache::new(each), bytes: 0 })
        };
        let shards = options.capacity.into_iter().flat_map(|capacity| (0..SHARDS).map(move |_| shard(capacity)));
        Self { shards: shards.collect(), hasher: RandomState::new(), options }
    }

    fn shard(&self, uid: &EntityUid) -> Option<MutexGuard<'_, Shard>> {
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash are as good as all")]
        let hash = self.hasher.hash_one(uid) as usize;
        self.shards.get(hash.checked_rem(self.shards.len())?).map(Mutex::lock)
    }

    pub(super) fn find(&self, uid: &EntityUid, versions: &Versions) -> Option<Read> {
        let mut shard = self.shard(uid)?;
        let (read, since) = shard.kept.get(uid)?;
        if since.elapsed() < self.options.ttl && versions.is_current(&read.stamp) {
            return Some(read.clone());
        }
        shard.remove(uid);
        None
    }

    /// Keeps an entity, and evicts the least recently used ones to make room. One that is larger than a whole shard is
    /// not kept.
    pub(super) fn put(&self, uid: EntityUid, read: Read) {
        let most = self.options.max_bytes.get() / SHARDS;
        let Some(mut shard) = self.shard(&uid) else { return };
        shard.remove(&uid);
        let bytes = weight(&uid, &read);
        if bytes > most {
            return;
        }
        shard.bytes += bytes;
        if let Some((uid, (read, _))) = shard.kept.push(uid, (read, Instant::now())) {
            shard.bytes -= weight(&uid, &read);
        }
        while shard.bytes > most
            && let Some((uid, (read, _))) = shard.kept.pop_lru()
        {
            shard.bytes -= weight(&uid, &read);
        }
    }

    pub(super) fn room(&self) -> EntityCacheUsage {
        let full = |(entries, bytes), shard: MutexGuard<'_, Shard>| (entries + shard.kept.len(), bytes + shard.bytes);
        let (entries, bytes) = self.shards.iter().map(Mutex::lock).fold((0, 0), full);
        let capacity = self.options.capacity.map_or(0, NonZeroUsize::get);
        EntityCacheUsage { entries, capacity, bytes, max_bytes: self.options.max_bytes.get() }
    }

    /// Takes everything away; how much it was.
    pub(super) fn clear(&self) -> usize {
        let clear = |mut shard: MutexGuard<'_, Shard>| {
            let removed = shard.kept.len();
            shard.kept.clear();
            shard.bytes = 0;
            removed
        };
        self.shards.iter().map(Mutex::lock).map(clear).sum()
    }
}

impl Shard {
    fn remove(&mut self, uid: &EntityUid) {
        if let Some((read, _)) = self.kept.pop(uid) {
            self.bytes -= weight(uid, &read);
        }
    }
}

/// Deterministic for each entity.
fn weight(uid: &EntityUid, read: &Read) -> usize {
    OVERHEAD + uid.bytes() + read.entity.as_ref().map_or(0, |stored| stored.entity.bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{Entity, Json, Object};
    use crate::store::StoredEntity;

    fn uid(number: usize) -> EntityUid {
        EntityUid::new("User", number.to_string())
    }

    fn entity_lru(capacity: usize, max_bytes: usize) -> EntityLru {
        EntityLru::new(EntityCacheOptions {
            capacity: NonZeroUsize::new(capacity),
            max_bytes: NonZeroUsize::new(max_bytes).unwrap(),
            ttl: Duration::from_mins(1),
        })
    }

    /// An entity with so many bytes of text; none: it is not stored.
    fn read(versions: &Versions, number: usize, length: Option<usize>) -> Read {
        let text = |length| Json::Str("x".repeat(length).into());
        let entity = |length| Entity {
            uid: uid(number),
            attrs: Object::from_members(vec![("text".into(), text(length))]).unwrap(),
            parents: Vec::new(),
            tags: Object::NOTHING,
        };
        let stored = |length| StoredEntity { entity: entity(length), version: 1 };
        let stamp = versions.stamp(&uid(number));
        Read { entity: length.map(stored).map(Arc::new), stamp, is_queried: false }
    }

    #[test]
    fn entities_take_no_more_memory_than_they_may() {
        let (entity_lru, versions) = (entity_lru(1_000_000, 1 << 20), Versions::at_version(1));
        for number in 0..10_000 {
            entity_lru.put(uid(number), read(&versions, number, Some(1000)));
        }
        let room = entity_lru.room();
        assert!(room.bytes <= room.max_bytes && room.bytes > room.max_bytes / 10 * 9, "{room:?}");
        assert!((500..1000).contains(&room.entries), "{room:?}");
        assert!(entity_lru.find(&uid(9_999), &versions).is_some(), "the newest stay");
        assert!(entity_lru.find(&uid(0), &versions).is_none());
    }

    #[test]
    fn what_is_put_again_or_taken_away_gives_its_room_back() {
        let (entity_lru, versions) = (entity_lru(64, 1 << 20), Versions::at_version(1));
        for length in [Some(10), None, Some(20_000), Some(10)] {
            for number in 0..32 {
                entity_lru.put(uid(number), read(&versions, number, length));
            }
        }
        let small = entity_lru.room().bytes;
        assert!(small < 32 * 1000, "{small}");
        versions.bump_all(2);
        assert!((0..32).all(|number| entity_lru.find(&uid(number), &versions).is_none()));
        let room = entity_lru.room();
        assert_eq!((room.entries, room.bytes), (0, 0));
    }

    #[test]
    fn what_has_no_room_is_not_kept_and_nothing_makes_room_for_it() {
        let (entity_lru, versions) = (entity_lru(1000, 1 << 20), Versions::at_version(1));
        for number in 0..100 {
            entity_lru.put(uid(number), read(&versions, number, None));
        }
        entity_lru.put(uid(100), read(&versions, 100, Some(1 << 20)));
        assert!(entity_lru.find(&uid(100), &versions).is_none());
        assert_eq!(entity_lru.room().entries, 100);
        assert_eq!((entity_lru.clear(), entity_lru.room().bytes), (100, 0));
    }

    #[test]
    fn the_number_of_entities_has_a_bound_too() {
        let (entity_lru, versions) = (entity_lru(32, 1 << 30), Versions::at_version(1));
        for number in 0..10_000 {
            entity_lru.put(uid(number), read(&versions, number, Some(10)));
        }
        let room = entity_lru.room();
        assert_eq!((room.entries, room.capacity), (32, 32));
        let each = weight(&uid(1_000), &read(&versions, 1_000, Some(10)));
        assert_eq!(room.bytes, 32 * each);
    }
}
