//! Brings a large transaction to the disk piece by piece while it is written.
//!
//! What a transaction writes stays in the page cache until the kernel or a checkpoint of SQLite writes all of it at once.
//! Whoever else waits for the same disk meanwhile, as the audit log does, waits for all of that.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, SystemTime};

/// How often what was written is synced.
const PAUSE: Duration = Duration::from_millis(2);

/// Runs a job that writes to the write-ahead log of a database file, and keeps syncing that log meanwhile.
///
/// SQLite has its locks on other files, so this one may be opened and closed. Nothing depends on these syncs: where they
/// fail, more is left for the next checkpoint, which syncs the log itself and fails if that fails.
pub(super) fn trickling<T>(database: &Path, job: impl FnOnce() -> T) -> T {
    let mut log = WriteAheadLog::of(database);
    let (job_runs, job_ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let syncs = move || {
            while job_ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = log.sync_if_written() {
                    tracing::warn!(%error, "what is written to the audit database is not synced in small pieces");
                    break;
                }
            }
        };
        let spawned = thread::Builder::new().name("audit-trickle".to_owned()).spawn_scoped(scope, syncs);
        if let Err(error) = &spawned {
            tracing::debug!(%error, "no thread syncs what is written to the audit database in small pieces");
        }
        let outcome = job();
        drop(job_runs);
        outcome
    })
}

/// The write-ahead log of a database file.
struct WriteAheadLog {
    path: PathBuf,
    /// It, once it was there.
    file: Option<File>,
    /// When it was written last as it was synced last.
    synced: Option<SystemTime>,
}

impl WriteAheadLog {
    fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self { path: path.into(), file: None, synced: None }
    }

    /// Whether it was written, and so is synced now.
    fn sync_if_written(&mut self) -> io::Result<bool> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &self.file else { return Ok(false) };
        let written = file.metadata()?.modified()?;
        if self.synced == Some(written) {
            return Ok(false);
        }
        file.sync_data()?;
        self.synced = Some(written);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_log_is_synced_once_after_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = WriteAheadLog::of(&folder.path().join("copy.db"));
        assert!(!log.sync_if_written().unwrap(), "it is not there yet");
        let file = File::create(folder.path().join("copy.db-wal")).unwrap();
        for second in 1..4 {
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
            assert_eq!([(); 3].map(|()| log.sync_if_written().unwrap()), [true, false, false]);
        }
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(WriteAheadLog::of(&folder.path().join("file/copy.db")).sync_if_written().is_err());
    }

    #[test]
    fn a_job_runs_with_and_without_a_log() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("copy.db");
        assert_eq!(trickling(&database, || 7), 7);
        File::create(folder.path().join("copy.db-wal")).unwrap();
        assert_eq!(trickling(&database, || 8), 8);
    }
}
