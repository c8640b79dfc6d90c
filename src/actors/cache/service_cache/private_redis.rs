//! A Redis of a test's own, in a throwaway folder, which ends with it.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use redis::Value;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::server::{Server, ServerKind};

/// A running server.
pub(super) struct PrivateRedis {
    child: Child,
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
}

impl PrivateRedis {
    /// Starts one with more arguments. None, and a message, where the command is missing.
    pub(super) fn start(arguments: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            println!("skipped: there is no redis-server");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        if arguments.first().is_none_or(|first| first.starts_with("--")) {
            arguments.extend(["--save", "", "--appendonly", "no"].map(str::to_owned));
        }
        // Another process may take the port between looking for it and listening.
        (0..20)
            .find_map(|_| {
                let port = free_port();
                let child = run(folder.path(), port, &arguments)?;
                Some((port, child))
            })
            .map(|(port, child)| Self { child, port, folder, arguments })
    }

    /// The server's address.
    pub(super) fn server(&self) -> Server {
        let hosts = vec![("127.0.0.1".to_owned(), self.port)];
        Server { kind: ServerKind::Standalone, hosts, tls: false, user: None, password: None, db: 0 }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Asks it as its admin.
    pub(super) fn ask(&self, words: &[&str]) -> Value {
        self.ask_bytes(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>())
    }

    /// The same with arguments that need not be text.
    pub(super) fn ask_bytes(&self, words: &[&[u8]]) -> Value {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).unwrap();
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        command.query(&mut client.get_connection().unwrap()).unwrap()
    }

    /// The names of all keys.
    pub(super) fn names(&self) -> Vec<String> {
        redis::from_redis_value(self.ask(&["KEYS", "*"])).unwrap()
    }

    pub(super) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    pub(super) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    pub(super) fn kill(&mut self) {
        // A stopped process ends of this one too.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }

    /// Restarts it after it was killed: empty, on the same port.
    pub(super) fn start_again(&mut self) {
        self.child = run(self.folder.path(), self.port, &self.arguments).expect("the port was its own");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A free port, with room above it for the cluster bus port.
pub(super) fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        if port < 55_000 {
            return port;
        }
    }
}

/// Runs the server until it reports readiness; `None` if it ends before.
fn run(folder: &std::path::Path, port: u16, arguments: &[String]) -> Option<Child> {
    // It dies with the thread that started it, that is, with the test, however that ends.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "redis-server"]).args(arguments).args(["--port", &port.to_string()]);
    command.args(["--bind", "127.0.0.1", "--dir"]).arg(folder).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = |line: &String| line.contains("Ready to accept connections") || line.contains("+monitor master");
    if lines.map_while(Result::ok).any(|line| ready(&line)) {
        return Some(child);
    }
    drop(child.kill());
    drop(child.wait());
    None
}
