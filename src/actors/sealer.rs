//! The thread that follows the log: it writes its tiles and signs its checkpoints, outside the way of any decision.
//!
//! INVARIANT: a checkpoint covers what is durable and no more; its tiles are durable before it is stored, and it is stored
//! before it is shown.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fs, io};

use super::audit_queue::{AuditError, AuditQueue};
use super::committer::EXIT_IO;
use super::file_monitor;
use super::journal::Journal;
use super::log_health::Obstacle;
use super::seals::{Sealed, Seals};
use crate::ledger::{
    self, Checkpoint, CheckpointFile, DiskStorage, Event, EventKind, Hash, KeyError, Keyring, LedgerError, Note,
    NoteError, TileWriter, Tree, VerifierKey, public_keys, records,
};

/// Checkpoints that are asked for follow each other no sooner than this.
const HASTE: Duration = Duration::from_millis(20);

/// So many records' tiles are written before the daemon says that it is ready, at most.
const EAGER: u64 = 1 << 17;

/// After so many leaves, a tenth of a millisecond's work, the thread yields: the kernel's thread that sends a sync's flush
/// to the disk may else wait for this one for up to a tick.
const TURN: u64 = 128;

/// How many leaves are pushed before they are written.
const STEP: u64 = 1 << 16;

/// Why checkpoints cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The keys cannot be used.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The log, its tiles or the stored checkpoint cannot be used.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The stored checkpoint is not one of this log.
    #[error("the stored checkpoint cannot be trusted: {0}")]
    Checkpoint(#[from] NoteError),
    /// The log has fewer records than were signed.
    #[error("the audit log has `{found}` records, but its last checkpoint covers `{signed}`: records are missing")]
    RolledBack {
        /// The checkpoint's size.
        signed: u64,
        /// The log's size.
        found: u64,
    },
    /// The log has other records than were signed.
    #[error("the first `{0}` records of the audit log are not those that were signed: it was changed since")]
    Rewritten(u64),
    /// A change of keys cannot be recorded.
    #[error("{0}")]
    Unrecorded(#[from] AuditError),
}

/// What is needed to go on signing, opened before anything is served.
#[derive(Debug)]
pub struct Sealing {
    folder: PathBuf,
    storage: DiskStorage,
    keys: Keyring,
    file: CheckpointFile<File>,
    last: Option<Sealed>,
    tiles: TileWriter<DiskStorage>,
    /// The log as it was opened, which the tiles have to reach.
    opened: Tree,
}

impl Sealing {
    /// Opens keys, checkpoint and tiles of the log in a folder, and holds them against the log as it was opened.
    ///
    /// Makes the first key, named `origin`, or else `default`. Where tiles are missing they are made again, later, by the
    /// thread.
    pub fn open(folder: &Path, origin: Option<&str>, default: &str, opened: Tree) -> Result<Self, SealError> {
        let storage = DiskStorage::at(folder);
        let (file, note) = CheckpointFile::open(&storage)?;
        let is_new = note.is_none() && opened.size() == 0;
        let open_keys = if is_new { Keyring::begin } else { Keyring::open };
        let keys = open_keys(folder, origin, default)?;
        let last = note.map(|note| trusted(note, folder, keys.origin())).transpose()?;
        let (size, root) = signed(last.as_ref());
        if size > opened.size() {
            return Err(SealError::RolledBack { signed: size, found: opened.size() });
        }
        if size == opened.size() && root != opened.root() {
            return Err(SealError::Rewritten(size));
        }
        if last.is_none() && opened.size() > 0 {
            tracing::warn!("no checkpoint of the audit log is stored: nothing says whether its end is whole");
        }
        let (tiles, found) = match TileWriter::open(storage.clone(), size, root)? {
            Some(tiles) => (tiles, size),
            None => (TileWriter::create(storage.clone())?, 0),
        };
        let behind = opened.size() - found;
        let mut sealing = Self { folder: folder.to_owned(), storage, keys, file, last, tiles, opened };
        if found < size {
            tracing::warn!(records = behind, "the audit log's tiles are missing or damaged: they are made again");
        }
        // So a log that was changed behind its last checkpoint is refused before anything is decided. Where there is more
        // to do, the thread does it, and the process ends.
        if behind <= EAGER
            && let Err(error) = sealing.follow(sealing.opened.size())
        {
            match error {
                // It is tried again, and says so until it works.
                SealError::Ledger(LedgerError::Disk { .. }) => sealing.go_back()?,
                error => return Err(error),
            }
        }
        Ok(sealing)
    }

    /// The log's origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.keys.origin()
    }

    /// How many records the stored checkpoint covers; none where there is none.
    #[must_use]
    pub fn signed(&self) -> Option<u64> {
        self.last.as_ref().map(|last| last.checkpoint.size)
    }

    /// The log's public key.
    #[must_use]
    pub fn key(&self) -> String {
        self.keys.verifier().to_string()
    }

    /// Writes the tiles of all records before `size`, durably.
    fn follow(&mut self, size: u64) -> Result<(), SealError> {
        let Self { storage, tiles, opened, last, .. } = self;
        let mut found = records(storage, tiles.tree().size()..size);
        while let Some((index, record)) = found.advance()? {
            tiles.push(Hash::leaf(record))?;
            let reached = index + 1;
            if reached.is_multiple_of(TURN) {
                thread::yield_now();
            }
            if reached.is_multiple_of(STEP) {
                tiles.flush()?;
            }
            // Tiles that are made again pass the last checkpoint, and all pass the log as it was opened.
            let signed = last.as_ref().filter(|last| last.checkpoint.size == reached);
            let rewritten = signed.is_some_and(|last| last.checkpoint.root != tiles.tree().root())
                || (reached == opened.size() && tiles.tree() != opened);
            if rewritten {
                return Err(SealError::Rewritten(reached));
            }
        }
        if tiles.tree().size() < size {
            return Err(SealError::RolledBack { signed: size, found: tiles.tree().size() });
        }
        tiles.flush()?;
        Ok(tiles.sync()?)
    }

    /// Goes back to the newest checkpoint: after a failed sync nobody knows what of the tiles is on disk, and what is
    /// written once more is synced once more.
    fn go_back(&mut self) -> Result<(), SealError> {
        let (size, root) = signed(self.last.as_ref());
        self.tiles = match TileWriter::open(self.storage.clone(), size, root)? {
            Some(tiles) => tiles,
            None => TileWriter::create(self.storage.clone())?,
        };
        Ok(())
    }
}

/// Size and root of a checkpoint; without one, those of the empty tree.
fn signed(last: Option<&Sealed>) -> (u64, Hash) {
    last.map_or((0, Hash::of(&[])), |last| (last.checkpoint.size, last.checkpoint.root))
}

/// A stored checkpoint that one of the log's own keys signed.
fn trusted(note: Note, folder: &Path, origin: &str) -> Result<Sealed, SealError> {
    note.verify(&public_keys(folder)?)?;
    let checkpoint: Checkpoint = note.text().parse()?;
    if checkpoint.origin == origin {
        Ok(Sealed { checkpoint, note })
    } else {
        Err(NoteError::Form("it is of another log").into())
    }
}

/// The running thread.
#[derive(Debug)]
pub struct Sealer {
    handle: JoinHandle<()>,
    seals: Seals,
}

impl Sealer {
    /// Starts the thread. It signs every `interval` where the log has grown.
    pub fn start(sealing: Sealing, queue: AuditQueue, journal: Journal, interval: Duration) -> io::Result<Self> {
        let seals = Seals::default();
        if let Some(last) = sealing.last.clone() {
            seals.publish(last);
        }
        let thread = Thread { sealing, queue, journal, seals: seals.clone(), must_go_back: false, key_file: None };
        let handle = thread::Builder::new().name("audit-seal".to_owned()).spawn(move || thread.run(interval))?;
        seals.attach(handle.thread().clone());
        Ok(Self { handle, seals })
    }

    /// A view of the checkpoints.
    #[must_use]
    pub fn seals(&self) -> Seals {
        self.seals.clone()
    }

    /// Signs what is durable now, and ends the thread.
    pub fn stop(self) {
        self.seals.stop();
        // It does not panic: the process would have ended with it.
        drop(self.handle.join());
    }
}

/// What the thread owns.
struct Thread {
    sealing: Sealing,
    queue: AuditQueue,
    journal: Journal,
    seals: Seals,
    /// Whether the tiles are not known to be what was written.
    must_go_back: bool,
    /// What tells that the key file is another one: its modification time and inode.
    key_file: Option<(i64, i64, u64)>,
}

impl Thread {
    fn run(mut self, interval: Duration) {
        self.key_file = self.key_state();
        loop {
            let since = Instant::now();
            let stopping = self.seals.is_stopping();
            // Files of that name are others: they may be a log that somebody is putting back.
            let displaced = self.queue.has_obstacle(Obstacle::Displaced);
            match if displaced { Ok(()) } else { self.go_back().and_then(|()| self.seal(stopping)) } {
                Ok(()) => {}
                Err(error @ (SealError::Rewritten(_) | SealError::RolledBack { .. })) if !self.is_displaced() => {
                    tracing::error!(%error, "the process ends");
                    std::process::exit(EXIT_IO);
                }
                Err(error) => {
                    tracing::error!(%error, "no checkpoint can be signed");
                    self.seals.fail(error.to_string());
                    self.must_go_back = true;
                }
            }
            if stopping {
                return;
            }
            self.wait(interval.saturating_sub(since.elapsed()));
        }
    }

    /// Whether the log that was found is another one than the daemon has open: the monitor of files has looked by then.
    fn is_displaced(&self) -> bool {
        let since = Instant::now();
        while since.elapsed() < 3 * file_monitor::INTERVAL && !self.queue.has_obstacle(Obstacle::Displaced) {
            thread::sleep(HASTE);
        }
        self.queue.has_obstacle(Obstacle::Displaced)
    }

    /// After a failure the tiles are written again from the newest checkpoint on.
    fn go_back(&mut self) -> Result<(), SealError> {
        if self.must_go_back {
            self.sealing.go_back()?;
            self.must_go_back = false;
        }
        Ok(())
    }

    /// Sleeps until the next checkpoint is due or asked for.
    fn wait(&self, interval: Duration) {
        let since = Instant::now();
        while !self.seals.is_stopping() && since.elapsed() < interval {
            if self.seals.take_hurry() {
                if self.sealing.last.is_some() {
                    thread::sleep(HASTE.saturating_sub(since.elapsed()));
                }
                return;
            }
            thread::park_timeout(interval.saturating_sub(since.elapsed()));
        }
    }

    /// Follows the log up to what is durable, and signs that.
    fn seal(&mut self, stopping: bool) -> Result<(), SealError> {
        // At the end nothing can be recorded any more: a key that is not known to the log yet signs from the next start on.
        if stopping && !self.is_key_known() {
            return Ok(());
        }
        let rotated = !stopping && self.learn_keys()?;
        let size = self.queue.durable();
        let covered = self.sealing.last.as_ref().map(|last| last.checkpoint.size);
        // An empty log is not worth a signature: its first records come with the start.
        if size == 0 || (covered == Some(size) && self.sealing.tiles.tree().size() == size && !rotated) {
            return Ok(());
        }
        self.sealing.follow(size)?;
        let tree = self.sealing.tiles.tree();
        let origin = self.sealing.keys.origin().to_owned();
        let checkpoint = Checkpoint { origin, size: tree.size(), root: tree.root() };
        let note = Note::sign(checkpoint.to_string(), self.sealing.keys.signers());
        self.sealing.file.store(&note)?;
        let sealed = Sealed { checkpoint, note };
        self.sealing.last = Some(sealed.clone());
        self.seals.publish(sealed);
        Ok(())
    }

    /// Learns of a rotation of keys, and records it before anything is signed with the new one.
    fn learn_keys(&mut self) -> Result<bool, SealError> {
        let state = self.key_state();
        if state != self.key_file {
            self.sealing.keys = Keyring::load(&self.sealing.folder)?;
            self.key_file = state;
        }
        let Some(last) = self.sealing.last.as_ref().filter(|_| !self.is_key_known()) else { return Ok(false) };
        let key = self.sealing.keys.verifier();
        let event = Event::new(EventKind::Auth, "acgs").name("event", "key_rotated").name("purpose", "audit");
        let known = public_keys(&self.sealing.folder)?;
        let signed = |known: &&VerifierKey| last.note.signatures().first().is_some_and(|by| known.is_named_by(by));
        let before = known.iter().find(signed).map(ToString::to_string);
        self.journal.record(&[event.name("old", before).name("new", key.to_string())])?;
        tracing::info!(%key, "the audit log is signed with a new key");
        Ok(true)
    }

    /// Whether the newest checkpoint is signed with the current key, or there is none yet.
    fn is_key_known(&self) -> bool {
        let key = self.sealing.keys.verifier();
        let last = self.sealing.last.as_ref();
        last.is_none_or(|last| last.note.signatures().iter().any(|signature| key.is_named_by(signature)))
    }

    fn key_state(&self) -> Option<(i64, i64, u64)> {
        let found = fs::metadata(self.sealing.folder.join(ledger::KEY_FILE)).ok()?;
        Some((found.mtime(), found.mtime_nsec(), found.ino()))
    }
}
