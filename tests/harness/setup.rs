//! How a daemon of a test is started: its settings, its folder, and what it stores in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

use super::daemon::{Refused, TestDaemon};
use super::tiers::{Backup, Stores, Tiers};
use super::{issuer, redis, repository};

/// How to start a daemon: the shipped settings, a data folder of its own, and a database and a Redis server of its own
/// where [`Tiers`] has these, any free port, the tests' own issuer of tokens, and what a test changes.
///
/// It can be started again and again: the data folder lasts as long as the setup or a daemon made from it.
#[derive(Debug, Clone)]
pub struct Setup {
    settings: PathBuf,
    data: Arc<TempDir>,
    stores: Arc<OnceLock<Stores>>,
    environment: BTreeMap<String, String>,
    open_files: Option<u32>,
}

impl Setup {
    /// The shipped settings with an empty data folder.
    pub fn new() -> Self {
        let data = Arc::new(tempfile::tempdir().unwrap());
        let settings = repository().join("settings");
        let setup = Self { settings, data, stores: Arc::default(), environment: BTreeMap::new(), open_files: None };
        let issuers = issuer::trusted(setup.data.path());
        let setup = setup.set("http.bind", "127.0.0.1:0").set("http.workers", 2).set("auth.issuers", issuers);
        // Comparisons read entities, at random, which tests of caches and pools would see.
        setup.set("monitor.compliance_sample_percent", 0)
    }

    /// With another settings folder.
    pub fn settings(self, folder: impl Into<PathBuf>) -> Self {
        Self { settings: folder.into(), ..self }
    }

    /// With one setting changed, by its variable.
    pub fn set(self, key: &str, value: impl fmt::Display) -> Self {
        let name = format!("ACGS_{}", key.replace('.', "__").to_uppercase());
        self.env(&name, value)
    }

    /// With a variable in the daemon's environment, which has no other.
    pub fn env(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.environment.insert(name.to_owned(), value.to_string());
        self
    }

    /// With a limit on open files, both soft and hard.
    pub fn open_files(self, limit: u32) -> Self {
        Self { open_files: Some(limit), ..self }
    }

    /// With the constitution in this folder, whatever its hash.
    pub fn constitution(self, folder: &Path) -> Self {
        self.set("constitution.path", folder.display()).set("constitution.expected_hash", "")
    }

    /// Storing in files whatever [`Tiers`] says, for a test that copies the data folder, or damages it.
    pub fn in_files(self) -> Self {
        Self { stores: Arc::new(OnceLock::from(Stores::of(Tiers::Sqlite))), ..self }
    }

    /// Listening on a Unix socket in the data folder.
    pub fn unix(self) -> Self {
        let path = self.data_dir().join("acgs.sock");
        std::fs::create_dir_all(self.data_dir()).unwrap();
        self.set("http.bind", format_args!("unix:{}", path.display()))
    }

    /// The data folder. The first start makes it.
    pub fn data_dir(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// What its daemons store in, which is there from when it is first asked for.
    #[track_caller]
    fn stores(&self) -> &Stores {
        self.stores.get_or_init(|| Stores::of(Tiers::current()))
    }

    /// The URL of the database that its daemons have, unless it was set to another.
    #[track_caller]
    pub fn database_url(&self) -> String {
        self.stores().database_url(&self.data_dir())
    }

    /// The Redis server that its daemons have, where [`Tiers`] has one.
    #[track_caller]
    pub fn redis(&self) -> Option<&redis::Redis> {
        self.stores().redis()
    }

    /// All bytes that its database has, for what must not be among them.
    #[track_caller]
    pub fn dump(&self) -> Vec<u8> {
        self.stores().dump(&self.data_dir())
    }

    /// All bytes that the search index of the audit log has in its database.
    #[track_caller]
    pub fn dump_audit(&self) -> Vec<u8> {
        self.stores().dump_audit(&self.data_dir())
    }

    /// Takes the search index of the audit log away, while no daemon runs.
    #[track_caller]
    pub fn lose_audit(&self) {
        self.stores().lose_audit(&self.data_dir());
    }

    /// A copy of its database, while no daemon runs.
    #[track_caller]
    pub fn back_up(&self) -> Backup {
        self.stores().back_up(&self.data_dir())
    }

    /// Makes its database what it was, while no daemon runs. What else there is stays: the audit log, Redis.
    #[track_caller]
    pub fn restore(&self, backup: &Backup) {
        self.stores().restore(&self.data_dir(), backup);
    }

    /// The command with these arguments, in this setup. A command that asks a daemon by its URL gets the
    /// administrator's token.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut arguments: Vec<OsString> = arguments.into_iter().map(|one| one.as_ref().to_owned()).collect();
        if arguments.iter().any(|one| one == "--url") {
            arguments.extend(["--credential-file".into(), issuer::admin_file(self.data.path()).into()]);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_acgs"));
        if let Some(limit) = self.open_files {
            command = Command::new("/bin/sh");
            command.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_acgs")]);
        }
        command
            .current_dir(self.data.path())
            .env_clear()
            .env("ACGS_SETTINGS", &self.settings)
            .env("ACGS_DATA_DIR", self.data_dir())
            .envs(self.stores().environment())
            .envs(&self.environment)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts the daemon and waits until it is ready.
    #[track_caller]
    pub fn start(&self) -> TestDaemon {
        self.try_start().unwrap_or_else(|refused| panic!("the daemon did not start: {refused}"))
    }

    /// Starts the daemon and waits until it is ready, or has ended.
    #[track_caller]
    pub fn try_start(&self) -> Result<TestDaemon, Refused> {
        self.try_start_with(&[])
    }

    /// The same with further arguments after `serve`.
    #[track_caller]
    pub fn try_start_with(&self, arguments: &[&str]) -> Result<TestDaemon, Refused> {
        let command = self.command([&["serve"], arguments].concat());
        TestDaemon::spawn(command, Arc::clone(&self.stores), Arc::clone(&self.data))
    }
}
