//! One process for a database: what caches keep is told apart from what changed only by this process's own writes.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::StoreError;
use super::target::Target;

/// Held as long as it lives. It goes with the process, however that ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the database file at `path` for this process, by a file `<path>.lock` beside it.
    ///
    /// [`StoreError::Unavailable`] where another process has it.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let taken = || {
            let mut name = path.as_os_str().to_owned();
            name.push(".lock");
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(name);
            let file = file.map_err(StoreError::unavailable)?;
            match file.try_lock() {
                Ok(()) => Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => Err(StoreError::unavailable("another acgs uses it")),
                Err(TryLockError::Error(error)) => Err(StoreError::unavailable(error)),
            }
        };
        taken().map_err(|error| error.at(&Target::from(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_taken_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acgs.db");
        let held = Lock::take(&path).unwrap();
        let refused = Lock::take(&path).unwrap_err().to_string();
        assert_eq!(refused, format!("the database `{}` is unavailable: another acgs uses it", path.display()));
        drop(held);
        Lock::take(&path).unwrap();
    }
}
