//! The actor that reads the audit log for auditors: tiles, records and proofs, on threads of its own.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use actix::prelude::*;
use uuid::Uuid;

use crate::actors::audit::checkpoints::{Checkpoints, Sealed};
use crate::actors::audit::index_status::IndexStatus;
use crate::actors::audit::log_size::{KeptSize, LogSize};
use crate::ledger::{
    DiskStorage, Hash, InclusionProof, LedgerError, Nodes as _, Thoroughness, TileKind, TileName, TileReader, WIDTH,
    find_id, record, records, whole,
};

/// Why something cannot be read from the log.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The newest checkpoint covers no such tile.
    #[error("the newest checkpoint covers no tile `{0}`")]
    NoTile(TileName),
    /// There is no such record.
    #[error("there is no record `{0}`")]
    NoRecord(u64),
    /// No checkpoint covers this number of records.
    #[error("no checkpoint covers `{0}` records")]
    NotCovered(u64),
    /// A proof from a larger tree to a smaller one.
    #[error("there is no proof from `{from}` to `{to}` records")]
    Backwards {
        /// The size it should begin with.
        from: u64,
        /// The size it should end with.
        to: u64,
    },
    /// The log cannot be read.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The answer did not come before the caller's deadline.
    #[error("the audit log was not read in time")]
    Late,
}

impl From<MailboxError> for ReadError {
    fn from(_: MailboxError) -> Self {
        Self::Late
    }
}

/// Reads the log in one folder.
#[derive(Debug)]
pub struct LogReader {
    storage: DiskStorage,
    checkpoints: Checkpoints,
    index_status: IndexStatus,
    size: Arc<KeptSize>,
}

impl LogReader {
    /// Starts the actor on `threads` threads.
    ///
    /// # Panics
    /// Where no actix system runs, or the system has no more threads to give.
    #[must_use]
    pub fn start(
        storage: DiskStorage,
        checkpoints: Checkpoints,
        index_status: IndexStatus,
        threads: NonZeroUsize,
    ) -> Addr<Self> {
        let thread = || thread::Builder::new().name("acgs-log-reader".to_owned());
        let size = Arc::<KeptSize>::default();
        SyncArbiter::start_with_thread_builder(threads.get(), thread, move || Self {
            storage: storage.clone(),
            checkpoints: checkpoints.clone(),
            index_status: index_status.clone(),
            size: Arc::clone(&size),
        })
    }

    fn newest(&self, size: u64) -> Result<Arc<Sealed>, ReadError> {
        let newest = self.checkpoints.newest().filter(|sealed| sealed.checkpoint.size >= size);
        newest.ok_or(ReadError::NotCovered(size))
    }
}

impl Actor for LogReader {
    type Context = SyncContext<Self>;
}

/// Reads a tile or an entry bundle that the newest checkpoint covers.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<u8>, ReadError>")]
pub struct ReadTile(pub TileName);

impl Handler<ReadTile> for LogReader {
    type Result = Result<Vec<u8>, ReadError>;

    fn handle(&mut self, ReadTile(name): ReadTile, _: &mut Self::Context) -> Self::Result {
        let size = self.checkpoints.size();
        if !name.exists_at(size) {
            return Err(ReadError::NoTile(name));
        }
        match name.kind {
            TileKind::Hashes(_) => Ok(TileReader::new(&self.storage, size).tile(&name)?),
            TileKind::Entries => {
                let (first, mut bundle) = (name.index * WIDTH, Vec::new());
                let mut found = records(&self.storage, first..first + name.width);
                for index in first..first + name.width {
                    let (_, record) = found.advance()?.ok_or(LedgerError::Gone(index))?;
                    // Records are at most 65,535 bytes.
                    bundle.extend_from_slice(&u16::try_from(record.len()).unwrap_or(u16::MAX).to_be_bytes());
                    bundle.extend_from_slice(record);
                }
                Ok(bundle)
            }
        }
    }
}

/// Reads one entry, exactly as it is in the log.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<u8>, ReadError>")]
pub struct ReadRecord(pub u64);

impl Handler<ReadRecord> for LogReader {
    type Result = Result<Vec<u8>, ReadError>;

    fn handle(&mut self, ReadRecord(index): ReadRecord, _: &mut Self::Context) -> Self::Result {
        record(&self.storage, index)?.ok_or(ReadError::NoRecord(index))
    }
}

/// Finds a durable record by its id, and reads it with all of its parts.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<FoundRecord>, ReadError>")]
pub struct FindRecord {
    /// The id.
    pub id: Uuid,
    /// The number of durable records.
    pub size: u64,
}

/// A record found by its id.
#[derive(Debug)]
pub struct FoundRecord {
    /// Its index.
    pub index: u64,
    /// The whole record, joined from its parts.
    pub record: Vec<u8>,
}

impl Handler<FindRecord> for LogReader {
    type Result = Result<Option<FoundRecord>, ReadError>;

    fn handle(&mut self, FindRecord { id, size }: FindRecord, _: &mut Self::Context) -> Self::Result {
        // Not the whole log: callers may ask for ids that do not exist, and a full scan is expensive.
        let Some(index) = find_id(&self.storage, &id, size, Thoroughness::ByTime)? else { return Ok(None) };
        let entry = record(&self.storage, index)?.ok_or(LedgerError::Gone(index))?;
        let record = whole(&self.storage, index, &entry)?.into_owned();
        Ok(Some(FoundRecord { index, record }))
    }
}

/// Proves that a record is in the log, under the newest checkpoint.
#[derive(Debug, Message)]
#[rtype(result = "Result<InclusionProof, ReadError>")]
pub struct ProveInclusion(pub u64);

impl Handler<ProveInclusion> for LogReader {
    type Result = Result<InclusionProof, ReadError>;

    fn handle(&mut self, ProveInclusion(index): ProveInclusion, _: &mut Self::Context) -> Self::Result {
        let newest = self.newest(index.saturating_add(1))?;
        let size = newest.checkpoint.size;
        let path = TileReader::new(&self.storage, size).prove_inclusion(index, size)?;
        Ok(InclusionProof { entries: None, index, path, note: newest.note.clone() })
    }
}

/// Proves that the tree of `to` records continues the tree of `from`; without `to`, that of the newest checkpoint.
#[derive(Debug, Message)]
#[rtype(result = "Result<Consistency, ReadError>")]
pub struct ProveConsistency {
    /// The smaller size.
    pub from: u64,
    /// The larger size.
    pub to: Option<u64>,
}

/// The proof that one tree continues another.
#[derive(Debug)]
pub struct Consistency {
    /// The smaller size.
    pub from: u64,
    /// The larger size.
    pub to: u64,
    /// The hashes of the proof (RFC 6962, section 2.1.2).
    pub proof: Vec<Hash>,
}

impl Handler<ProveConsistency> for LogReader {
    type Result = Result<Consistency, ReadError>;

    fn handle(&mut self, ask: ProveConsistency, _: &mut Self::Context) -> Self::Result {
        let size = self.newest(ask.from.max(ask.to.unwrap_or_default()))?.checkpoint.size;
        let (from, to) = (ask.from, ask.to.unwrap_or(size));
        if from > to {
            return Err(ReadError::Backwards { from, to });
        }
        let proof = TileReader::new(&self.storage, size).prove_consistency(from, to)?;
        Ok(Consistency { from, to, proof })
    }
}

/// Measures the log's files and its search index. The answer is at most a minute old.
#[derive(Debug, Message)]
#[rtype(result = "Result<LogSize, ReadError>")]
pub struct MeasureLog;

impl Handler<MeasureLog> for LogReader {
    type Result = Result<LogSize, ReadError>;

    fn handle(&mut self, _: MeasureLog, _: &mut Self::Context) -> Self::Result {
        let records = self.checkpoints.size();
        Ok(self.size.at(&self.storage, &self.index_status, records, Instant::now())?)
    }
}
