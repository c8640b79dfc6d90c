//! A `PgBouncer` for tests, in front of a test server.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::postgres::{Postgres, ROLE};
use super::server::{self, Server};

/// Debian's path, which is not in every user's `PATH`.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// A running pooler, stopped when this is dropped or the test process ends.
#[derive(Debug)]
pub struct PgBouncer {
    server: Server,
    port: u16,
    _folder: TempDir,
}

impl PgBouncer {
    /// Whether the program is installed.
    pub fn is_installed() -> bool {
        Path::new(PROGRAM).exists() || server::is_command("pgbouncer")
    }

    /// Starts a pooler in a mode, such as `transaction`, with `size` connections to the server, and waits until it is
    /// ready.
    #[track_caller]
    pub fn start(postgres: &Postgres, mode: &str, size: u32, settings: &str) -> Self {
        let (folder, port) = (Postgres::new_folder(), server::free_port());
        let file = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user={ROLE}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = {size}\n\
             max_client_conn = 500\n{settings}\n",
            postgres.port()
        );
        fs::write(&file, text).unwrap();
        Postgres::give(&file);
        let program = if Path::new(PROGRAM).exists() { PROGRAM } else { "pgbouncer" };
        let mut command = Postgres::unprivileged(Path::new(program));
        command.arg(&file);
        let server = Server::start(&command, folder.path(), "INT");
        assert!(server.says("process up"), "PgBouncer does not start:\n{}", server.log());
        Self { server, port, _folder: folder }
    }

    /// The URL of a database through the pooler.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{database}", self.port)
    }

    /// The pooler's log.
    pub fn log(&self) -> String {
        self.server.log()
    }
}
