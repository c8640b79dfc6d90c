//! A master, a replica, and the sentinel that watches them.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Options, Redis, url};

/// The name that the sentinel gives to the master.
pub const NAME: &str = "acgs";

/// Two servers of which one is the master, and their sentinel.
#[derive(Debug)]
pub struct Sentinel {
    /// The servers. The first one is the master at the beginning.
    pub servers: [Redis; 2],
    /// Who watches them.
    pub watch: Redis,
    master: AtomicUsize,
}

impl Sentinel {
    /// With the defaults of Redis.
    #[track_caller]
    pub fn start() -> Self {
        Self::with(&Redis::options())
    }

    /// Starts two servers like this and a sentinel, and waits until it knows both.
    #[track_caller]
    pub fn with(options: &Options) -> Self {
        let master = options.clone().start();
        let replica = options.clone().set("replicaof", master.place().replace(':', " ")).start();
        replica.wait_for("sync: Finished with success");
        let sentinel = Options { lines: encryption(options), ..options.clone() };
        let sentinel = sentinel
            .set("sentinel monitor", format_args!("{NAME} 127.0.0.1 {} 1", master.port()))
            // Long enough for a busy machine, or a master that is alive would be replaced too.
            .set("sentinel down-after-milliseconds", format_args!("{NAME} 1000"))
            .set("sentinel failover-timeout", format_args!("{NAME} 3000"));
        let sentinel = match options.credentials.trim_end_matches('@').split_once(':') {
            Some((_, password)) => sentinel.set("sentinel auth-pass", format_args!("{NAME} {password}")),
            None => sentinel,
        };
        // It asks for none itself.
        let sentinel = Options { credentials: String::new(), ..sentinel };
        let sentinel = sentinel.start_as(&["--sentinel"], "+monitor");
        sentinel.wait_for("+slave slave");
        Self { servers: [master, replica], watch: sentinel, master: AtomicUsize::new(0) }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("{}/{NAME}", url(&self.servers[0].options, "+sentinel", &[&self.watch]))
    }

    /// The server that is the master.
    pub fn master(&self) -> &Redis {
        &self.servers[self.master.load(Ordering::Relaxed)]
    }

    /// Kills the master, and waits until the other one is, which takes some seconds. Once it is started again, the one
    /// that was killed takes itself for a master for ten more, until the sentinel tells it.
    #[track_caller]
    pub fn fail_over(&self) {
        let lines = self.watch.server().as_ref().unwrap().lines();
        self.master().kill();
        self.watch.wait_for_after(lines, "+switch-master");
        self.master.fetch_xor(1, Ordering::Relaxed);
    }
}

/// What the sentinel has of the servers' options.
fn encryption(options: &Options) -> String {
    let lines = options.lines.lines().filter(|line| line.starts_with("tls-"));
    lines.flat_map(|line| [line, "\n"]).collect()
}
