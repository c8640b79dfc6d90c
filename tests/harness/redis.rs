//! A Redis server of the tests' own, and several that are one service.
//!
//! ```ignore
//! let server = Redis::options().set("maxmemory", "2mb").start();
//! let setup = Setup::new().set("cache.l2.url", server.url());
//! assert_eq!(server.command(&["DBSIZE"]), "0");
//! server.kill();
//! ```

pub mod cluster;
pub mod sentinel;

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::authority::Authority;
use super::server::{self, Server};
pub use cluster::Cluster;
pub use sentinel::Sentinel;

/// As whom the tests come where callers must say who they are.
const TESTS: &str = "tests";

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Options {
    lines: String,
    credentials: String,
    authority: Option<Arc<Authority>>,
}

impl Options {
    /// With a line of `redis.conf`.
    pub fn set(mut self, name: &str, value: impl fmt::Display) -> Self {
        writeln!(self.lines, "{name} {value}").unwrap();
        self
    }

    /// With a password that everybody must have, and the URL has.
    pub fn password(mut self, password: &str) -> Self {
        self.credentials = format!(":{password}@");
        self.set("requirepass", password).set("masterauth", password)
    }

    /// With a user who may do what the rules of an ACL say, and whom the URL has. Nobody else may do anything, but the
    /// tests by the Unix socket.
    pub fn user(mut self, name: &str, password: &str, rules: &str) -> Self {
        self.credentials = format!("{name}:{password}@");
        self.set("user", format_args!("{name} on >{password} {rules}"))
            .set("user", format_args!("{TESTS} on nopass ~* &* +@all"))
            .set("user", "default off")
    }

    /// With TLS: over TCP it takes encrypted connections only, and has a certificate by a new authority.
    pub fn tls(mut self) -> Self {
        let authority = Authority::new();
        let paths = [authority.root(), authority.certificate(), authority.key()];
        for (name, path) in ["tls-ca-cert-file", "tls-cert-file", "tls-key-file"].into_iter().zip(paths) {
            self = self.set(name, path.display());
        }
        self.authority = Some(Arc::new(authority));
        self.set("tls-auth-clients", "no").set("tls-replication", "yes").set("tls-cluster", "yes")
    }

    /// Starts it, and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Redis {
        self.start_as(&[], "Ready to accept connections")
    }

    #[track_caller]
    fn start_as(self, arguments: &'static [&'static str], ready: &'static str) -> Redis {
        let folder = tempfile::Builder::new().prefix("acgs-redis-").tempdir_in("/tmp").unwrap();
        let port = server::free_port();
        let ports = if self.authority.is_some() { format!("port 0\ntls-port {port}") } else { format!("port {port}") };
        let always = "bind 127.0.0.1\nsave \"\"\nappendonly no\nrepl-diskless-sync-delay 0\nunixsocket socket";
        let place = folder.path().display();
        fs::write(folder.path().join("redis.conf"), format!("dir {place}\n{always}\n{ports}\n{}", self.lines)).unwrap();
        let new = Redis { running: Mutex::new(None), folder, port, options: self, arguments, ready };
        new.restart();
        new
    }
}

/// A server, which listens at a port that stays the same over restarts, and keeps nothing over them. It ends with its
/// value, or with the test process.
#[derive(Debug)]
pub struct Redis {
    running: Mutex<Option<Server>>,
    folder: TempDir,
    port: u16,
    options: Options,
    arguments: &'static [&'static str],
    ready: &'static str,
}

impl Redis {
    /// An empty server with the defaults of Redis.
    #[track_caller]
    pub fn start() -> Self {
        Self::options().start()
    }

    /// What may be changed of it.
    pub fn options() -> Options {
        Options { lines: String::new(), credentials: String::new(), authority: None }
    }

    /// Whether the programs are there.
    pub fn is_installed() -> bool {
        server::is_command("redis-server") && server::is_command("redis-cli")
    }

    /// Its URL, with the credentials it asks for.
    pub fn url(&self) -> String {
        url(&self.options, "", &[self])
    }

    /// Where it listens.
    fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder: the Unix socket `socket`, and its settings.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Who signed its certificate.
    #[track_caller]
    pub fn authority(&self) -> &Authority {
        self.options.authority.as_deref().expect("the server has no TLS")
    }

    /// Runs a command, and answers what it returns as `redis-cli` prints it: a line for each element.
    #[track_caller]
    pub fn command(&self, command: &[&str]) -> String {
        self.try_command(command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// The same, where it may fail; then with the server's words.
    pub fn try_command(&self, command: &[&str]) -> Result<String, String> {
        let mut local = vec!["-s".to_owned(), self.folder.path().join("socket").display().to_string()];
        match self.options.credentials.trim_end_matches('@').split_once(':') {
            None => {}
            Some(("", password)) => local.extend(["--pass".to_owned(), password.to_owned()]),
            Some(_) => local.extend(["--user", TESTS, "--pass", "any"].map(str::to_owned)),
        }
        redis_cli(&local, command)
    }

    /// Forgets all that it keeps.
    pub fn flush(&self) {
        self.command(&["FLUSHALL"]);
    }

    /// A figure or another fact of `INFO`.
    #[track_caller]
    pub fn info(&self, name: &str) -> String {
        let info = self.command(&["INFO", "everything"]);
        let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("no `{name}` in {info}")).to_owned()
    }

    /// Kills it, and waits until it is gone.
    #[track_caller]
    pub fn kill(&self) {
        self.running.lock().unwrap().take().expect("the server is down").kill();
    }

    /// Stops it: connections stay, and nothing is answered.
    pub fn stop(&self) {
        self.server().as_ref().unwrap().stop();
    }

    /// Lets it go on.
    pub fn cont(&self) {
        self.server().as_ref().unwrap().cont();
    }

    /// Starts it where it was, empty, after its end where it still runs, and waits until it is ready.
    #[track_caller]
    pub fn restart(&self) {
        let mut running = self.running.lock().unwrap();
        if let Some(running) = running.take() {
            running.end(Signal::TERM);
        }
        let mut command = Command::new("redis-server");
        command.arg(self.folder.path().join("redis.conf")).args(self.arguments);
        let server = Server::start(&command, self.folder.path(), "KILL");
        assert!(server.says(self.ready), "Redis does not start:\n{}", server.log());
        *running = Some(server);
    }

    /// Waits until it has written a line with this.
    #[track_caller]
    pub fn wait_for(&self, part: &str) {
        self.wait_for_after(0, part);
    }

    /// The same, where only lines after these many count.
    #[track_caller]
    fn wait_for_after(&self, lines: usize, part: &str) {
        let server = self.server();
        let server = server.as_ref().unwrap();
        assert!(server.says_after(lines, part), "Redis ended before it said `{part}`:\n{}", server.log());
    }

    /// What it wrote since it was started.
    pub fn log(&self) -> String {
        self.server().as_ref().unwrap().log()
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.server().as_ref().unwrap().pid()
    }

    #[track_caller]
    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        let server = self.running.lock().unwrap();
        assert!(server.is_some(), "the server is down");
        server
    }
}

/// The URL of all these servers, of some kind.
fn url(options: &Options, kind: &str, servers: &[&Redis]) -> String {
    let scheme = if options.authority.is_some() { "rediss" } else { "redis" };
    let places: Vec<String> = servers.iter().map(|server| server.place()).collect();
    format!("{scheme}{kind}://{}{}", options.credentials, places.join(","))
}

/// Runs a command at the URL of one server.
pub fn ask(url: &str, root: Option<PathBuf>, command: &[&str]) -> Result<String, String> {
    // To `redis-cli`, but to no other client, nothing before the colon is a name too.
    let mut connection = vec!["-u".to_owned(), url.replace("://:", "://default:")];
    if let Some(root) = root {
        connection.extend(["--cacert".to_owned(), root.display().to_string()]);
    }
    redis_cli(&connection, command)
}

fn redis_cli(connection: &[String], command: &[&str]) -> Result<String, String> {
    let mut cli = Command::new("redis-cli");
    let output = cli.args(["-e", "--no-auth-warning"]).args(connection).args(command).stdin(Stdio::null()).output();
    let output = output.unwrap();
    let printed = |bytes| String::from_utf8_lossy(bytes).trim_end().replace('\r', "");
    if output.status.success() { Ok(printed(&output.stdout)) } else { Err(printed(&output.stderr)) }
}
