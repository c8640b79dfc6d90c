//! The keys that sign a log's checkpoints, as files in its folder.
//!
//! `key` contains the current private key and `key.previous` the one before, which co-signs until the next rotation, so
//! that verifiers have time to learn the new one. `keys` lists all public keys, one per line, the newest last: old
//! checkpoints stay verifiable. Private keys are readable by the daemon's user only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::note::{NoteError, SigningKey, VerifierKey};

/// The name of the file with the current private key.
pub const KEY_FILE: &str = "key";
/// The file with the public keys, current and former.
pub const PUBLIC_KEYS_FILE: &str = "keys";

/// Why there are no keys to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file has no key in it.
    #[error("`{}` cannot be used: {source}", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: NoteError,
    },
    /// Others can read the private key.
    #[error("`{}` has mode `{mode:o}`: a private key that others can read is not used", .file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The log is signed under another name.
    #[error("the log is signed as `{stored}`, but `audit.origin` is `{wanted}`: a log keeps its origin for ever")]
    Origin {
        /// The origin in the settings.
        wanted: String,
        /// The key's name.
        stored: String,
    },
    /// The key is not listed, so its signatures could not be verified.
    #[error("the key in `{}` is not one of those listed in `keys`: put the log's own key back", .0.display())]
    Unlisted(PathBuf),
    /// There were keys, and the current one is gone.
    #[error("`{}` is gone, but the log was signed before: put the key back", .0.display())]
    Lost(PathBuf),
    /// The disk failed.
    #[error("cannot {action} `{}`: {source}", .file.display())]
    Disk {
        /// The attempted action.
        action: &'static str,
        /// With which file.
        file: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// The keys of one log.
#[derive(Debug)]
pub struct Keyring {
    current: SigningKey,
    previous: Option<SigningKey>,
}

impl Keyring {
    /// Reads the keys of a log without records, or creates the first key, named `origin` or else `default`.
    ///
    /// Public keys without a private key are left by an interrupted start: that key has signed nothing, and is
    /// replaced.
    pub fn begin(folder: &Path, origin: Option<&str>, default: &str) -> Result<Self, KeyError> {
        if read(&folder.join(KEY_FILE))?.is_some() {
            return Self::open(folder, origin, default);
        }
        let current = generate(folder, &[], origin.unwrap_or(default))?;
        Ok(Self { current, previous: None })
    }

    /// Reads the keys of the log in a folder, or makes the first one, named `origin` or else `default`.
    pub fn open(folder: &Path, origin: Option<&str>, default: &str) -> Result<Self, KeyError> {
        let Some(current) = read(&folder.join(KEY_FILE))? else {
            if !public_keys(folder)?.is_empty() {
                return Err(KeyError::Lost(folder.join(KEY_FILE)));
            }
            let current = generate(folder, &[], origin.unwrap_or(default))?;
            return Ok(Self { current, previous: None });
        };
        let keys = Self::listed(folder, current)?;
        keys.check_origin(origin)?;
        Ok(keys)
    }

    /// Checks that the log has the wanted name, if one is given: a log keeps its origin for ever.
    pub fn check_origin(&self, wanted: Option<&str>) -> Result<(), KeyError> {
        match wanted.filter(|wanted| *wanted != self.origin()) {
            Some(wanted) => Err(KeyError::Origin { wanted: wanted.to_owned(), stored: self.origin().to_owned() }),
            None => Ok(()),
        }
    }

    /// Reads the keys of a log that has some.
    pub fn load(folder: &Path) -> Result<Self, KeyError> {
        let current = read(&folder.join(KEY_FILE))?.ok_or_else(|| KeyError::Lost(folder.join(KEY_FILE)))?;
        Self::listed(folder, current)
    }

    /// With the key before. A key is listed before it is stored, so one that is not listed is not the log's.
    fn listed(folder: &Path, current: SigningKey) -> Result<Self, KeyError> {
        if !public_keys(folder)?.contains(current.verifier()) {
            return Err(KeyError::Unlisted(folder.join(KEY_FILE)));
        }
        Ok(Self { current, previous: read(&folder.join("key.previous"))? })
    }

    /// Makes a new current key; the one before signs along, and the one before that no more.
    pub fn rotate(self, folder: &Path) -> Result<Self, KeyError> {
        write(&folder.join("key.previous"), &self.current.secret())?;
        let current = generate(folder, &public_keys(folder)?, self.current.verifier().name())?;
        Ok(Self { current, previous: Some(self.current) })
    }

    /// The name of the log, which its keys have.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.current.verifier().name()
    }

    /// The public half of the current key.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        self.current.verifier()
    }

    /// The keys that sign, the current one first.
    pub fn signers(&self) -> impl Iterator<Item = &SigningKey> {
        // Where a rotation was cut short both files have the same key.
        let previous = self.previous.as_ref().filter(|previous| previous.verifier() != self.current.verifier());
        [Some(&self.current), previous].into_iter().flatten()
    }
}

/// Locks the keys of the log in a folder for this process, while the file is open. Blocks until the lock is free.
pub fn claim_keys(folder: &Path) -> Result<File, KeyError> {
    let claimed = File::open(folder).and_then(|claimed| claimed.lock().map(|()| claimed));
    claimed.map_err(|source| KeyError::Disk { action: "lock", file: folder.to_owned(), source })
}

/// All public keys of a log, the newest last; empty if it was never signed.
pub fn public_keys(folder: &Path) -> Result<Vec<VerifierKey>, KeyError> {
    let file = folder.join(PUBLIC_KEYS_FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(KeyError::Disk { action: "read", file, source }),
    };
    let keys: Result<_, NoteError> = text.lines().map(str::parse).collect();
    keys.map_err(|source| KeyError::Malformed { file, source })
}

/// Creates and stores a key. Its public half is stored first, so that nothing is signed with a key that is not listed.
fn generate(folder: &Path, known: &[VerifierKey], name: &str) -> Result<SigningKey, KeyError> {
    let file = folder.join(KEY_FILE);
    let key = SigningKey::generate(name).map_err(|source| KeyError::Malformed { file: file.clone(), source })?;
    let lines = known.iter().chain([key.verifier()]).map(|key| format!("{key}\n"));
    write(&folder.join(PUBLIC_KEYS_FILE), &lines.collect::<String>())?;
    write(&file, &key.secret())?;
    Ok(key)
}

fn read(file: &Path) -> Result<Option<SigningKey>, KeyError> {
    let disk = |source| KeyError::Disk { action: "read", file: file.to_owned(), source };
    let mode = match fs::metadata(file) {
        Ok(found) => found.mode() & 0o7777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk(error)),
    };
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { file: file.to_owned(), mode });
    }
    let text = fs::read_to_string(file).map_err(disk)?;
    let key = SigningKey::from_secret(&text);
    key.map(Some).map_err(|source| KeyError::Malformed { file: file.to_owned(), source })
}

/// Replaces a file, durably, whole or not at all.
fn write(file: &Path, text: &str) -> Result<(), KeyError> {
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".tmp");
    let written = || {
        drop(fs::remove_file(&temporary));
        let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        made.write_all(text.as_bytes())?;
        if let Some(folder) = file.parent() {
            leave_to_owner(&made, folder)?;
        }
        made.sync_all()?;
        fs::rename(&temporary, file)?;
        file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    written().map_err(|source| KeyError::Disk { action: "write", file: file.to_owned(), source })
}

/// Changes the owner of a new file to that of its folder, so that keys rotated by root remain readable by the daemon.
///
/// If the owner is right already, nothing is done: a service manager may filter the system call.
fn leave_to_owner(file: &File, folder: &Path) -> io::Result<()> {
    let (made, wanted) = (file.metadata()?, fs::metadata(folder)?);
    let user = (made.uid() != wanted.uid()).then_some(wanted.uid());
    let group = (made.gid() != wanted.gid()).then_some(wanted.gid());
    if user.is_some() || group.is_some() { fchown(file, user, group) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::ledger::Note;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let made = Keyring::open(folder.path(), None, "acgs.local/host").unwrap();
        let again = Keyring::open(folder.path(), Some("acgs.local/host"), "other").unwrap();
        assert_eq!(made.verifier(), again.verifier());
        assert_eq!(public_keys(folder.path()).unwrap(), [made.verifier().clone()]);
        let path = folder.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let refused = Keyring::open(folder.path(), Some("another"), "other").unwrap_err();
        assert!(matches!(refused, KeyError::Origin { .. }), "{refused}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Keyring::load(folder.path()), Err(KeyError::Open { mode: 0o640, .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(Keyring::open(folder.path(), None, "other"), Err(KeyError::Lost(_))));
    }

    #[test]
    fn a_first_key_that_was_never_stored_is_replaced_and_one_that_was_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = Keyring::begin(folder.path(), None, "log").unwrap();
        let kept = Keyring::begin(folder.path(), None, "log").unwrap();
        assert_eq!(first.verifier(), kept.verifier());
        fs::remove_file(folder.path().join(KEY_FILE)).unwrap();
        let second = Keyring::begin(folder.path(), None, "log").unwrap();
        assert_ne!(first.verifier(), second.verifier());
        assert_eq!(public_keys(folder.path()).unwrap(), [second.verifier().clone()]);
    }

    #[test]
    fn a_key_belongs_to_whom_its_folder_belongs() {
        let folder = tempfile::tempdir().unwrap();
        if std::os::unix::fs::chown(folder.path(), Some(12_345), Some(12_345)).is_err() {
            println!("skipped: only root can give a folder to somebody else");
            return;
        }
        Keyring::open(folder.path(), None, "log").unwrap().rotate(folder.path()).unwrap();
        for file in [KEY_FILE, "key.previous", "keys"] {
            let found = fs::metadata(folder.path().join(file)).unwrap();
            assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (12_345, 12_345, 0o600), "{file}");
        }
    }

    #[test]
    fn after_a_rotation_both_keys_sign_and_after_another_the_oldest_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let first = Keyring::open(folder.path(), None, "log").unwrap();
        let oldest = first.verifier().clone();
        let second = first.rotate(folder.path()).unwrap();
        let note = Note::sign("text\n".to_owned(), second.signers());
        assert_eq!(note.verify(std::slice::from_ref(&oldest)).unwrap().len(), 1);
        let third = second.rotate(folder.path()).unwrap();
        let note = Note::sign("text\n".to_owned(), third.signers());
        assert!(note.verify(std::slice::from_ref(&oldest)).is_err());
        let known = public_keys(folder.path()).unwrap();
        assert_eq!((known.len(), &known[0], &known[2]), (3, &oldest, third.verifier()));
        assert_eq!(note.verify(&known).unwrap().len(), 2);
    }
}
