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

/// Why a file cannot be used.
enum Unusable {
    Unreadable(io::Error),
    NoFile,
    ForOthers,
    TooLong,
    NotText,
}

impl Unusable {
    /// Whether the file just is not available on this host or to this user.
    fn is_missing(&self) -> bool {
        let kinds = [ErrorKind::NotFound, ErrorKind::PermissionDenied];
        matches!(self, Self::Unreadable(error) if kinds.contains(&error.kind()))
    }

    fn why(&self) -> String {
        match self {
            Self::Unreadable(error) => format!("which cannot be read: {error}"),
            Self::NoFile => "which is not a file".to_owned(),
            Self::ForOthers => "which others can read or change".to_owned(),
            Self::TooLong => format!("which has more than {LONGEST} bytes"),
            Self::NotText => "which is not UTF-8".to_owned(),
        }
    }

    fn fault(&self, name: &str, file_name: &str, path: PathBuf, place: SourceLocation) -> Fault {
        let why = self.why();
        let allowed =
            format!("a file with nothing but `{name}` in it, which only its owner and its group can read, or nothing");
        let wrong = FaultKind::Secret { key: file_name.to_owned(), path, why };
        Fault { key: Some(name.to_owned()), allowed: Some(allowed), ..Fault::at(place, wrong) }
    }
}

/// The text of a file with a secret, without white space at its ends. The error says why it cannot be used: "which …".
pub fn read_secret(path: &Path) -> Result<String, String> {
    read(path).map(|text| text.trim().to_owned()).map_err(|unusable| unusable.why())
}

fn read(path: &Path) -> Result<String, Unusable> {
    // Opening a pipe would wait for a writer.
    if !fs::metadata(path).map_err(Unusable::Unreadable)?.is_file() {
        return Err(Unusable::NoFile);
    }
    let file = File::open(path).map_err(Unusable::Unreadable)?;
    let found = file.metadata().map_err(Unusable::Unreadable)?;
    // The group may read: systemd's access control lists show as its bits.
    if found.permissions().mode() & 0o006 != 0 {
        return Err(Unusable::ForOthers);
    }
    let mut bytes = Vec::new();
    let length = file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(Unusable::Unreadable)?;
    if length as u64 > LONGEST {
        return Err(Unusable::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| Unusable::NotText)
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
