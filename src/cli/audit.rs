//! `acgs audit verify|export`: reads the log of a stopped or running daemon.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{EXIT_CONFIG, EXIT_IO, fail, print_fault, print_line, unwritten};
use crate::daemon::{self, Source};
use crate::ledger::{self, DiskStorage, LedgerError};

/// What to do with the audit log.
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check every frame, the chain, the indices and the tree; exit 1 and name the first bad index otherwise.
    Verify {
        #[command(flatten)]
        data: Data,
    },
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
}

/// Where the log is.
#[derive(Debug, Args)]
struct Data {
    /// The data folder [default: the one that the settings name].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs one of the commands.
pub fn run(command: &Command, source: &Source) -> ExitCode {
    let (Action::Verify { data } | Action::Export { data, .. }) = &command.action;
    let data_dir = match &data.data {
        Some(folder) => folder.clone(),
        None => match source.load() {
            Ok(loaded) => loaded.settings.data_dir,
            Err(faults) => return fail(&faults, EXIT_CONFIG),
        },
    };
    let storage = DiskStorage::at(daemon::audit_folder(&data_dir));
    match &command.action {
        Action::Verify { .. } => verify(&storage, &data_dir),
        Action::Export { from, to, .. } => export(&storage, &data_dir, *from, to.unwrap_or(u64::MAX)),
    }
}

fn verify(storage: &DiskStorage, data_dir: &Path) -> ExitCode {
    match ledger::verify(storage) {
        Ok(summary) => {
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
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error, data_dir),
    }
}

/// 1 where the log is not what was written, 74 where it cannot be read.
fn failed(error: &LedgerError, data_dir: &Path) -> ExitCode {
    let folder = daemon::audit_folder(data_dir);
    if let LedgerError::Corrupt(fault) = error {
        print_fault(&format!("the audit log in `{}` is corrupt: {fault}", folder.display()));
        ExitCode::FAILURE
    } else {
        print_fault(&format!("the audit log in `{}` cannot be read: {error}", folder.display()));
        ExitCode::from(EXIT_IO)
    }
}

fn export(storage: &DiskStorage, data_dir: &Path, from: u64, to: u64) -> ExitCode {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for record in ledger::records(storage, from..to) {
        let (index, record) = match record {
            Ok(record) => record,
            Err(error) => {
                drop(out.flush());
                return failed(&error, data_dir);
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
