//! Libraries in C that are preloaded into a daemon, compiled for the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::repository;

/// Compiles files of `tests/faults` into one library in a folder; none, with a message, where there is no C compiler.
pub fn compile(sources: &[&str], folder: &Path) -> Option<PathBuf> {
    let library = folder.join("preload.so");
    let paths = sources.iter().map(|source| repository().join("tests/it/faults").join(source));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args(paths).arg("-ldl");
    let Ok(status) = compiler.status() else {
        super::skip("there is no C compiler `cc`");
        return None;
    };
    assert!(status.success());
    Some(library)
}
