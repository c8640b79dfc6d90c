//! Settings that may be secret: from a file of their own, or from a credential of systemd.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    fault::{Fault, FaultKind, SourceLocation},
    layer::{Entry, Layer, Merged},
    raw_value::RawValue,
    section::Key,
    variables,
};

/// Keys with a secret in them, each with the key that names a file for it. A credential is called like the first.
const SECRETS: [(&str, &str); 3] = [
    ("database.url", "database.url_file"),
    ("database.replicas", "database.replicas_file"),
    ("cache.l2.url", "cache.l2.url_file"),
];

/// The most bytes of such a file.
const LONGEST: u64 = 65_536;

/// Whether the files of secrets must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// One that cannot be read is a fault.
    Required,
    /// The key of one that is missing, or is for others to read, keeps the value that it has without it.
    Optional,
}

/// The layer of systemd credentials: each is the file of its key.
pub(super) fn credentials(env: &[(String, String)]) -> Layer {
    let mut layer = Layer::new("credentials".to_owned());
    let folder = variables::value_of("CREDENTIALS_DIRECTORY", env.iter().cloned());
    for (key, file_key) in SECRETS {
        let path = folder.as_ref().map(|folder| Path::new(folder).join(key)).filter(|path| path.exists());
        if let Some(path) = path {
            let value = RawValue::from(&*path.to_string_lossy());
            layer.insert(file_key, Entry { value, place: SourceLocation::Path(path) });
        }
    }
    layer
}

/// Reads the files that are named, unless a later layer has the value itself; then the file is no longer named.
/// Returns the faults of the keys whose files were left out.
pub(super) fn fill(
    keys: &[Key],
    folder: &Path,
    presence: Presence,
    merged: &mut Merged,
    faults: &mut Vec<Fault>,
) -> Vec<Fault> {
    let mut left_out = Vec::new();
    for (name, file_name) in SECRETS {
        let file = merged.value(file_name).and_then(|written| written.text().map(str::to_owned).ok());
        let file = file.filter(|file| !file.is_empty());
        let (Some(file), Some(key)) = (file, keys.iter().find(|key| key.name == name)) else { continue };
        if merged.layer(name) > merged.layer(file_name) {
            merged.replace(file_name, Entry { value: RawValue::from(""), place: merged.place(name) });
            continue;
        }
        let path = folder.join(file);
        let path = std::path::absolute(&path).unwrap_or(path);
        match read(&path) {
            Ok(text) => match variables::to_written(key, text.trim(), &SourceLocation::Path(path.clone())) {
                Ok(value) => merged.replace(name, Entry { value, place: SourceLocation::Path(path) }),
                Err(found) => faults.extend(found.into_iter().map(without_value)),
            },
            Err(unusable) => {
                let is_optional = presence == Presence::Optional && unusable.is_missing();
                let fault = unusable.fault(name, file_name, path, merged.place(file_name));
                if is_optional { left_out.push(fault) } else { faults.push(fault) }
            }
        }
    }
    left_out
}

/// Whether the value of a key was read from a file, which then is named among all values as TOML.
pub(super) fn is_from_file(key: &str, values: &[(&str, String)]) -> bool {
    let file_key = SECRETS.iter().find(|(name, _)| *name == key).map(|(_, file_key)| *file_key);
    values.iter().any(|(name, value)| Some(*name) == file_key && value != "\"\"")
}

/// Why a file with a secret cannot be used. The messages continue a sentence that ends with the name of the file.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It does not exist, this user may not read it, or the disk fails.
    #[error("which cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It is a folder, a pipe or a device.
    #[error("which is not a file")]
    NoFile,
    /// Its mode permits other users to read or change it.
    #[error("which others can read or change")]
    ForOthers,
    /// It is larger than any secret.
    #[error("which has more than {} bytes", LONGEST)]
    TooLong,
    /// Its secret has fewer bytes than this.
    #[error("which has fewer than {0} bytes; `openssl rand -hex 32` makes a secret")]
    TooShort(usize),
    /// Its contents are not UTF-8.
    #[error("which is not UTF-8")]
    NotText,
}

impl SecretFileError {
    /// Whether the file just is not available on this host or to this user.
    fn is_missing(&self) -> bool {
        let kinds = [ErrorKind::NotFound, ErrorKind::PermissionDenied];
        matches!(self, Self::Unreadable(error) if kinds.contains(&error.kind()))
    }

    fn fault(&self, name: &str, file_name: &str, path: PathBuf, place: SourceLocation) -> Fault {
        let allowed =
            format!("a file with nothing but `{name}` in it, which only its owner and its group can read, or nothing");
        let wrong = FaultKind::Secret { key: file_name.to_owned(), path, why: self.to_string() };
        Fault { key: Some(name.to_owned()), allowed: Some(allowed), ..Fault::at(place, wrong) }
    }
}

/// The text of a file with a secret of at least `shortest` bytes, without white space at its ends.
pub fn read_secret(path: &Path, shortest: usize) -> Result<String, SecretFileError> {
    let secret = read(path)?.trim().to_owned();
    if secret.len() < shortest { Err(SecretFileError::TooShort(shortest)) } else { Ok(secret) }
}

fn read(path: &Path) -> Result<String, SecretFileError> {
    // Opening a pipe would wait for a writer.
    if !fs::metadata(path).map_err(SecretFileError::Unreadable)?.is_file() {
        return Err(SecretFileError::NoFile);
    }
    let file = File::open(path).map_err(SecretFileError::Unreadable)?;
    let found = file.metadata().map_err(SecretFileError::Unreadable)?;
    // The group may read: systemd's access control lists show as its bits.
    if found.permissions().mode() & 0o006 != 0 {
        return Err(SecretFileError::ForOthers);
    }
    let mut bytes = Vec::new();
    let length = file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(SecretFileError::Unreadable)?;
    if length as u64 > LONGEST {
        return Err(SecretFileError::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| SecretFileError::NotText)
}

/// A fault without the contents of the file.
fn without_value(fault: Fault) -> Fault {
    let shown = "not shown".to_owned();
    let wrong = match fault.wrong {
        FaultKind::Value { key, why, .. } => FaultKind::Value { key, value: shown, why },
        FaultKind::Item { key, why, .. } => FaultKind::Item { key, value: "one that is not shown".to_owned(), why },
        other => other,
    };
    Fault { wrong, ..fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_without_white_space_and_a_file_that_cannot_have_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let written = |bytes: &[u8], mode: u32| {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read_secret(&path, 4).map_err(|error| error.to_string())
        };
        assert_eq!(written(b" 1234\n", 0o640), Ok("1234".to_owned()));
        for (bytes, mode, message) in [
            (&b"1234"[..], 0o644, "which others can read or change"),
            (b"\xff234", 0o600, "which is not UTF-8"),
            (b" 123\n", 0o600, "which has fewer than 4 bytes; `openssl rand -hex 32` makes a secret"),
            ("x".repeat(65_537).as_bytes(), 0o600, "which has more than 65536 bytes"),
        ] {
            fs::remove_file(&path).unwrap();
            assert_eq!(written(bytes, mode), Err(message.to_owned()));
        }
        assert!(matches!(read_secret(folder.path(), 4), Err(SecretFileError::NoFile)));
        let absent = read_secret(&folder.path().join("absent"), 4).unwrap_err();
        assert!(absent.is_missing() && std::error::Error::source(&absent).is_some(), "{absent}");
    }
}
