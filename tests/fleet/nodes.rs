//! Daemons on one database and one service cache, each with an own data folder and an own log.

use std::io;
use std::sync::{RwLock, RwLockReadGuard};

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
            println!("skipped: there is no PostgreSQL or no Redis");
            return None;
        }
        // The machine does not fail here, only processes do.
        let postgres = Postgres::options().hasty().set("max_connections", 300).start();
        let redis = redis.start();
        let database = postgres.create_database();
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
            let running = RwLock::new(Some(setup.start()));
            Node { setup, running }
        };
        let nodes = (0..count).map(node).collect();
        Some(Self { postgres, redis, database, nodes })
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

    /// Starts a daemon that was killed.
    #[track_caller]
    pub fn start_again(&self, nth: usize) {
        let daemon = self.nodes[nth].setup.start();
        *self.nodes[nth].running.write().unwrap() = Some(daemon);
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
