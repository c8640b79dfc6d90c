//! The bundle on disk: which files it has, and the digest over those that decide.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::fault::{Fault, Faults};
use crate::domain::ConstitutionDigest;

/// The manifest's name.
pub const MANIFEST: &str = "constitution.toml";
/// The schema's name.
pub const SCHEMA: &str = "schema.cedarschema";
/// The seed entities' name.
pub const ENTITIES: &str = "entities.json";

/// The text of a bundle, read once: what is parsed is what was digested.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// `constitution.toml`
    pub manifest: Source,
    /// `schema.cedarschema`
    pub schema: Source,
    /// `policies/**/*.cedar`, in the order of their paths' bytes.
    pub policies: Vec<Source>,
    /// `entities.json`, where there is one.
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
    /// Reads every file of the bundle in `folder`; the error is every file that could not be read.
    pub fn read(folder: &Path) -> Result<Self, Faults> {
        let mut reader = Reader { folder, faults: Vec::new() };
        let manifest = reader.required(MANIFEST);
        let schema = reader.required(SCHEMA);
        let policies = reader.tree("policies", "cedar");
        let entities = if folder.join(ENTITIES).exists() { reader.required(ENTITIES) } else { None };
        let cases = if folder.join("tests").exists() { reader.tree("tests", "toml") } else { Vec::new() };
        let (Some(manifest), Some(schema), true) = (manifest, schema, reader.faults.is_empty()) else {
            reader.faults.sort();
            return Err(Faults(reader.faults));
        };
        Ok(Self { manifest, schema, policies, entities, cases })
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
}

impl Reader<'_> {
    fn required(&mut self, file: &str) -> Option<Source> {
        let path = self.folder.join(file);
        // Reading a pipe would wait for a writer.
        if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
            self.faults.push(Fault::of_file(file, "is not a file"));
            return None;
        }
        match fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => return Some(Source { file: file.to_owned(), text }),
            Ok(Err(error)) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes());
                self.faults.push(Fault::at(file, &text, valid, "is not UTF-8"));
            }
            Err(error) => self.faults.push(unreadable(file, &error)),
        }
        None
    }

    /// The files below a folder whose names have that ending, as `find FOLDER -name '*.ENDING' | LC_ALL=C sort`
    /// lists them: links to folders are not followed.
    fn tree(&mut self, folder: &str, ending: &str) -> Vec<Source> {
        let mut files = Vec::new();
        self.walk(&PathBuf::from(folder), &format!(".{ending}"), &mut files);
        files.sort();
        files.iter().filter_map(|file| self.required(file)).collect()
    }

    fn walk(&mut self, folder: &Path, ending: &str, files: &mut Vec<String>) {
        let entries = match fs::read_dir(self.folder.join(folder)) {
            Ok(entries) => entries,
            Err(error) => return self.faults.push(unreadable(&folder.to_string_lossy(), &error)),
        };
        for entry in entries {
            let (path, kind) = match entry.and_then(|entry| Ok((folder.join(entry.file_name()), entry.file_type()?))) {
                Ok(found) => found,
                Err(error) => {
                    self.faults.push(unreadable(&folder.to_string_lossy(), &error));
                    continue;
                }
            };
            let name = path.to_string_lossy().into_owned();
            if kind.is_symlink() && self.folder.join(&path).is_dir() {
                let detail =
                    "is a link to a folder, which the digest's commands do not follow: what it has would not count";
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
            }
        }
    }
}

fn unreadable(file: &str, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => Fault::of_file(file, "is missing"),
        _ => Fault::of_file(file, format!("cannot be read: {error}")),
    }
}
