//! The thread that detects when a file that the daemon has open is no longer at its path: removed, moved, replaced, or
//! hidden by a mount.
//!
//! Data written to such a file may be lost, and a process that opens the path finds another file. So decisions stop
//! until every path leads to its original file again, or the daemon is restarted.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, Thread};
use std::{fs, io};

use parking_lot::Mutex;

use crate::actors::audit::log_health::{FILE_CHECK_INTERVAL, Obstacle};
use crate::actors::audit::queue::AuditQueue;
use crate::actors::file_identity::{FileIdentity, OpenSegment};
use crate::actors::progress::Progress;
use crate::ledger::{CHECKPOINT_FILES, KEY_FILE, Keyring, PUBLIC_KEYS_FILE, VerifierKey, public_keys, tile_files};

/// The fault found at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FileFault {
    Removed(PathBuf),
    Replaced(PathBuf),
    Unreadable(PathBuf, String),
    /// The key files do not contain the keys that the log is signed with.
    Keys(String),
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed(path) => write!(f, "`{}` was removed or moved", path.display()),
            Self::Replaced(path) => write!(f, "`{}` is another file than the daemon has open", path.display()),
            Self::Unreadable(path, error) => write!(f, "cannot read the metadata of `{}`: {error}", path.display()),
            Self::Keys(error) => f.write_str(error),
        }
    }
}

/// The monitor's findings; shared by all clones.
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
    /// The first fault found, in words; `None` if there is none.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if self.0.progress.is_stalled() {
            return Some(format!("the file system of `{}` does not answer", self.0.folder.display()));
        }
        self.0.fault.lock().as_ref().map(ToString::to_string)
    }

    /// Whether the check of the paths has not returned for a second.
    pub(super) fn is_stalled(&self) -> bool {
        self.0.progress.is_stalled()
    }
}

/// The running thread. It ends after this is dropped.
#[derive(Debug)]
pub struct FileMonitor {
    thread: Thread,
    status: FileStatus,
}

impl FileMonitor {
    /// Starts the thread for `paths`, which must exist, and for the files of the audit log in `audit`.
    pub fn start(paths: Vec<PathBuf>, audit: &Path, queue: AuditQueue) -> io::Result<Self> {
        let status = FileStatus(Arc::new(Shared {
            fault: Mutex::default(),
            progress: Progress::default(),
            folder: audit.to_owned(),
            stopping: false.into(),
        }));
        let mut watched = Watched::new(paths, audit);
        // The files that are there now are the ones that the daemon has open.
        let fault = watched.check(None);
        let shared = status.clone();
        let run = move || {
            shared.tell(&queue, fault);
            while !shared.0.stopping.load(std::sync::atomic::Ordering::Acquire) {
                thread::park_timeout(FILE_CHECK_INTERVAL);
                let segment = queue.segment();
                let fault = shared.0.progress.during(|| watched.check(segment));
                shared.tell(&queue, fault);
            }
        };
        let handle = thread::Builder::new().name("file-monitor".to_owned()).spawn(run)?;
        Ok(Self { thread: handle.thread().clone(), status })
    }

    /// A view of the findings.
    #[must_use]
    pub fn status(&self) -> FileStatus {
        self.status.clone()
    }
}

impl Drop for FileMonitor {
    fn drop(&mut self) {
        // Not joined: the thread may be blocked in a file system.
        self.status.0.stopping.store(true, std::sync::atomic::Ordering::Release);
        self.thread.unpark();
    }
}

impl FileStatus {
    fn tell(&self, queue: &AuditQueue, found: Option<FileFault>) {
        let mut fault = self.0.fault.lock();
        if *fault == found {
            return;
        }
        if let Some(found) = &found {
            queue.raise(Obstacle::Displaced);
            tracing::error!(
                "{found}; decisions are refused until it is restored at its path or the daemon is restarted"
            );
        } else {
            queue.clear(Obstacle::Displaced);
            tracing::warn!("every file is at its path again; decisions are made again");
        }
        *fault = found;
    }
}

/// The watched paths with the identities of their files.
#[derive(Debug)]
struct Watched {
    /// Files that exist from the start on.
    needed: Vec<(PathBuf, Option<FileIdentity>)>,
    /// Files that are created on demand and never replaced.
    later: Vec<(PathBuf, Option<FileIdentity>)>,
    audit: PathBuf,
    keys: Keys,
}

impl Watched {
    fn new(paths: Vec<PathBuf>, audit: &Path) -> Self {
        let named = |name: String| (audit.join(name), None);
        let needed = paths.into_iter().map(|path| {
            let identity = FileIdentity::at(&path).ok().flatten();
            (path, identity)
        });
        Self {
            needed: needed.collect(),
            later: CHECKPOINT_FILES.map(str::to_owned).into_iter().chain(tile_files()).map(named).collect(),
            audit: audit.to_owned(),
            keys: Keys::new(audit),
        }
    }

    /// Checks all paths, and returns the first fault.
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
                *identity = FileIdentity::at(path).ok().flatten();
                return None;
            }
            check(path, *identity).err()
        })
    }
}

fn check(path: &Path, expected: Option<FileIdentity>) -> Result<(), FileFault> {
    match FileIdentity::at(path) {
        Ok(None) => Err(FileFault::Removed(path.to_owned())),
        Ok(found) if found != expected => Err(FileFault::Replaced(path.to_owned())),
        Ok(_) => Ok(()),
        Err(error) => Err(FileFault::Unreadable(path.to_owned(), error.to_string())),
    }
}

/// The key files of the log. A rotation replaces them, so their contents are compared, not their identities.
#[derive(Debug)]
struct Keys {
    folder: PathBuf,
    known: Vec<VerifierKey>,
    /// The identity and modification time of the two files when they were last read.
    seen: [Option<(FileIdentity, i64, i64)>; 2],
    fault: Option<FileFault>,
}

impl Keys {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), known: public_keys(folder).unwrap_or_default(), seen: [None; 2], fault: None }
    }

    /// Checks that the current key is listed, and that no earlier key is missing from the list.
    fn check(&mut self) -> Result<(), FileFault> {
        let seen = [KEY_FILE, PUBLIC_KEYS_FILE].map(|name| {
            let found = fs::metadata(self.folder.join(name)).ok()?;
            Some((FileIdentity::from(&found), found.mtime(), found.mtime_nsec()))
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
