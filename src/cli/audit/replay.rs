//! `acgs audit replay`: decides recorded questions again, offline, under the constitution of then or under another one.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::{EXIT_CONFIG, fail, print_line};
use super::{Data, failed};
use crate::constitution::Constitution;
use crate::daemon::{self, Source};
use crate::ledger::{self, DiskStorage};
use crate::replay::{Outcome, Replay};

/// What to decide again.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// The index of the first record.
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    from: u64,
    /// The index behind the last record [default: all there are].
    #[arg(long, value_name = "INDEX")]
    to: Option<u64>,
    /// Another constitution: shows what would have been decided under it.
    #[arg(long, value_name = "DIR")]
    constitution: Option<PathBuf>,
}

impl Arguments {
    /// 0 where nothing differs, 1 where something does. What could not be decided again is listed with its reason.
    pub(super) fn run(&self, source: &Source) -> Result<ExitCode, ExitCode> {
        let folder = self.data.folder(source)?;
        let log = daemon::audit_folder(&folder);
        let other = self.constitution.as_ref().map(|folder| Constitution::load(folder)).transpose();
        let other = other.map_err(|faults| fail(&faults, EXIT_CONFIG))?;
        let mut replay = Replay::new(daemon::constitutions_folder(&folder), other);
        let storage = DiskStorage::at(&log);
        let (mut same, mut differences, mut undecided) = (0_u64, 0_u64, 0_u64);
        // From the first record on: entities that decisions read are recorded once, before the first of these.
        for record in ledger::records(&storage, 0..self.to.unwrap_or(u64::MAX)) {
            let (index, record) = record.map_err(|error| failed(&error, &log))?;
            if index < self.from {
                replay.learn(&record);
                continue;
            }
            match replay.decide(&record) {
                Outcome::NoDecision => {}
                Outcome::Same => same += 1,
                Outcome::Different { id, recorded, now } => {
                    differences += 1;
                    print_line(&format!("{index} {id}: recorded {recorded}, now {now}"));
                }
                Outcome::Undecided { id, why } => {
                    undecided += 1;
                    print_line(&format!("{index} {id}: not decided again: {why}"));
                }
            }
        }
        let decided = same + differences;
        print_line(&format!("{decided} decided again: {differences} differences; {undecided} could not be"));
        Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
