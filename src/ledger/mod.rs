//! The audit log: frames, segments, recovery, verification.

mod batch;
mod decision;
mod fault;
mod frame;
mod log;
mod records;
mod recovery;
mod scan;
mod segment;
mod storage;
mod tree;
mod verify;

#[cfg(test)]
mod corruption;
#[cfg(test)]
mod simulation;

pub use batch::{Batch, BatchError};
pub use decision::{DecisionRecord, hex};
pub use fault::{AppendError, Fault, LedgerError, Problem};
pub use log::{Ledger, Options};
pub use records::{Records, records};
pub use recovery::Recovery;
pub use scan::Torn;
pub use segment::{FilledSegment, NextSegment, SegmentSize};
pub use storage::{DiskStorage, Storage, StorageFile};
pub use tree::{Hash, Tree};
pub use verify::{Summary, verify};
