//! Where the audit log says which key signs tokens: so that a database that was put back to an older state, and with it a
//! key that was replaced since, is not believed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::DirectoryError;
use crate::ledger::{self, DiskStorage};
use crate::store::signing_keys::SigningKeyRow;

/// The name of the file, in the data folder.
const FILE: &str = "token-key";

/// A file that names the record of the newest signing key: its index, and the key's name.
///
/// It proves nothing by itself; what counts is the record, which is under the log's signature. The record comes first, then
/// the database, then this file: where a crash came between the last two, the database is the newer one.
#[derive(Debug, Clone)]
pub struct KeyMark {
    path: PathBuf,
}

impl KeyMark {
    /// The mark of a data folder.
    #[must_use]
    pub fn of(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE) }
    }

    /// Names the record of a new key.
    pub(super) fn set(&self, index: u64, kid: &str) -> Result<(), DirectoryError> {
        let write = || {
            let temporary = self.path.with_extension("tmp");
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            writeln!(file, "{index} {kid}")?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        write().map_err(|error: io::Error| self.failed("write", &error))
    }

    /// Whether the log knows of a newer key than the newest in the database.
    pub fn check(&self, log: &DiskStorage, newest: Option<&SigningKeyRow>) -> Result<(), DirectoryError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.failed("read", &error)),
        };
        let named = text.trim_end().split_once(' ').and_then(|(index, kid)| Some((index.parse::<u64>().ok()?, kid)));
        let Some((index, kid)) = named else { return Err(self.unfit("it names no record")) };
        if newest.is_some_and(|newest| newest.kid == kid) {
            return Ok(());
        }
        let record = ledger::record(log, index).map_err(|error| DirectoryError::Failed(error.to_string()))?;
        let record: Value = record.and_then(|record| serde_json::from_slice(&record).ok()).unwrap_or(Value::Null);
        if record.get("kind") != Some(&json!("auth")) || record.get("kid") != Some(&json!(kid)) {
            return Err(self.unfit("the record that it names is not that of its key"));
        }
        let recorded = record.get("at_s").and_then(Value::as_i64).unwrap_or(i64::MAX);
        match newest {
            Some(newest) if newest.created_at > recorded => Ok(()),
            _ => Err(DirectoryError::Failed(format!(
                "the database is older than the audit log: since record {index} tokens are signed with the key `{kid}`, \
                 and the database does not have it. Put the newer database back; or remove `{}` and run \
                 `acgs key rotate token --withdraw`, which ends all tokens",
                self.path.display()
            ))),
        }
    }

    fn failed(&self, action: &str, error: &io::Error) -> DirectoryError {
        DirectoryError::Failed(format!("cannot {action} `{}`: {error}", self.path.display()))
    }

    fn unfit(&self, why: &str) -> DirectoryError {
        DirectoryError::Failed(format!("`{}` cannot be used: {why}", self.path.display()))
    }
}
