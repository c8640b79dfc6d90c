//! A PostgreSQL server of the tests' own.
//!
//! ```ignore
//! let server = Postgres::start();
//! let database = server.create_database();
//! let setup = Setup::new().set("database.url", server.url(&database));
//! server.kill();
//! ```

mod installed;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use installed::{folder, own, program, programs, unprivileged, user};
use rustix::process::{Pid, Signal, geteuid};
use tempfile::TempDir;

use super::authority::Authority;
use super::server::{self, Server};

/// As whom the daemon connects: it owns its database, and may not do more.
pub const ROLE: &str = "acgs";

/// As whom the tests do.
const SUPERUSER: &str = "postgres";

/// Changes when [`make`] makes something else.
const TEMPLATE: u32 = 1;

/// Whom the server believes who they are: anybody, who comes encrypted where it can be.
const WHO_ENCRYPTED: &str = "local all all trust\nlocal replication all trust\nhostssl all all 127.0.0.1/32 trust\n";

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Options {
    parameters: Vec<String>,
    authority: Option<Arc<Authority>>,
}

impl Options {
    /// With a parameter of `postgresql.conf`.
    pub fn set(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.parameters.push(format!("{name}={value}"));
        self
    }

    /// Without waiting for the disk. What is committed outlasts the server being killed, but not the machine.
    pub fn hasty(self) -> Self {
        self.set("fsync", "off").set("full_page_writes", "off")
    }

    /// With TLS: over TCP it takes encrypted connections only, and has a certificate by a new authority.
    pub fn tls(mut self) -> Self {
        self.authority = Some(Arc::new(Authority::new()));
        self.set("ssl", "on").set("ssl_cert_file", "server.crt").set("ssl_key_file", "server.key")
    }

    /// Starts it with an empty cluster, and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Postgres {
        Postgres::of(self, |data| {
            server::run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(template()).arg(data));
        })
    }
}

/// A server, which listens at a port and at a Unix socket that stay the same over restarts. It ends with its value, or
/// with the test process.
#[derive(Debug)]
pub struct Postgres {
    running: Mutex<Option<Server>>,
    folder: TempDir,
    port: u16,
    options: Options,
}

impl Postgres {
    /// A server with the defaults of PostgreSQL.
    #[track_caller]
    pub fn start() -> Self {
        Self::options().start()
    }

    /// What may be changed of it.
    pub fn options() -> Options {
        Options { parameters: Vec::new(), authority: None }
    }

    /// The one that tests share that have a database of their own in it. It does not wait for the disk.
    #[track_caller]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::options().hasty().set("max_connections", 1_000).start())
    }

    /// Whether the programs are there.
    pub fn is_installed() -> bool {
        programs().is_some()
    }

    #[track_caller]
    fn of(options: Options, make: impl FnOnce(&Path)) -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        make(&data);
        if let Some(authority) = &options.authority {
            authority.put(&data);
            fs::write(data.join("pg_hba.conf"), WHO_ENCRYPTED).unwrap();
            for file in ["server.crt", "server.key", "pg_hba.conf"] {
                own(&data.join(file));
            }
        }
        let new = Self { running: Mutex::new(None), folder, port: server::free_port(), options };
        new.start_again();
        new
    }

    /// The URL of a database, as the daemon's own role.
    pub fn url(&self, database: &str) -> String {
        let url = format!("postgres://{ROLE}@127.0.0.1:{}/{database}", self.port);
        match &self.options.authority {
            Some(authority) => format!("{url}?sslmode=verify-full&sslrootcert={}", authority.root().display()),
            None => url,
        }
    }

    /// A temporary folder of the user under which servers run.
    pub fn new_folder() -> TempDir {
        folder()
    }

    /// A command that runs as that user.
    pub fn unprivileged(program: &Path) -> Command {
        unprivileged(program)
    }

    /// Gives a folder to the user that servers run as.
    pub fn give(folder: &Path) {
        own(folder);
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder: the Unix socket, and the cluster in `data`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Who signed its certificate.
    #[track_caller]
    pub fn authority(&self) -> &Authority {
        self.options.authority.as_deref().expect("the server has no TLS")
    }

    /// Makes an empty database that the daemon's role owns; its name.
    #[track_caller]
    pub fn create_database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE}"));
        name
    }

    /// Drops a database, whoever uses it.
    #[track_caller]
    pub fn drop_database(&self, name: &str) {
        self.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    }

    /// Runs statements as the superuser, each in a transaction of its own, and answers what they return: a line for
    /// each row, with `|` between columns.
    #[track_caller]
    pub fn sql(&self, database: &str, text: &str) -> String {
        self.try_sql(database, text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// The same, where it may fail; then with what `psql` says.
    pub fn try_sql(&self, database: &str, text: &str) -> Result<String, String> {
        psql(&self.local(database), text)
    }

    /// A connection by the Unix socket as superuser, as `psql` and others take it.
    pub fn local(&self, database: &str) -> String {
        format!("host={} port={} user={SUPERUSER} dbname={database}", self.folder.path().display(), self.port)
    }

    /// All that the tables have whose names fit, as text; in `bytea`, what is printable is as it is.
    #[track_caller]
    pub fn dump(&self, database: &str, tables: &str) -> String {
        let mut dump = Command::new(program("pg_dump"));
        server::run(dump.args(["-t", tables, "-d", &self.local(database)]).env("PGOPTIONS", "-c bytea_output=escape"))
    }

    /// Kills all its processes at once, and waits until they are gone.
    #[track_caller]
    pub fn kill(&self) {
        self.running.lock().unwrap().take().expect("the server is down").kill();
    }

    /// Stops all its processes: connections stay, and nothing is answered.
    pub fn stop(&self) {
        self.server().as_ref().unwrap().stop();
    }

    /// Lets them go on.
    pub fn cont(&self) {
        self.server().as_ref().unwrap().cont();
    }

    /// Starts it where it was, after a clean end where it still runs, and waits until it is ready.
    #[track_caller]
    pub fn restart(&self) {
        self.shut_down();
        self.start_again();
    }

    /// Ends it as `pg_ctl stop` does: it ends all connections, and writes what it has to.
    pub fn shut_down(&self) {
        if let Some(running) = self.running.lock().unwrap().take() {
            running.end(Signal::INT);
        }
    }

    /// Starts a server that is down where it was, and waits until it is ready.
    #[track_caller]
    pub fn start_again(&self) {
        let (folder, data) = (self.folder.path(), self.folder.path().join("data"));
        let mut postgres = unprivileged(&program("postgres"));
        postgres.arg("-D").arg(data).args(["-p", &self.port.to_string(), "-k"]).arg(folder);
        // What is in files only is gone with the folder, however the server ends.
        let always = ["listen_addresses=127.0.0.1", "logging_collector=off", "dynamic_shared_memory_type=mmap"];
        let parameters = always.into_iter().chain(self.options.parameters.iter().map(String::as_str));
        postgres.args(parameters.flat_map(|parameter| ["-c", parameter]));
        let server = Server::start(&postgres, folder, "QUIT");
        let is_ready = server.says("database system is ready to accept");
        assert!(is_ready, "PostgreSQL does not start:\n{}", server.log());
        *self.running.lock().unwrap() = Some(server);
    }

    /// Copies the files of a stopped server, in place of an earlier copy.
    #[track_caller]
    pub fn back_up(&self) {
        self.copy("data", "backup");
    }

    /// Restores the copied files of a stopped server.
    #[track_caller]
    pub fn restore(&self) {
        self.copy("backup", "data");
    }

    #[track_caller]
    fn copy(&self, from: &str, to: &str) {
        assert!(self.running.lock().unwrap().is_none(), "the server runs");
        let (from, to) = (self.folder.path().join(from), self.folder.path().join(to));
        if to.exists() {
            fs::remove_dir_all(&to).unwrap();
        }
        server::run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to));
    }

    /// What it wrote since it was started.
    pub fn log(&self) -> String {
        self.server().as_ref().unwrap().log()
    }

    /// Its first process.
    pub fn pid(&self) -> Pid {
        self.server().as_ref().unwrap().pid()
    }

    #[track_caller]
    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        let server = self.running.lock().unwrap();
        assert!(server.is_some(), "the server is down");
        server
    }

    /// Starts a server that follows this one, and answers questions only.
    #[track_caller]
    pub fn standby(&self) -> Self {
        let options = self.options.clone().set("wal_retrieve_retry_interval", "100ms");
        Self::of(options, |data| {
            let mut copy = unprivileged(&program("pg_basebackup"));
            copy.args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", &self.local("postgres")]);
            server::run(copy.arg("-D").arg(data));
        })
    }

    /// On a standby: shows nothing that is committed from now on. Its server goes on to fetch it.
    #[track_caller]
    pub fn pause_replay(&self) {
        // From the request on no further record is applied, so that there is no state to be waited for.
        self.sql("postgres", "SELECT pg_wal_replay_pause()");
    }

    /// On a standby: goes on.
    #[track_caller]
    pub fn resume_replay(&self) {
        self.sql("postgres", "SELECT pg_wal_replay_resume()");
    }

    /// On a standby: waits until it shows all that is committed in this server by now.
    #[track_caller]
    pub fn catch_up_with(&self, primary: &Self) {
        let position = primary.sql("postgres", "SELECT pg_current_wal_lsn()");
        let is_there = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'");
        server::until("caught up", || self.sql("postgres", &is_there) == "t");
    }

    /// On a standby: makes it a server of its own, that can be written to.
    #[track_caller]
    pub fn promote(&self) {
        assert_eq!(self.sql("postgres", "SELECT pg_promote()"), "t");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.running.get_mut().is_ok_and(|running| running.is_none()) {
            // One that was killed could not give back its piece of shared memory, of which a system has so many only.
            let pid_file = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap_or_default();
            if let Some(id) = pid_file.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
                let _ = Command::new("ipcrm").args(["-m", id]).stderr(Stdio::null()).status();
            }
        }
    }
}

/// Runs statements at a URL, as [`Postgres::sql`] does.
pub fn psql(url: &str, text: &str) -> Result<String, String> {
    let mut psql = Command::new(program("psql"));
    // From a file each statement is a transaction of its own.
    psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", "-"]).env("LC_ALL", "C");
    let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It ends before it reads anything where it cannot connect.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let printed = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    if status.success() { Ok(printed(stdout)) } else { Err(printed(stderr)) }
}

/// An empty cluster with the daemon's role, to be copied: made once for each version of PostgreSQL.
fn template() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(find_or_make)
}

fn find_or_make() -> PathBuf {
    let version = server::run(Command::new(program("postgres")).arg("--version"));
    let version = version.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let user = user().map_or_else(|| geteuid().as_raw(), |(user, _)| user);
    let path = option_env!("CARGO_TARGET_TMPDIR")
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join(format!("postgresql-{TEMPLATE}-{user}{version}"));
    if !path.exists() {
        let folder = folder();
        make(&folder.path().join("data"));
        // Beside its place, and then there at once: other test processes look for it too.
        let new = path.with_extension(std::process::id().to_string());
        server::run(Command::new("cp").arg("-a").arg(folder.path().join("data")).arg(&new));
        if fs::rename(&new, &path).is_err() {
            assert!(path.exists(), "{} cannot be made", path.display());
            fs::remove_dir_all(new).unwrap();
        }
    }
    path
}

fn make(data: &Path) {
    let mut initdb = unprivileged(&program("initdb"));
    initdb.arg("-D").arg(data).args(["-U", SUPERUSER, "--auth=trust", "-E", "UTF8", "--locale=C"]);
    server::run(initdb.args(["--no-sync", "--no-instructions"]));
    let mut alone = unprivileged(&program("postgres"));
    alone.args(["--single", "-j", "-D"]).arg(data).arg("postgres").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut alone = alone.stderr(Stdio::null()).spawn().unwrap();
    let create = format!("CREATE ROLE {ROLE} LOGIN\n");
    std::io::Write::write_all(&mut alone.stdin.take().unwrap(), create.as_bytes()).unwrap();
    assert!(alone.wait().unwrap().success(), "PostgreSQL does not start alone");
}
