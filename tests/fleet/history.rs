//! What clients saw of a fleet, and what its database says of it.

use std::ops::Range;

/// Nanoseconds since the run began.
pub type Moment = u64;

/// What a cell had: a number that no other write of it had, or nothing, where it was not stored.
pub type Value = Option<u16>;

/// All of a run.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What clients wrote, or tried to.
    pub writes: Vec<Write>,
    /// What clients were shown.
    pub looks: Vec<Look>,
    /// What was committed, in its order.
    pub stored: Vec<Stored>,
    /// When the database did not answer.
    pub outages: Vec<Range<Moment>>,
    /// Times at which the database lost commits: from when the restored copy was made, until the database was back.
    pub losses: Vec<Range<Moment>>,
}

/// The part of a write's answer that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Token {
    pub version: i64,
    pub incarnation: u64,
    pub nonce: u64,
}

impl Token {
    /// The token as in the header.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let parts: Vec<&str> = text.split('.').collect();
        let hex = |nth: usize| u64::from_str_radix(parts[nth], 16).unwrap();
        Self { incarnation: hex(0), version: parts[1].parse().unwrap(), nonce: hex(2) }
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}.{}.{:016x}", self.incarnation, self.version, self.nonce)
    }
}

/// One cell written.
#[derive(Debug, Clone, Copy)]
pub struct Write {
    /// By which daemon.
    pub node: usize,
    pub cell: usize,
    pub value: Value,
    /// When the client sent it.
    pub begun: Moment,
    /// What it was answered with; nothing where nobody said that it was done, which it may be all the same.
    pub acknowledged: Option<Acknowledged>,
    /// Whether it was answered with an error status: then it must never take effect.
    pub is_refused: bool,
}

/// The answer to a write.
#[derive(Debug, Clone, Copy)]
pub struct Acknowledged {
    /// When the client had it.
    pub at: Moment,
    /// Its version.
    pub version: i64,
    /// The nonce of its change.
    pub nonce: u64,
}

/// One cell seen by way of a verdict.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Of which daemon.
    pub node: usize,
    pub demand: Demand,
    pub cell: usize,
    pub value: Value,
    /// When the client sent the question, and when it had the answer.
    pub time: (Moment, Moment),
}

/// What the client demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    Usual,
    AtLeast(Token),
    Full,
}

/// One cell written, as the database knows it.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    pub version: i64,
    pub nonce: u64,
    pub cell: usize,
    pub value: Value,
}
