//! Reads a whole log and verifies it.

use super::archive;
use super::archiver;
use super::batch::Payload;
use super::checkpoint::Checkpoint;
use super::fault::{Fault, LedgerError, Problem};
use super::frame::Frame;
use super::recompute::Recomputed;
use super::records::records;
use super::scan::{Cursor, Segment, Torn};
use super::segment;
use super::storage::Storage;
use super::tiles::TileReader;
use super::tree::Hash;

/// A log's tree, and the claims about it.
type Log<'s, S> = Recomputed<TileReader<'s, S>>;

/// How often the end of the log is read again before it is considered faulty: a running daemon may be writing there.
const READINGS: u32 = 3;

/// The contents of a log without faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many records there are: the index behind the last one.
    pub size: u64,
    /// How many frames hold the records that are in segments.
    pub frames: u64,
    /// How many segments there are.
    pub segments: u64,
    /// How many records were read from the archive.
    pub archived: u64,
    /// The root of the tree of all records from the very first.
    pub root: Hash,
    /// Not a fault: the part that the next start will cut off, or that was being written.
    pub torn: Option<Torn>,
}

/// Checks every frame, the chain, the indices, the segments, and the tree recomputed from the records.
///
/// Stops at the first fault, as [`LedgerError::Corrupt`]. Takes no lock and writes nothing, so the log may belong to a
/// running daemon.
pub fn verify<S: Storage>(storage: &S) -> Result<Summary, LedgerError> {
    verify_against(storage, &[], 0)
}

/// Like [`verify`], and checks that the log has the root of every checkpoint, and the tiles of its first `tiled`
/// records.
pub fn verify_against<S: Storage>(storage: &S, checkpoints: &[Checkpoint], tiled: u64) -> Result<Summary, LedgerError> {
    let mut log = Recomputed::new(checkpoints, TileReader::new(storage, tiled), tiled);
    let root = Hash::of(&[]);
    let mut summary = Summary { size: 0, frames: 0, segments: 0, archived: 0, root, torn: None };
    let mut firsts = segment::list(storage)?;
    let mut place = 0;
    let mut reached: Option<Cursor> = None;
    while let Some(first) = firsts.get(place).copied() {
        if place == 0 && log.tree().size() < first {
            archived(storage, first, &mut log)?;
            summary.archived = first;
            // The frames of these records are not there any more.
            reached = None;
        }
        let (segment, mut cursor) = match open(storage, first, log.tree().size()) {
            // It was archived meanwhile: the log goes on with another segment, or in the archive.
            Err(error) if error.is_missing_file() && is_archived(storage, first)? => {
                firsts = segment::list(storage)?;
                place = 0;
                continue;
            }
            opened => opened?,
        };
        let follows = reached.as_ref().is_none_or(|before| before.tip == cursor.tip);
        if !follows || cursor.tip.tree != *log.tree() {
            let problem = Problem::SegmentChain;
            return Err(Fault { index: first, segment: segment.name, offset: 0, problem }.into());
        }
        place += 1;
        let is_last = place == firsts.len();
        let torn =
            if is_last { read_end(&segment, &mut cursor, &mut log)? } else { read(&segment, &mut cursor, &mut log)? };
        if torn.is_some() && !is_last {
            return Err(segment.fault(&cursor, Problem::Torn).into());
        }
        summary.torn = torn;
        summary.frames += cursor.frames;
        summary.segments += 1;
        reached = Some(cursor);
    }
    archiver::agree(storage, firsts.first().copied().unwrap_or_default()..u64::MAX)?;
    log.finish()?;
    summary.size = log.tree().size();
    summary.root = log.tree().root();
    Ok(summary)
}

/// Opens the segment that begins with a record, which must be the one that comes next.
fn open<S: Storage>(storage: &S, first: u64, expected: u64) -> Result<(Segment<S::File>, Cursor), LedgerError> {
    let name = segment::name(first);
    if expected != first {
        let problem = Problem::Gap { expected, found: first };
        return Err(Fault { index: expected.min(first), segment: name, offset: 0, problem }.into());
    }
    let file = storage.open_to_read(&name).map_err(LedgerError::disk("open", &name))?;
    Segment::check(file, first)
}

/// Whether the segment that began with a record is gone, and its records are in the archive.
fn is_archived<S: Storage>(storage: &S, first: u64) -> Result<bool, LedgerError> {
    Ok(segment::list(storage)?.first().is_some_and(|oldest| *oldest > first) && archive::archived(storage)? > first)
}

/// Reads the archive up to the first segment.
fn archived<S: Storage>(storage: &S, end: u64, log: &mut Log<'_, S>) -> Result<(), LedgerError> {
    let begin = log.tree().size();
    let mut found = records(storage, begin..end);
    for index in begin..end {
        let fault = |problem| Fault { index, segment: format!("archive before {end}"), offset: 0, problem };
        let record = match found.advance() {
            Ok(Some((_, record))) => record,
            Ok(None) | Err(LedgerError::Gone(_)) => {
                return Err(fault(Problem::Gap { expected: index, found: end }).into());
            }
            Err(error) => return Err(error),
        };
        log.push(record).map_err(fault)?;
    }
    Ok(())
}

fn read<S: Storage>(
    segment: &Segment<S::File>,
    cursor: &mut Cursor,
    log: &mut Log<'_, S>,
) -> Result<Option<Torn>, LedgerError> {
    segment.scan(cursor, |_, frame| check(frame, log))
}

/// Checks that the records of a frame, after those before, give the frame's tree.
fn check<S: Storage>(frame: &Frame<'_>, log: &mut Log<'_, S>) -> Result<(), Problem> {
    let before = log.begin_frame();
    let mut pushed = Payload(frame.payload).try_for_each(|record| log.push(record.map_err(|_| Problem::Payload)?));
    if pushed.is_ok() && *log.tree() != frame.tip.tree {
        pushed = Err(Problem::Tree);
    }
    // The frame may be read again.
    pushed.inspect_err(|_| log.back_to(before))
}

/// Reads the last segment, which may be growing: after a fault it is read again from the last good frame on.
fn read_end<S: Storage>(
    segment: &Segment<S::File>,
    cursor: &mut Cursor,
    log: &mut Log<'_, S>,
) -> Result<Option<Torn>, LedgerError> {
    let mut readings = 0;
    loop {
        let before = cursor.offset;
        let result = read(segment, cursor, log);
        readings = if cursor.offset == before { readings + 1 } else { 1 };
        match result {
            Ok(Some(_)) | Err(LedgerError::Corrupt(_)) if readings < READINGS => {}
            other => return other,
        }
    }
}
