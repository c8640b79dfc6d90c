//! How much disk the log takes, and when its newest checkpoint was stored.

use std::io;
use std::time::SystemTime;

use super::checkpoint_file::CHECKPOINT_FILES;
use super::fault::LedgerError;
use super::storage::DiskStorage;

/// The files of a log, taken together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogUsage {
    /// The length of all files, in bytes.
    pub bytes: u64,
    /// When the newest checkpoint was stored.
    pub checkpoint_at: Option<SystemTime>,
}

/// When the newest checkpoint of a log was stored; `None` if there is none.
#[must_use]
pub fn checkpoint_at(storage: &DiskStorage) -> Option<SystemTime> {
    let file = storage.folder().join(CHECKPOINT_FILES.first()?);
    file.metadata().ok()?.modified().ok()
}

/// The usage of a log's folder. A file that is removed meanwhile does not count.
pub fn usage(storage: &DiskStorage) -> Result<LogUsage, LedgerError> {
    measure(storage).map_err(LedgerError::disk("list", "."))
}

fn measure(storage: &DiskStorage) -> io::Result<LogUsage> {
    let mut usage = LogUsage { bytes: 0, checkpoint_at: checkpoint_at(storage) };
    for entry in storage.folder().read_dir()? {
        let entry = entry?;
        let file = match entry.metadata() {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        usage.bytes += if file.is_file() { file.len() } else { 0 };
    }
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn all_files_count_and_the_checkpoint_has_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let storage = DiskStorage::at(folder.path());
        assert_eq!(usage(&storage).unwrap(), LogUsage::default());
        fs::write(folder.path().join("00000000000000000000.log"), [0; 4096]).unwrap();
        fs::write(folder.path().join(CHECKPOINT_FILES[0]), [0; 100]).unwrap();
        fs::create_dir(folder.path().join("archive")).unwrap();
        let found = usage(&storage).unwrap();
        let stored = fs::metadata(folder.path().join(CHECKPOINT_FILES[0])).unwrap().modified().unwrap();
        assert_eq!(found, LogUsage { bytes: 4196, checkpoint_at: Some(stored) });
        assert!(usage(&DiskStorage::at(folder.path().join("nowhere"))).is_err());
    }
}
