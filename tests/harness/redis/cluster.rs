//! Three servers that share the keys among them.

use super::{Options, Redis, url};

/// How many hash slots keys are spread over.
const SLOTS: usize = 16_384;

/// A cluster of three masters without replicas.
#[derive(Debug)]
pub struct Cluster {
    /// Its servers.
    pub nodes: [Redis; 3],
}

impl Cluster {
    /// A cluster with the defaults of Redis.
    #[track_caller]
    pub fn start() -> Self {
        Self::with(&Redis::options())
    }

    /// Starts three servers like this, and waits until they are one. Redis takes two seconds for it.
    #[track_caller]
    pub fn with(options: &Options) -> Self {
        let start = |_| {
            // The port of its bus is the one that is 10000 above, in every version.
            options.clone().set("cluster-enabled", "yes").set("cluster-node-timeout", 2_000).start()
        };
        let nodes = [0, 1, 2].map(start);
        let port = |node: &Redis| node.port().to_string();
        for (nth, node) in nodes.iter().enumerate() {
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(nth + 1).to_string()]);
            let (from, until) = (SLOTS * nth / nodes.len(), SLOTS * (nth + 1) / nodes.len());
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &(until - 1).to_string()]);
            nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port(node), &(node.port() + 10_000).to_string()]);
        }
        for node in &nodes {
            node.wait_for("Cluster state changed: ok");
        }
        Self { nodes }
    }

    /// Its URL, with all servers.
    pub fn url(&self) -> String {
        url(&self.nodes[0].options, "+cluster", &self.nodes.each_ref())
    }

    /// The server that has a key.
    #[track_caller]
    pub fn node_of(&self, key: &str) -> &Redis {
        let slot: usize = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).parse().unwrap();
        let has = |nth: &usize| slot < SLOTS * (nth + 1) / self.nodes.len();
        &self.nodes[(0..self.nodes.len()).find(has).unwrap()]
    }
}
