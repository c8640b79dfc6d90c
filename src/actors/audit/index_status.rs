//! How far the log is copied into the database, as others see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, MutexGuard};

use crate::ledger::IndexUsage;
use crate::store::StoreError;
use crate::store::search_index::{IndexSize, SearchIndex};

/// The fault reported while the database is not open and no other fault is known.
pub(super) const NOT_OPEN: &str = "the search index of the audit log is not open yet: its database may be migrating";

/// How often its size is measured.
const MEASURING_INTERVAL: Duration = Duration::from_mins(1);

/// How far the search index is; shared by all clones.
#[derive(Debug, Clone)]
pub struct IndexStatus(Arc<Progress>);

#[derive(Debug)]
struct Progress {
    origin: String,
    store: ArcSwapOption<SearchIndex>,
    next: AtomicU64,
    /// The fault that was met last, until it is over.
    fault: Mutex<Option<String>>,
    /// The last measurement of its size, and the time of it.
    size: Mutex<Option<(Instant, IndexUsage)>>,
}

impl IndexStatus {
    /// The index of the log of that origin, which is not open yet.
    pub(super) fn new(origin: String) -> Self {
        let store = ArcSwapOption::empty();
        let next = AtomicU64::new(0);
        Self(Arc::new(Progress { origin, store, next, fault: Mutex::default(), size: Mutex::default() }))
    }

    /// The log's origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// The database; [`StoreError::Busy`] until it could be opened.
    pub fn store(&self) -> Result<SearchIndex, StoreError> {
        self.opened().ok_or_else(|| StoreError::Busy(self.fault().unwrap_or_default()))
    }

    fn opened(&self) -> Option<SearchIndex> {
        self.0.store.load().as_deref().cloned()
    }

    /// The index of the next record to copy; none until the database could be opened.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.opened().map(|_| self.0.next.load(Ordering::Acquire))
    }

    /// Why nothing is copied, if nothing is.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let not_open = || self.opened().is_none().then(|| NOT_OPEN.to_owned());
        self.told().clone().or_else(not_open)
    }

    /// The size that was measured last; none before that.
    #[must_use]
    pub fn size(&self) -> Option<IndexUsage> {
        self.0.size.lock().map(|(_, size)| size)
    }

    fn told(&self) -> MutexGuard<'_, Option<String>> {
        self.0.fault.lock()
    }
}

/// For the indexing thread only.
impl IndexStatus {
    /// The database is open, or not any more.
    pub(super) fn set_store(&self, store: Option<SearchIndex>) {
        self.0.store.store(store.map(Arc::new));
    }

    pub(super) fn set_next(&self, next: u64) {
        self.0.next.store(next, Ordering::Release);
    }

    /// Measures the size, if that was not done for a minute. Here, since it may wait for the database.
    pub(super) fn measure(&self) {
        let is_recent = self.0.size.lock().is_some_and(|(at, _)| at.elapsed() < MEASURING_INTERVAL);
        let Some(store) = self.opened().filter(|_| !is_recent) else { return };
        match store.size() {
            Ok(IndexSize { bytes, records }) => {
                let size = IndexUsage { bytes, records, is_beside_log: !store.needs_records() };
                *self.0.size.lock() = Some((Instant::now(), size));
            }
            Err(error) => tracing::debug!(%error, "the search index cannot be measured"),
        }
    }

    /// Sets the fault, and returns the previous one.
    pub(super) fn set_fault(&self, fault: Option<String>) -> Option<String> {
        let is_mended = fault.is_none();
        let before = std::mem::replace(&mut *self.told(), fault);
        if is_mended && before.is_some() {
            tracing::info!("the audit log is indexed again");
        }
        before
    }
}
