//! `acgs audit …`: reads the log of a stopped or running daemon, without a token.

mod remote;
mod replay;
mod verify;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{EXIT_CONFIG, EXIT_IO, fail, print_fault, print_line, unwritten};
use crate::daemon::{self, Source};
use crate::ledger::{self, DiskStorage, InclusionProof, LedgerError, Nodes as _, Note, TileReader};

/// What to do with the audit log.
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Recompute the whole log: frames, tree, tiles, checkpoints; exit 1 and name the first bad index otherwise.
    Verify(verify::Arguments),
    /// Print records as JSON lines, each with its `index`.
    Export {
        #[command(flatten)]
        data: Data,
        /// The index of the first record.
        #[arg(long, value_name = "INDEX", default_value_t = 0)]
        from: u64,
        /// The index behind the last record [default: all there are].
        #[arg(long, value_name = "INDEX")]
        to: Option<u64>,
    },
    /// Print one record, exactly as it is in the log.
    Show {
        #[command(flatten)]
        data: Data,
        /// The record's index.
        index: u64,
    },
    /// Print the proof that a record is in the log (C2SP tlog-proof), under the newest checkpoint.
    Prove {
        #[command(flatten)]
        data: Data,
        /// The record's index.
        index: u64,
    },
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
        Action::Export { data, from, to } => data.log(source).map(|log| export(&log, *from, to.unwrap_or(u64::MAX))),
        Action::Show { data, index } => data.log(source).map(|log| show(&log, *index)),
        Action::Prove { data, index } => data.log(source).map(|log| prove(&log, *index)),
        Action::Checkpoint { data } => data.log(source).map(|log| checkpoint(&log)),
        Action::Vkey { data, all } => data.log(source).map(|log| vkey(&log, *all)),
        Action::Replay(arguments) => arguments.run(source),
    };
    done.unwrap_or_else(|code| code)
}

/// 1 where the log is not what was written, 74 where it cannot be read.
fn failed(error: &LedgerError, log: &Path) -> ExitCode {
    if let LedgerError::Corrupt(fault) = error {
        print_fault(&format!("the audit log in `{}` is corrupt: {fault}", log.display()));
        ExitCode::FAILURE
    } else {
        print_fault(&format!("the audit log in `{}` cannot be read: {error}", log.display()));
        ExitCode::from(EXIT_IO)
    }
}

fn export(log: &Path, from: u64, to: u64) -> ExitCode {
    let storage = DiskStorage::at(log);
    let mut out = BufWriter::new(io::stdout().lock());
    for record in ledger::records(&storage, from..to) {
        let (index, record) = match record {
            Ok(record) => record,
            Err(error) => {
                drop(out.flush());
                return failed(&error, log);
            }
        };
        // A record is an object, so its index goes in as the first member.
        let members = record.strip_prefix(b"{").unwrap_or(&record);
        let written = write!(out, "{{\"index\":{index},")
            .and_then(|()| out.write_all(members))
            .and_then(|()| out.write_all(b"\n"));
        if let Err(error) = written {
            return ExitCode::from(unwritten(&error));
        }
    }
    out.flush().map_or_else(|error| ExitCode::from(unwritten(&error)), |()| ExitCode::SUCCESS)
}

fn show(log: &Path, index: u64) -> ExitCode {
    match ledger::record(&DiskStorage::at(log), index) {
        Ok(Some(record)) => {
            // Without a newline: these bytes are what the leaf hash is over.
            let mut out = io::stdout().lock();
            let written = out.write_all(&record).and_then(|()| out.flush());
            written.map_or_else(|error| ExitCode::from(unwritten(&error)), |()| ExitCode::SUCCESS)
        }
        Ok(None) => fail(&format!("the audit log in `{}` has no record `{index}`", log.display()), 1),
        Err(error) => failed(&error, log),
    }
}

fn prove(log: &Path, index: u64) -> ExitCode {
    let storage = DiskStorage::at(log);
    let note = match newest(&storage, log) {
        Ok(note) => note,
        Err(code) => return code,
    };
    let size = note.text().parse().map_or(0, |checkpoint: ledger::Checkpoint| checkpoint.size);
    if index >= size {
        return fail(&format!("the newest checkpoint covers `{size}` records, and so not record `{index}`"), 1);
    }
    match TileReader::new(&storage, size).prove_inclusion(index, size) {
        Ok(path) => {
            print_line(InclusionProof { index, path, note }.to_string().trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error, log),
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

fn newest(storage: &DiskStorage, log: &Path) -> Result<Note, ExitCode> {
    match ledger::last_checkpoint(storage) {
        Ok(Some(note)) => Ok(note),
        Ok(None) => Err(fail(&format!("the audit log in `{}` has no checkpoint yet", log.display()), 1)),
        Err(error) => Err(failed(&error, log)),
    }
}

fn vkey(log: &Path, all: bool) -> ExitCode {
    match ledger::public_keys(log) {
        Ok(keys) if keys.is_empty() => fail(&format!("the audit log in `{}` has no key yet", log.display()), 1),
        Ok(keys) => {
            let skipped = if all { 0 } else { keys.len() - 1 };
            keys.iter().skip(skipped).for_each(|key| print_line(&key.to_string()));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, EXIT_IO),
    }
}
