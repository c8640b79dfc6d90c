//! How a store learns what other processes changed in its database: it reads the changes in their order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::changes::{self, Change, Changes};
use super::{Connection, Store, StoreError, entities, open, presence};

/// How long a connection by itself waits for a lock.
const WAIT: Duration = Duration::from_secs(1);

/// What following needs beside the store's versions and types; shared by all clones.
#[derive(Debug, Clone, Default)]
pub(super) struct Following {
    /// One at a time reads changes.
    turn: Arc<Mutex<()>>,
    /// Moves when something about callers changed.
    callers: Arc<AtomicU64>,
    /// Moves when the database was put back.
    put_back: Arc<AtomicU64>,
}

/// A connection by itself to the database of a [`Store`]: it waits for none of the pool, and hears that there is something to
/// follow.
pub struct Listener {
    store: Store,
    conn: Connection,
}

impl Listener {
    /// Opens the connection.
    pub fn open(store: &Store) -> Result<Self, StoreError> {
        let mut conn = open(&store.target, WAIT)?;
        changes::listen(&mut conn).map_err(|error| error.at(&store.target))?;
        Ok(Self { store: store.clone(), conn })
    }

    /// Whether others said since the last time that they changed something. Waits for nothing.
    pub fn is_told(&mut self) -> Result<bool, StoreError> {
        changes::is_told(&mut self.conn).map_err(|error| error.at(&self.store.target))
    }

    /// Says to others that somebody is there, as long as this connection lasts; see [`presence`].
    pub fn announce(&mut self) -> Result<(), StoreError> {
        presence::announce(&mut self.conn).map_err(|error| error.at(&self.store.target))
    }

    /// Follows everything that was changed until now.
    pub fn follow(&mut self) -> Result<(), StoreError> {
        let _turn = self.store.turn();
        self.store.follow_on(&mut self.conn).map_err(|error| error.at(&self.store.target))
    }
}

impl Store {
    /// Brings [`versions`](Self::versions) and [`types`](Self::types) up to date with everything that was committed by
    /// now, whoever changed it.
    pub fn follow(&self) -> Result<(), StoreError> {
        let _turn = self.turn();
        self.run(|conn| self.follow_on(conn))
    }

    /// The same, where not all up to that version is known. [`StoreError::Ahead`] where there is no such version yet.
    pub fn follow_to(&self, version: i64) -> Result<(), StoreError> {
        if self.versions.applied() < version {
            self.follow()?;
        }
        let applied = self.versions.applied();
        if applied < version { Err(StoreError::Ahead { version, newest: applied }) } else { Ok(()) }
    }

    /// Believes nothing any more that was read before, since the database may have been put back unseen.
    pub fn doubt(&self) {
        let applied = self.versions.applied();
        self.doubt_all(applied, applied);
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

    /// Moves whenever the database is found to be put back to an older state.
    #[must_use]
    pub fn put_back_epoch(&self) -> u64 {
        self.following.put_back.load(Ordering::Acquire)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.following.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Two at a time do no harm: what is bumped twice is bumped once, and what is applied was in the slots before.
    pub(super) fn follow_on(&self, conn: &mut Connection) -> Result<(), StoreError> {
        loop {
            let applied = self.versions.applied();
            match changes::after(conn, applied)? {
                Changes::Known(changes) => {
                    let Some((last, _)) = changes.last() else { return Ok(()) };
                    self.apply(applied, *last, &changes);
                }
                Changes::Unknown(newest) => {
                    tracing::warn!(
                        newest,
                        seen = applied,
                        "too much was changed to follow: nothing cached is believed"
                    );
                    self.types.insert(&entities::types(conn)?);
                    self.doubt_all(newest, newest);
                }
                Changes::Lost(newest) => {
                    tracing::error!(newest, seen = applied, "the database was put back to an older state");
                    self.following.put_back.fetch_add(1, Ordering::AcqRel);
                    self.types.insert(&entities::types(conn)?);
                    self.doubt_all(applied, newest);
                }
            }
        }
    }

    /// INVARIANT: as for a write of this process: types, then versions, then what is said to be applied.
    fn apply(&self, applied: i64, last: i64, changes: &[(i64, Change)]) {
        self.types.insert(changes.iter().filter_map(|(_, change)| match change {
            Change::Entity(uid) => Some(&uid.kind),
            Change::Callers => None,
        }));
        for (version, change) in changes {
            match change {
                Change::Entity(uid) => self.versions.bump(uid, *version),
                Change::Callers => {
                    self.following.callers.fetch_add(1, Ordering::AcqRel);
                }
            }
        }
        // Where it fails, somebody else has come further.
        self.versions.apply(applied + 1, last);
    }

    fn doubt_all(&self, up_to: i64, newest: i64) {
        self.versions.bump_all(up_to);
        self.following.callers.fetch_add(1, Ordering::AcqRel);
        self.versions.set_applied(newest);
    }
}
