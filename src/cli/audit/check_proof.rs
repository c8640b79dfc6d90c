//! `acgs audit check-proof`: verifies a proof written by `acgs audit prove`, with only the log's public key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::super::{EXIT_IO, EXIT_USAGE, fail, print_line};
use super::Data;
use crate::daemon::Source;
use crate::ledger::{self, Assembly, InclusionProof, NoteError, Payload, VerifierKey};

/// The arguments of `acgs audit check-proof`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// The proof, as `acgs audit prove` prints it.
    file: PathBuf,
    /// The record, as `acgs audit show --raw` prints it, if the proof does not contain it.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// The log's public key, as `acgs audit vkey` prints it [default: the keys in the data folder]. May be given
    /// several times.
    #[arg(long, value_name = "KEY")]
    vkey: Vec<VerifierKey>,
}

impl Arguments {
    /// 0 if the record is proven, 1 if it is not.
    pub(super) fn run(&self, source: &Source) -> Result<ExitCode, ExitCode> {
        let not = |why: &dyn std::fmt::Display| fail(&format!("`{}` is no valid proof: {why}", self.file.display()), 1);
        let text = String::from_utf8(read(&self.file)?).map_err(|error| not(&error))?;
        let proof: InclusionProof = text.parse().map_err(|error| not(&error))?;
        let record = self.record.as_deref().map(read).transpose()?;
        let keys = if self.vkey.is_empty() {
            ledger::public_keys(&self.data.log(source)?).map_err(|error| fail(&error, EXIT_IO))?
        } else {
            self.vkey.clone()
        };
        if keys.is_empty() {
            let missing =
                "no key to check with: give `--vkey` (the log's owner prints it with `acgs audit vkey --all`)";
            return Err(fail(&missing, EXIT_USAGE));
        }
        let attached: Vec<&[u8]> = match &proof.entries {
            Some(bundle) => Payload(bundle)
                .collect::<Result<_, _>>()
                .map_err(|_| not(&"the entries in its `extra` line are malformed"))?,
            None => Vec::new(),
        };
        // What the record shares comes first, then its parts, as in the log.
        let entry = match (record.as_deref(), attached.last().copied()) {
            (Some(record), Some(attached)) if record != attached => {
                return Err(not(&"it contains another record than `--record`"));
            }
            (Some(record), _) => record,
            (None, Some(attached)) => attached,
            (None, None) => return Err(not(&"it does not contain the record; give the record with `--record`")),
        };
        let checkpoint = proof.verify(entry, &keys).map_err(|error| match error {
            NoteError::Unproven => fail(&format!("`{}` does not prove its record: {error}", self.file.display()), 1),
            error => not(&super::with_advice(&error, &self.vkey)),
        })?;
        let mut assembly = Assembly::of_proof();
        for entry in attached {
            assembly.take(entry).map_err(|problem| not(&problem))?;
        }
        let (index, size, origin) = (proof.index, checkpoint.size, checkpoint.origin);
        print_line(&format!("ok: record {index} of {origin}, under a checkpoint of {size} records"));
        Ok(ExitCode::SUCCESS)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, ExitCode> {
    fs::read(file).map_err(|error| fail(&format!("cannot read `{}`: {error}", file.display()), EXIT_IO))
}
