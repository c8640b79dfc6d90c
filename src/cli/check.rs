//! `acgs check`: everything that would keep the daemon from starting, at once.

use std::path::Path;
use std::process::ExitCode;

use super::{EXIT_CONFIG, print_fault, print_line};
use crate::constitution::{Constitution, Faults};
use crate::daemon::{self, Source};
use crate::store;

/// Prints every fault; exits with 0 or 78.
pub fn run(source: &Source, offline: bool) -> ExitCode {
    let settings = match if offline { source.load_offline() } else { source.load() } {
        Ok(loaded) => loaded.settings,
        Err(faults) => {
            print_fault(&faults);
            // Which constitution is meant is not known for sure; the one beside the settings is looked at all the same.
            let beside = source.folder.join("constitution");
            if beside.is_dir() {
                report(&beside, Constitution::load(&beside));
            }
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let loaded = Constitution::of_settings(&settings.constitution).map(|(constitution, _)| constitution);
    let mut sound = report(&settings.constitution.path, loaded);
    if !offline {
        let (store, search) = (daemon::store_options(&settings), daemon::search_options(&settings));
        let found = [
            store::inspect(&store.target, store.acquire_timeout),
            store::audit::inspect(&search.target, search.acquire_timeout),
        ];
        for error in found.into_iter().filter_map(Result::err) {
            print_fault(&format!("error: {error}"));
            sound = false;
        }
    }
    if !offline && let Err(error) = daemon::check_redis(&settings) {
        print_fault(&format!("error: {error}"));
        sound = false;
    }
    if let Err(error) = daemon::check_keys(&settings) {
        print_fault(&format!("error: {error}"));
        sound = false;
    }
    if sound {
        print_line("ok");
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_CONFIG)
    }
}

/// Prints the faults and warnings of a constitution; whether it can be used.
fn report(folder: &Path, loaded: Result<Constitution, Faults>) -> bool {
    match loaded {
        Ok(constitution) => {
            for warning in constitution.warnings() {
                print_fault(&format!("warning: {}/{warning}", folder.display()));
            }
            true
        }
        Err(faults) => {
            for fault in faults.0 {
                print_fault(&format!("error: {}/{fault}", folder.display()));
            }
            false
        }
    }
}
