//! `acgs constitution hash|lint|test [DIR]`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{EXIT_CONFIG, fail, print_fault, print_line};
use crate::constitution::{Bundle, Candidate, Constitution, Faults};
use crate::daemon::Source;

/// Bundle commands.
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print hash and digest.
    Hash {
        /// The bundle's folder [default: the one that the settings name].
        dir: Option<PathBuf>,
    },
    /// Print every fault and warning.
    Lint {
        /// The bundle's folder [default: the one that the settings name].
        dir: Option<PathBuf>,
    },
    /// Run the bundle's cases, and say which policies they leave out.
    Test {
        /// The bundle's folder [default: the one that the settings name].
        dir: Option<PathBuf>,
    },
}

/// Runs one of the commands: 0, 1 where cases fail, 78 where the bundle has faults.
pub fn run(command: &Command, source: &Source) -> ExitCode {
    let (Action::Hash { dir } | Action::Lint { dir } | Action::Test { dir }) = &command.action;
    let folder = match dir {
        Some(dir) => dir.clone(),
        None => match source.load() {
            Ok(loaded) => loaded.settings.constitution.path,
            Err(faults) => return fail(&faults, EXIT_CONFIG),
        },
    };
    let done = match command.action {
        Action::Hash { .. } => hash(&folder),
        Action::Lint { .. } => lint(&folder),
        Action::Test { .. } => test(&folder),
    };
    done.unwrap_or_else(|faults| fail(&faults, EXIT_CONFIG))
}

fn hash(folder: &Path) -> Result<ExitCode, Faults> {
    let constitution = Constitution::load(folder)?;
    print_line(&format!("hash   {}", constitution.hash()));
    print_line(&format!("digest {}", constitution.digest()));
    Ok(ExitCode::SUCCESS)
}

fn lint(folder: &Path) -> Result<ExitCode, Faults> {
    let Candidate { constitution, .. } = Candidate::read(folder)?;
    constitution.warnings().iter().for_each(|warning| print_fault(&format!("warning: {warning}")));
    let (policies, level) = (constitution.policies().len(), constitution.level());
    let principles = constitution.principles().len();
    print_line(&format!(
        "ok: {principles} principles, {policies} policies, references to entities up to level {level}; \
         `acgs constitution test` runs the cases"
    ));
    Ok(ExitCode::SUCCESS)
}

fn test(folder: &Path) -> Result<ExitCode, Faults> {
    let bundle = Bundle::read(folder)?;
    let constitution = Constitution::from_bundle(&bundle)?;
    let (outcomes, coverage) = constitution.run_cases(&bundle.cases()?);
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.failures.is_empty()).collect();
    for outcome in &failed {
        print_fault(&format!("{}: {}", outcome.place, outcome.name));
        outcome.failures.iter().for_each(|failure| print_fault(&format!("    {failure}")));
    }
    let covered = coverage.policies - coverage.missed.len();
    print_line(&format!("{} passed, {} failed", outcomes.len() - failed.len(), failed.len()));
    print_line(&format!("{covered} of {} policies covered", coverage.policies));
    for id in &coverage.missed {
        print_line(&format!("not covered: {id}"));
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
