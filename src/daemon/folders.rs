//! The layout of the data folder.

use std::path::{Path, PathBuf};

/// The folder of the audit log.
#[must_use]
pub fn audit_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("audit")
}

/// The folder with every constitution that was ever in force, by digest.
#[must_use]
pub fn constitutions_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("constitutions")
}

/// The socket for this host's administrator.
#[must_use]
pub fn admin_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.sock")
}
