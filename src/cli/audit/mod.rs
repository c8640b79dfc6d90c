//! `acgs audit …`: reads the log of a stopped or running daemon, without a token.

mod check_proof;
mod position;
mod remote;
mod replay;
mod verify;

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use position::RecordName;

use super::{EXIT_CONFIG, EXIT_IO, fail, print_fault, print_line, unwritten};
use crate::daemon::{self, Source};
use crate::ledger::{
    self, DiskStorage, EvidenceError, InclusionProof, LedgerError, Nodes as _, Note, NoteError, TileReader,
    VerifierKey, WholeRecord,
};

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
            data.log(source).map(|log| export(&log, *from..to.unwrap_or(u64::MAX), Form::of(*raw)))
        }
        Action::Show { data, record, raw } => data.log(source).map(|log| show(&log, record, Form::of(*raw))),
        Action::Prove { data, record } => data.log(source).map(|log| prove(&log, record)),
        Action::CheckProof(arguments) => arguments.run(source),
        Action::Checkpoint { data } => data.log(source).map(|log| checkpoint(&log)),
        Action::Vkey { data, all } => data.log(source).map(|log| vkey(&log, *all)),
        Action::Replay(arguments) => arguments.run(source),
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

/// The form in which records are printed.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Joined from their parts, with their shared members.
    Whole,
    /// Entry by entry, as in the log.
    Raw,
}

impl Form {
    const fn of(raw: bool) -> Self {
        if raw { Self::Raw } else { Self::Whole }
    }

    /// The printed form of an entry.
    fn text<'r>(self, storage: &DiskStorage, index: u64, entry: &'r [u8]) -> Result<Cow<'r, [u8]>, LedgerError> {
        match self {
            Self::Whole => ledger::whole(storage, index, entry),
            Self::Raw => Ok(entry.into()),
        }
    }
}

fn export(log: &Path, indices: Range<u64>, form: Form) -> ExitCode {
    let storage = DiskStorage::at(log);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut found = ledger::whole_records(&storage, indices);
    loop {
        let record = match found.advance() {
            Ok(None) => break,
            Ok(Some(WholeRecord { index, entry, text })) => match form {
                Form::Whole => text.map(|text| (index, text)),
                Form::Raw => Ok((index, entry.into())),
            },
            Err(error) => Err(error),
        };
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

fn show(log: &Path, name: &RecordName, form: Form) -> ExitCode {
    let storage = DiskStorage::at(log);
    let index = match find(&storage, log, name) {
        Ok(index) => index,
        Err(code) => return code,
    };
    let entry = ledger::record(&storage, index);
    let record =
        entry.and_then(|entry| entry.map(|entry| form.text(&storage, index, &entry).map(Cow::into_owned)).transpose());
    match record {
        Ok(Some(record)) => {
            // Raw, it is without a newline: the leaf hash covers exactly the bytes of the entry.
            let end: &[u8] = match form {
                Form::Whole => b"\n",
                Form::Raw => b"",
            };
            let mut out = io::stdout().lock();
            let written = out.write_all(&record).and_then(|()| out.write_all(end)).and_then(|()| out.flush());
            written.map_or_else(|error| ExitCode::from(unwritten(&error)), |()| ExitCode::SUCCESS)
        }
        Ok(None) => missing(log, name),
        Err(error) => failed(&error, log),
    }
}

fn prove(log: &Path, name: &RecordName) -> ExitCode {
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
