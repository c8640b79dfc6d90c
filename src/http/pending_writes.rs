//! Changes whose callers got 202, with their outcomes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

/// How long the outcome of a change is kept after its end.
const RETENTION: Duration = Duration::from_hours(1);

/// The most outcomes that are kept; the oldest is dropped first.
const CAPACITY: usize = 4_096;

/// Changes whose callers got 202; shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct PendingWrites(Arc<Mutex<VecDeque<Pending>>>);

#[derive(Debug)]
struct Pending {
    id: Uuid,
    /// The time of its end, and the error if it failed.
    ended: Option<(Instant, Option<String>)>,
}

/// The outcome of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    /// It has not ended yet.
    Unknown,
    /// It was made.
    Done,
    /// It was not made, for this reason.
    Refused(String),
}

impl PendingWrites {
    pub(super) fn begin(&self, id: Uuid) {
        let mut writes = self.lock();
        writes.retain(|write| write.ended.as_ref().is_none_or(|(at, _)| at.elapsed() < RETENTION));
        if writes.len() >= CAPACITY {
            writes.pop_front();
        }
        writes.push_back(Pending { id, ended: None });
    }

    pub(super) fn end(&self, id: Uuid, failure: Option<String>) {
        if let Some(write) = self.lock().iter_mut().find(|write| write.id == id) {
            write.ended = Some((Instant::now(), failure));
        }
    }

    /// The outcome of the change; `None` if none is kept for that id.
    pub(super) fn outcome(&self, id: Uuid) -> Option<WriteOutcome> {
        let writes = self.lock();
        Some(match &writes.iter().find(|write| write.id == id)?.ended {
            None => WriteOutcome::Unknown,
            Some((_, None)) => WriteOutcome::Done,
            Some((_, Some(failure))) => WriteOutcome::Refused(failure.clone()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Pending>> {
        self.0.lock()
    }
}
