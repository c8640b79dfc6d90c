//! `acgs check`: everything that would keep the daemon from starting, at once.

use std::process::ExitCode;

use super::{EXIT_CONFIG, print_fault, print_line};
use crate::constitution::Constitution;
use crate::daemon::{self, Source};
use crate::store;

/// Prints every fault; exits with 0 or 78.
pub fn run(source: &Source, offline: bool) -> ExitCode {
    let settings = match source.load() {
        Ok(loaded) => loaded.settings,
        Err(faults) => {
            print_fault(&faults);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let mut sound = true;
    match Constitution::load_as_set(&settings.constitution) {
        Ok(constitution) => {
            for warning in constitution.warnings() {
                print_fault(&format!("warning: {}/{warning}", settings.constitution.path.display()));
            }
        }
        Err(faults) => {
            for fault in faults.0 {
                print_fault(&format!("error: {}/{fault}", settings.constitution.path.display()));
            }
            sound = false;
        }
    }
    if !offline {
        let options = daemon::store_options(&settings);
        if let Err(error) = store::inspect(&options.path, options.acquire_timeout) {
            print_fault(&format!("error: {error}"));
            sound = false;
        }
    }
    if sound {
        print_line("ok");
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_CONFIG)
    }
}
