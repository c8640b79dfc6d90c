//! `acgs audit export` and `acgs audit show`: print records.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;

use super::super::unwritten;
use super::position::RecordName;
use super::{failed, find, missing};
use crate::ledger::{self, DiskStorage, LedgerError, WholeRecord};

/// The form in which records are printed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// Joined from their parts, with their shared members.
    Whole,
    /// Entry by entry, as in the log.
    Raw,
}

impl Form {
    pub(super) const fn of(raw: bool) -> Self {
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

/// Prints the records with these indices, each with its index.
pub(super) fn export(log: &Path, indices: Range<u64>, form: Form) -> ExitCode {
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

/// Prints one record.
pub(super) fn show(log: &Path, name: &RecordName, form: Form) -> ExitCode {
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
