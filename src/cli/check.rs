//! `acgs check`: everything that would keep the daemon from starting, at once.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::{EXIT_CONFIG, print_fault, print_line};
use crate::constitution::{Candidate, Constitution, Faults, Misfits};
use crate::daemon::{self, Source};
use crate::store::{self, StoreOptions};

/// Prints every fault; exits with 0 or 78.
pub fn run(source: &Source, offline: bool) -> ExitCode {
    let settings = match if offline { source.load_offline() } else { source.load() } {
        Ok(loaded) => {
            if let Some(notice) = loaded.notice() {
                print_fault(&format!("warning: {notice}"));
            }
            loaded.settings
        }
        Err(faults) => {
            print_fault(&faults);
            // With faulty settings the constitution's folder is uncertain; the one beside the settings is checked all
            // the same.
            let beside = source.folder.join("constitution");
            if beside.is_dir() {
                report(&beside, Candidate::read(&beside));
            }
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let candidate = Candidate::load(&settings.constitution);
    let constitution = candidate.as_ref().ok().map(|candidate| Arc::clone(&candidate.constitution));
    let mut sound = report(&settings.constitution.path, candidate);
    if !offline {
        let (store, search) = (daemon::store_options(&settings), daemon::search_options(&settings));
        let begins_anew = daemon::is_unrecorded(&settings) && store::is_unfinished(&store.target);
        let found = [
            if begins_anew { Ok(()) } else { store::inspect(&store.target, store.acquire_timeout) },
            store::search_index::inspect(&search.target, search.acquire_timeout),
        ];
        for error in found.into_iter().filter_map(Result::err) {
            print_fault(&format!("error: {error}"));
            sound = false;
        }
        if let (true, false, Some(constitution)) = (sound, begins_anew, constitution) {
            sound = compare(&store, &settings.constitution.path, &constitution);
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

/// Prints the stored entities that do not fit a constitution's schema. True if there are none.
fn compare(store: &StoreOptions, folder: &Path, constitution: &Constitution) -> bool {
    let mut misfits = Misfits::default();
    let compared = store::visit(&store.target, store.acquire_timeout, |entities| misfits.check(constitution, entities));
    if let Err(error) = compared {
        print_fault(&format!("error: {error}"));
        return false;
    }
    let objections = misfits.objections();
    for objection in &objections {
        print_fault(&format!("error: {}/{objection}", folder.display()));
    }
    objections.is_empty()
}

/// Prints the faults and warnings of a constitution, and its failing test cases. True if it can be used.
fn report(folder: &Path, loaded: Result<Candidate, Faults>) -> bool {
    match loaded {
        Ok(Candidate { constitution, objections, .. }) => {
            for warning in constitution.warnings() {
                print_fault(&format!("warning: {}/{warning}", folder.display()));
            }
            for objection in &objections {
                print_fault(&format!("error: {}/{objection}", folder.display()));
            }
            objections.is_empty()
        }
        Err(faults) => {
            for fault in faults.0 {
                print_fault(&format!("error: {}/{fault}", folder.display()));
            }
            false
        }
    }
}
