//! A daemon of a test while it runs, and how it ends.

use std::fmt;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, OnceLock};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;
use tempfile::TempDir;

use super::tiers::Stores;
use super::{Answer, Connection, PATIENCE, Request, Setup};

/// What the harness tells itself on the daemon's socket when the daemon has ended.
const GONE: &str = "GONE=1";

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
    _stores: Arc<OnceLock<Stores>>,
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
    /// Runs a command that serves, and waits until it is ready, or has ended. What it stores in, and its data folder,
    /// last as long as it.
    #[track_caller]
    pub(super) fn spawn(
        mut command: Command,
        stores: Arc<OnceLock<Stores>>,
        data: Arc<TempDir>,
    ) -> Result<Self, Refused> {
        let runtime = tempfile::tempdir().unwrap();
        let path = runtime.path().join("notify");
        let notifications = UnixDatagram::bind(&path).unwrap();
        notifications.set_read_timeout(Some(PATIENCE)).unwrap();
        let errors = runtime.path().join("stderr");
        let child = command.env("NOTIFY_SOCKET", &path).stderr(File::create(&errors).unwrap()).spawn().unwrap();
        tell_when_gone(&child, path);
        let mut daemon = Self {
            child,
            errors,
            notifications,
            address: Address::Tcp(SocketAddr::from(([0; 4], 0))),
            _stores: stores,
            _folders: (data, runtime),
        };
        match daemon.told_or_gone("READY=1") {
            Some(told) => {
                daemon.address = Address::read(&told);
                Ok(daemon)
            }
            None => Err(Refused { status: daemon.child.wait().unwrap(), stderr: daemon.stderr() }),
        }
    }

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
