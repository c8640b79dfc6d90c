//! The daemon's database. One file per table; queries are plain functions over a connection.
//!
//! [`Store`] is the access to entities for the rest of the daemon: it has the pool, and keeps the order of operations
//! that makes caches safe. For users, clients, keys and tokens it only lends connections to queries of their tables.
//! [`search_index::SearchIndex`] is the search index of the audit log, in a file of its own.

mod any;
pub mod api_keys;
pub mod assertions;
mod bootstrap;
pub mod cache_secret;
pub mod changes;
pub mod clients;
mod connection;
mod cursor;
mod database_spec;
pub mod ended_tokens;
pub mod entities;
mod error;
mod following;
mod kept_open;
mod list_page;
pub mod lock;
mod migrations;
mod opener;
mod pool;
mod postgres;
mod precondition;
pub mod refresh_tokens;
mod replicas;
pub mod revisions;
mod schema;
pub mod search_index;
pub mod sessions;
pub mod signing_keys;
mod sqlite;
mod startup_lock;
mod stored_types;
mod target;
#[cfg(test)]
mod tests;
pub mod uptime;
pub mod users;
mod versions;

use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

pub use bootstrap::{discard_unfinished, inspect, is_unfinished, migrate, open, reach, visit};
pub use connection::{Connection, DbSession};
pub use cursor::Cursor;
pub use entities::{Page, StoredEntity, Written};
pub use error::{Cause, StoreError};
pub use following::Listener;
pub use list_page::ListPage;
pub use lock::Lock;
pub use pool::{
    Alert, AlertChange, Answers, MonitoredPool, PoolLoad, PoolStats, ProbeResult, StoreOptions, TierStats, WINDOW,
    WaitStats, WatchedPool,
};
pub use precondition::{Precondition, VersionSet};
pub use replicas::{ReplicaStatus, Replicas};
pub use revisions::{Commit, HistoryRelation};
pub use sqlite::check;
pub use startup_lock::StartupLock;
pub use stored_types::StoredTypes;
pub use target::{PoolMode, Server, Target};
pub use versions::{Slot, Stamp, Versions};

use crate::domain::{Entity, EntityUid};
use database_spec::ENTITIES;
use following::FollowState;
use kept_open::KeptOpen;
use pool::Pool;

/// The open store; shared by all clones. Its functions block, so they are called from threads that may.
///
/// INVARIANT: a write goes: types into [`StoredTypes`], commit, bump [`Versions`], answer. A reader that may keep what
/// it reads takes the stamps first. Only writes that go through this process's store keep that order.
#[derive(Debug, Clone)]
pub struct Store {
    target: Arc<Target>,
    _kept_open: Arc<KeptOpen>,
    pool: Pool,
    versions: Versions,
    types: StoredTypes,
    following: FollowState,
    replicas: Replicas,
    /// The listeners for versions that are written here.
    told: Arc<OnceLock<WriteListener>>,
}

/// Is told of a version after its commit, and must not block.
struct WriteListener(Box<dyn Fn(i64) + Send + Sync>);

impl fmt::Debug for WriteListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteListener")
    }
}

impl Store {
    /// Opens the database, brings it up to date and opens the first connections.
    pub fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let mut conn = open(&options.target, options.acquire_timeout)?;
        let types = StoredTypes::default();
        // The revision is read first: a later change is followed, whether or not it is already in the data read next.
        let versions = revisions::newest(&mut conn).and_then(|newest| {
            types.insert(&entities::types(&mut conn)?);
            let versions = Versions::new(newest);
            for (version, nonce) in changes::recent(&mut conn, &newest)? {
                versions.learn(version, nonce);
            }
            Ok(versions)
        });
        let versions = versions.map_err(|error| error.at(&options.target))?;
        // After the migrations of a first start: a database file that lost its log is then still known for what it is.
        sqlite::checkpoint(&mut conn).map_err(|error| StoreError::from(error).at(&options.target))?;
        let pool = Pool::open(&ENTITIES, options).map_err(|error| error.at(&options.target))?;
        let target = Arc::new(options.target.clone());
        Ok(Self {
            target,
            _kept_open: Arc::new(KeptOpen::new(conn)),
            pool,
            versions,
            types,
            following: FollowState::default(),
            replicas: Replicas::default(),
            told: Arc::default(),
        })
    }

    /// The file or server, without credentials.
    #[must_use]
    pub fn place(&self) -> String {
        self.target.to_string()
    }

    /// Makes the database file whole by itself, without the log beside it: for the end of the process.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        // A server has no such log, and may be unreachable at the end.
        if self.target.path().is_none() {
            return Ok(());
        }
        self.run(|conn| Ok(sqlite::checkpoint(conn)?))
    }

    /// Runs a transaction that writes to other tables than those of the entities; it is undone where `job` fails.
    ///
    /// It takes the one writer's place at its start: where another does not leave it in time, [`StoreError::Busy`].
    pub fn transaction<T, E: From<StoreError>>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        // The job's own error goes round the transaction, which knows those of the store only.
        let mut failed = None;
        let done = self.run(|session| {
            let done = connection::write(session, |conn| {
                job(conn).map_err(|error| {
                    failed = Some(error);
                    StoreError::Undone
                })
            });
            match done {
                Ok(_) | Err(StoreError::Uncertain(_)) => done,
                // The job's error does not tell whether the session was at fault.
                Err(_) if session.is_read_only()? => Err(StoreError::session_lost("the server accepts no writes")),
                Err(_) => done,
            }
        });
        done.map_err(|error| failed.unwrap_or_else(|| error.into()))
    }

    /// Notes a commit of this process that changed nothing in its caches. If other nodes committed meanwhile, it is
    /// applied with their changes by the next poll.
    pub fn note(&self, commit: &Commit) {
        self.versions.committed(commit);
    }

    /// Runs queries, which write nothing, on what is stored at one moment.
    pub fn query<T>(&self, job: impl FnOnce(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.run(|session| connection::read(session, |session| job(session)))
    }

    /// The same store, which reads entities from these where they are new enough.
    #[must_use]
    pub fn with_replicas(self, replicas: Replicas) -> Self {
        Self { replicas, ..self }
    }

    /// The replicas that it reads from.
    #[must_use]
    pub fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// The files that must stay in place while the store is open; none for a server.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.target.path().map_or_else(Vec::new, sqlite::files)
    }

    /// Whether the database answers its callers.
    #[must_use]
    pub fn answers(&self) -> Answers {
        self.pool.answers()
    }

    /// The pool of connections, for those who look after it.
    #[must_use]
    pub fn pool(&self) -> WatchedPool {
        self.pool.watched()
    }

    /// Sets the function that is called with each version written here, after its commit; only the first one counts. It
    /// must not block.
    pub fn on_write(&self, told: impl Fn(i64) + Send + Sync + 'static) {
        drop(self.told.set(WriteListener(Box::new(told))));
    }

    /// The counters that tell whether an entity may have changed.
    #[must_use]
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The types that may have stored entities.
    #[must_use]
    pub fn types(&self) -> &StoredTypes {
        &self.types
    }

    /// Asks the primary for an entity that nobody has, as a decision would, whether or not any of its type is stored.
    pub fn probe(&self) -> Result<(), StoreError> {
        self.run(|conn| entities::find(conn, &EntityUid::new("acgs::Probe", "readyz")).map(drop))
    }

    /// Finds one entity. Needs no connection where nothing of its type is stored.
    pub fn find(&self, uid: &EntityUid) -> Result<Option<StoredEntity>, StoreError> {
        if !self.types.contains(&uid.kind) {
            return Ok(None);
        }
        self.read(|conn| entities::find(conn, uid))
    }

    /// Finds many entities and answers in the order asked. Needs no connection where nothing of their types is stored.
    pub fn find_many(&self, uids: &[EntityUid]) -> Result<Vec<Option<StoredEntity>>, StoreError> {
        if !uids.iter().any(|uid| self.types.contains(&uid.kind)) {
            return Ok(vec![None; uids.len()]);
        }
        self.read(|conn| entities::find_many(conn, uids))
    }

    /// Lists the entities of a type, at most `limit` of them, after a cursor that this list gave before.
    pub fn list(&self, kind: &str, after: Option<&Cursor>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.read(|conn| entities::list(conn, kind, after, limit))
    }

    /// Names of stored entities, at most `limit` of them, in order, behind a name.
    pub fn names(&self, after: Option<&EntityUid>, limit: NonZeroU16) -> Result<Vec<EntityUid>, StoreError> {
        self.read(|conn| entities::names(conn, after, limit))
    }

    /// Calls `visit` with every stored entity; see [`entities::visit`].
    pub fn visit(&self, visit: impl FnMut(&[Entity])) -> Result<(), StoreError> {
        self.run(|conn| entities::visit(conn, visit))
    }

    /// Stores an entity; see [`entities::put`].
    pub fn put(
        &self,
        entity: &Entity,
        precondition: Precondition,
        record: impl FnOnce(&Written) -> Result<(), StoreError>,
    ) -> Result<Written, StoreError> {
        let put = |conn: &mut DbSession| entities::put(conn, entity, precondition, record);
        self.write([&entity.uid], |conn| put(conn).map(|written| (Some(written.commit), written)))
    }

    /// Stores many entities, all of them or none; see [`entities::put_many`].
    pub fn put_many(
        &self,
        batch: &[Entity],
        record: impl FnOnce(&[Written]) -> Result<(), StoreError>,
    ) -> Result<Vec<Written>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let put = |conn: &mut DbSession| entities::put_many(conn, batch, record);
        let commit = |written: &[Written]| written.first().map(|written| written.commit);
        let uids = batch.iter().map(|entity| &entity.uid);
        self.write(uids, |conn| put(conn).map(|written| (commit(&written), written)))
    }

    /// Removes an entity, and returns the commit; see [`entities::remove`].
    pub fn remove(
        &self,
        uid: &EntityUid,
        precondition: Precondition,
        record: impl FnOnce(&Commit) -> Result<(), StoreError>,
    ) -> Result<Commit, StoreError> {
        let remove = |conn: &mut DbSession| entities::remove(conn, uid, precondition, record);
        self.write([uid], |conn| remove(conn).map(|commit| (Some(commit), commit)))
    }

    /// Runs a job that changes these entities, and returns its commit; `None` if it changed nothing.
    fn write<'a, T>(
        &self,
        uids: impl IntoIterator<Item = &'a EntityUid, IntoIter: Clone>,
        job: impl FnOnce(&mut DbSession) -> Result<(Option<Commit>, T), StoreError>,
    ) -> Result<T, StoreError> {
        let uids = uids.into_iter();
        self.types.insert(uids.clone().map(|uid| &uid.kind));
        let written = self.run(|conn| {
            let (commit, written) = job(conn)?;
            let Some(commit) = commit else { return Ok(written) };
            uids.clone().for_each(|uid| self.versions.bump(uid, commit.after.version));
            if !self.versions.committed(&commit) {
                // Other nodes wrote meanwhile, or the database has lost changes. If following fails here, the next poll
                // does it.
                drop(self.follow_on(conn));
            }
            if let Some(WriteListener(tell)) = self.told.get() {
                tell(commit.after.version);
            }
            Ok(written)
        });
        if written.is_err() {
            // A commit that failed may still be on disk.
            uids.for_each(|uid| self.versions.bump_unknown(uid));
        }
        written
    }

    /// Runs a query on a replica that has all that is known here, else on the primary.
    fn read<T>(&self, job: impl Fn(&mut DbSession) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if !self.replicas.is_empty()
            && let Some(done) = self.replicas.read(Some(&self.versions), &job)
        {
            return done;
        }
        self.run(job)
    }

    fn run<T>(&self, job: impl FnOnce(&mut DbSession) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.pool.run(job).map_err(|error| error.at(&self.target))
    }
}
