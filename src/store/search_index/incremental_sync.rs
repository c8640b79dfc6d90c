//! Syncs a large transaction in small pieces while it is written.
//!
//! The pages that a transaction writes stay in the page cache until the kernel, or a checkpoint of SQLite, writes all
//! of them at once. Other writers to the same disk, such as the audit log, then wait for all of that.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::store::sqlite::with_suffix;

/// The interval of syncs.
const SYNC_INTERVAL: Duration = Duration::from_millis(2);

/// Runs a job that writes to the write-ahead log of a database file, and keeps syncing that log meanwhile.
///
/// SQLite has its locks on other files, so this one may be opened and closed. The syncs are optional: if they fail,
/// more is left for the next checkpoint, which syncs the log itself and reports failures.
pub(super) fn trickling<T>(database: &Path, job: impl FnOnce() -> T) -> T {
    trickling_by(File::sync_data, database, job)
}

fn trickling_by<T>(sync: impl Fn(&File) -> io::Result<()> + Send, database: &Path, job: impl FnOnce() -> T) -> T {
    let mut log = WriteAheadLog { path: with_suffix(database, "-wal"), file: None, synced: None };
    let (job_runs, job_ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let syncs = move || {
            while job_ended.recv_timeout(SYNC_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = log.sync_if_written(&sync) {
                    tracing::warn!(%error, "a sync of the audit database failed; its next checkpoint takes longer");
                    break;
                }
            }
        };
        let spawned = thread::Builder::new().name("audit-sync".to_owned()).spawn_scoped(scope, syncs);
        if let Err(error) = &spawned {
            tracing::debug!(%error, "the thread that syncs the audit database cannot be started");
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
    /// Syncs it if it was written since it was synced last.
    fn sync_if_written(&mut self, sync: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &self.file else { return Ok(()) };
        let written = Some(file.metadata()?.modified()?);
        if self.synced != written {
            sync(file)?;
            self.synced = written;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_a_job_writes_is_synced_while_it_runs_once_for_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let (synced, syncs) = mpsc::channel();
        let sync = move |log: &File| {
            synced.send(log.metadata()?.modified()?).unwrap();
            log.sync_data()
        };
        let mut seen = Vec::new();
        let written = trickling_by(sync, &folder.path().join("copy.db"), || {
            let log = File::create(folder.path().join("copy.db-wal")).unwrap();
            let times = (1..5).map(|second| SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            times
                .inspect(|time| {
                    log.set_modified(*time).unwrap();
                    // Made by the job, it may be seen before its time is set.
                    while seen.last() != Some(time) {
                        seen.push(syncs.recv().unwrap());
                    }
                })
                .collect::<Vec<_>>()
        });
        seen.retain(|time| written.contains(time));
        assert_eq!(seen, written);
        assert_eq!(syncs.iter().count(), 0);
    }

    #[test]
    fn a_job_runs_where_its_log_cannot_be_synced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        for database in ["copy.db", "file/copy.db"] {
            assert_eq!(trickling(&folder.path().join(database), || 7), 7);
        }
    }
}
