//! How a store learns what other processes changed in its database: it reads the changes in their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::changes::{self, Change, Changes, Versioned};
use super::connection::DbSession;
use super::database_spec::ENTITIES;
use super::revisions::{self, HistoryRelation};
use super::{Store, StoreError, Target, entities, open, sqlite};
use crate::domain::Revision;

/// How long a connection by itself waits for a lock.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The state for following changes; shared by all clones.
#[derive(Debug, Clone, Default)]
pub(super) struct FollowState {
    /// One at a time reads changes.
    turn: Arc<Mutex<()>>,
    /// Moves when something about callers changed.
    callers: Arc<AtomicU64>,
}

/// A connection of its own to the database of a [`Store`], outside of the pool, which receives notifications of
/// changes.
pub struct Listener {
    store: Store,
    conn: DbSession,
}

impl Listener {
    /// Opens the connection. A missing database file is not created.
    pub fn open(store: &Store) -> Result<Self, StoreError> {
        let mut conn = match &*store.target {
            Target::Sqlite(path) => {
                sqlite::pooled(&ENTITIES, path, TIMEOUT).map_err(|error| error.at(&store.target))?
            }
            Target::Postgres(_) => open(&store.target, TIMEOUT)?,
        };
        // A pooled session receives no notifications, so changes are found by polling.
        if !conn.is_lent() {
            changes::listen(&mut conn).map_err(|error| error.at(&store.target))?;
        }
        Ok(Self { store: store.clone(), conn })
    }

    /// Whether a notification arrived since the last call, without blocking.
    pub fn is_told(&mut self) -> Result<bool, StoreError> {
        if self.conn.is_lent() {
            return Ok(false);
        }
        changes::is_told(&mut self.conn).map_err(|error| error.at(&self.store.target))
    }

    /// Applies all changes up to now. A server that accepts no writes may have been replaced as primary; then all
    /// connections are reopened, to find the new one.
    pub fn follow(&mut self) -> Result<(), StoreError> {
        if self.conn.is_read_only().map_err(|error| error.at(&self.store.target))? {
            self.store.pool.renew();
            return Err(StoreError::session_lost("the server accepts no writes").at(&self.store.target));
        }
        let _turn = self.store.turn();
        self.store.follow_on(&mut self.conn).map_err(|error| error.at(&self.store.target))
    }
}

impl Store {
    /// Brings [`versions`](Self::versions) and [`types`](Self::types) up to date with everything that was committed up
    /// to now, by any node.
    pub fn follow(&self) -> Result<(), StoreError> {
        let _turn = self.turn();
        self.run(|conn| self.follow_on(conn))
    }

    /// Like [`follow`](Self::follow), up to a revision that another node may have committed.
    ///
    /// [`StoreError::Ahead`] if the database has not reached that version; [`StoreError::Lost`] if the revision is not
    /// in the database's history.
    pub fn follow_to(&self, revision: &Revision) -> Result<(), StoreError> {
        if self.versions.contains(revision) {
            return Ok(());
        }
        self.follow()?;
        let applied = self.versions.applied();
        if self.versions.contains(revision) {
            return Ok(());
        }
        if revision.incarnation != applied.incarnation {
            return Err(StoreError::Lost { revision: *revision, newest: applied });
        }
        if revision.version > applied.version {
            return Err(StoreError::Ahead { version: revision.version, newest: applied.version });
        }
        match self.relation_to(revision)? {
            HistoryRelation::Contains => Ok(()),
            HistoryRelation::Behind(newest) | HistoryRelation::Diverged(newest) => {
                Err(StoreError::Lost { revision: *revision, newest })
            }
        }
    }

    /// Compares the database with a revision that it once had.
    pub fn relation_to(&self, revision: &Revision) -> Result<HistoryRelation, StoreError> {
        self.query(|conn| revisions::relation_to(conn, revision))
    }

    /// Begins a new incarnation of a database that has lost `lost`, and invalidates everything that was read before.
    /// Returns the revision of the database after that.
    pub fn begin_anew(&self, lost: &Revision) -> Result<Revision, StoreError> {
        let _turn = self.turn();
        self.run(|conn| self.begin_anew_on(conn, lost))
    }

    /// Whether other processes may write to the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.target.path().is_none()
    }

    /// Moves whenever something about users, clients, keys or sessions was changed, by whomever.
    #[must_use]
    pub fn callers_epoch(&self) -> u64 {
        self.following.callers.load(Ordering::Acquire)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.following.turn.lock()
    }

    /// Concurrent calls are harmless: a slot that is bumped twice costs a second read, and `applied` never runs ahead
    /// of the slots.
    pub(super) fn follow_on(&self, conn: &mut DbSession) -> Result<(), StoreError> {
        loop {
            let followed = self.versions.followed();
            match changes::after(conn, &followed)? {
                Changes::Known(changes) if changes.is_empty() => return Ok(()),
                Changes::Known(changes) => self.apply(&followed, &changes),
                Changes::Unknown(newest) => {
                    tracing::warn!(
                        %newest, %followed,
                        "too many changes since the last poll, or old ones are gone; every cache is invalidated"
                    );
                    self.types.insert(&entities::types(conn)?);
                    self.invalidate_all(newest.version);
                    self.versions.set_applied(newest);
                }
                Changes::Lost(newest) => {
                    tracing::error!(
                        %newest, %followed,
                        "the database was restored or failed over and lacks changes that this node has seen, up to \
                         revision `{followed}`; every cache is invalidated"
                    );
                    self.begin_anew_on(conn, &followed)?;
                }
            }
        }
    }

    /// INVARIANT: everything is invalidated before the new incarnation begins. If that fails, it is repeated, and
    /// entities read meanwhile are invalidated again.
    fn begin_anew_on(&self, conn: &mut DbSession, lost: &Revision) -> Result<Revision, StoreError> {
        let known = self.versions.known().max(lost.version);
        self.invalidate_all(known);
        let begun = changes::begin_anew(conn, lost, known)?;
        self.types.insert(&entities::types(conn)?);
        self.invalidate_all(begun.version);
        self.versions.set_applied(begun);
        Ok(begun)
    }

    /// INVARIANT: as for a write of this process: types, then versions, then the applied revision.
    fn apply(&self, followed: &Revision, changes: &[Versioned]) {
        self.types.insert(changes.iter().filter_map(|changed| match &changed.change {
            Change::Entity(uid) => Some(&uid.kind),
            Change::Callers | Change::Other => None,
        }));
        for Versioned { version, change, .. } in changes {
            match change {
                Change::Entity(uid) => self.versions.bump(uid, *version),
                Change::Callers => {
                    self.following.callers.fetch_add(1, Ordering::AcqRel);
                }
                Change::Other => {}
            }
        }
        self.versions.follow(followed, changes);
    }

    /// Invalidates every cache.
    fn invalidate_all(&self, version: i64) {
        self.versions.bump_all(version);
        self.following.callers.fetch_add(1, Ordering::AcqRel);
    }
}
