//! `acgs audit prove`: prints the proof that a record is in the log.

use std::path::Path;
use std::process::ExitCode;

use super::super::{fail, print_line};
use super::position::RecordName;
use super::{failed, find, newest};
use crate::ledger::{self, DiskStorage, InclusionProof, Nodes as _, TileReader};

/// Prints the proof of one record under the newest checkpoint.
pub(super) fn prove(log: &Path, name: &RecordName) -> ExitCode {
    match proof(log, name) {
        Ok(proof) => {
            print_line(proof.to_string().trim_end());
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn proof(log: &Path, name: &RecordName) -> Result<InclusionProof, ExitCode> {
    let storage = DiskStorage::at(log);
    let note = newest(&storage, log)?;
    let index = find(&storage, log, name)?;
    let size = note.text().parse().map_or(0, |checkpoint: ledger::Checkpoint| checkpoint.size);
    if index >= size {
        return Err(fail(
            &format!("the newest checkpoint covers `{size}` records, not yet record `{name}`; try again in a second"),
            1,
        ));
    }
    let path = TileReader::new(&storage, size).prove_inclusion(index, size).map_err(|error| failed(&error, log))?;
    let entries = ledger::entries_of(&storage, index).map_err(|error| failed(&error, log))?;
    Ok(InclusionProof { entries: Some(entries), index, path, note })
}
