//! The actor that searches the index of the audit log, on threads of its own.

use std::num::{NonZeroU16, NonZeroUsize};
use std::thread;
use std::time::{Duration, Instant};

use actix::prelude::*;
use nonzero_ext::nonzero;
use uuid::Uuid;

use crate::actors::audit::index_status::IndexStatus;
use crate::ledger::{DiskStorage, LedgerError, RecordLookup, RecordView, millis_of};
use crate::store::StoreError;
use crate::store::search_index::{DenialCounts, DenialQuery, EntryCursor, EntryPage, FoundEntry, Search};

/// Entries with the same millisecond that are read at a time.
const PAGE: NonZeroU16 = nonzero!(1_000_u16);

/// A page ends early with the entry whose record makes all of them together this large, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// The offset at which a record's id ends.
const ID_END: usize = "{\"v\":1,\"id\":\"\"".len() + 36;

/// Why there is no answer to a search.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The database cannot be asked.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A found record cannot be read from the log.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
}

impl From<MailboxError> for SearchError {
    fn from(error: MailboxError) -> Self {
        Self::Store(error.into())
    }
}

/// Searches the index in the database, and reads the found records from the log.
#[derive(Debug)]
pub struct Searcher {
    storage: DiskStorage,
    index_status: IndexStatus,
    /// How long one search may take.
    timeout: Duration,
}

impl Searcher {
    /// Starts the actor on `threads` threads. A search that takes longer than `timeout`, or finds more than 4 MiB of
    /// records, returns the entries that it has read by then.
    ///
    /// # Panics
    /// Where no actix system runs, or the system has no more threads to give.
    #[must_use]
    pub fn start(
        storage: DiskStorage,
        index_status: IndexStatus,
        timeout: Duration,
        threads: NonZeroUsize,
    ) -> Addr<Self> {
        let thread = || thread::Builder::new().name("acgs-searcher".to_owned());
        SyncArbiter::start_with_thread_builder(threads.get(), thread, move || Self {
            storage: storage.clone(),
            index_status: index_status.clone(),
            timeout,
        })
    }
}

impl Actor for Searcher {
    type Context = SyncContext<Self>;
}

/// Finds the newest entries that have everything that is sought.
#[derive(Debug, Message)]
#[rtype(result = "Result<EntryPage, SearchError>")]
pub struct SearchEntries {
    /// The search.
    pub search: Search,
    /// The position after which the page begins.
    pub after: Option<EntryCursor>,
    /// Entries at most.
    pub limit: NonZeroU16,
}

impl Handler<SearchEntries> for Searcher {
    type Result = Result<EntryPage, SearchError>;

    fn handle(&mut self, ask: SearchEntries, _: &mut Self::Context) -> Self::Result {
        let deadline = Instant::now() + self.timeout;
        let page = self.search(&ask.search, ask.after.as_ref(), ask.limit, deadline)?;
        let (is_first, is_empty) = (ask.after.is_none(), page.items.is_empty() && page.next.is_none());
        match ask.search.request_id.as_deref().and_then(|id| id.parse().ok()) {
            Some(id) if is_first && is_empty => {
                let found = self.find(id, Search { request_id: None, ..ask.search }, deadline)?;
                // The id of a single decision is that of its request, if the caller gave none.
                let is_named_by_id = |found: &FoundEntry| {
                    let record = found.record.as_deref().and_then(|record| RecordView::parse(record.as_bytes()).ok());
                    record.is_some_and(|record| record.is_decision() && record.request_id.is_none())
                };
                Ok(EntryPage { items: found.into_iter().filter(is_named_by_id).collect(), next: None })
            }
            _ => Ok(page),
        }
    }
}

/// Finds an entry by its id, in any log in the database.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<FoundEntry>, SearchError>")]
pub struct FindEntry(pub Uuid);

impl Handler<FindEntry> for Searcher {
    type Result = Result<Option<FoundEntry>, SearchError>;

    fn handle(&mut self, FindEntry(id): FindEntry, _: &mut Self::Context) -> Self::Result {
        self.find(id, Search::default(), Instant::now() + self.timeout)
    }
}

/// Counts denials, as many as can be in the time of a search.
#[derive(Debug, Message)]
#[rtype(result = "Result<DenialCounts, SearchError>")]
pub struct CountDenials(pub DenialQuery);

impl Handler<CountDenials> for Searcher {
    type Result = Result<DenialCounts, SearchError>;

    fn handle(&mut self, CountDenials(query): CountDenials, _: &mut Self::Context) -> Self::Result {
        Ok(self.index_status.store()?.count_denials(&query, Instant::now() + self.timeout)?)
    }
}

impl Searcher {
    /// Finds the entry with an id that meets the other conditions. A `UUIDv7` contains the time of its record, so only
    /// the entries of that millisecond are searched.
    fn find(&self, id: Uuid, search: Search, deadline: Instant) -> Result<Option<FoundEntry>, SearchError> {
        let Some(from) = millis_of(&id).and_then(|millis| i64::try_from(millis).ok()?.checked_mul(1000)) else {
            return Ok(None);
        };
        let to = from.saturating_add(1000);
        let from = search.from.map_or(from, |earliest| earliest.max(from));
        let to = search.to.map_or(to, |end| end.min(to));
        let search = Search { from: Some(from), to: Some(to), ..search };
        let begin = format!("\"id\":\"{}\"", id.hyphenated());
        let mut after = None;
        loop {
            let page = self.search(&search, after.as_ref(), PAGE, deadline)?;
            let is_sought = |found: &FoundEntry| {
                let start = found.record.as_deref().and_then(|record| record.get(..ID_END));
                start.is_some_and(|start| start.ends_with(&begin))
            };
            if let Some(found) = page.items.into_iter().find(is_sought) {
                return Ok(Some(found));
            }
            after = page.next;
            if after.is_none() || Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    fn search(
        &self,
        search: &Search,
        after: Option<&EntryCursor>,
        limit: NonZeroU16,
        deadline: Instant,
    ) -> Result<EntryPage, SearchError> {
        let store = self.index_status.store()?;
        let mut page = store.search(None, search, after, limit, deadline)?;
        let own = self.index_status.origin();
        let is_in_log =
            |found: &FoundEntry| *found.origin == *own && (found.record.is_none() || !store.needs_records());
        let mut log = RecordLookup::new(&self.storage);
        let (mut bytes, mut shown) = (0, 0);
        for found in &mut page.items {
            // The first entry is always shown, so that a continued search makes progress.
            if shown > 0 && (bytes >= MAX_BYTES || Instant::now() >= deadline) {
                break;
            }
            if is_in_log(found) {
                found.record = log.whole(found.index)?.and_then(|record| String::from_utf8(record).ok());
            }
            bytes += found.record.as_ref().map_or(0, String::len);
            shown += 1;
        }
        if shown < page.items.len() {
            page.items.truncate(shown);
            page.next = page.items.last().map(|last| store.after(last)).transpose()?;
        }
        Ok(page)
    }
}
