//! The independent verifier: built once, then run as anybody would run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::harness::{issuer, repository};

/// Where Debian's package of Go's modules puts them.
const GOPATH: &str = "/usr/share/gocode";

/// The program.
#[derive(Debug)]
pub struct Verifier(PathBuf);

impl Verifier {
    /// Builds it, or says why the test is skipped.
    pub fn get() -> Option<&'static Self> {
        static BUILT: OnceLock<Option<Verifier>> = OnceLock::new();
        let built = BUILT.get_or_init(Self::build);
        if built.is_none() {
            crate::harness::skip(&format!("the independent verifier needs `go`, and golang.org/x/mod in `{GOPATH}`"));
        }
        built.as_ref()
    }

    fn build() -> Option<Self> {
        let go = Command::new("go").arg("version").output();
        let notes = Path::new(GOPATH).join("src/golang.org/x/mod/sumdb/note");
        if !go.is_ok_and(|output| output.status.success()) || !notes.is_dir() {
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Another run may be using the program, so it is replaced and not written over.
        let (program, made) = (folder.join("verifier"), folder.join(format!("verifier.{}", std::process::id())));
        let output = Command::new("go")
            .current_dir(repository().join("tests/independent/verifier"))
            .envs([("GOENV", "off"), ("GO111MODULE", "off"), ("GOPATH", GOPATH), ("GOFLAGS", "")])
            .env("GOCACHE", folder.with_file_name("go-cache"))
            .args(["build", "-o"])
            .args([&*made, Path::new(".")])
            .output()
            .unwrap();
        assert!(output.status.success(), "the verifier does not build: {}", String::from_utf8_lossy(&output.stderr));
        fs::rename(made, &program).unwrap();
        Some(Self(program))
    }

    /// The program with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.args(arguments).env("VERIFIER_AUTHORIZATION", format!("Bearer {}", issuer::admin()));
        command.env_remove("WITNESS_DELAY_MS");
        command
    }

    /// It must accept; what it prints.
    #[track_caller]
    pub fn accepts(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// It must refuse; why it does.
    #[track_caller]
    pub fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}
