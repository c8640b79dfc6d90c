//! Where the programs of PostgreSQL are, and as whom they run.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::process::geteuid;
use tempfile::TempDir;

/// The folder of the newest version's programs. Debian has them outside of the `PATH`.
pub fn programs() -> Option<&'static Path> {
    static PROGRAMS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        let debian = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).max();
        let debian = debian.map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
        let path = std::env::var("PATH").unwrap_or_default();
        let folders = debian.into_iter().chain(path.split(':').map(PathBuf::from));
        folders.into_iter().find(|folder| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).exists()))
    };
    PROGRAMS.get_or_init(find).as_deref()
}

/// One of them.
pub fn program(name: &str) -> PathBuf {
    programs().expect("PostgreSQL is not installed").join(name)
}

/// The user and the group that servers run as where the tests run as root, which they refuse to run as.
pub fn user() -> Option<(u32, u32)> {
    static USER: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    let find = || {
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let ids = |name: &str| {
            let mut fields =
                users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.split(':').skip(1);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        };
        ids("postgres").or_else(|| ids("nobody")).expect("there is neither a user `postgres` nor `nobody`")
    };
    *USER.get_or_init(|| geteuid().is_root().then(find))
}

/// A command that runs as that user.
pub fn unprivileged(program: &Path) -> Command {
    let mut command = match user() {
        None => Command::new(program),
        Some((user, group)) => {
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
            command.arg(program);
            command
        }
    };
    // Where the tests run need not be a place that this user may see.
    command.current_dir("/");
    command
}

/// Gives a file to that user.
pub fn own(file: &Path) {
    if let Some((user, group)) = user() {
        chown(file, Some(user), Some(group)).unwrap();
    }
}

/// A throwaway folder of that user. It is not in `TMPDIR`, for the path of a socket may have 107 bytes only.
pub fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("acgs-pg-").tempdir_in("/tmp").unwrap();
    own(folder.path());
    folder
}
