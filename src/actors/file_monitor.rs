//! The thread that notices when a file that the daemon has open is no longer at its path: removed, moved, replaced, or
//! hidden by a mount.
//!
//! What is written to such a file may be lost, and whoever opens the path again finds another file. So nothing is decided
//! until every path leads to the same file again, or the daemon is started anew.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;
use std::{fs, io};

use super::audit_queue::AuditQueue;
use super::log_health::Obstacle;
use super::progress::Progress;
use crate::ledger::{CHECKPOINT_FILES, KEY_FILE, Keyring, PUBLIC_KEYS_FILE, VerifierKey, public_keys, tile_files};

/// How often the paths are looked at.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);

/// What tells one file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl From<&fs::Metadata> for Identity {
    fn from(found: &fs::Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

impl Identity {
    /// The file at a path, if there is one.
    fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(found) => Ok(Some(Self::from(&found))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What is wrong with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FileFault {
    Removed(PathBuf),
    Replaced(PathBuf),
    Unreadable(PathBuf, String),
    /// The keys in the files are not those that the log is signed with.
    Keys(String),
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed(path) => write!(f, "`{}` was removed or moved", path.display()),
            Self::Replaced(path) => write!(f, "`{}` is another file than the daemon has open", path.display()),
            Self::Unreadable(path, error) => write!(f, "cannot look at `{}`: {error}", path.display()),
            Self::Keys(error) => f.write_str(error),
        }
    }
}

/// What the thread found, for those who tell of it; shared by all clones.
#[derive(Debug, Clone)]
pub struct FileStatus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    fault: Mutex<Option<FileFault>>,
    progress: Progress,
    folder: PathBuf,
    stopping: std::sync::atomic::AtomicBool,
}

impl FileStatus {
    /// The first path that is wrong, if one is.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if self.0.progress.is_stalled() {
            return Some(format!("the file system of `{}` does not answer", self.0.folder.display()));
        }
        lock(&self.0.fault).as_ref().map(ToString::to_string)
    }

    /// Whether looking at the paths hangs.
    pub(super) fn is_stalled(&self) -> bool {
        self.0.progress.is_stalled()
    }
}

/// The running thread. It ends when this is dropped.
#[derive(Debug)]
pub struct FileMonitor {
    thread: Thread,
    status: FileStatus,
}

impl FileMonitor {
    /// Starts the thread over the paths that have to be there, and the files of the audit log in `audit`.
    pub fn start(paths: Vec<PathBuf>, audit: &Path, queue: AuditQueue) -> io::Result<Self> {
        let status = FileStatus(Arc::new(Shared {
            fault: Mutex::default(),
            progress: Progress::default(),
            folder: audit.to_owned(),
            stopping: false.into(),
        }));
        let mut watched = Watched::new(paths, audit);
        // What is there now is what the daemon has open.
        let fault = watched.check(None);
        let shared = status.clone();
        let run = move || {
            shared.tell(&queue, fault);
            while !shared.0.stopping.load(std::sync::atomic::Ordering::Acquire) {
                thread::park_timeout(INTERVAL);
                let segment = queue.segment();
                let fault = shared.0.progress.during(|| watched.check(segment));
                shared.tell(&queue, fault);
            }
        };
        let handle = thread::Builder::new().name("file-monitor".to_owned()).spawn(run)?;
        Ok(Self { thread: handle.thread().clone(), status })
    }

    /// What it found.
    #[must_use]
    pub fn status(&self) -> FileStatus {
        self.status.clone()
    }
}

impl Drop for FileMonitor {
    fn drop(&mut self) {
        // Its end is not waited for: it may be hanging in a file system.
        self.status.0.stopping.store(true, std::sync::atomic::Ordering::Release);
        self.thread.unpark();
    }
}

impl FileStatus {
    fn tell(&self, queue: &AuditQueue, found: Option<FileFault>) {
        let mut fault = lock(&self.0.fault);
        if *fault == found {
            return;
        }
        if let Some(found) = &found {
            queue.raise(Obstacle::Displaced);
            tracing::error!("{found}: no decision is made until it is back; put it back, or restart the daemon");
        } else {
            queue.lift(Obstacle::Displaced);
            tracing::warn!("every file is at its path again: decisions go on");
        }
        *fault = found;
    }
}

/// The segment that is appended to.
pub(super) type OpenSegment = (String, Identity);

/// The paths and what they led to.
#[derive(Debug)]
struct Watched {
    /// These must be there from the start on.
    needed: Vec<(PathBuf, Option<Identity>)>,
    /// These are made when they are needed, and then stay.
    later: Vec<(PathBuf, Option<Identity>)>,
    audit: PathBuf,
    keys: Keys,
}

impl Watched {
    fn new(paths: Vec<PathBuf>, audit: &Path) -> Self {
        let named = |name: String| (audit.join(name), None);
        let needed = paths.into_iter().map(|path| {
            let identity = Identity::at(&path).ok().flatten();
            (path, identity)
        });
        Self {
            needed: needed.collect(),
            later: CHECKPOINT_FILES.map(str::to_owned).into_iter().chain(tile_files()).map(named).collect(),
            audit: audit.to_owned(),
            keys: Keys::new(audit),
        }
    }

    /// The first path that does not lead where it did.
    fn check(&mut self, segment: Option<OpenSegment>) -> Option<FileFault> {
        let segment = segment.map(|(name, identity)| (self.audit.join(name), identity));
        let needed = self.needed.iter().map(|(path, identity)| check(path, *identity));
        let segment = segment.iter().map(|(path, identity)| check(path, Some(*identity)));
        let fault = needed.chain(segment).find_map(Result::err);
        fault.or_else(|| self.check_later()).or_else(|| self.keys.check().err())
    }

    fn check_later(&mut self) -> Option<FileFault> {
        self.later.iter_mut().find_map(|(path, identity)| {
            if identity.is_none() {
                *identity = Identity::at(path).ok().flatten();
                return None;
            }
            check(path, *identity).err()
        })
    }
}

fn check(path: &Path, expected: Option<Identity>) -> Result<(), FileFault> {
    match Identity::at(path) {
        Ok(None) => Err(FileFault::Removed(path.to_owned())),
        Ok(found) if found != expected => Err(FileFault::Replaced(path.to_owned())),
        Ok(_) => Ok(()),
        Err(error) => Err(FileFault::Unreadable(path.to_owned(), error.to_string())),
    }
}

/// The files of the log's keys. They are replaced by a rotation, so what counts is what is in them.
#[derive(Debug)]
struct Keys {
    folder: PathBuf,
    known: Vec<VerifierKey>,
    /// What the files were like when they were last read, and what was wrong then.
    seen: [Option<(Identity, i64, i64)>; 2],
    fault: Option<FileFault>,
}

impl Keys {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), known: public_keys(folder).unwrap_or_default(), seen: [None; 2], fault: None }
    }

    /// Whether there is a current key that is listed, and all keys are listed that were.
    fn check(&mut self) -> Result<(), FileFault> {
        let seen = [KEY_FILE, PUBLIC_KEYS_FILE].map(|name| {
            let found = fs::metadata(self.folder.join(name)).ok()?;
            Some((Identity::from(&found), found.mtime(), found.mtime_nsec()))
        });
        if seen != self.seen {
            self.fault = self.read().err();
            self.seen = seen;
        }
        self.fault.clone().map_or(Ok(()), Err)
    }

    fn read(&mut self) -> Result<(), FileFault> {
        let list = self.folder.join(PUBLIC_KEYS_FILE);
        if !list.exists() {
            return Err(FileFault::Removed(list));
        }
        let listed = public_keys(&self.folder).map_err(|error| FileFault::Keys(error.to_string()))?;
        Keyring::load(&self.folder).map_err(|error| FileFault::Keys(error.to_string()))?;
        if !listed.starts_with(&self.known) {
            let text = format!("`{}` lacks public keys that the log was signed with", list.display());
            return Err(FileFault::Keys(text));
        }
        self.known = listed;
        Ok(())
    }
}

/// The lock; one that a panicking thread held is as good as any, since panics end the process.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
