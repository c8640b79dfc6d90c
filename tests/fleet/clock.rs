//! Wall clocks of daemons, set by a test.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::harness::{Setup, preload};

/// The clocks of all daemons of a fleet.
pub struct Clocks {
    folder: TempDir,
    library: PathBuf,
}

impl Clocks {
    /// Compiles the preloaded library; `None` without a C compiler.
    pub fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let library = preload::compile(&["clock.c"], folder.path())?;
        Some(Self { folder, library })
    }

    /// The setup of a daemon whose clock can be set.
    pub fn within(&self, node: usize, setup: Setup) -> Setup {
        setup.env("LD_PRELOAD", self.library.display()).env("CLOCK", self.file(node).display())
    }

    /// Sets a daemon's clock ahead by `seconds`.
    pub fn step(&self, node: usize, ahead_s: i64) {
        let new = self.folder.path().join("new");
        fs::write(&new, ahead_s.to_string()).unwrap();
        fs::rename(new, self.file(node)).unwrap();
    }

    fn file(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("node-{node}"))
    }
}
