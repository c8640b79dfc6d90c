//! Bundles on disk: their files, and the digest over those that affect decisions.

use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::fault::{Fault, Faults};
use crate::domain::ConstitutionDigest;

/// The largest file of a bundle, in bytes.
pub const MAX_FILE: u64 = 16 << 20;
/// The most bytes in all files of a bundle together.
pub const MAX_BUNDLE: u64 = 64 << 20;
/// The most files in a bundle.
pub const MAX_FILES: usize = 10_000;

/// The manifest's name.
pub const MANIFEST: &str = "constitution.toml";
/// The schema's name.
pub const SCHEMA: &str = "schema.cedarschema";
/// The seed entities' name.
pub const ENTITIES: &str = "entities.json";

/// The text of a bundle, read once: the parsed text is the digested one.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// `constitution.toml`
    pub manifest: Source,
    /// `schema.cedarschema`
    pub schema: Source,
    /// `policies/**/*.cedar`, in the order of their paths' bytes.
    pub policies: Vec<Source>,
    /// `entities.json`, if there is one.
    pub entities: Option<Source>,
    /// `tests/*.toml`, in the order of their names.
    pub cases: Vec<Source>,
}

/// One file of a bundle.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path from the bundle's folder, with `/`.
    pub file: String,
    /// Its text.
    pub text: String,
}

impl Bundle {
    /// Reads every file of the bundle in `folder`. The error lists every file that cannot be read, or that has no place
    /// in a bundle.
    pub fn read(folder: &Path) -> Result<Self, Faults> {
        match Self::read_all(folder) {
            (Some(bundle), faults) if faults.is_empty() => Ok(bundle),
            (_, faults) => Err(Faults::of(faults)),
        }
    }

    /// Reads as much as possible of the bundle in `folder`, and returns every fault of its files. The bundle is `None`
    /// without a manifest and a schema.
    #[must_use]
    pub fn read_all(folder: &Path) -> (Option<Self>, Vec<Fault>) {
        let mut reader = Reader { folder, faults: Vec::new(), bytes: 0, files: 0 };
        let manifest = reader.required(MANIFEST);
        let schema = reader.required(SCHEMA);
        let policies = reader.tree("policies", "cedar");
        let entities = if folder.join(ENTITIES).exists() { reader.required(ENTITIES) } else { None };
        let cases = if folder.join("tests").exists() { reader.tree("tests", "toml") } else { Vec::new() };
        reader.refuse_others();
        let read = manifest.zip(schema);
        (read.map(|(manifest, schema)| Self { manifest, schema, policies, entities, cases }), reader.faults)
    }

    /// The digest: SHA-256 over what `sha256sum` prints for manifest, schema and policies, in that order.
    #[must_use]
    pub fn digest(&self) -> ConstitutionDigest {
        let mut digest = Sha256::new();
        for source in [&self.manifest, &self.schema].into_iter().chain(&self.policies) {
            let file = ConstitutionDigest::from(<[u8; 32]>::from(Sha256::digest(&source.text)));
            digest.update(format!("{file}  {}\n", source.file));
        }
        ConstitutionDigest::from(<[u8; 32]>::from(digest.finalize()))
    }
}

struct Reader<'a> {
    folder: &'a Path,
    faults: Vec<Fault>,
    /// The bytes read so far.
    bytes: u64,
    /// The files found so far, including those that do not belong to the bundle.
    files: usize,
}

impl Reader<'_> {
    fn required(&mut self, file: &str) -> Option<Source> {
        let path = self.folder.join(file);
        // Reading a pipe would wait for a writer.
        if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
            self.faults.push(Fault::of_file(file, "is not a file"));
            return None;
        }
        match read_bounded(&path, MAX_FILE.min(MAX_BUNDLE - self.bytes)) {
            Ok(None) => {
                let detail = format!(
                    "is too large: a file may have {} MiB, and all files of a bundle {} MiB together",
                    MAX_FILE >> 20,
                    MAX_BUNDLE >> 20
                );
                self.faults.push(Fault::of_file(file, detail));
            }
            Ok(Some(bytes)) => {
                self.bytes += bytes.len() as u64;
                match String::from_utf8(bytes) {
                    Ok(text) => return Some(Source { file: file.to_owned(), text }),
                    Err(error) => {
                        let valid = error.utf8_error().valid_up_to();
                        let text = String::from_utf8_lossy(error.as_bytes());
                        self.faults.push(Fault::at(file, &text, valid, "is not UTF-8"));
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && file == MANIFEST => {
                let detail = format!("is missing: `{}` has no `{MANIFEST}`", self.folder.display());
                self.faults.push(Fault::of_file(file, detail));
            }
            Err(error) => self.faults.push(unreadable(file, &error)),
        }
        None
    }

    /// The files in a folder whose names have an ending, as `find FOLDER -name '*.ENDING' | LC_ALL=C sort` lists them:
    /// links to folders are not followed. Other files are faults, since they would be ignored.
    fn tree(&mut self, folder: &str, ending: &str) -> Vec<Source> {
        let mut files = Vec::new();
        self.walk(&PathBuf::from(folder), &format!(".{ending}"), &mut files);
        files.sort();
        files.iter().filter_map(|file| self.required(file)).collect()
    }

    fn walk(&mut self, folder: &Path, ending: &str, files: &mut Vec<String>) {
        for (path, kind) in self.entries(folder) {
            let name = path.to_string_lossy().into_owned();
            if kind.is_symlink() && self.folder.join(&path).is_dir() {
                let detail =
                    "is a link to a folder, which the digest's commands do not follow, so its files would be ignored";
                self.faults.push(Fault::of_file(&name, detail));
            } else if kind.is_dir() {
                self.walk(&path, ending, files);
            } else if name.ends_with(ending) {
                if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte)) {
                    files.push(name);
                } else {
                    // The two commands that reproduce the digest would split or escape such a name.
                    self.faults
                        .push(Fault::of_file(&name, "may have only letters, digits, `-`, `_` and `.` in its name"));
                }
            } else {
                self.refuse(&path);
            }
        }
    }

    /// Adds a fault for every file that has no place in a bundle.
    fn refuse_others(&mut self) {
        for (path, kind) in self.entries(Path::new("")) {
            match path.to_str() {
                Some(MANIFEST | SCHEMA | ENTITIES | "policies" | "tests" | "lost+found") => {}
                _ if kind.is_dir() => self.refuse_all(&path),
                _ => self.refuse(&path),
            }
        }
    }

    fn refuse_all(&mut self, folder: &Path) {
        if is_hidden(folder) {
            return;
        }
        for (path, kind) in self.entries(folder) {
            if kind.is_dir() { self.refuse_all(&path) } else { self.refuse(&path) }
        }
    }

    fn refuse(&mut self, path: &Path) {
        if !is_hidden(path) && !is_document(path) {
            let detail = "has no place in a bundle and would be ignored: policies are `policies/**/*.cedar`, cases \
                          `tests/**/*.toml`; rename, move or remove it";
            self.faults.push(Fault::of_file(&path.to_string_lossy(), detail));
        }
    }

    /// The entries of a folder, up to the limit on files.
    fn entries(&mut self, folder: &Path) -> Vec<(PathBuf, FileType)> {
        let place = if folder.as_os_str().is_empty() { ".".into() } else { folder.to_string_lossy() };
        let entries = match fs::read_dir(self.folder.join(folder)) {
            Ok(entries) => entries,
            // A missing bundle is reported by its missing files.
            Err(error) if folder.as_os_str().is_empty() && error.kind() == io::ErrorKind::NotFound => {
                return Vec::new();
            }
            Err(error) => {
                self.faults.push(unreadable(&place, &error));
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for entry in entries {
            if self.files == MAX_FILES {
                self.faults.push(Fault::of_file(".", format!("has more than {MAX_FILES} files")));
                break;
            }
            self.files += 1;
            match entry.and_then(|entry| Ok((folder.join(entry.file_name()), entry.file_type()?))) {
                Ok(entry) => found.push(entry),
                Err(error) => self.faults.push(unreadable(&place, &error)),
            }
        }
        found
    }
}

/// The bytes of a file; `None` if there are more than `most`.
fn read_bounded(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// Whether the name of a file or of a folder above it begins with a dot, as those of version control, editors and
/// mounted volumes do.
fn is_hidden(path: &Path) -> bool {
    path.iter().any(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether a file documents the bundle for people.
fn is_document(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_text = |(stem, ending): (&str, &str)| ["md", "txt"].contains(&ending) && !stem.contains('.');
    // `safety.cedar.txt` is probably a misnamed policy, not a document.
    name.rsplit_once('.').is_some_and(is_text)
        || ["README", "LICENSE", "NOTICE", "CHANGELOG", "AUTHORS"].contains(&&*name)
}

fn unreadable(file: &str, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => Fault::of_file(file, "is missing"),
        _ => Fault::of_file(file, format!("cannot be read: {error}")),
    }
}
