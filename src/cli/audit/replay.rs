//! `acgs audit replay`: decides recorded questions again, offline, under the constitution of then or under another one.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::{EXIT_CONFIG, fail, print_line};
use super::position::{Position, RecordName};
use super::{Data, failed, missing};
use crate::constitution::Constitution;
use crate::daemon::{self, Source};
use crate::domain::Object;
use crate::ledger::{self, DiskStorage, WholeRecord, text_of};
use crate::replay::{Difference, Differences, Outcome, Replay};

/// The arguments of `acgs audit replay`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// Only this decision, by its index or its id.
    #[arg(conflicts_with_all = ["from", "to"])]
    record: Option<RecordName>,
    /// The first record: its index, its id, or the earliest time (RFC 3339, or a date) [default: the first in the log].
    #[arg(long, value_name = "POSITION")]
    from: Option<Position>,
    /// The end: the index or id of the first record to be left out, or the time before which records were made
    /// [default: the end of the log].
    #[arg(long, value_name = "POSITION")]
    to: Option<Position>,
    /// Another constitution: shows what would have been decided under it.
    #[arg(long, value_name = "DIR")]
    constitution: Option<PathBuf>,
}

impl Arguments {
    /// 0 if every decision is the same again; 1 if one differs or cannot be made again. Both kinds are listed.
    pub(super) fn run(&self, source: &Source) -> Result<ExitCode, ExitCode> {
        let folder = self.data.folder(source)?;
        let log = daemon::audit_folder(&folder);
        let other = self.constitution.as_ref().map(|folder| Constitution::load(folder)).transpose();
        let other = other.map_err(|faults| fail(&faults, EXIT_CONFIG))?;
        let mut replay = Replay::new(daemon::constitutions_folder(&folder), other);
        let storage = DiskStorage::at(&log);
        let wanted = self.wanted(&storage, &log)?;
        let mut told = Told::default();
        // From the first record on: entities that decisions read are recorded once, before the first of these.
        let mut found = ledger::whole_records(&storage, 0..wanted.end);
        while let Some(WholeRecord { index, text, .. }) = found.advance().map_err(|error| failed(&error, &log))? {
            let record = text.map_err(|error| failed(&error, &log))?;
            if index < wanted.start || !wanted.has_time_of(&record) {
                replay.learn(&record);
            } else {
                told.take(index, replay.decide(&record));
            }
        }
        match &self.record {
            Some(name) if told.is_empty() => Err(fail(&format!("record `{name}` is no decision"), 1)),
            _ => Ok(told.finish()),
        }
    }

    fn wanted(&self, storage: &DiskStorage, log: &Path) -> Result<Wanted, ExitCode> {
        let mut wanted = Wanted { start: 0, end: u64::MAX, earliest: None, before: None };
        let find = |name: &RecordName| super::find(storage, log, name);
        if let Some(name) = &self.record {
            wanted.start = find(name)?;
            wanted.end = wanted.start.saturating_add(1);
            let exists = ledger::record(storage, wanted.start).map_err(|error| failed(&error, log))?.is_some();
            return if exists { Ok(wanted) } else { Err(missing(log, name)) };
        }
        match &self.from {
            Some(Position::Record(name)) => wanted.start = find(name)?,
            Some(Position::Time(at)) => wanted.earliest = Some(*at),
            None => {}
        }
        match &self.to {
            Some(Position::Record(name)) => wanted.end = find(name)?,
            Some(Position::Time(at)) => wanted.before = Some(*at),
            None => {}
        }
        Ok(wanted)
    }
}

/// The records that are replayed.
struct Wanted {
    start: u64,
    end: u64,
    earliest: Option<OffsetDateTime>,
    before: Option<OffsetDateTime>,
}

impl Wanted {
    /// Whether a record was made in the wanted period. Clocks may be set, so every record's own time is compared.
    fn has_time_of(&self, record: &[u8]) -> bool {
        if self.earliest.is_none() && self.before.is_none() {
            return true;
        }
        let Ok(record) = serde_json::from_slice::<Object>(record) else { return true };
        let Some(at) = text_of(&record, "ts").and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok()) else {
            return true;
        };
        self.earliest.is_none_or(|earliest| at >= earliest) && self.before.is_none_or(|before| at < before)
    }
}

/// Prints outcomes, and counts them.
#[derive(Default)]
struct Told {
    same: u64,
    undecided: u64,
    differences: Differences,
}

impl Told {
    /// Whether no decision was among the records.
    fn is_empty(&self) -> bool {
        self.same == 0 && self.undecided == 0 && self.differences.count() == 0
    }

    fn take(&mut self, index: u64, outcome: Outcome) {
        match outcome {
            Outcome::NoDecision => {}
            Outcome::Same => self.same += 1,
            Outcome::Different(difference) => {
                self.differences.add(&difference);
                let Difference { id, question, recorded, now, .. } = &*difference;
                let change = difference.change();
                print_line(&format!("{index} {id}: {change} of {question}: recorded {recorded}, now {now}"));
            }
            Outcome::Undecided { id, why } => {
                self.undecided += 1;
                print_line(&format!("{index} {id}: not decided again: {why}"));
            }
        }
    }

    fn finish(self) -> ExitCode {
        let differences = self.differences.count();
        if differences > 0 {
            print_line(&format!("by verdict: {}", counted(&self.differences.by_change)));
            print_line(&format!("by policy: {}", counted(&self.differences.by_policy)));
        }
        let decided = self.same + differences;
        print_line(&format!(
            "{decided} decided again, {differences} differ; {} could not be decided again",
            self.undecided
        ));
        if differences == 0 && self.undecided == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Counts by name, the highest first: `owner 7, dear 2`; `none` if there are none.
fn counted<K: Display>(counts: &BTreeMap<K, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let counts: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}
