//! How much disk the log takes, by kind of file, and when its newest checkpoint was stored.

use std::io;
use std::time::SystemTime;

use super::archive::archived;
use super::checkpoint_file::CHECKPOINT_FILES;
use super::fault::LedgerError;
use super::storage::DiskStorage;

/// The files of a log, taken together. Sizes are the lengths of files in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogUsage {
    /// All files.
    pub bytes: u64,
    /// The segments: the one that is appended to, the one prepared behind it, and those that are not archived yet.
    pub segments: u64,
    /// The archives.
    pub archives: u64,
    /// The tiles.
    pub tiles: u64,
    /// How many records the archives have.
    pub archived: u64,
    /// When the newest checkpoint was stored.
    pub checkpoint_at: Option<SystemTime>,
}

impl LogUsage {
    /// The bytes of a record at rest, in archives and tiles; `None` before anything is archived.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio of bytes")]
    pub fn bytes_per_record(&self) -> Option<f64> {
        // Each record has a leaf of 32 bytes; files of tiles have room for more.
        let tiles = 32.0 * 256.0 / 255.0;
        (self.archived > 0).then(|| self.archives as f64 / self.archived as f64 + tiles)
    }
}

/// When the newest checkpoint of a log was stored; `None` if there is none.
#[must_use]
pub fn checkpoint_at(storage: &DiskStorage) -> Option<SystemTime> {
    let file = storage.folder().join(CHECKPOINT_FILES.first()?);
    file.metadata().ok()?.modified().ok()
}

/// The usage of a log's folder. A file that is removed meanwhile does not count.
pub fn usage(storage: &DiskStorage) -> Result<LogUsage, LedgerError> {
    let usage = measure(storage).map_err(LedgerError::disk("list", "."))?;
    Ok(LogUsage { archived: archived(storage)?, ..usage })
}

fn measure(storage: &DiskStorage) -> io::Result<LogUsage> {
    let mut usage = LogUsage { checkpoint_at: checkpoint_at(storage), ..LogUsage::default() };
    for entry in storage.folder().read_dir()? {
        let entry = entry?;
        let file = match entry.metadata() {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let length = if file.is_file() { file.len() } else { 0 };
        usage.bytes += length;
        let name = entry.file_name();
        match name.to_string_lossy().split_once('-') {
            Some(("segment", _)) => usage.segments += length,
            Some(("archive", _)) => usage.archives += length,
            Some(("tiles", _)) => usage.tiles += length,
            _ => {}
        }
    }
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ledger::testing::{no_hurry, write_tiles};
    use crate::ledger::{Batch, Ledger, Options, SegmentSize, retire};

    #[test]
    fn all_files_count_by_their_kind_and_the_checkpoint_has_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let storage = DiskStorage::at(folder.path());
        assert_eq!(usage(&storage).unwrap(), LogUsage::default());
        for (name, length) in [
            ("segment-00000000000000000000.log", 4_096),
            ("segment-next-1.tmp", 8_192),
            ("archive-next.tmp", 10),
            ("tiles-0", 1_024),
            (CHECKPOINT_FILES[0], 100),
        ] {
            fs::write(folder.path().join(name), vec![0; length]).unwrap();
        }
        fs::create_dir(folder.path().join("archive")).unwrap();
        let found = usage(&storage).unwrap();
        let stored = fs::metadata(folder.path().join(CHECKPOINT_FILES[0])).unwrap().modified().unwrap();
        let expected = LogUsage {
            bytes: 13_422,
            segments: 12_288,
            archives: 10,
            tiles: 1_024,
            archived: 0,
            checkpoint_at: Some(stored),
        };
        assert_eq!((found, found.bytes_per_record()), (expected, None));
        assert!(usage(&DiskStorage::at(folder.path().join("nowhere"))).is_err());
    }

    #[test]
    fn a_record_takes_few_bytes_once_it_is_archived() {
        let folder = tempfile::tempdir().unwrap();
        let storage = DiskStorage::at(folder.path());
        let options = Options { segment_size: SegmentSize::new(64 << 10).unwrap() };
        let (mut ledger, _) = Ledger::open(storage.clone(), options).unwrap();
        let mut batch = Batch::default();
        // One record a frame, each of which takes 4 KiB.
        for index in 0..300_u32 {
            batch.clear();
            batch.push(format!("record {index} {}", "x".repeat(400)).as_bytes()).unwrap();
            ledger.append(&batch).unwrap();
        }
        write_tiles(&storage);
        while retire(&storage, 300, &no_hurry).unwrap().is_some() {}
        let found = usage(&storage).unwrap();
        assert!(found.archived == 256 && found.archives > 256, "{found:?}");
        let bytes = found.bytes_per_record().unwrap();
        assert!(bytes > 33.0 && bytes < 64.0, "{bytes}");
    }
}
