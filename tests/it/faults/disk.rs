//! A disk that fails on command, and a wall clock that is wrong on command.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::harness::{Setup, preload};

/// Errno of a broken disk.
pub const EIO: i32 = 5;

/// Errno of a full disk.
pub const ENOSPC: i32 = 28;

/// Faults in the daemon's calls to its audit log.
pub struct Faults {
    folder: TempDir,
    library: PathBuf,
}

impl Faults {
    /// Compiles the library; none where there is no C compiler.
    pub fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let library = preload::compile(&["shim.c", "clock.c"], folder.path())?;
        Some(Self { folder, library })
    }

    /// With these faults in the daemon's reach.
    pub fn within(&self, setup: Setup) -> Setup {
        setup.env("LD_PRELOAD", self.library.display()).env("FAULTS", self.file().display())
    }

    /// From now on: a call, what becomes of it, a number, and a part of the path; see `shim.c`.
    pub fn set(&self, fault: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, fault).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    /// No faults any more.
    pub fn clear(&self) {
        self.set("");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("faults")
    }
}

/// The wall clock.
#[allow(dead_code, reason = "not all tests that share this file set the clock")]
impl Faults {
    /// With a wall clock that [`Self::set_clock`] sets.
    pub fn with_clock(&self, setup: Setup) -> Setup {
        self.within(setup).env("CLOCK", self.folder.path().join("clock").display())
    }

    /// From now on the wall clock is ahead by so many seconds.
    pub fn set_clock(&self, ahead_s: i64) {
        let new = self.folder.path().join("new");
        fs::write(&new, ahead_s.to_string()).unwrap();
        fs::rename(new, self.folder.path().join("clock")).unwrap();
    }
}
