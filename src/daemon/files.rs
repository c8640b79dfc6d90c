//! The data folder, and the locks that exclude other daemons from it.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::{DaemonError, system};
use super::{audit_folder, constitutions_folder};
use crate::ledger::LOCK_FILE;
use crate::store::{Lock, Store, lock};

/// The locks on the daemon's files.
#[derive(Debug)]
pub(super) struct Locks {
    _data_dir: File,
    database: Option<Lock>,
}

impl Locks {
    pub(super) fn new(data_dir: File, database: Option<Lock>) -> Self {
        Self { _data_dir: data_dir, database }
    }

    /// The paths that must lead to the same files as long as the daemon runs, in addition to those of the audit log.
    pub(super) fn watched_paths(&self, data_dir: &Path, store: &Store) -> Vec<PathBuf> {
        let audit = audit_folder(data_dir);
        let mut paths = vec![data_dir.to_owned(), audit.clone(), audit.join(LOCK_FILE), constitutions_folder(data_dir)];
        paths.extend(store.files());
        paths.extend(self.database.as_ref().map(Lock::file));
        paths
    }
}

/// Creates the data folder durably, accessible to the daemon's user only. An existing folder is left as it is.
pub fn create_data_dir(folder: &Path) -> Result<(), DaemonError> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.is_dir()).collect();
    let make = || {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        for above in missing.iter().filter_map(|made| made.parent()) {
            File::open(above)?.sync_all()?;
        }
        Ok(())
    };
    if missing.is_empty() { Ok(()) } else { make().map_err(system(&format!("make `{}`", folder.display()))) }
}

/// Locks the data folder's inode for this process, as long as the file is open. Unlike a lock file it cannot be
/// removed, and it holds under every name of the folder.
pub(super) fn claim_data_dir(folder: &Path) -> Result<File, DaemonError> {
    let opened = File::open(folder).map_err(system(&format!("open `{}`", folder.display())))?;
    match opened.try_lock() {
        Ok(()) => Ok(opened),
        Err(TryLockError::WouldBlock) => {
            Err(DaemonError::DataTaken { folder: folder.to_owned(), pid: lock::holder(&opened) })
        }
        Err(TryLockError::Error(error)) => Err(system(&format!("lock `{}`", folder.display()))(error)),
    }
}
