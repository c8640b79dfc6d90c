//! `acgs audit …`: reads the log of a stopped or running daemon, without a token.

mod check_proof;
mod position;
mod print;
mod prove;
mod remote;
mod replay;
mod size;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use position::RecordName;

use super::{EXIT_CONFIG, EXIT_IO, fail, print_fault, print_line};
use crate::daemon::{self, Source};
use crate::ledger::{self, DiskStorage, EvidenceError, LedgerError, Note, NoteError, VerifierKey};

/// Audit log commands.
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Recompute the whole log: frames, tree, tiles, checkpoints; exit 1 and name the first bad index otherwise.
    Verify(verify::Arguments),
    /// Print records as JSON lines, each with its `index`; a record in parts or with shared members is printed
    /// whole, after these.
    Export {
        #[command(flatten)]
        data: Data,
        /// The index of the first record.
        #[arg(long, value_name = "INDEX", default_value_t = 0)]
        from: u64,
        /// The index behind the last record [default: all there are].
        #[arg(long, value_name = "INDEX")]
        to: Option<u64>,
        /// Print every entry as it is in the log, parts included.
        #[arg(long)]
        raw: bool,
    },
    /// Print one record; a record in parts or with shared members is printed whole.
    Show {
        #[command(flatten)]
        data: Data,
        /// The record's index, or its id.
        record: RecordName,
        /// Print the entry as it is in the log, without a newline: a proof is about these bytes.
        #[arg(long)]
        raw: bool,
    },
    /// Print the proof that a record is in the log (C2SP tlog-proof), under the newest checkpoint, including the
    /// record.
    Prove {
        #[command(flatten)]
        data: Data,
        /// The record's index, or its id.
        record: RecordName,
    },
    /// Verify a proof printed by `prove`; exit 1 if it does not verify.
    CheckProof(check_proof::Arguments),
    /// Print the newest checkpoint (C2SP tlog-checkpoint): keep it elsewhere, for `verify --from`.
    Checkpoint {
        #[command(flatten)]
        data: Data,
    },
    /// Print the log's public key (a verifier key of C2SP signed-note).
    Vkey {
        #[command(flatten)]
        data: Data,
        /// Print every key that ever signed, the oldest first.
        #[arg(long)]
        all: bool,
    },
    /// Decide recorded questions again, and list every difference.
    Replay(replay::Arguments),
    /// Show what the log takes on disk, what a record takes, what it grows by, and for how many days there is space.
    Size(size::Arguments),
}

/// Where the log is.
#[derive(Debug, Args)]
struct Data {
    /// The data folder [default: the one that the settings name].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Data {
    /// The data folder.
    fn folder(&self, source: &Source) -> Result<PathBuf, ExitCode> {
        match &self.data {
            Some(folder) => Ok(folder.clone()),
            None => match source.load() {
                Ok(loaded) => Ok(loaded.settings.data_dir),
                Err(faults) => Err(fail(&faults, EXIT_CONFIG)),
            },
        }
    }

    /// The folder of the log in it.
    fn log(&self, source: &Source) -> Result<PathBuf, ExitCode> {
        Ok(daemon::audit_folder(&self.folder(source)?))
    }
}

/// Runs one of the commands.
pub fn run(command: &Command, source: &Source) -> ExitCode {
    let done = match &command.action {
        Action::Verify(arguments) => arguments.run(source),
        Action::Export { data, from, to, raw } => {
            data.log(source).map(|log| print::export(&log, *from..to.unwrap_or(u64::MAX), print::Form::of(*raw)))
        }
        Action::Show { data, record, raw } => {
            data.log(source).map(|log| print::show(&log, record, print::Form::of(*raw)))
        }
        Action::Prove { data, record } => data.log(source).map(|log| prove::prove(&log, record)),
        Action::CheckProof(arguments) => arguments.run(source),
        Action::Checkpoint { data } => data.log(source).map(|log| checkpoint(&log)),
        Action::Vkey { data, all } => data.log(source).map(|log| vkey(&log, *all)),
        Action::Replay(arguments) => arguments.run(source),
        Action::Size(arguments) => arguments.run(source),
    };
    done.unwrap_or_else(|code| code)
}

/// Prints that a folder has no log, if that is so.
fn absent(log: &Path, code: u8) -> Option<ExitCode> {
    let told = || {
        fail(&format!("there is no audit log in `{}`; `--data` or `--settings` names the folder", log.display()), code)
    };
    (!log.exists()).then(told)
}

/// The error of a note; if it is signed by a key other than the `given` ones, with the remedy.
fn with_advice(error: &NoteError, given: &[VerifierKey]) -> String {
    match error {
        NoteError::Unsigned { .. } if !given.is_empty() => {
            format!(
                "{error}, which was not given: after a rotation pass every key of `acgs audit vkey --all` as `--vkey`"
            )
        }
        error => error.to_string(),
    }
}

/// Exit code 1 if the log is damaged, 74 if it cannot be read.
fn failed(error: &LedgerError, log: &Path) -> ExitCode {
    if let Some(code) = absent(log, EXIT_IO) {
        code
    } else if let LedgerError::Corrupt(fault) = error {
        print_fault(&format!("the audit log in `{}` is corrupt: {fault}", log.display()));
        ExitCode::FAILURE
    } else {
        print_fault(&format!("the audit log in `{}` cannot be read: {error}", log.display()));
        ExitCode::from(EXIT_IO)
    }
}

fn checkpoint(log: &Path) -> ExitCode {
    match newest(&DiskStorage::at(log), log) {
        Ok(note) => {
            print_line(note.to_string().trim_end());
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// The index of a record that is named on the command line.
fn find(storage: &DiskStorage, log: &Path, name: &RecordName) -> Result<u64, ExitCode> {
    match name.find(storage) {
        Ok(Some(index)) => Ok(index),
        Ok(None) => Err(missing(log, name)),
        Err(error) => Err(failed(&error, log)),
    }
}

fn missing(log: &Path, name: &RecordName) -> ExitCode {
    fail(&format!("the audit log in `{}` has no record `{name}`", log.display()), 1)
}

fn newest(storage: &DiskStorage, log: &Path) -> Result<Note, ExitCode> {
    match ledger::last_checkpoint(storage) {
        Ok(Some(note)) => Ok(note),
        Ok(None) => Err(absent(log, 1)
            .unwrap_or_else(|| fail(&format!("the audit log in `{}` has no checkpoint yet", log.display()), 1))),
        Err(error) => Err(failed(&error, log)),
    }
}

fn vkey(log: &Path, all: bool) -> ExitCode {
    match ledger::public_keys(log) {
        Ok(keys) if keys.is_empty() => {
            absent(log, 1).unwrap_or_else(|| fail(&format!("the audit log in `{}` has no key yet", log.display()), 1))
        }
        Ok(keys) => {
            let skipped = if all { 0 } else { keys.len() - 1 };
            keys.iter().skip(skipped).for_each(|key| print_line(&key.to_string()));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, EXIT_IO),
    }
}

/// The error of a log; if one of its notes is signed by a key other than the `given` ones, with the remedy.
fn advised(error: &EvidenceError, given: &[VerifierKey]) -> String {
    match error {
        EvidenceError::Stored(note) => {
            format!("the stored checkpoint is not one of this log: {}", with_advice(note, given))
        }
        EvidenceError::Foreign(note) => {
            format!("the given checkpoint is not one of this log: {}", with_advice(note, given))
        }
        error => error.to_string(),
    }
}
