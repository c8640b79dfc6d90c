//! A disk that can be full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
