//! The actor that searches the copy of the audit log in the database, on threads of its own.

use std::num::{NonZeroU16, NonZeroUsize};
use std::thread;
use std::time::{Duration, Instant};

use actix::prelude::*;

use super::shipping::Shipping;
use crate::ledger::{self, DiskStorage, LedgerError};
use crate::store::StoreError;
use crate::store::audit::{EntryCursor, EntryPage, FoundEntry, Search};

/// Why there is no answer to a search.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The database cannot be asked.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// What was found cannot be read from the log.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
}

impl From<MailboxError> for SearchError {
    fn from(error: MailboxError) -> Self {
        Self::Store(error.into())
    }
}

/// Searches in the database, and reads what it finds from the log.
#[derive(Debug)]
pub struct Searcher {
    storage: DiskStorage,
    shipping: Shipping,
    /// How long one search may take.
    patience: Duration,
}

impl Searcher {
    /// Starts the actor on so many threads. A search that takes longer than `patience` answers what it found by then.
    ///
    /// # Panics
    /// Where no actix system runs, or the system has no more threads to give.
    #[must_use]
    pub fn start(storage: DiskStorage, shipping: Shipping, patience: Duration, threads: NonZeroUsize) -> Addr<Self> {
        let thread = || thread::Builder::new().name("acgs-searcher".to_owned());
        SyncArbiter::start_with_thread_builder(threads.get(), thread, move || Self {
            storage: storage.clone(),
            shipping: shipping.clone(),
            patience,
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
    /// What is sought.
    pub search: Search,
    /// Where to go on.
    pub after: Option<EntryCursor>,
    /// Entries at most.
    pub limit: NonZeroU16,
}

impl Handler<SearchEntries> for Searcher {
    type Result = Result<EntryPage, SearchError>;

    fn handle(&mut self, ask: SearchEntries, _: &mut Self::Context) -> Self::Result {
        let store = self.shipping.store()?;
        let deadline = Instant::now() + self.patience;
        let mut page = store.search(None, &ask.search, ask.after.as_ref(), ask.limit, deadline)?;
        let own = self.shipping.origin();
        let is_in_log =
            |found: &FoundEntry| *found.origin == *own && (found.record.is_none() || !store.needs_records());
        for found in page.items.iter_mut().filter(|found| is_in_log(found)) {
            let record = ledger::record(&self.storage, found.index)?;
            found.record = record.and_then(|record| String::from_utf8(record).ok());
        }
        Ok(page)
    }
}
