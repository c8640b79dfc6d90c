//! A disk that fails on command, and one that is full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Setup, repository};

/// Errno of a broken disk.
pub const EIO: i32 = 5;

/// Errno of a full disk.
pub const ENOSPC: i32 = 28;

/// Faults in the daemon's calls to its audit log.
pub struct Faults {
    folder: TempDir,
}

impl Faults {
    /// Compiles the shim; nothing where there is no C compiler.
    pub fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(folder.path().join("shim.so"));
        let Ok(status) = compiler.arg(repository().join("tests/faults/shim.c")).arg("-ldl").status() else {
            println!("skipped: there is no C compiler `cc`");
            return None;
        };
        assert!(status.success());
        Some(Self { folder })
    }

    /// With these faults in the daemon's reach.
    pub fn within(&self, setup: Setup) -> Setup {
        let shim = self.folder.path().join("shim.so");
        setup.env("LD_PRELOAD", shim.display()).env("FAULTS", self.file().display())
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

/// A disk of its own at a folder, for as long as this lives.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it; nothing where that is not allowed.
    pub fn mount(folder: &Path, mib: u32) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "acgs-test"]).arg(folder);
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(folder.to_owned()));
        }
        println!("skipped: mounting a small disk takes root");
        None
    }

    /// Gives it more room.
    pub fn grow(&self, mib: u32) {
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", &format!("remount,size={mib}m")]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the daemon may still be there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
