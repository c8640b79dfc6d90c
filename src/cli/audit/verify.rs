//! `acgs audit verify`: of a data folder, or of a running daemon by its URL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::super::{EXIT_IO, fail, print_fault, print_line};
use super::{Data, absent, advised, remote};
use crate::auth::secret::ApiKey;
use crate::daemon::Source;
use crate::ledger::{self, EvidenceError, Note, VerifierKey};

/// The arguments of `acgs audit verify`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// A checkpoint kept elsewhere, which the log must continue. May be given several times.
    #[arg(long, value_name = "CHECKPOINT")]
    from: Vec<PathBuf>,
    /// The log's public key, as `acgs audit vkey` prints it. May be given several times, after a rotation.
    #[arg(long, value_name = "KEY", required = false)]
    vkey: Vec<VerifierKey>,
    /// Verify the log of a running daemon at this URL, from any machine.
    #[arg(long, value_name = "URL", requires = "vkey", conflicts_with = "data")]
    url: Option<String>,
    /// A file with the token or the API key to show there; it needs the scope `audit:read`.
    #[arg(long, value_name = "FILE", requires = "url")]
    credential_file: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn run(&self, source: &Source) -> Result<ExitCode, ExitCode> {
        let kept = self.from.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
        if let Some(url) = &self.url {
            let credential = self.credential_file.as_deref().map(credential).transpose()?;
            return Ok(remote::verify(url.trim_end_matches('/'), credential, &kept, &self.vkey));
        }
        Ok(local(&self.data.log(source)?, &kept, &self.vkey))
    }
}

/// The header with a credential.
fn credential(file: &Path) -> Result<(&'static str, String), ExitCode> {
    let text = fs::read_to_string(file);
    let text = text.map_err(|error| fail(&format!("cannot read `{}`: {error}", file.display()), EXIT_IO))?;
    let text = text.trim();
    let is_key = ApiKey::is_meant(text);
    Ok(if is_key { ("X-API-Key", text.to_owned()) } else { ("Authorization", format!("Bearer {text}")) })
}

fn read(file: &Path) -> Result<Note, ExitCode> {
    let text =
        fs::read_to_string(file).map_err(|error| fail(&format!("cannot read `{}`: {error}", file.display()), EXIT_IO));
    text?.parse().map_err(|error| fail(&format!("`{}` is no checkpoint: {error}", file.display()), 1))
}

fn local(log: &Path, kept: &[Note], trusted: &[VerifierKey]) -> ExitCode {
    match ledger::audit(log, kept, trusted) {
        Ok(audited) => {
            let summary = audited.summary;
            if let Some(torn) = &summary.torn {
                print_fault(&format!(
                    "note: `{}` ends at offset {} in an incomplete frame, as a crash in mid-write leaves one; the next start cuts it off",
                    torn.segment, torn.offset
                ));
            }
            print_line(&format!(
                "ok: {} records in {} frames and {} segments, root {}",
                summary.size, summary.frames, summary.segments, summary.root
            ));
            match audited.checkpoint {
                None => {}
                Some(checkpoint) => print_line(&format!(
                    "its checkpoint of {} records, signed by {}, is valid; compared with {} checkpoints given by `--from`",
                    checkpoint.size,
                    checkpoint.origin,
                    kept.len()
                )),
            }
            ExitCode::SUCCESS
        }
        Err(error) if error.is_fault() => {
            let what = match &error {
                EvidenceError::Ledger(ledger::LedgerError::Corrupt(fault)) => fault.to_string(),
                other => advised(other, trusted),
            };
            fail(&format!("the audit log in `{}` is corrupt: {what}", log.display()), 1)
        }
        Err(error) => absent(log, EXIT_IO)
            .unwrap_or_else(|| fail(&format!("the audit log in `{}` cannot be read: {error}", log.display()), EXIT_IO)),
    }
}
