//! A fleet of two whose cells one client writes, so that it is known what every verdict has to show.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::cells;
use crate::harness::{Answer, Request, Setup};
use crate::history::Value;
use crate::nodes::{Client, Fleet};

/// How many cells there are that have numbers.
pub const CELLS: usize = 12;

/// The fleet, and what is stored.
pub struct World {
    pub fleet: Fleet,
    numbers: BTreeMap<usize, u16>,
    /// The token of the newest write.
    pub newest: String,
    users: usize,
    _constitution: tempfile::TempDir,
}

impl World {
    /// All cells have numbers; none where the servers are not installed.
    #[track_caller]
    pub fn start(setup: impl Fn(Setup) -> Setup) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        cells::constitution(folder.path());
        let fleet = Fleet::start(2, |_, usual| setup(usual.constitution(folder.path())))?;
        let mut world =
            Self { fleet, numbers: BTreeMap::new(), newest: String::new(), users: 0, _constitution: folder };
        for cell in 0..CELLS {
            assert_eq!(world.write(cell % 2, cell).status, 201);
        }
        Some(world)
    }

    /// Gives a cell its next number.
    #[track_caller]
    pub fn write(&mut self, node: usize, cell: usize) -> Answer {
        let number = self.numbers.get(&cell).map_or(1, |number| number + 1);
        let answer = self.fleet.ask(node, &put(cell, number));
        if answer.status < 300 {
            self.numbers.insert(cell, number);
            answer.header("x-consistency-token").unwrap().clone_into(&mut self.newest);
        }
        answer
    }

    /// What a cell has.
    pub fn value(&self, cell: usize) -> Value {
        self.numbers.get(&cell).copied()
    }

    /// Somebody who has never asked anything, so that no verdict for them is in any cache.
    pub fn stranger(&mut self) -> usize {
        self.users += 1;
        self.users
    }

    /// A question about cells that is answered with all that was written.
    pub fn question(&self, user: usize, asked: impl IntoIterator<Item = usize>) -> Request {
        let asked: Vec<Json> = asked.into_iter().map(|cell| cells::question(user, cell, false)).collect();
        cells::ask(&asked).header("X-Consistency", &format!("at-least {}", self.newest))
    }

    /// Asks about all cells: each verdict is right, and none is missing. How long that took.
    #[track_caller]
    pub fn is_right(&self, client: &mut Client, user: usize) -> Duration {
        let since = Instant::now();
        let answer = client.ask(&self.question(user, 0..CELLS)).unwrap();
        let took = since.elapsed();
        for (cell, shown) in cells::shown(&answer).into_iter().enumerate() {
            assert_eq!(shown.map(|shown| shown.cell), Some(self.value(cell)), "cell {cell}: {answer}");
        }
        took
    }
}

/// The request that gives a cell a number.
pub fn put(cell: usize, number: u16) -> Request {
    Request::put(&cells::path(cell)).json(&cells::entity(cell, cell, number))
}
