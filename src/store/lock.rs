//! Allows one process per database file, since caches learn of changes only through this process's own writes.
//!
//! A file may have several names, and a lock file may be removed. So the lock is on the database file's inode, in
//! addition to the file `<path>.lock` beside it, which also serializes first starts while there is no database yet.
//! Symbolic links in the path are resolved.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::sqlite;
use super::target::Target;

/// The lock of a database file, held as long as this lives. It ends with the process, however that ends.
///
/// INVARIANT: it outlives every connection to the file. SQLite's own locks are POSIX locks of the process, which are
/// released when any descriptor of the file is closed.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _beside: File,
    database: Option<File>,
}

impl Lock {
    /// Locks the database file at `path` for this process; if there is none yet, the right to create it.
    ///
    /// [`StoreError::Unavailable`] if another process holds the lock.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let taken = || {
            let canonical = sqlite::canonical(path).map_err(StoreError::unavailable)?;
            let name = sqlite::with_suffix(&canonical, ".lock");
            let beside = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(name);
            let beside = beside.map_err(StoreError::unavailable)?;
            claim(&beside)?;
            let mut lock = Self { path: canonical, _beside: beside, database: None };
            lock.hold()?;
            Ok(lock)
        };
        taken().map_err(|error: StoreError| error.at(&Target::from(path)))
    }

    /// Locks the database file itself, once it exists.
    pub fn cover_file(&mut self) -> Result<(), StoreError> {
        self.hold().map_err(|error| error.at(&Target::from(&*self.path)))
    }

    fn hold(&mut self) -> Result<(), StoreError> {
        // Other kinds of files are refused when they are opened as a database; opening a pipe would wait for a writer.
        if self.database.is_none() && fs::metadata(&self.path).is_ok_and(|found| found.is_file()) {
            let file = File::open(&self.path).map_err(StoreError::unavailable)?;
            claim(&file)?;
            self.database = Some(file);
        }
        Ok(())
    }

    /// The lock file beside the database.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        sqlite::with_suffix(&self.path, ".lock")
    }
}

fn claim(file: &File) -> Result<(), StoreError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => {
            let process = holder(file).map(|pid| format!(" (process {pid})")).unwrap_or_default();
            StoreError::unavailable(format!("another acgs{process} uses it: stop it, or change `database.url`"))
        }
        TryLockError::Error(error) => StoreError::unavailable(error),
    })
}

/// The process that holds the lock of a file (`proc_locks(5)`); `None` if it is in another pid namespace, or if the
/// kernel's list of locks changed while it was read.
#[must_use]
pub fn holder(locked: &File) -> Option<u32> {
    let inode = locked.metadata().ok()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (kind, pid) = (fields.next()?, fields.nth(2)?);
        let is_same = fields.next()?.rsplit(':').next() == Some(inode.as_str());
        if kind == "FLOCK" && is_same { pid.parse().ok().filter(|pid| *pid > 0) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[track_caller]
    fn is_refused(path: &Path) {
        let refused = Lock::take(path).unwrap_err().to_string();
        // The kernel's list of locks may lack this one while others change.
        let known = refused.replace(&format!(" (process {})", std::process::id()), "");
        let remedy = "another acgs uses it: stop it, or change `database.url`";
        assert_eq!(known, format!("the database `{}` is unavailable: {remedy}", path.display()));
    }

    #[test]
    fn a_database_is_taken_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acgs.db");
        let held = Lock::take(&path).unwrap();
        is_refused(&path);
        drop(held);
        Lock::take(&path).unwrap();
    }

    #[test]
    fn a_database_is_taken_once_under_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let [path, linked, link, chain] =
            ["acgs.db", "linked.db", "link.db", "chain.db"].map(|name| folder.path().join(name));
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir(folder.path().join("sub")).unwrap();
        symlink(folder.path(), &elsewhere).unwrap();
        symlink(&path, &link).unwrap();
        symlink("sub/../link.db", &chain).unwrap();
        let names = [path.clone(), link, chain, elsewhere.join("acgs.db"), folder.path().join("sub/../acgs.db")];
        // While the file is not there yet, and once it is.
        let mut held = Lock::take(&path).unwrap();
        for name in &names {
            is_refused(name);
        }
        fs::write(&path, "").unwrap();
        fs::hard_link(&path, &linked).unwrap();
        held.cover_file().unwrap();
        for name in names.iter().chain([&linked]) {
            is_refused(name);
        }
        fs::remove_file(held.file()).unwrap();
        for name in names.iter().chain([&linked]) {
            is_refused(name);
        }
        drop(held);
        for name in names.iter().chain([&linked]) {
            let held = Lock::take(name).unwrap();
            is_refused(&path);
            drop(held);
        }
    }

    #[test]
    fn links_in_a_circle_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one.db", "other.db"].map(|name| folder.path().join(name));
        symlink(&one, &other).unwrap();
        symlink(&other, &one).unwrap();
        assert!(Lock::take(&one).is_err());
    }
}
