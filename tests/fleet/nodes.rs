//! Daemons on one database and one service cache, each with an own data folder and an own log.

use std::io;
use std::sync::{RwLock, RwLockReadGuard};

use crate::clock::Clocks;
use crate::harness::postgres::Postgres;
use crate::harness::redis::{self, Redis};
use crate::harness::{Answer, Connection, Request, Setup, TestDaemon};

/// What all of them call themselves to clients.
const PUBLIC_URL: &str = "http://fleet.example";

/// The daemons and their servers.
pub struct Fleet {
    /// The database server.
    pub postgres: Postgres,
    /// The service cache.
    pub redis: Redis,
    /// The name of the database.
    pub database: String,
    /// The clocks of the daemons, if they can be set.
    pub clocks: Option<Clocks>,
    nodes: Vec<Node>,
}

/// One daemon, which runs or does not.
struct Node {
    setup: Setup,
    running: RwLock<Option<TestDaemon>>,
}

impl Fleet {
    /// Starts so many daemons, each from its setup; none where the servers are not installed.
    #[track_caller]
    pub fn start(count: usize, setup: impl Fn(usize, Setup) -> Setup) -> Option<Self> {
        Self::start_with(count, Redis::options(), setup)
    }

    /// The same, with another kind of service cache.
    #[track_caller]
    pub fn start_with(count: usize, redis: redis::Options, setup: impl Fn(usize, Setup) -> Setup) -> Option<Self> {
        if !(Postgres::is_installed() && Redis::is_installed()) {
            crate::harness::skip("there is no PostgreSQL or no Redis");
            return None;
        }
        // The machine does not fail here, only processes do.
        let postgres = Postgres::options().hasty().set("max_connections", 300).start();
        let redis = redis.start();
        let database = postgres.create_database();
        let clocks = Clocks::new();
        let node = |nth: usize| {
            // The test builds and everything else run beside it, so that a server may be slow to answer.
            let usual = Setup::new()
                .set("database.url", postgres.url(&database))
                .set("database.pool.size", 8)
                .set("database.pool.max_overflow", 8)
                .set("database.pool.min_idle", 2)
                .set("cache.l2.url", redis.url())
                .set("cache.l2.timeout_ms", 100)
                .set("audit.origin", format_args!("node-{nth}.example"))
                .set("http.public_url", PUBLIC_URL);
            let setup = setup(nth, usual);
            let setup = match &clocks {
                Some(clocks) => clocks.within(nth, setup),
                None => setup,
            };
            let running = RwLock::new(Some(setup.start()));
            Node { setup, running }
        };
        let nodes = (0..count).map(node).collect();
        Some(Self { postgres, redis, database, clocks, nodes })
    }

    /// How many daemons there are.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// A daemon, as a client that asks it.
    pub fn client(&self, nth: usize) -> Client<'_> {
        Client { node: &self.nodes[nth], connection: None }
    }

    /// Asks a daemon on a connection of its own.
    #[track_caller]
    pub fn ask(&self, nth: usize, request: &Request) -> Answer {
        self.daemon(nth).as_ref().unwrap().ask(request)
    }

    /// A daemon; none while it does not run.
    pub fn daemon(&self, nth: usize) -> RwLockReadGuard<'_, Option<TestDaemon>> {
        self.nodes[nth].running.read().unwrap()
    }

    /// Kills a daemon.
    pub fn kill(&self, nth: usize) {
        let running = self.nodes[nth].running.write().unwrap().take();
        running.unwrap().kill();
    }

    /// Starts a daemon that was killed, with `--accept-rollback database` if it refuses a restored database.
    #[track_caller]
    pub fn start_again(&self, nth: usize) {
        let setup = &self.nodes[nth].setup;
        let daemon = setup.try_start().or_else(|refused| match refused.status.code() {
            Some(74) => setup.try_start_with(&["--accept-rollback", "database"]),
            _ => Err(refused),
        });
        let daemon = daemon.unwrap_or_else(|refused| panic!("the daemon did not start: {refused}"));
        *self.nodes[nth].running.write().unwrap() = Some(daemon);
    }

    /// Sets a daemon's clock ahead by `seconds`, if clocks can be set.
    pub fn step_clock(&self, nth: usize, ahead_s: i64) {
        if let Some(clocks) = &self.clocks {
            clocks.step(nth, ahead_s);
        }
    }

    /// Removes a daemon's audit log folder while it runs.
    pub fn take_log_away(&self, nth: usize) {
        let log = self.nodes[nth].setup.data_dir().join("audit");
        std::fs::rename(&log, log.with_extension("away")).unwrap();
    }

    /// Restores it while the daemon does not run, in place of any new one.
    pub fn put_log_back(&self, nth: usize) {
        let log = self.nodes[nth].setup.data_dir().join("audit");
        drop(std::fs::remove_dir_all(&log));
        std::fs::rename(log.with_extension("away"), log).unwrap();
    }

    /// The revisions after each change, from a daemon's log.
    #[track_caller]
    pub fn recorded_changes(&self, nth: usize) -> std::collections::HashSet<String> {
        let export = self.nodes[nth].setup.run(["audit", "export"]);
        assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
        let records = String::from_utf8(export.stdout).unwrap();
        let records = records.lines().filter(|line| line.contains("\"before\":"));
        let revision = |line: &str| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let record = record.get("record").unwrap_or(&record);
            record["revision"].as_str().unwrap().to_owned()
        };
        records.map(revision).collect()
    }

    /// Whether a daemon's log verifies.
    #[track_caller]
    pub fn verify_log(&self, nth: usize) {
        let verified = self.nodes[nth].setup.run(["audit", "verify"]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }

    /// How somebody connects to the database of the daemons who may do anything there.
    pub fn superuser_url(&self) -> String {
        self.postgres.local(&self.database)
    }

    /// Runs statements in the database of the daemons.
    #[track_caller]
    pub fn sql(&self, text: &str) -> String {
        self.postgres.sql(&self.database, text)
    }
}

/// Asks one daemon on a connection that is kept, and opened anew where it ended.
pub struct Client<'f> {
    node: &'f Node,
    connection: Option<Connection>,
}

impl Client<'_> {
    /// Asks. An error says that nobody knows what became of the request.
    pub fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        let mut connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let running = self.node.running.read().unwrap();
            running.as_ref().ok_or(io::ErrorKind::NotConnected)?.try_connect()?
        };
        let answer = connection.try_ask(request)?;
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}
