//! The newest database revision that is known from the log to have been committed. A database that does not contain it
//! was restored to an older state, or is another one.
//!
//! The record of a change is durable before the change is committed. Its `revision` is the database's revision after
//! that commit, and `before` the one when the transaction began, which was committed in any case. Records of starts and
//! stops, and those of the kind `database`, have a `revision` that was found in the database. Whether the last recorded
//! change was committed, too, is known only from a file beside the log, the [`RevisionMark`].

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use parking_lot::Mutex;
use serde::Deserialize;

use super::fault::LedgerError;
use super::records::records;
use super::segment;
use super::storage::Storage;
use crate::domain::Revision;

/// A revision, and the index of the record that contains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenRevision {
    /// The record's index in the log.
    pub index: u64,
    /// A revision that was committed.
    pub revision: Revision,
}

/// A file with the newest committed change: its revision, and the index of its record or of an earlier one.
///
/// The file proves nothing by itself; the record does, which is covered by the log's signature. Without the file the
/// log is scanned from its beginning. It is written after each commit and never synced: after a power failure it may
/// name an earlier change, from which the log is then scanned.
#[derive(Debug)]
pub struct RevisionMark(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    newest: Option<Revision>,
}

/// The length of the file in bytes; the text is padded with spaces.
const LENGTH: usize = 80;

impl RevisionMark {
    /// Opens the file, and creates it if there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        Ok(Self(Mutex::new(Inner { file, newest: None })))
    }

    /// The mark in a file; `None` if the file is missing or unreadable.
    #[must_use]
    pub fn read(path: &Path) -> Option<SeenRevision> {
        let text = std::fs::read_to_string(path).ok()?;
        let (index, revision) = text.trim_end().split_once(' ')?;
        Some(SeenRevision { index: index.parse().ok()?, revision: revision.parse().ok()? })
    }

    /// Marks a change as committed, unless a newer one is marked already.
    pub fn set(&self, seen: &SeenRevision) {
        let mut inner = self.0.lock();
        if !is_newer(inner.newest.as_ref(), &seen.revision) {
            return;
        }
        let line = format!("{} {}", seen.index, seen.revision);
        match inner.file.write_all_at(format!("{line:<width$}\n", width = LENGTH - 1).as_bytes(), 0) {
            Ok(()) => inner.newest = Some(seen.revision),
            Err(error) => {
                tracing::warn!(%error, "the newest revision cannot be marked; the next start scans more of the log");
            }
        }
    }
}

/// The newest committed revision among the first `size` records of a log; `None` if no record has one.
pub fn seen_revision<S: Storage>(
    storage: &S,
    size: u64,
    mark: Option<&SeenRevision>,
) -> Result<Option<SeenRevision>, LedgerError> {
    if let Some(mark) = mark.filter(|mark| mark.index < size) {
        let mut scan = Scan { mark: Some(mark.revision), ..Scan::default() };
        scan.read(storage, mark.index, size)?;
        if scan.is_marked {
            return Ok(scan.seen);
        }
    }
    let mut scan = Scan { mark: mark.map(|mark| mark.revision), ..Scan::default() };
    if scan.read(storage, 0, size).is_err() {
        // The archive may have been moved away: the first segment is where the rest begins.
        let first = segment::list(storage)?.first().copied().unwrap_or(size);
        scan = Scan { mark: scan.mark, ..Scan::default() };
        scan.read(storage, first, size)?;
    }
    Ok(scan.seen)
}

/// The state of a scan.
#[derive(Default)]
struct Scan {
    mark: Option<Revision>,
    is_marked: bool,
    seen: Option<SeenRevision>,
}

/// The members of a record that are read.
#[derive(Deserialize)]
struct Members {
    kind: String,
    #[serde(default)]
    revision: Option<String>,
    #[serde(default)]
    before: Option<String>,
}

impl Scan {
    fn read<S: Storage>(&mut self, storage: &S, from: u64, end: u64) -> Result<(), LedgerError> {
        let mut records = records(storage, from..end);
        while let Some((index, record)) = records.advance()? {
            if !is_of_no_revision(record)
                && let Ok(members) = serde_json::from_slice::<Members>(record)
            {
                self.take(index, &members);
            }
        }
        Ok(())
    }

    fn take(&mut self, index: u64, members: &Members) {
        let parse = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Revision>().ok());
        let revision = parse(&members.revision);
        let is_marked = revision.is_some() && revision == self.mark;
        self.is_marked |= is_marked;
        let found_in_database = matches!(members.kind.as_str(), "start" | "stop" | "database");
        let committed = if found_in_database || is_marked { revision } else { parse(&members.before) };
        if let Some(revision) = committed
            && is_newer(self.seen.as_ref().map(|seen| &seen.revision), &revision)
        {
            self.seen = Some(SeenRevision { index, revision });
        }
    }
}

/// Whether a revision is newer: threads may record their changes in another order than that of their commits. A new
/// incarnation is newer than the one before.
fn is_newer(than: Option<&Revision>, revision: &Revision) -> bool {
    than.is_none_or(|than| than.incarnation != revision.incarnation || than.version < revision.version)
}

/// Whether a record is of a frequent kind without revisions, such as a decision, by the beginning of its text.
fn is_of_no_revision(record: &[u8]) -> bool {
    const KIND: usize = "{\"v\":1,\"id\":\"\",\"ts\":\"\",\"kind\":\"".len() + 36 + "2026-01-01T00:00:00.000000Z".len();
    let kind = record.get(KIND..).unwrap_or_default();
    [&b"decision\""[..], b"entities\"", b"part\""].iter().any(|of_none| kind.starts_with(of_none))
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::super::{Batch, DiskStorage, Event, EventKind, Ledger, Options};
    use super::*;

    fn at(incarnation: i64, version: i64) -> Revision {
        Revision { incarnation, version, nonce: version * 7 }
    }

    fn event(kind: EventKind, revision: Revision) -> Event {
        Event::new(kind, "acgs").name("revision", revision.to_string())
    }

    fn change(before: Revision, revision: Revision) -> Event {
        event(EventKind::Entity, revision).name("before", before.to_string())
    }

    #[track_caller]
    fn check(events: &[Event], mark: Option<(u64, Revision)>, expected: Option<(u64, Revision)>) {
        let folder = tempfile::tempdir().unwrap();
        let storage = DiskStorage::create(folder.path()).unwrap();
        let (mut ledger, _) = Ledger::open(storage.clone(), Options::default()).unwrap();
        let mut batch = Batch::default();
        for event in events {
            event.push(OffsetDateTime::now_utc(), &mut batch).unwrap();
        }
        if !batch.is_empty() {
            ledger.append(&batch).unwrap();
        }
        let seen = |(index, revision)| SeenRevision { index, revision };
        let mark = mark.map(seen);
        let found = seen_revision(&storage, ledger.tree().size(), mark.as_ref()).unwrap();
        assert_eq!(found, expected.map(seen), "{mark:?}");
    }

    #[test]
    fn a_change_is_known_to_be_committed_by_the_next_one_or_by_the_mark() {
        let events = [event(EventKind::Start, at(1, 3)), change(at(1, 3), at(1, 4)), change(at(1, 5), at(1, 6))];
        check(&[], None, None);
        check(&[Event::new(EventKind::Start, "acgs")], None, None);
        check(&events[..2], None, Some((0, at(1, 3))));
        check(&events[..2], Some((1, at(1, 4))), Some((1, at(1, 4))));
        check(&events, None, Some((2, at(1, 5))));
        check(&events, Some((1, at(1, 4))), Some((2, at(1, 5))));
        check(&events, Some((2, at(1, 6))), Some((2, at(1, 6))));
        // The mark may name an earlier record.
        check(&events, Some((0, at(1, 6))), Some((2, at(1, 6))));
    }

    #[test]
    fn a_mark_that_names_another_record_is_not_believed() {
        let events = [event(EventKind::Start, at(1, 3)), change(at(1, 3), at(1, 4))];
        for mark in [(1, at(1, 5)), (1, at(2, 4)), (7, at(1, 4)), (1, Revision { nonce: 0, ..at(1, 4) })] {
            let is_there = mark.1 == at(1, 4);
            check(&events, Some(mark), Some(if is_there { (1, at(1, 4)) } else { (0, at(1, 3)) }));
        }
    }

    #[test]
    fn another_incarnation_takes_the_place_of_the_one_before() {
        let events = [
            event(EventKind::Stop, at(1, 9)),
            event(EventKind::Database, at(2, 5)),
            change(at(2, 6), at(2, 7)),
            event(EventKind::Stop, at(2, 5)),
        ];
        check(&events[..2], None, Some((1, at(2, 5))));
        check(&events, None, Some((2, at(2, 6))));
    }

    #[test]
    fn a_mark_is_read_as_it_was_set_and_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        assert_eq!(RevisionMark::read(&path), None);
        let mark = RevisionMark::open(&path).unwrap();
        assert_eq!(RevisionMark::read(&path), None);
        let seen = |index, revision| SeenRevision { index, revision };
        for (set, read) in [
            (seen(17, at(-5, 100)), seen(17, at(-5, 100))),
            (seen(18, at(-5, 99)), seen(17, at(-5, 100))),
            (seen(19, at(3, 7)), seen(19, at(3, 7))),
            (seen(u64::MAX, Revision { incarnation: 3, version: i64::MAX, nonce: -1 }), {
                seen(u64::MAX, Revision { incarnation: 3, version: i64::MAX, nonce: -1 })
            }),
        ] {
            mark.set(&set);
            assert_eq!(RevisionMark::read(&path), Some(read));
        }
    }
}
