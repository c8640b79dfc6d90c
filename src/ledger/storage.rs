//! The ledger's only way to disk, so that tests can put a simulated one in its place.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// One folder of files.
///
/// Changes of names (`create`, `rename`, `remove`) are durable after `sync_folder`, changes of a file's bytes after the
/// file's own `sync`.
pub trait Storage {
    /// An open file.
    type File: StorageFile;

    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes an empty file, or empties the one of that name, and opens it to be read and written.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file that exists to be read and written.
    fn open_to_write(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file that exists to be read only.
    fn open_to_read(&self, name: &str) -> io::Result<Self::File>;

    /// Whether the open file is still the one of that name.
    fn is_at(&self, file: &Self::File, name: &str) -> io::Result<bool>;

    /// Gives a file another name; a file that had that name before is gone. All or nothing.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Opens the folder for `sync_folder`, so that a lack of descriptors fails here, where nothing has changed yet, and
    /// not as a sync.
    fn hold_folder(&self) -> io::Result<()>;

    /// Makes names durable.
    fn sync_folder(&self) -> io::Result<()>;

    /// Takes the folder for this process alone, as long as the returned file lives.
    ///
    /// Fails with `WouldBlock` if another has it.
    fn lock(&self) -> io::Result<Self::File>;
}

/// An open file of a [`Storage`].
pub trait StorageFile {
    /// Writes once, maybe fewer bytes than given; returns how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads once, maybe fewer bytes than the buffer holds; returns how many, 0 at the file's end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes the file's bytes and length durable.
    fn sync(&self) -> io::Result<()>;

    /// The file's length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Locks the file's inode for this process, until the file is closed. The lock holds under every name of the file.
    ///
    /// Fails with `WouldBlock` if another process holds it.
    fn claim(&self) -> io::Result<()>;
}

/// Writes all bytes: a short write is continued.
pub(super) fn write_all(file: &impl StorageFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes zeros from `offset` up to `end`.
pub(super) fn write_zeros(file: &impl StorageFile, mut offset: u64, end: u64) -> io::Result<()> {
    const CHUNK: u64 = 1 << 20;
    let zeros = vec![0; usize::try_from(end.saturating_sub(offset).min(CHUNK)).unwrap_or_default()];
    while offset < end {
        let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(zeros.len());
        write_all(file, zeros.get(..length).unwrap_or_default(), offset)?;
        offset += length as u64;
    }
    Ok(())
}

/// Overwrites a part of a file with zeros in small pieces, each durable before the next, with pauses between them, so
/// that the disk stays available for other writers.
pub(super) fn write_zeros_gently(file: &impl StorageFile, offset: u64, end: u64, pause: Duration) -> io::Result<()> {
    const STEP: usize = 1 << 18;
    for offset in (offset..end).step_by(STEP) {
        write_zeros(file, offset, end.min(offset + STEP as u64))?;
        file.sync()?;
        thread::sleep(pause);
    }
    Ok(())
}

/// Fills the buffer as far as the file goes; returns how many bytes were read.
pub(super) fn read_full(file: &impl StorageFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// A folder on disk.
#[derive(Clone, Debug)]
pub struct DiskStorage {
    folder: PathBuf,
    /// The open folder, held from its first sync on: a later sync must not fail for lack of a descriptor.
    held: Arc<OnceLock<File>>,
}

/// The name of the lock file.
pub const LOCK_FILE: &str = "lock";

impl DiskStorage {
    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder that is only read, or is known to exist. Nothing is touched yet.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), held: Arc::default() }
    }

    /// Makes the folder, durably, if it is not there. The folder above it must be.
    pub fn create(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let storage = Self::at(folder);
        // Records may have personal data: for the daemon's own user alone.
        match DirBuilder::new().mode(0o700).create(&storage.folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if let Some(parent) = storage.folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(storage)
    }

    fn held(&self) -> io::Result<&File> {
        if let Some(folder) = self.held.get() {
            return Ok(folder);
        }
        let opened = File::open(&self.folder)?;
        Ok(self.held.get_or_init(|| opened))
    }
}

impl Storage for DiskStorage {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.folder)?
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(self.folder.join(name))
    }

    fn open_to_write(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.folder.join(name))
    }

    fn open_to_read(&self, name: &str) -> io::Result<File> {
        File::open(self.folder.join(name))
    }

    fn is_at(&self, file: &File, name: &str) -> io::Result<bool> {
        let (open, found) = (file.metadata()?, fs::metadata(self.folder.join(name)));
        match found {
            Ok(found) => Ok((open.dev(), open.ino()) == (found.dev(), found.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }

    fn hold_folder(&self) -> io::Result<()> {
        self.held().map(drop)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.held()?.sync_all()
    }

    fn lock(&self) -> io::Result<File> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.folder.join(LOCK_FILE))?;
        file.claim().map(|()| file)
    }
}

impl StorageFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn claim(&self) -> io::Result<()> {
        self.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })
    }
}
