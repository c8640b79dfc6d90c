//! L3: the entities that this process used, shared by all its workers.

mod entity_lru;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, ResponseFuture};

use crate::actors::Mailbox;
use crate::actors::cache::hit_rates::HitCounters;
use crate::actors::database::{Database, FindEntities, Follow};
use crate::domain::{EntityUid, Revision};
use crate::store::{Stamp, StoreError, StoredEntity, StoredTypes, Versions};
use entity_lru::EntityLru;
pub use entity_lru::{EntityCacheOptions, EntityCacheUsage};

/// An entity as it was read, or the fact that it was not stored.
#[derive(Debug, Clone)]
pub struct Read {
    /// The entity; `None` if it is not stored.
    pub entity: Option<Arc<StoredEntity>>,
    /// Its version from before it was read.
    pub stamp: Stamp,
    /// Whether the database was asked for it, because it was not cached.
    pub is_queried: bool,
}

/// Reads entities from the database, and keeps them for all workers.
#[derive(Debug)]
pub struct ApplicationCache {
    database: Mailbox<Database>,
    entity_lru: Arc<EntityLru>,
}

/// How a worker reads entities: from the cache without crossing threads, and only for the rest from the actor.
#[derive(Debug, Clone)]
pub struct EntityReader {
    cache: Mailbox<ApplicationCache>,
    database: Mailbox<Database>,
    entity_lru: Arc<EntityLru>,
    versions: Versions,
    types: StoredTypes,
    counters: Arc<HitCounters>,
}

impl ApplicationCache {
    /// Starts the cache in the current arbiter.
    #[must_use]
    pub fn start(
        database: Mailbox<Database>,
        deadline: Duration,
        options: EntityCacheOptions,
        versions: Versions,
        types: StoredTypes,
    ) -> EntityReader {
        let entity_lru = Arc::new(EntityLru::new(options));
        let cache = Self { database: database.clone(), entity_lru: Arc::clone(&entity_lru) };
        let cache = Mailbox::new(Actor::start(cache), deadline);
        EntityReader { cache, database, entity_lru, versions, types, counters: Arc::default() }
    }
}

impl Actor for ApplicationCache {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(crate::actors::MAILBOX_CAPACITY);
    }
}

/// Reads entities from the database, in one query, and caches them.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<Read>, StoreError>")]
pub struct Load(Vec<(EntityUid, Stamp)>);

impl Handler<Load> for ApplicationCache {
    type Result = ResponseFuture<Result<Vec<Read>, StoreError>>;

    fn handle(&mut self, Load(wanted): Load, _: &mut Self::Context) -> Self::Result {
        let database = self.database.clone();
        let entity_lru = Arc::clone(&self.entity_lru);
        Box::pin(async move {
            let uids = wanted.iter().map(|(uid, _)| uid.clone()).collect();
            let found = database.ask(FindEntities(uids)).await?;
            let reads = wanted.into_iter().zip(found).map(|((uid, stamp), entity)| {
                let read = Read { entity: entity.map(Arc::new), stamp, is_queried: true };
                entity_lru.put(uid, Read { is_queried: false, ..read.clone() });
                read
            });
            Ok(reads.collect())
        })
    }
}

impl EntityReader {
    /// The same reader, with hit counters of a worker.
    pub(in crate::actors) fn counting(self, counters: &Arc<HitCounters>) -> Self {
        Self { counters: Arc::clone(counters), ..self }
    }

    /// Reads entities, and answers in the order asked.
    pub async fn read(&self, uids: &[EntityUid]) -> Result<Vec<Read>, StoreError> {
        let mut found: Vec<Result<Read, Stamp>> = uids.iter().map(|uid| self.at_hand(uid)).collect();
        let stamps = found.iter().map(|read| read.as_ref().err().copied());
        let missing: Vec<_> = uids.iter().zip(stamps).filter_map(|(uid, stamp)| Some((uid.clone(), stamp?))).collect();
        if !missing.is_empty() {
            let mut loaded = self.cache.ask(Load(missing)).await?.into_iter();
            for slot in found.iter_mut().filter(|read| read.is_err()) {
                if let Some(read) = loaded.next() {
                    *slot = Ok(read);
                }
            }
        }
        found.into_iter().map(|read| read.map_err(|_| StoreError::Late)).collect()
    }

    /// Like [`Self::read`], bypassing the cache.
    pub async fn read_stored(&self, uids: &[EntityUid]) -> Result<Vec<Read>, StoreError> {
        let wanted = uids.iter().map(|uid| (uid.clone(), self.versions.stamp(uid))).collect();
        self.cache.ask(Load(wanted)).await
    }

    /// How full the cache is.
    #[must_use]
    pub fn room(&self) -> EntityCacheUsage {
        self.entity_lru.room()
    }

    /// Removes all entities; how many there were.
    #[expect(clippy::must_use_candidate, reason = "what is done matters more than how much it was")]
    pub fn clear(&self) -> usize {
        self.entity_lru.clear()
    }

    /// Learns of everything that others changed by now.
    pub async fn follow(&self) -> Result<(), StoreError> {
        self.database.ask(Follow::Now).await
    }

    /// Applies every change that other nodes committed up to this revision.
    pub async fn follow_to(&self, revision: &Revision) -> Result<(), StoreError> {
        if self.versions.contains(revision) { Ok(()) } else { self.database.ask(Follow::To(*revision)).await }
    }

    /// The revision up to which all changes have been applied.
    #[must_use]
    pub fn applied(&self) -> Revision {
        self.versions.applied()
    }

    /// Whether none of the entities has changed since it was read.
    #[must_use]
    pub fn is_current(&self, reads: &[Read]) -> bool {
        reads.iter().all(|read| self.versions.is_current(&read.stamp))
    }

    /// The entity as cached; otherwise the stamp to load it with.
    fn at_hand(&self, uid: &EntityUid) -> Result<Read, Stamp> {
        // INVARIANT: the stamp is taken before anything is read, so that a change meanwhile makes the read outdated.
        let stamp = self.versions.stamp(uid);
        if !self.types.contains(&uid.kind) {
            return Ok(Read { entity: None, stamp, is_queried: false });
        }
        let found = self.entity_lru.find(uid, &self.versions);
        self.counters.l3.add(usize::from(found.is_some()), usize::from(found.is_none()));
        found.ok_or(stamp)
    }
}
