//! Opens a log: finds its end in the last segment, cuts off a torn frame, and makes the rest durable.

use std::io;

use super::Options;
use super::archive;
use super::fault::LedgerError;
use super::frame::{BLOCK, Tip};
use super::scan::{Cursor, Segment, Torn};
use super::segment::{self, NextSegment};
use super::storage::{Storage, StorageFile, read_full, write_all, write_zeros};

/// The size in bytes of the first segment of a new log, unless segments are smaller anyway.
///
/// It is filled while the daemon starts, so it is small: the second one is made in the background.
const FIRST_SEGMENT: u64 = 8 << 20;

/// The bytes zeroed after the last frame at every start.
///
/// The previous process may have ended on a failed sync, after which the page cache may show data that the disk does
/// not contain.
const REWRITTEN_ZEROS: u64 = 1 << 20;

/// The result of opening a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The index behind the last record.
    pub size: u64,
    /// The torn frame that was cut off.
    pub torn: Option<Torn>,
}

/// The last segment, ready to be appended to.
pub(super) struct Recovered<F> {
    pub(super) segment: Segment<F>,
    pub(super) cursor: Cursor,
    pub(super) torn: Option<Torn>,
}

/// Finds or creates the last segment. The folder must be locked.
///
/// The last segment is locked before anything is changed: the folder's lock does not exclude a process that has the
/// same files under another folder name, or whose lock file was removed.
pub(super) fn recover<S: Storage>(storage: &S, options: Options) -> Result<Recovered<S::File>, LedgerError> {
    let Some(first) = segment::list(storage)?.pop() else {
        remove_temporaries(storage)?;
        return begin(storage, options);
    };
    let name = segment::name(first);
    let file = storage.open_to_write(&name).map_err(LedgerError::disk("open", &name))?;
    file.claim().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => LedgerError::Locked,
        _ => LedgerError::disk("lock", &name)(error),
    })?;
    remove_temporaries(storage)?;
    let (segment, mut cursor) = Segment::check(file, first)?;
    let torn = segment.scan(&mut cursor, |_, _| Ok(()))?;
    settle(&segment, &cursor, torn.as_ref())?;
    storage.sync_folder().map_err(LedgerError::disk("sync", "."))?;
    Ok(Recovered { segment, cursor, torn })
}

/// Removes files that never became segments or archives.
fn remove_temporaries<S: Storage>(storage: &S) -> Result<(), LedgerError> {
    for name in storage.list().map_err(LedgerError::disk("list", "."))? {
        if segment::is_temporary(&name) || name == archive::TEMPORARY {
            storage.remove(&name).map_err(LedgerError::disk("remove", &name))?;
        }
    }
    Ok(())
}

/// Zeroes a torn frame, and makes the frames durable that an earlier process may have written without syncing.
fn settle<F: StorageFile>(segment: &Segment<F>, cursor: &Cursor, torn: Option<&Torn>) -> Result<(), LedgerError> {
    let file = &segment.file;
    let torn_end = torn.map_or(0, |torn| torn.offset + torn.bytes);
    let end = (cursor.offset + REWRITTEN_ZEROS).min(segment.size).max(torn_end);
    write_zeros(file, cursor.offset, end).map_err(LedgerError::disk("write to", &segment.name))?;
    if let Some((offset, length)) = cursor.last {
        let mut frame = vec![0; length];
        read_full(file, &mut frame, offset).map_err(LedgerError::disk("read", &segment.name))?;
        write_all(file, &frame, offset).map_err(LedgerError::disk("write to", &segment.name))?;
    }
    file.sync().map_err(LedgerError::disk("sync", &segment.name))
}

/// Makes the first segment of a new log.
fn begin<S: Storage>(storage: &S, options: Options) -> Result<Recovered<S::File>, LedgerError> {
    let name = segment::name(0);
    let size = options.segment_size.bytes().min(FIRST_SEGMENT);
    let filled = NextSegment::new(0, size).fill(storage).map_err(LedgerError::disk("make", &name))?;
    let tip = Tip::default();
    filled.begin(&tip).map_err(LedgerError::disk("make", &name))?;
    storage.rename(&filled.name, &name).map_err(LedgerError::disk("make", &name))?;
    storage.sync_folder().map_err(LedgerError::disk("sync", "."))?;
    let cursor = Cursor { offset: BLOCK as u64, tip, frames: 0, last: None };
    Ok(Recovered { segment: Segment { file: filled.file, name, size }, cursor, torn: None })
}
