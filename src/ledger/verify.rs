//! Reads a whole log and says whether it is what was written.

use super::fault::{Fault, LedgerError, Problem};
use super::scan::{Cursor, Segment, Torn};
use super::segment::{self, Tip};
use super::storage::Storage;
use super::tree::Hash;

/// How often the end of the log is read again before it counts as it is. A running daemon may be writing just there.
const READINGS: u32 = 3;

/// What a log without faults holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many records there are: the index behind the last one.
    pub size: u64,
    /// How many frames hold the records.
    pub frames: u64,
    /// How many segments there are.
    pub segments: u64,
    /// The root of the tree of all records from the very first.
    pub root: Hash,
    /// No fault: what the next start will cut off, or what was being written just then.
    pub torn: Option<Torn>,
}

/// Checks every frame, the chain, the indices, the segments, and the tree computed anew from the records.
///
/// Stops at the first fault, as [`LedgerError::Corrupt`]. Takes no lock and writes nothing, so the log may belong to a
/// running daemon.
pub fn verify<S: Storage>(storage: &S) -> Result<Summary, LedgerError> {
    let firsts = segment::list(storage)?;
    let mut summary = Summary { size: 0, frames: 0, segments: 0, root: Tip::default().tree.root(), torn: None };
    // Segments are never deleted, so the log begins with its first record.
    if let Some(first) = firsts.first().copied().filter(|first| *first > 0) {
        let problem = Problem::Gap { expected: 0, found: first };
        return Err(Fault { index: 0, segment: segment::name(first), offset: 0, problem }.into());
    }
    let mut reached: Option<Tip> = None;
    for (number, first) in firsts.iter().enumerate() {
        let name = segment::name(*first);
        if let Some(tip) = reached.as_ref().filter(|tip| tip.tree.size() != *first) {
            let problem = Problem::Gap { expected: tip.tree.size(), found: *first };
            return Err(Fault { index: tip.tree.size().min(*first), segment: name, offset: 0, problem }.into());
        }
        let file = storage.open_to_read(&name).map_err(LedgerError::disk("open", &name))?;
        let (segment, mut cursor) = Segment::check(file, *first)?;
        if reached.as_ref().is_some_and(|tip| *tip != cursor.tip) {
            return Err(Fault { index: *first, segment: name, offset: 0, problem: Problem::SegmentChain }.into());
        }
        let is_last = number + 1 == firsts.len();
        let torn = if is_last { read_end(&segment, &mut cursor)? } else { read(&segment, &mut cursor)? };
        if torn.is_some() && !is_last {
            return Err(segment.fault(&cursor, Problem::Torn).into());
        }
        summary.torn = torn;
        summary.frames += cursor.frames;
        summary.segments += 1;
        summary.size = cursor.tip.tree.size();
        summary.root = cursor.tip.tree.root();
        reached = Some(cursor.tip);
    }
    Ok(summary)
}

fn read<S: super::StorageFile>(segment: &Segment<S>, cursor: &mut Cursor) -> Result<Option<Torn>, LedgerError> {
    segment.scan(cursor, |before, frame| frame.check_tree(before))
}

/// Reads the last segment, which may be growing: what seems wrong is read again, from the last good frame on.
fn read_end<S: super::StorageFile>(segment: &Segment<S>, cursor: &mut Cursor) -> Result<Option<Torn>, LedgerError> {
    let mut readings = 0;
    loop {
        let before = cursor.offset;
        let result = read(segment, cursor);
        readings = if cursor.offset == before { readings + 1 } else { 1 };
        match result {
            Ok(Some(_)) | Err(LedgerError::Corrupt(_)) if readings < READINGS => {}
            other => return other,
        }
    }
}
