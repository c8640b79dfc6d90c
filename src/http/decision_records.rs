//! The records of a request's decisions, and of the stored entities that these read.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use lru::LruCache;
use nonzero_ext::nonzero;
use time::OffsetDateTime;
use uuid::Uuid;

use super::current_request;
use super::questions::Asked;
use crate::actors::active::Active;
use crate::actors::decision::validator::Decided;
use crate::domain::{BenchRun, Evaluation};
use crate::ledger::{
    BatchError, Batches, DecisionRecord, EntitySet, FaultyItemRecord, SharedMembers, Shortened, new_id,
};
use crate::settings::RequestRecord;

/// If a question has more bytes than this, undeclared members of at least [`LARGE_MEMBER`] bytes are recorded by digest
/// only.
const LARGE_QUESTION: usize = 16 << 10;
const LARGE_MEMBER: usize = 1 << 10;

/// The most bytes that the records of one request may have, including the entities that its decisions read.
const MAX_RECORDS: usize = 64 << 20;

/// How many entity sets a worker remembers as recorded.
const REMEMBERED: NonZeroUsize = nonzero!(16_384_usize);

/// The entity sets that this worker has recorded already. A forgotten one is recorded again.
///
/// INVARIANT: a decision's record comes after those of the entities that it read, since records of one worker keep
/// their order.
#[derive(Debug, Clone)]
pub struct RecordedSets(Rc<RefCell<LruCache<Box<str>, ()>>>);

impl Default for RecordedSets {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(LruCache::new(REMEMBERED))))
    }
}

/// The caller and the request for which decisions are recorded.
#[derive(Debug, Clone, Copy)]
pub struct AskedBy<'a> {
    /// The caller's name, or `anonymous`.
    pub caller: &'a str,
    /// The caller's request id.
    pub request_id: Option<&'a str>,
    /// The run of `acgs bench` that asks.
    pub bench: Option<BenchRun<'a>>,
}

/// Why the decisions of a request cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// A record does not fit into a frame.
    #[error("{0}")]
    Batch(#[from] BatchError),
    /// The records together exceed 64 MiB.
    #[error(
        "the records of one request, with the entities that its decisions read, must have at most `{MAX_RECORDS}` bytes"
    )]
    TooLarge,
}

/// The records of one request on their way to the audit log. It is dropped if they do not become durable.
#[derive(Debug)]
pub struct DecisionRecords {
    /// The records.
    pub records: Batches,
    /// Each decision's id, and the number of records before its own.
    decisions: Vec<(Uuid, u32)>,
    /// Sets whose texts are in the records.
    sets: Vec<(Arc<EntitySet>, Arc<str>)>,
    remembered: RecordedSets,
}

impl DecisionRecords {
    /// Writes the records of decisions under one constitution, that a caller asked for, and what these records share.
    pub fn new(
        asked_by: AskedBy<'_>,
        active: &Active,
        decided: &[(Asked<'_>, Decided)],
        shared: &SharedMembers<'_>,
        form: RequestRecord,
        remembered: &RecordedSets,
    ) -> Result<Self, RecordingError> {
        let at = OffsetDateTime::now_utc();
        let (records, remembered) = (Batches::default(), remembered.clone());
        let mut recording =
            Self { records, decisions: Vec::with_capacity(decided.len()), sets: Vec::new(), remembered };
        // Without an id of the caller's, a request has the id of its first decision, which the record of a single
        // decision has already.
        let first_id = current_request::first_decision_id(at);
        let ids = std::iter::once(first_id).chain(std::iter::repeat_with(|| new_id(at)));
        let mut text = Uuid::encode_buffer();
        let request_id = match asked_by.request_id {
            Some(given) => given,
            None if decided.len() > 1 => first_id.hyphenated().encode_lower(&mut text),
            None => "",
        };
        let AskedBy { caller, bench, .. } = asked_by;
        for ((asked, decided), id) in decided.iter().zip(ids) {
            if let (RequestRecord::Full, Some(set)) = (form, &decided.entities) {
                recording.push_set(set, at)?;
            }
            match asked {
                Asked::Faulty(item) => {
                    let (hash, digest) = (active.constitution.hash(), &active.digest);
                    let verdict = &decided.verdict;
                    let record = FaultyItemRecord { id, at, caller, request_id, bench, item, verdict, hash, digest };
                    recording.records.add(|batch| record.push(batch))?;
                }
                Asked::Sound(evaluation) => {
                    let shortened = match form {
                        RequestRecord::Full => shortened(active, evaluation, shared),
                        RequestRecord::Digest => None,
                    };
                    let record = DecisionRecord {
                        id,
                        at,
                        caller,
                        request_id,
                        bench,
                        evaluation,
                        shortened: shortened.as_ref(),
                        shared,
                        verdict: &decided.verdict,
                        hash: active.constitution.hash(),
                        digest: &active.digest,
                        hash_enforcement: active.hash_enforcement,
                        request_properties: active.request_properties,
                        entities: decided.entities.as_deref().map(EntitySet::digest),
                        cached: decided.is_cached(),
                    };
                    recording.records.add(|batch| record.push(form, batch))?;
                }
            }
            // A decision's own record is the last one written for it, after its parts.
            recording.decisions.push((id, recording.records.count().saturating_sub(1)));
            recording.check_size(0)?;
        }
        Ok(recording)
    }

    fn check_size(&self, more: usize) -> Result<(), RecordingError> {
        let total = self.records.bytes().saturating_add(more);
        if total > MAX_RECORDS { Err(RecordingError::TooLarge) } else { Ok(()) }
    }

    fn push_set(&mut self, set: &Arc<EntitySet>, at: OffsetDateTime) -> Result<(), RecordingError> {
        let Some(text) = set.take() else { return Ok(()) };
        let mut remembered = self.remembered.0.borrow_mut();
        if remembered.get(set.digest()).is_some() {
            return Ok(());
        }
        let pushed = self
            .check_size(text.len())
            .and_then(|()| self.records.add(|batch| set.push(&text, at, batch)).map_err(RecordingError::from));
        if let Err(error) = pushed {
            set.put_back(text);
            return Err(error);
        }
        remembered.put(set.digest().into(), ());
        self.sets.push((Arc::clone(set), text));
        Ok(())
    }

    /// Ends the recording after the records are durable. Returns each decision's id and the number of records before
    /// its own.
    pub fn done(mut self) -> Vec<(Uuid, u32)> {
        self.sets.clear();
        std::mem::take(&mut self.decisions)
    }
}

/// A question with a large record of its own, without the members that the constitution does not declare, if there are
/// any. Members shared with other questions are recorded once, and are never omitted.
fn shortened(active: &Active, evaluation: &Evaluation, shared: &SharedMembers<'_>) -> Option<Shortened> {
    if shared.own_bytes(evaluation) <= LARGE_QUESTION {
        return None;
    }
    let mut undeclared = active.constitution.undeclared(active.request_properties, evaluation, LARGE_MEMBER);
    undeclared.retain(|path| !shared.has(evaluation, path));
    (!undeclared.is_empty()).then(|| Shortened::new(evaluation, &undeclared))
}

/// If the records did not become durable, or that is unknown, the sets are recorded again.
impl Drop for DecisionRecords {
    fn drop(&mut self) {
        let mut remembered = self.remembered.0.borrow_mut();
        for (set, text) in self.sets.drain(..) {
            remembered.pop(set.digest());
            set.put_back(text);
        }
    }
}
