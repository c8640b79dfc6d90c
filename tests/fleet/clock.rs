//! The wall clock of daemons, which a test sets.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Setup, repository};

/// The clocks of all daemons of a fleet.
pub struct Clocks(TempDir);

impl Clocks {
    /// Compiles what is preloaded; nothing where there is no C compiler.
    pub fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(folder.path().join("clock.so"));
        let Ok(status) = compiler.arg(repository().join("tests/faults/clock.c")).arg("-ldl").status() else {
            println!("there is no C compiler `cc`: clocks do not step");
            return None;
        };
        assert!(status.success());
        Some(Self(folder))
    }

    /// The setup of a daemon whose clock is set here.
    pub fn within(&self, node: usize, setup: Setup) -> Setup {
        let library = self.0.path().join("clock.so");
        setup.env("LD_PRELOAD", library.display()).env("CLOCK", self.file(node).display())
    }

    /// Sets the clock of a daemon so many seconds ahead.
    pub fn step(&self, node: usize, ahead_s: i64) {
        let new = self.0.path().join("new");
        fs::write(&new, ahead_s.to_string()).unwrap();
        fs::rename(new, self.file(node)).unwrap();
    }

    fn file(&self, node: usize) -> PathBuf {
        self.0.path().join(format!("node-{node}"))
    }
}
