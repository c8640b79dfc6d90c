//! A first start that is killed at any moment does not keep the next one from starting.
//!
//! `ACGS_KILL_EVERY=1` kills it at each step; by default each fourth one is tried, from a random one on.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use tempfile::TempDir;

use crate::audit::verify;
use crate::harness::{Setup, TestDaemon, preload};

/// The number of concurrent starts.
const THREADS: usize = 4;

/// The library that kills the daemon, once it is compiled.
fn killer() -> Option<PathBuf> {
    static KILLER: OnceLock<Option<(TempDir, PathBuf)>> = OnceLock::new();
    let killer = KILLER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = preload::compile(&["killer.c"], folder.path())?;
        Some((folder, library))
    });
    killer.as_ref().map(|(_, library)| library.clone())
}

/// Kills a start before its change number `step` of a file. Returns the daemon if it became ready before that.
fn start_until(setup: &Setup, killer: &std::path::Path, step: usize) -> Option<TestDaemon> {
    let within = setup.data_dir();
    let doomed = setup.clone().env("LD_PRELOAD", killer.display()).env("KILL_WITHIN", within.display());
    match doomed.env("KILL_AT", step).try_start() {
        Ok(daemon) => Some(daemon),
        Err(refused) => {
            assert_eq!(refused.status.signal(), Some(9), "step {step}: {refused}");
            None
        }
    }
}

/// The next start behaves like a first one, and creates everything.
#[track_caller]
fn starts(setup: &Setup, step: &str) {
    let checked = setup.run(["check"]);
    assert!(checked.status.success(), "step {step}: {}", String::from_utf8_lossy(&checked.stderr));
    let daemon = setup.try_start().map_err(|refused| format!("killed at step {step}: {refused}")).unwrap();
    assert_eq!(daemon.get("/readyz").status, 200, "step {step}");
    assert!(daemon.stop().success(), "step {step}");
    verify(setup);
    let password = fs::read_to_string(setup.data_dir().join("admin-password")).unwrap();
    assert!(password.trim().len() >= 16, "step {step}");
}

#[test]
fn a_first_start_can_be_killed_at_any_step_and_the_next_one_begins_anew() {
    let Some(killer) = killer() else { return };
    let every = std::env::var("ACGS_KILL_EVERY").map_or(4, |every| every.parse().unwrap());
    // Each thread takes the next step, until one is beyond the last.
    let first = rand::random_range(1..=every);
    let (next, last) = (AtomicUsize::new(first), AtomicUsize::new(usize::MAX));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let step = next.fetch_add(every, Ordering::Relaxed);
                    if step > last.load(Ordering::Relaxed) {
                        return;
                    }
                    let setup = Setup::new().in_files();
                    if start_until(&setup, &killer, step).is_some() {
                        last.fetch_min(step, Ordering::Relaxed);
                        return;
                    }
                    starts(&setup, &step.to_string());
                }
            });
        }
    });
    let steps = last.load(Ordering::Relaxed);
    println!("each {every}th of {steps} steps, from step {first} on");
    assert!(steps > 40, "{steps}");
}

#[test]
fn starts_that_are_killed_one_after_the_other_leave_nothing_either() {
    let Some(killer) = killer() else { return };
    for stride in [3, 7, 19] {
        let setup = Setup::new().in_files();
        let mut step = stride;
        while start_until(&setup, &killer, step).is_none() {
            step += stride;
        }
        starts(&setup, &format!("{stride}, {}, … {step}", 2 * stride));
    }
}

/// The remains of first starts of earlier versions.
#[test]
fn what_an_earlier_version_left_of_a_killed_first_start_is_begun_anew() {
    type Damage = fn(&std::path::Path);
    let cases: [(&str, Damage); 4] = [
        ("an empty database", |data| fs::write(data.join("acgs.db"), "").unwrap()),
        ("an empty database and its log", |data| {
            for name in ["acgs.db", "acgs.db-wal", "acgs.db-journal"] {
                fs::write(data.join(name), "").unwrap();
            }
        }),
        ("a public key without the private one", |data| {
            fs::create_dir(data.join("audit")).unwrap();
            let other = Setup::new().in_files();
            other.start().kill();
            let listed = fs::read_to_string(other.data_dir().join("audit/keys")).unwrap();
            fs::write(data.join("audit/keys"), listed).unwrap();
        }),
        ("a folder without anything", |data| fs::create_dir(data.join("audit")).unwrap()),
    ];
    for (name, leave) in cases {
        let setup = Setup::new().in_files();
        fs::create_dir(setup.data_dir()).unwrap();
        leave(&setup.data_dir());
        starts(&setup, name);
    }
}

#[test]
fn an_empty_database_beside_a_log_with_records_is_refused() {
    let setup = Setup::new().in_files();
    assert!(setup.start().stop().success());
    let database = setup.data_dir().join("acgs.db");
    fs::write(&database, "").unwrap();
    let refused = setup.try_start().unwrap_err();
    assert!(refused.stderr.contains("the file is empty"), "{refused}");
    assert_eq!((refused.status.code(), fs::read(&database).unwrap().len()), (Some(74), 0));
}

#[test]
fn a_key_that_is_gone_from_a_log_with_records_is_not_replaced() {
    let setup = Setup::new().in_files();
    assert!(setup.start().stop().success());
    let list = setup.data_dir().join("audit/keys");
    let before = fs::read(&list).unwrap();
    fs::remove_file(setup.data_dir().join("audit/key")).unwrap();
    let refused = setup.try_start().unwrap_err();
    assert!(refused.stderr.contains("put the key back"), "{refused}");
    assert_eq!((refused.status.code(), fs::read(&list).unwrap()), (Some(74), before));
}

/// A command that runs the daemon's parts without a daemon is a first start, too.
#[test]
fn a_command_may_be_the_first_start() {
    let setup = Setup::new().in_files();
    let mut command: Command = setup.command(["user", "list"]);
    assert!(command.output().unwrap().status.success());
    starts(&setup, "after a command");
}
