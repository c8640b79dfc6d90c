//! The search index of the audit log, in a database file of its own.
//!
//! All of it is derived: if the file is lost, it is created again, and the log is indexed from its first record. It has
//! a file of its own so that indexing, which is most of what is written, never holds the lock that writers of entities
//! need.

mod criteria;
mod cursor;
mod denial_scan;
mod denials;
mod entries;
mod incremental_sync;
mod logs;
mod place;
mod predicate;
mod schema;
mod search;
mod size;
mod statement;
#[cfg(test)]
mod tests;
mod time_ranges;

use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use parking_lot::Mutex;

pub use criteria::{DenialKey, DenialQuery, Search, SoughtEntity};
pub use cursor::EntryCursor;
pub use denials::{DenialCounts, DenialSeries};
pub use entries::{AuditEntry, IndexError};
pub use logs::IndexedLog;
pub use place::LogId;
pub use size::IndexSize;

use super::bootstrap::{inspect_spec, migrate_spec, open_spec};
use super::connection::DbSession;
use super::database_spec::{DatabaseSpec, Migrations, OnMissing, postgres_migrations};
use super::error::StoreError;
use super::pool::{Pool, StoreOptions};
use super::replicas::Replicas;
use super::target::Target;
use super::{postgres, sqlite};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite_audit");

/// The search index, "ACGA".
///
/// The writing connection has `synchronous = NORMAL`: entries lost in a power failure are indexed again, since the
/// cursor is lost with them. Entries go to many pages of the indexes, and repeatedly to the same: each costs a page in
/// the write-ahead log and one in the file, so pages are small, 64 MiB of them are cached, and 256 MiB accumulate in
/// the write-ahead log before a checkpoint, which other users of the disk notice. The log then keeps its length, up to
/// 512 MiB: releasing and allocating blocks again costs the file system, and some disks, tens of milliseconds. Readers
/// cannot write.
const AUDIT: DatabaseSpec = DatabaseSpec {
    name: "an audit database of acgs",
    application: 0x4143_4741,
    migrations: Migrations { sqlite: || SQLITE, postgres: postgres_migrations },
    on_missing: OnMissing::Recreated,
    single: "PRAGMA page_size = 2048; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536;
             PRAGMA wal_autocheckpoint = 131072; PRAGMA journal_size_limit = 536870912;",
    pooled: "PRAGMA query_only = ON; PRAGMA cache_size = -1024;",
    session: "SET default_transaction_read_only = on;",
};

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPage {
    /// The entries, the newest first; those of the log that came last before those of others.
    pub items: Vec<FoundEntry>,
    /// Where the search goes on, if not everything was looked at.
    pub next: Option<EntryCursor>,
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEntry {
    /// The origin of the log that has it.
    pub origin: Arc<str>,
    /// Its index in that log.
    pub index: u64,
    /// The record as it is in the log; none where it was indexed without.
    pub record: Option<String>,
}

/// The database of the audit log's index: beside the file of the entities, `acgs-audit.db` for `acgs.db`; or in the
/// same database of a server.
#[must_use]
pub fn beside(database: &Target) -> Target {
    match database {
        Target::Sqlite(path) => {
            let mut name = path.file_stem().unwrap_or_default().to_owned();
            name.push("-audit.db");
            Target::Sqlite(path.with_file_name(name))
        }
        server @ Target::Postgres(_) => server.clone(),
    }
}

/// Brings the database up to date as [`SearchIndex::open`] does, and answers how many migrations it lacked.
pub fn migrate(target: &Target, wait: Duration) -> Result<usize, StoreError> {
    migrate_spec(&AUDIT, target, wait)
}

/// Looks whether [`SearchIndex::open`] would take it, without changing anything. A file that is not there yet is fine.
pub fn inspect(target: &Target, wait: Duration) -> Result<(), StoreError> {
    inspect_spec(&AUDIT, target, wait)
}

/// Measures it without any change; `None` if there is none, or one that is not up to date.
pub fn size(target: &Target, wait: Duration) -> Result<Option<IndexSize>, StoreError> {
    let measure = || match target {
        Target::Sqlite(path) => {
            sqlite::inspect(&AUDIT, path, wait)?.map(|mut conn| size::measure(&mut conn)).transpose()
        }
        Target::Postgres(server) => {
            postgres::inspect(&AUDIT, server, wait)?.map(|mut conn| size::measure(&mut conn)).transpose()
        }
    };
    measure().map_err(|error: StoreError| error.at(target))
}

/// The open search index of the audit log; shared by all clones. Its functions block, so they are called from threads
/// that may.
#[derive(Clone)]
pub struct SearchIndex {
    target: Arc<Target>,
    wait: Duration,
    /// The one connection that writes; none after it failed, until it is needed again.
    writer: Arc<Mutex<Option<DbSession>>>,
    readers: Pool,
    replicas: Replicas,
    /// Which files it is in; nothing on a server.
    files: Option<sqlite::Identity>,
}

impl SearchIndex {
    /// Opens the database and brings it up to date. The connections of the options are those that read, besides one
    /// that writes.
    ///
    /// The folder must be there. A new file is readable by its owner only. A file that is damaged, another
    /// application's, the one of the entities or of a newer version is refused as it is.
    pub fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let wait = options.acquire_timeout;
        let open = || open_spec(&AUDIT, &options.target, wait);
        let mut conn =
            options.target.path().map_or_else(open, |database| incremental_sync::trickling(database, open))?;
        logs::list(&mut conn).map_err(|error| error.at(&options.target))?;
        let readers = Pool::open(&AUDIT, options).map_err(|error| error.at(&options.target))?;
        let writer = Arc::new(Mutex::new(Some(conn)));
        let (target, replicas) = (Arc::new(options.target.clone()), Replicas::default());
        let files = target.path().map(sqlite::identity);
        Ok(Self { target, wait, writer, readers, replicas, files })
    }

    /// Whether its files were moved, deleted or replaced: the index is lost then, and has to be opened anew.
    #[must_use]
    pub fn is_displaced(&self) -> bool {
        self.target.path().map(sqlite::identity) != self.files
    }

    /// The same, which searches in one of these where they are not too far behind.
    #[must_use]
    pub fn with_replicas(self, replicas: Replicas) -> Self {
        Self { replicas, ..self }
    }

    /// Whether those who search may not have the log at hand, so that its records have to be indexed too.
    #[must_use]
    pub fn needs_records(&self) -> bool {
        self.target.path().is_none()
    }

    /// Finds a log by its origin; one that was not known has a row from now on.
    pub fn log(&self, origin: &str) -> Result<IndexedLog, StoreError> {
        self.write(|conn| logs::find_or_make(conn, origin)).map_err(|error| error.at(&self.target))
    }

    /// The leaf hash of a stored entry; `None` if there is none.
    pub fn leaf(&self, log: LogId, index: u64) -> Result<Option<[u8; 32]>, StoreError> {
        self.write(|conn| entries::leaf(conn, log, index)).map_err(|error: StoreError| error.at(&self.target))
    }

    /// Removes a log's entries from index `first` on, which the log has lost.
    pub fn forget(&self, log: LogId, first: u64) -> Result<(), StoreError> {
        self.write(|conn| entries::forget(conn, log, first)).map_err(|error: StoreError| error.at(&self.target))
    }

    /// The file or server, for messages; without credentials.
    #[must_use]
    pub fn place(&self) -> String {
        self.target.to_string()
    }

    /// All logs that are known, in the order in which they came.
    pub fn logs(&self) -> Result<Vec<IndexedLog>, StoreError> {
        self.read(|session| logs::list(session))
    }

    /// Stores the records of a log from index `first` on, all of them or none, and answers the index of the next one
    /// to index. Records that are stored already are compared by their leaves and left as they are, so that it can be
    /// called again with the same.
    ///
    /// Until [`sync`](Self::sync) is called, a power failure may lose the records, and the cursor with them.
    pub fn index(&self, log: LogId, first: u64, entries: &[AuditEntry]) -> Result<u64, IndexError> {
        let index = || self.write(|conn| entries::index(conn, log, first, entries));
        let indexed = self.target.path().map_or_else(index, |database| incremental_sync::trickling(database, index));
        indexed.map_err(|error| match error {
            IndexError::Store(error) => {
                if error.session_fault().is_some() {
                    self.readers.renew();
                }
                IndexError::Store(error.at(&self.target))
            }
            other => other,
        })
    }

    /// Puts everything indexed so far on stable storage. Only after this may the log forget it.
    ///
    /// [`StoreError::Busy`] where a reader was in the way for too long; nothing is known then.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.write(|session| sqlite::sync(session)).map_err(|error| error.at(&self.target))
    }

    /// Makes the database file whole by itself, without the log beside it: for the end of the process.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        if self.target.path().is_none() {
            return Ok(());
        }
        self.write(|conn| Ok(sqlite::checkpoint(conn)?)).map_err(|error: StoreError| error.at(&self.target))
    }

    /// Finds the newest entries that have all that is sought, at most `limit` of them, in one log or in all; after a
    /// cursor, those that are older than what was found with it.
    ///
    /// Looks at no more entries than can be by the deadline, whatever is sought: a page may have fewer than `limit`, or
    /// none, and yet a next one. [`StoreError::Cursor`] where the cursor is in another log.
    pub fn search(
        &self,
        log: Option<LogId>,
        search: &Search,
        after: Option<&EntryCursor>,
        limit: NonZeroU16,
        deadline: Instant,
    ) -> Result<EntryPage, StoreError> {
        let mut places = log.map_or(place::EVERYWHERE, LogId::places);
        if let Some(cursor) = after {
            places.end = cursor.place_within(log)?;
        }
        self.read(|conn| {
            let found = search::search(conn, search, places.clone(), limit.get().into(), deadline)?;
            let origins = logs::origins(conn)?;
            let items = found.records.into_iter().map(|(place, record)| {
                let (log, index) = place::split(place);
                let origin = origins.get(&log).cloned();
                let origin = origin.ok_or_else(|| StoreError::damaged("an entry is of a log that is not there"))?;
                Ok(FoundEntry { origin, index, record })
            });
            let items = items.collect::<Result<Vec<_>, StoreError>>()?;
            Ok(EntryPage { items, next: found.next.map(EntryCursor::before) })
        })
    }

    /// Counts denials over time in all logs, as many as can be by the deadline, the newest first.
    pub fn count_denials(&self, query: &DenialQuery, deadline: Instant) -> Result<DenialCounts, StoreError> {
        self.read(|conn| denials::count(conn, query, place::EVERYWHERE, deadline))
    }

    /// How large it is.
    pub fn size(&self) -> Result<IndexSize, StoreError> {
        self.read(|conn| size::measure(conn))
    }

    /// Where a search goes on after this entry.
    pub fn after(&self, found: &FoundEntry) -> Result<EntryCursor, StoreError> {
        let logs = self.logs()?;
        let log = logs.iter().find(|log| *log.origin == *found.origin);
        let place = log.and_then(|log| log.id.place(found.index));
        place.map(EntryCursor::before).ok_or_else(|| StoreError::damaged("an entry is of a log that is not there"))
    }

    fn read<T>(&self, job: impl Fn(&mut DbSession) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // Copies are behind the log anyhow.
        if let Some(done) = self.replicas.read(None, &job) {
            return done;
        }
        self.readers.run(job).map_err(|error| error.at(&self.target))
    }

    /// Runs a job on the connection that writes, one after the other. After a failure it is opened anew: what is wrong
    /// with it may be what failed.
    fn write<T, E: From<StoreError>>(&self, job: impl FnOnce(&mut DbSession) -> Result<T, E>) -> Result<T, E> {
        let mut writer = self.writer.lock();
        let mut conn = match writer.take() {
            Some(conn) => conn,
            None => open_spec(&AUDIT, &self.target, self.wait)?,
        };
        let done = job(&mut conn)?;
        *writer = Some(conn);
        Ok(done)
    }
}

impl fmt::Debug for SearchIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SearchIndex").field("target", &self.target).finish_non_exhaustive()
    }
}
