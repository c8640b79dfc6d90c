//! Records what happens beside decisions: from any thread, and only then is it done or answered.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use time::OffsetDateTime;

use super::audit_queue::{AuditError, AuditQueue, Durable, Lane, Listener};
use crate::ledger::{Batch, Event};

/// How long a record may take to become durable.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way of events into the audit log; shared by all clones.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Desk>);

#[derive(Debug)]
struct Desk {
    queue: AuditQueue,
    lane: Arc<Lane>,
    turn: Mutex<Turn>,
}

/// Whose turn it is has this.
#[derive(Debug)]
struct Turn {
    told: mpsc::Receiver<Durable>,
    /// How many records were put into the lane.
    submitted: u64,
    /// Of how many of them the fate is known. Fewer than submitted where somebody stopped waiting.
    settled: u64,
}

impl Journal {
    /// A journal over a queue.
    #[must_use]
    pub fn new(queue: AuditQueue) -> Self {
        let (tell, told) = mpsc::channel();
        let lane = queue.lane(Listener::Thread(tell));
        Self(Arc::new(Desk { queue, lane, turn: Mutex::new(Turn { told, submitted: 0, settled: 0 }) }))
    }

    /// Records events, in order and behind each other. Blocks until they are durable; answers the first one's index.
    ///
    /// After [`AuditError::Late`] they may become durable all the same.
    pub fn record(&self, events: &[Event]) -> Result<u64, AuditError> {
        let at = OffsetDateTime::now_utc();
        let mut batch = Batch::default();
        for event in events {
            event.push(at, &mut batch).map_err(|error| {
                tracing::error!(%error, "an event cannot be recorded");
                AuditError::Full
            })?;
        }
        if batch.is_empty() {
            return Ok(self.0.queue.durable());
        }
        let mut turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let _place = self.0.queue.reserve(events.len().min(self.0.queue.limit()))?;
        self.0.queue.submit(&self.0.lane, &batch)?;
        let first = turn.submitted;
        turn.submitted += u64::from(batch.count());
        turn.wait(first)
    }
}

impl Turn {
    /// Waits until the fate of the record that was submitted as number `first` is known.
    fn wait(&mut self, first: u64) -> Result<u64, AuditError> {
        loop {
            let durable = self.told.recv_timeout(PATIENCE).map_err(|error| match error {
                mpsc::RecvTimeoutError::Timeout => AuditError::Late,
                mpsc::RecvTimeoutError::Disconnected => AuditError::Ended,
            })?;
            let before = self.settled;
            self.settled += u64::from(durable.records);
            if first < self.settled {
                return durable.outcome.map(|index| index + (first - before));
            }
        }
    }
}
