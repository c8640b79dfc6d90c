//! A checkpoint outside of the log's folder, by which a start detects a log that was rolled back or removed together
//! with its own checkpoint.
//! noticed.
//! The file is a signed note. It is rewritten from time to time, durably, under a temporary name first. It may lag
//! behind the log; it only must not be rolled back together with it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::note::Note;

/// The file of the kept checkpoint.
#[derive(Debug, Clone)]
pub struct KeptCheckpoint(PathBuf);

impl KeptCheckpoint {
    /// The file at that path, which need not exist.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The kept checkpoint; `None` if there is no file. Its signature is not verified: even an unverified checkpoint
    /// beyond the log's end must be shown to an administrator.
    pub fn read(&self) -> io::Result<Option<Checkpoint>> {
        let text = match fs::read_to_string(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let read = text.parse::<Note>().and_then(|note| note.text().parse());
        read.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Replaces the kept checkpoint, durably.
    pub fn write(&self, note: &Note) -> io::Result<()> {
        let temporary = self.0.with_extension("tmp");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(note.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &self.0)?;
        self.0.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Hash, SigningKey};

    #[test]
    fn what_was_kept_is_read_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptCheckpoint::at(folder.path().join("audit-checkpoint"));
        assert_eq!(kept.read().unwrap(), None);
        let key = SigningKey::generate("log").unwrap();
        for size in [1, 7, 3] {
            let checkpoint = Checkpoint { origin: "log".to_owned(), size, root: Hash::leaf(b"x") };
            kept.write(&Note::sign(checkpoint.to_string(), [&key])).unwrap();
            assert_eq!(kept.read().unwrap(), Some(checkpoint));
        }
        fs::write(kept.path(), "nonsense").unwrap();
        assert_eq!(kept.read().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
