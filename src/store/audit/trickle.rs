//! Brings a large transaction to the disk piece by piece while it is written.
//!
//! SQLite writes the pages of a transaction at once and then syncs them. Whoever else waits for the same disk meanwhile,
//! as the audit log does, waits for all of them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How often what was written is synced.
const PAUSE: Duration = Duration::from_millis(2);

/// Runs a job that writes to the write-ahead log of a database file, and keeps syncing that log meanwhile.
///
/// SQLite has its locks on other files, so this one may be opened and closed. Where it cannot be, or there is no thread
/// for it, the job's own sync has more to do.
pub(super) fn trickling<T>(database: &Path, job: impl FnOnce() -> T) -> T {
    let log = write_ahead_log(database);
    let (job_runs, job_ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let syncs = move || drop(sync_until(&log, &job_ended));
        let spawned = thread::Builder::new().name("audit-trickle".to_owned()).spawn_scoped(scope, syncs);
        let outcome = job();
        drop((job_runs, spawned));
        outcome
    })
}

fn write_ahead_log(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Syncs what is written, until there is no sender any more. Answers how often.
fn sync_until(log: &Path, ended: &Receiver<()>) -> io::Result<usize> {
    let log = File::open(log)?;
    let mut syncs = 0;
    let mut synced = log.metadata()?.modified()?;
    while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        let written = log.metadata()?.modified()?;
        if written != synced {
            log.sync_data()?;
            synced = written;
            syncs += 1;
        }
    }
    Ok(syncs)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A database file whose write-ahead log is there.
    fn database() -> (tempfile::TempDir, PathBuf, File) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("copy.db");
        let log = File::create(folder.path().join("copy.db-wal")).unwrap();
        (folder, database, log)
    }

    #[test]
    fn what_a_job_writes_is_synced_meanwhile() {
        let (_folder, database, mut log) = database();
        let (job_runs, job_ended) = mpsc::channel();
        let syncs = thread::spawn(move || sync_until(&write_ahead_log(&database), &job_ended));
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(20));
            log.write_all(b"a page").unwrap();
        }
        drop(job_runs);
        let syncs = syncs.join().unwrap().unwrap();
        assert!((1..=20).contains(&syncs), "{syncs}");
    }

    #[test]
    fn a_log_that_nobody_writes_is_not_synced() {
        let (_folder, database, _log) = database();
        let (job_runs, job_ended) = mpsc::channel();
        let syncs = thread::spawn(move || sync_until(&write_ahead_log(&database), &job_ended));
        thread::sleep(PAUSE * 10);
        drop(job_runs);
        assert_eq!(syncs.join().unwrap().unwrap(), 0);
    }

    #[test]
    fn a_job_runs_with_and_without_a_log() {
        let (folder, database, _log) = database();
        assert_eq!(trickling(&database, || 7), 7);
        assert_eq!(trickling(&folder.path().join("other.db"), || 8), 8);
    }
}
