//! The thread that writes the log's tiles and signs its checkpoints, without delaying decisions.
//!
//! INVARIANT: a checkpoint covers durable records only; its tiles are durable before it is stored, and it is stored
//! before it is published.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fs, io};

pub use crate::actors::audit::checkpoint_error::CheckpointError;
use crate::actors::audit::checkpoint_error::{signed, trusted};
use crate::actors::audit::checkpoints::{Checkpoints, Sealed};
use crate::actors::audit::committer::EXIT_IO;
use crate::actors::audit::journal::Journal;
use crate::actors::audit::log_health::{FILE_CHECK_INTERVAL, Obstacle};
use crate::actors::audit::queue::AuditQueue;
use crate::actors::audit::rollback::{self, LogRollback, OnRollback};
use crate::ledger::{
    self, Checkpoint, CheckpointFile, DiskStorage, Event, EventKind, Hash, KeptCheckpoint, Keyring, LedgerError,
    Nodes as _, Note, TileReader, TileWriter, Tree, VerifierKey, has_checkpoint_file, public_keys, records,
};

/// Checkpoints that are asked for follow each other no sooner than this.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

/// The most records whose tiles are written before the daemon is ready.
const MAX_COMPARED_AT_START: u64 = 1 << 17;

/// The leaves, a tenth of a millisecond's work, after which the thread yields: otherwise the kernel thread that submits
/// a flush to the disk may wait for up to a tick.
const YIELD_EVERY: u64 = 128;

/// The interval at which a checkpoint is copied outside of the log.
const KEEP_INTERVAL: Duration = Duration::from_mins(1);

/// How many leaves are pushed before they are written.
const FLUSH_EVERY: u64 = 1 << 16;

/// The state for signing, opened before anything is served.
#[derive(Debug)]
pub struct LogSigner {
    folder: PathBuf,
    storage: DiskStorage,
    keys: Keyring,
    file: CheckpointFile<File>,
    last: Option<Sealed>,
    tiles: TileWriter<DiskStorage>,
    /// The log's tree when it was opened, which the tiles have to reach.
    opened: Tree,
    kept: KeptCheckpoint,
    /// Evidence of a rollback that was accepted.
    accepted: Vec<LogRollback>,
}

/// The parts that are needed to open a log for signing.
#[derive(Debug)]
pub struct CheckpointerParts<'a> {
    /// The log's folder.
    pub folder: &'a Path,
    /// The log's name (C2SP origin), if the settings have one.
    pub origin: Option<&'a str>,
    /// The origin of the first key otherwise.
    pub default_origin: &'a str,
    /// The log as it was opened.
    pub opened: Tree,
    /// The checkpoint kept outside of the log's folder.
    pub kept: KeptCheckpoint,
    /// Whether a log that was rolled back is refused.
    pub on_rollback: OnRollback,
}

impl LogSigner {
    /// Opens keys, checkpoint and tiles of the log in a folder, and compares them with the log as it was opened.
    ///
    /// Creates the first key. Missing tiles are made again later, by the thread.
    pub fn open(parts: CheckpointerParts<'_>) -> Result<Self, CheckpointError> {
        let CheckpointerParts { folder, origin, default_origin, opened, kept, on_rollback } = parts;
        let mut accepted = Vec::new();
        let storage = DiskStorage::at(folder);
        if opened.size() > 0 && !has_checkpoint_file(&storage)? {
            on_rollback.meet(LogRollback::NoCheckpoint, &mut accepted)?;
        }
        let (file, note) = CheckpointFile::open(&storage)?;
        let is_new = note.is_none() && opened.size() == 0;
        let open_keys = if is_new { Keyring::begin } else { Keyring::open };
        let keys = open_keys(folder, origin, default_origin)?;
        let mut last = note.map(|note| trusted(note, folder, keys.origin())).transpose()?;
        let (size, root) = signed(last.as_ref());
        let is_behind = size > opened.size();
        if is_behind || (size == opened.size() && root != opened.root()) {
            let found = if is_behind { LogRollback::Checkpoint { signed: size } } else { LogRollback::Rewritten(size) };
            on_rollback.meet(found, &mut accepted)?;
            last = None;
        }
        let (size, root) = signed(last.as_ref());
        let (tiles, found) = match TileWriter::open(storage.clone(), size, root)? {
            Some(tiles) => (tiles, size),
            None => (TileWriter::create(storage.clone())?, 0),
        };
        let behind = opened.size() - found;
        let folder = folder.to_owned();
        let mut signer = Self { folder, storage, keys, file, last, tiles, opened, kept, accepted };
        if found < size {
            tracing::warn!(records = behind, "the audit log's tiles are missing or damaged: they are made again");
        }
        // So a log that was changed after its last checkpoint is refused before anything is decided. If there are too
        // many records, the thread compares them later, and ends the process if they differ.
        if behind <= MAX_COMPARED_AT_START
            && let Err(error) = signer.follow(signer.opened.size())
        {
            match error {
                // The write is retried later; the fault is reported until it succeeds.
                CheckpointError::Ledger(LedgerError::Disk { .. }) => signer.go_back()?,
                CheckpointError::RolledBack(found) => {
                    on_rollback.meet(found, &mut signer.accepted)?;
                    signer.last = None;
                    signer.tiles = TileWriter::create(signer.storage.clone())?;
                    signer.follow(signer.opened.size())?;
                }
                error => return Err(error),
            }
        }
        if let Some(found) = signer.contradiction() {
            on_rollback.meet(found, &mut signer.accepted)?;
        }
        Ok(signer)
    }

    /// Compares the log with the checkpoint kept outside of it.
    fn contradiction(&self) -> Option<LogRollback> {
        let size = self.tiles.tree().size();
        let root = |of: u64| TileReader::new(&self.storage, size).root(of).ok();
        rollback::contradiction(&self.kept, self.keys.origin(), self.opened.size(), |kept| {
            // Beyond the tiles, the stored checkpoint is compared once they reach it.
            kept.size > size || root(kept.size) == Some(kept.root)
        })
    }

    /// Evidence of a rollback that was accepted.
    #[must_use]
    pub fn accepted(&self) -> &[LogRollback] {
        &self.accepted
    }

    /// The log's origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.keys.origin()
    }

    /// The size of the stored checkpoint; `None` if there is none.
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
    fn follow(&mut self, size: u64) -> Result<(), CheckpointError> {
        let Self { storage, tiles, opened, last, .. } = self;
        let mut found = records(storage, tiles.tree().size()..size);
        while let Some((index, record)) = found.advance()? {
            tiles.push(Hash::leaf(record))?;
            let reached = index + 1;
            if reached.is_multiple_of(YIELD_EVERY) {
                thread::yield_now();
            }
            if reached.is_multiple_of(FLUSH_EVERY) {
                tiles.flush()?;
            }
            // Tiles that are made again pass the last checkpoint, and all pass the log as it was opened.
            let signed = last.as_ref().filter(|last| last.checkpoint.size == reached);
            let rewritten = signed.is_some_and(|last| last.checkpoint.root != tiles.tree().root())
                || (reached == opened.size() && tiles.tree() != opened);
            if rewritten {
                return Err(LogRollback::Rewritten(reached).into());
            }
        }
        if tiles.tree().size() < size {
            return Err(LogRollback::Checkpoint { signed: size }.into());
        }
        tiles.flush()?;
        Ok(tiles.sync()?)
    }

    /// Returns to the newest checkpoint: after a failed sync the tiles on disk are unknown, and rewritten tiles are
    /// synced again.
    fn go_back(&mut self) -> Result<(), CheckpointError> {
        let (size, root) = signed(self.last.as_ref());
        self.tiles = match TileWriter::open(self.storage.clone(), size, root)? {
            Some(tiles) => tiles,
            None => TileWriter::create(self.storage.clone())?,
        };
        Ok(())
    }
}

/// The running thread.
#[derive(Debug)]
pub struct Checkpointer {
    handle: JoinHandle<()>,
    checkpoints: Checkpoints,
}

impl Checkpointer {
    /// Starts the thread. It signs every `interval` where the log has grown.
    pub fn start(
        signer: LogSigner,
        queue: AuditQueue,
        journal: Journal,
        interval: Duration,
        checkpoints: Checkpoints,
    ) -> io::Result<Self> {
        if let Some(last) = signer.last.clone() {
            checkpoints.publish(last);
        }
        let thread = Thread {
            signer,
            queue,
            journal,
            checkpoints: checkpoints.clone(),
            must_go_back: false,
            key_file: None,
            kept: None,
        };
        let handle = thread::Builder::new().name("acgs-checkpoint".to_owned()).spawn(move || thread.run(interval))?;
        checkpoints.attach(handle.thread().clone());
        Ok(Self { handle, checkpoints })
    }

    /// A view of the checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> Checkpoints {
        self.checkpoints.clone()
    }

    /// Signs the last checkpoint, and ends the thread.
    pub fn stop(self) {
        self.checkpoints.stop();
        // It does not panic: the process would have ended with it.
        drop(self.handle.join());
    }
}

/// The state of the thread.
struct Thread {
    signer: LogSigner,
    queue: AuditQueue,
    journal: Journal,
    checkpoints: Checkpoints,
    /// Whether a write of the tiles failed, so that their contents are unknown.
    must_go_back: bool,
    /// Identifies the key file: its modification time and inode.
    key_file: Option<(i64, i64, u64)>,
    /// When a checkpoint was last copied outside of the log.
    kept: Option<Instant>,
}

impl Thread {
    fn run(mut self, interval: Duration) {
        self.key_file = self.key_state();
        loop {
            let since = Instant::now();
            let stopping = self.checkpoints.is_stopping();
            // The files at those paths are not the daemon's: an administrator may be restoring a log.
            let displaced = self.queue.has_obstacle(Obstacle::Displaced);
            match if displaced { Ok(()) } else { self.go_back().and_then(|()| self.seal(stopping)) } {
                Ok(()) => {}
                Err(CheckpointError::RolledBack(found)) if !self.is_displaced() => {
                    tracing::error!(%found, "the audit log differs from its signed checkpoint; exiting");
                    std::process::exit(EXIT_IO);
                }
                Err(error) => {
                    tracing::error!(%error, "no checkpoint can be signed");
                    self.checkpoints.fail(error.to_string());
                    self.must_go_back = true;
                }
            }
            self.keep(stopping);
            if stopping {
                return;
            }
            self.wait(interval.saturating_sub(since.elapsed()));
        }
    }

    /// Whether the log's files were replaced. Waits until the file monitor has checked them.
    fn is_displaced(&self) -> bool {
        let since = Instant::now();
        while since.elapsed() < 3 * FILE_CHECK_INTERVAL && !self.queue.has_obstacle(Obstacle::Displaced) {
            thread::sleep(MIN_INTERVAL);
        }
        self.queue.has_obstacle(Obstacle::Displaced)
    }

    /// After a failure, rewrites the tiles from the newest checkpoint on.
    fn go_back(&mut self) -> Result<(), CheckpointError> {
        if self.must_go_back {
            self.signer.go_back()?;
            self.must_go_back = false;
        }
        Ok(())
    }

    /// Copies the newest checkpoint outside of the log, once a minute and at the end.
    fn keep(&mut self, stopping: bool) {
        let Some(last) = &self.signer.last else { return };
        if !stopping && self.kept.is_some_and(|since| since.elapsed() < KEEP_INTERVAL) {
            return;
        }
        self.kept = Some(Instant::now());
        if let Err(error) = self.signer.kept.write(&last.note) {
            let path = self.signer.kept.path().display();
            tracing::warn!(%error, %path, "the kept checkpoint cannot be written; decisions go on");
        }
    }

    /// Sleeps until the next checkpoint is due or asked for.
    fn wait(&self, interval: Duration) {
        let since = Instant::now();
        while !self.checkpoints.is_stopping() && since.elapsed() < interval {
            if self.checkpoints.take_hurry() {
                if self.signer.last.is_some() {
                    thread::sleep(MIN_INTERVAL.saturating_sub(since.elapsed()));
                }
                return;
            }
            thread::park_timeout(interval.saturating_sub(since.elapsed()));
        }
    }

    /// Follows the log up to its durable end, and signs a checkpoint.
    fn seal(&mut self, stopping: bool) -> Result<(), CheckpointError> {
        // At the stop nothing can be recorded any more, so a key that is not in the log yet signs from the next start
        // on.
        if stopping && !self.is_key_known() {
            return Ok(());
        }
        let rotated = !stopping && self.learn_keys()?;
        let size = self.queue.durable();
        let covered = self.signer.last.as_ref().map(|last| last.checkpoint.size);
        // An empty log is not worth a signature: its first records come with the start.
        if size == 0 || (covered == Some(size) && self.signer.tiles.tree().size() == size && !rotated) {
            return Ok(());
        }
        self.signer.follow(size)?;
        let tree = self.signer.tiles.tree();
        let origin = self.signer.keys.origin().to_owned();
        let checkpoint = Checkpoint { origin, size: tree.size(), root: tree.root() };
        let note = Note::sign(checkpoint.to_string(), self.signer.keys.signers());
        self.signer.file.store(&note)?;
        let sealed = Sealed { checkpoint, note };
        if self.checkpoints.fault().is_some() {
            tracing::info!(size = sealed.checkpoint.size, "checkpoints of the audit log are signed again");
        }
        self.signer.last = Some(sealed.clone());
        self.checkpoints.publish(sealed);
        Ok(())
    }

    /// Learns of a rotation of keys, and records it before anything is signed with the new one.
    fn learn_keys(&mut self) -> Result<bool, CheckpointError> {
        let state = self.key_state();
        if state != self.key_file {
            self.signer.keys = Keyring::load(&self.signer.folder)?;
            self.key_file = state;
        }
        let Some(last) = self.signer.last.as_ref().filter(|_| !self.is_key_known()) else { return Ok(false) };
        let key = self.signer.keys.verifier();
        let event = Event::new(EventKind::Auth, "acgs").name("event", "key_rotated").name("purpose", "audit");
        let known = public_keys(&self.signer.folder)?;
        let signed = |known: &&VerifierKey| last.note.signatures().first().is_some_and(|by| known.is_named_by(by));
        let before = known.iter().find(signed).map(ToString::to_string);
        self.journal.record(&[event.name("old", before).name("new", key.to_string())])?;
        tracing::info!(%key, "the audit log is signed with a new key");
        Ok(true)
    }

    /// Whether the newest checkpoint is signed with the current key, or there is none yet.
    fn is_key_known(&self) -> bool {
        let key = self.signer.keys.verifier();
        let last = self.signer.last.as_ref();
        last.is_none_or(|last| last.note.signatures().iter().any(|signature| key.is_named_by(signature)))
    }

    fn key_state(&self) -> Option<(i64, i64, u64)> {
        let found = fs::metadata(self.signer.folder.join(ledger::KEY_FILE)).ok()?;
        Some((found.mtime(), found.mtime_nsec(), found.ino()))
    }
}
