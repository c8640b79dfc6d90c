//! The real binary in a throwaway folder, and a small client for it.
//!
//! Nothing here sleeps or polls: the daemon says `READY=1` on a `NOTIFY_SOCKET` as it does under systemd, and a thread
//! that waits for its process says there that it is gone. Its standard error is a file, so what it wrote before it said
//! something is there when that is heard.
//!
//! ```ignore
//! let daemon = Setup::new().set("http.max_in_flight", 1).start();
//! assert_eq!(daemon.get("/livez").status, 200);
//! assert!(daemon.stop().success());
//! ```
#![allow(
    dead_code,
    unused_imports,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "each test binary uses the part it needs, and a test ends where its harness fails"
)]

pub mod authority;
mod http;
pub mod issuer;
pub mod postgres;
pub mod redis;
mod server;
mod small_disk;
pub mod tiers;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use http::{Answer, Connection, Request};
pub use rustix::process::Signal;
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;
pub use server::until;
pub use small_disk::SmallDisk;
use tempfile::TempDir;
pub use tiers::{Backup, Tiers};

/// No event is waited for longer than this; reaching it is a failure, never a way to wait.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What the harness tells itself on the daemon's socket when the daemon has ended.
const GONE: &str = "GONE=1";

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// How to start a daemon: the shipped settings, a data folder of its own, and a database and a Redis server of its own
/// where [`Tiers`] has these, any free port, the tests' own issuer of tokens, and what a test changes.
///
/// It can be started again and again: the data folder lasts as long as the setup or a daemon made from it.
#[derive(Debug, Clone)]
pub struct Setup {
    settings: PathBuf,
    data: Arc<TempDir>,
    stores: Arc<OnceLock<tiers::Stores>>,
    environment: BTreeMap<String, String>,
}

impl Setup {
    /// The shipped settings with an empty data folder.
    pub fn new() -> Self {
        let data = Arc::new(tempfile::tempdir().unwrap());
        let settings = repository().join("settings");
        let setup = Self { settings, data, stores: Arc::default(), environment: BTreeMap::new() };
        let issuers = issuer::trusted(setup.data.path());
        setup.set("http.bind", "127.0.0.1:0").set("http.workers", 2).set("auth.issuers", issuers)
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

    /// With the constitution in this folder, whatever its hash.
    pub fn constitution(self, folder: &Path) -> Self {
        self.set("constitution.path", folder.display()).set("constitution.expected_hash", "")
    }

    /// Storing in files whatever [`Tiers`] says, for a test that copies the data folder, or damages it.
    pub fn in_files(self) -> Self {
        Self { stores: Arc::new(OnceLock::from(tiers::Stores::of(Tiers::Sqlite))), ..self }
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
    fn stores(&self) -> &tiers::Stores {
        self.stores.get_or_init(|| tiers::Stores::of(Tiers::current()))
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

    /// All bytes that the copy of the audit log has in its database.
    #[track_caller]
    pub fn dump_audit(&self) -> Vec<u8> {
        self.stores().dump_audit(&self.data_dir())
    }

    /// Takes the copy of the audit log away, while no daemon runs.
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

    /// The command with these arguments, as this setup would start it. Where it is to ask a daemon by its URL, it has the
    /// administrator's token.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut arguments: Vec<OsString> = arguments.into_iter().map(|one| one.as_ref().to_owned()).collect();
        if arguments.iter().any(|one| one == "--url") {
            arguments.extend(["--credential-file".into(), issuer::admin_file(self.data.path()).into()]);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_acgs"));
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
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
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
        let runtime = tempfile::tempdir().unwrap();
        let path = runtime.path().join("notify");
        let notifications = UnixDatagram::bind(&path).unwrap();
        notifications.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = self.command(["serve"]);
        let errors = runtime.path().join("stderr");
        let child = command.env("NOTIFY_SOCKET", &path).stderr(File::create(&errors).unwrap()).spawn().unwrap();
        tell_when_gone(&child, path);
        let mut daemon = TestDaemon {
            child,
            errors,
            notifications,
            address: Address::Tcp(SocketAddr::from(([0; 4], 0))),
            _stores: Arc::clone(&self.stores),
            _folders: (Arc::clone(&self.data), runtime),
        };
        match daemon.told_or_gone("READY=1") {
            Some(told) => {
                daemon.address = Address::read(&told);
                Ok(daemon)
            }
            None => Err(Refused { status: daemon.child.wait().unwrap(), stderr: daemon.stderr() }),
        }
    }
}

/// How a daemon ended that never became ready.
#[derive(Debug)]
pub struct Refused {
    /// Its exit status.
    pub status: ExitStatus,
    /// All it wrote to standard error.
    pub stderr: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.status, self.stderr)
    }
}

/// A running daemon. It ends with the test; where the test fails, what it logged is shown.
#[derive(Debug)]
pub struct TestDaemon {
    child: Child,
    errors: PathBuf,
    notifications: UnixDatagram,
    address: Address,
    _stores: Arc<OnceLock<tiers::Stores>>,
    _folders: (Arc<TempDir>, TempDir),
}

/// Where a daemon listens.
#[derive(Debug, Clone)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// From the `STATUS=` that comes with `READY=1`.
    fn read(told: &str) -> Self {
        let status = told.lines().find_map(|line| line.strip_prefix("STATUS=listening on "));
        let place = status.unwrap_or_else(|| panic!("the daemon does not say where it listens: {told}"));
        match (place.strip_prefix("http://"), place.strip_prefix("unix:")) {
            (Some(address), _) => {
                let mut address: SocketAddr = address.parse().unwrap();
                if address.ip().is_unspecified() {
                    address.set_ip([127, 0, 0, 1].into());
                }
                Self::Tcp(address)
            }
            (_, Some(path)) => Self::Unix(path.into()),
            _ => panic!("the daemon listens at an unknown kind of place: {place}"),
        }
    }
}

impl TestDaemon {
    /// A daemon with the shipped settings.
    #[track_caller]
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// `GET`
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.ask(&Request::get(path))
    }

    /// `POST` of JSON.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(&Request::post(path).json(body))
    }

    /// `PUT` of JSON.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.ask(&Request::put(path).json(body))
    }

    /// `DELETE`
    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.ask(&Request::delete(path))
    }

    /// Asks on a connection of its own.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Answer {
        self.connect().ask(request)
    }

    /// A new connection.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        self.try_connect().unwrap()
    }

    /// A new connection, where the daemon may be gone.
    pub fn try_connect(&self) -> std::io::Result<Connection> {
        match &self.address {
            Address::Tcp(address) => Connection::new(TcpStream::connect(address)?),
            Address::Unix(path) => Connection::new(UnixStream::connect(path)?),
        }
    }

    /// The TCP address it listens at.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        match &self.address {
            Address::Tcp(address) => *address,
            Address::Unix(path) => panic!("the daemon listens at `{}`", path.display()),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.errors).unwrap()).into_owned()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it tells its service manager this, such as `READY=1` after a reload.
    #[track_caller]
    pub fn wait_for(&self, told: &str) -> String {
        self.told_or_gone(told).unwrap_or_else(|| panic!("the daemon ended before it said `{told}`"))
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> ExitStatus {
        while self.told_or_gone(GONE).is_some() {}
        self.child.wait().unwrap()
    }

    /// Stops it as systemd does, and waits for its end.
    #[track_caller]
    pub fn stop(self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// The same; answers also all that it wrote to standard error.
    #[track_caller]
    pub fn stop_and_tell(mut self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        while self.told_or_gone(GONE).is_some() {}
        (self.child.wait().unwrap(), self.stderr())
    }

    /// Kills it, so that it can do nothing more, and waits until it is gone.
    pub fn kill(self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// The notification with this line; nothing where the daemon has ended.
    #[track_caller]
    fn told_or_gone(&self, line: &str) -> Option<String> {
        let mut buffer = [0; 4096];
        loop {
            let length = self.notifications.recv(&mut buffer);
            let length = length.unwrap_or_else(|error| panic!("the daemon never said `{line}`: {error}"));
            let told = std::str::from_utf8(buffer.get(..length).unwrap()).unwrap();
            if told == GONE {
                return None;
            }
            if told.lines().any(|told| told == line) {
                return Some(told.to_owned());
            }
        }
    }
}

impl Drop for TestDaemon {
    fn drop(&mut self) {
        // Both do nothing where the process has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- the daemon's standard error\n{}----", self.stderr());
        }
    }
}

/// Says on the notification socket when the process has ended, and leaves it to be waited for.
fn tell_when_gone(child: &Child, socket: PathBuf) {
    let process = Pid::from_child(child);
    std::thread::spawn(move || {
        // An error says that it has been waited for already.
        let _ = waitid(WaitId::Pid(process), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        // The test may be over.
        let _ = UnixDatagram::unbound().and_then(|from| from.send_to(GONE.as_bytes(), socket));
    });
}
