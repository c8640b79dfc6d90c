//! The records of a request's decisions, and of the stored entities that these read.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use lru::LruCache;
use time::OffsetDateTime;
use uuid::Uuid;

use super::questions::Asked;
use crate::actors::active::Active;
use crate::actors::validator::Decided;
use crate::ledger::{Batch, BatchError, DecisionRecord, EntitySet, FaultyItemRecord, new_id};
use crate::settings::RequestRecord;

/// The most bytes that the decisions of one request may have together; so long a request repeats itself.
const MAX_DECISIONS: usize = 8 << 20;

/// A record of so many bytes is kept whole however many a batch has.
const MIN_RECORD: usize = 2 << 10;

/// Entity sets are recorded as long as the request's records have no more bytes than this.
const MAX_SETS: usize = 24 << 20;

/// How many entity sets a worker remembers as recorded.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add((1 << 14) - 1);

/// Which entity sets this worker's records in the log have already. One that is forgotten is recorded once more.
///
/// INVARIANT: a decision comes behind the entities that it read, since records of one worker keep their order.
#[derive(Debug, Clone)]
pub struct RecordedSets(Rc<RefCell<LruCache<Box<str>, ()>>>);

impl Default for RecordedSets {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(LruCache::new(REMEMBERED))))
    }
}

/// What is handed to the audit log for one request. It is dropped where the records do not become durable.
#[derive(Debug)]
pub struct Recording {
    /// The records.
    pub records: Batch,
    /// Of each decision its id, and how many records come before it.
    decisions: Vec<(Uuid, u64)>,
    /// Sets whose texts are in the records.
    sets: Vec<(Arc<EntitySet>, Arc<str>)>,
    remembered: RecordedSets,
}

impl Recording {
    /// Writes the records of decisions under one constitution, that a caller asked for.
    pub fn new(
        caller: &str,
        active: &Active,
        decided: &[(Asked<'_>, Decided)],
        form: RequestRecord,
        remembered: &RecordedSets,
    ) -> Result<Self, BatchError> {
        let at = OffsetDateTime::now_utc();
        let limit = (MAX_DECISIONS / decided.len().max(1)).max(MIN_RECORD);
        let (records, remembered) = (Batch::default(), remembered.clone());
        let mut recording =
            Self { records, decisions: Vec::with_capacity(decided.len()), sets: Vec::new(), remembered };
        for (asked, decided) in decided {
            if let (RequestRecord::Full, Some(set)) = (form, &decided.entities) {
                recording.push_set(set, at)?;
            }
            let id = new_id(at);
            recording.decisions.push((id, recording.records.count().into()));
            let evaluation = match asked {
                Asked::Sound(evaluation) => evaluation,
                Asked::Faulty(item) => {
                    let (hash, digest) = (active.constitution.hash(), &active.digest);
                    let record = FaultyItemRecord { id, at, caller, item, verdict: &decided.verdict, hash, digest };
                    record.push(&mut recording.records)?;
                    continue;
                }
            };
            let record = DecisionRecord {
                id,
                at,
                caller,
                evaluation,
                verdict: &decided.verdict,
                hash: active.constitution.hash(),
                digest: &active.digest,
                hash_enforcement: active.hash_enforcement,
                request_properties: active.request_properties,
                entities: decided.entities.as_deref().map(EntitySet::digest),
                cached: decided.is_cached(),
            };
            record.push(form, limit, &mut recording.records)?;
        }
        Ok(recording)
    }

    fn push_set(&mut self, set: &Arc<EntitySet>, at: OffsetDateTime) -> Result<(), BatchError> {
        let Some(text) = set.take() else { return Ok(()) };
        let mut remembered = self.remembered.0.borrow_mut();
        if remembered.get(set.digest()).is_some() {
            return Ok(());
        }
        if self.records.bytes().len() + text.len() > MAX_SETS {
            tracing::warn!(digest = set.digest(), "a decision read too much for its entities to be recorded");
            return Ok(());
        }
        set.push(&text, at, &mut self.records)?;
        remembered.put(set.digest().into(), ());
        self.sets.push((Arc::clone(set), text));
        Ok(())
    }

    /// The records are durable: of each decision its id, and how many records come before it.
    pub fn done(mut self) -> Vec<(Uuid, u64)> {
        self.sets.clear();
        std::mem::take(&mut self.decisions)
    }
}

/// Where the records did not become durable, or nobody knows, the sets are recorded once more.
impl Drop for Recording {
    fn drop(&mut self) {
        let mut remembered = self.remembered.0.borrow_mut();
        for (set, text) in self.sets.drain(..) {
            remembered.pop(set.digest());
            set.put_back(text);
        }
    }
}
