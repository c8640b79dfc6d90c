//! Without its database a daemon decides from its caches and denies the rest, and it recovers when the database is
//! back.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::cells;
use crate::harness::postgres::Postgres;
use crate::harness::{Request, SmallDisk, until};
use crate::nodes::Fleet;
use crate::table_lock::TableLock;
use crate::world::{CELLS, World, put};

/// A cell that is written while the database is away, of which nobody knows then what it has.
const DOUBTFUL: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Killed,
    ShutDown,
    Stopped,
    Slow,
}

impl Fault {
    fn begin(self, fleet: &Fleet) -> Option<TableLock> {
        match self {
            Self::Killed => fleet.postgres.kill(),
            Self::ShutDown => fleet.postgres.shut_down(),
            Self::Stopped => fleet.postgres.stop(),
            Self::Slow => return Some(TableLock::take(fleet, "entities")),
        }
        None
    }

    fn end(self, fleet: &Fleet, lock: Option<TableLock>) {
        match self {
            Self::Killed | Self::ShutDown => fleet.postgres.start_again(),
            Self::Stopped => fleet.postgres.cont(),
            Self::Slow => lock.unwrap().release(fleet),
        }
    }
}

fn ready(fleet: &Fleet, node: usize) -> String {
    let answer = fleet.ask(node, &Request::get("/readyz?verbose"));
    // A daemon that decides from its caches and denies the rest is ready, unless its database hangs.
    let hangs = answer.text().contains("[-]database failed: it does not answer");
    assert_eq!(answer.status, if hangs { 503 } else { 200 }, "{answer}");
    answer.text().to_owned()
}

/// What a daemon shows of some cells, as anybody asks who demands nothing; none where it had no time to decide.
fn shown(world: &World, node: usize, user: usize, asked: &[usize]) -> Vec<Option<cells::Shown>> {
    let questions: Vec<_> = asked.iter().map(|cell| cells::question(user, *cell, false)).collect();
    let answer = world.fleet.ask(node, &cells::ask(&questions));
    if answer.status == 503 { vec![None; asked.len()] } else { cells::shown(&answer) }
}

/// Those that are not shown are denied, and the others are right.
#[track_caller]
fn known(world: &World, node: usize, user: usize, asked: &[usize]) -> usize {
    let shown = shown(world, node, user, asked);
    for (cell, shown) in asked.iter().zip(&shown) {
        assert!(shown.is_none_or(|shown| shown.cell == world.value(*cell)), "cell {cell}: {shown:?}");
    }
    shown.iter().flatten().count()
}

#[test]
fn without_its_database_a_daemon_denies_what_it_does_not_know_and_comes_back_by_itself() {
    let Some(mut world) = World::start(|setup| setup) else { return };
    let (cached, other) = ([0, 1, 2, 3], [6, 7, 8, 9]);
    for fault in [Fault::Killed, Fault::ShutDown, Fault::Stopped, Fault::Slow] {
        // What is written last is in no cache.
        (6..10).for_each(|cell| assert!(world.write(cell % 2, cell).status < 300));
        for node in 0..2 {
            // On some connections, so that every worker knows them.
            (0..16).for_each(|_| assert_eq!(known(&world, node, 0, &cached), 4));
            // The verdicts for those whom nobody knows come from no cache, so that the entities are in this daemon's.
            let stranger = world.stranger();
            assert_eq!(known(&world, node, stranger, &cached), 4);
        }
        (0..2).for_each(|node| until("ready", || !ready(&world.fleet, node).contains("[-]")));

        let lock = fault.begin(&world.fleet);
        let began = Instant::now();
        for node in 0..2 {
            let stranger = world.stranger();
            assert_eq!(known(&world, node, 0, &cached), 4, "{fault:?}: the verdicts are in the cache");
            assert_eq!(known(&world, node, stranger, &cached), 4, "{fault:?}: the entities are in the cache");
            assert_eq!(known(&world, node, stranger, &other), 0, "{fault:?}: they are in no cache");
            let questions = [cells::question(0, 0, false)];
            let full = world.fleet.ask(node, &cells::ask(&questions).header("X-Consistency", "full"));
            let full = if full.status == 503 { vec![None] } else { cells::shown(&full) };
            assert_eq!(full, [None], "{fault:?}: nobody knows what is newest");
            let written = world.fleet.ask(node, &put(DOUBTFUL, 1));
            assert_eq!(written.status, 503, "{fault:?}: {written}");
            let read = world.fleet.ask(node, &Request::get(&cells::path(0)));
            assert_eq!(read.status, 503, "{fault:?}: {read}");
            until("degraded", || ready(&world.fleet, node).contains("[-]database "));
        }
        let during = began.elapsed();
        // Many who come meanwhile keep nobody from the caches, and are not in the way afterwards.
        let users: Vec<usize> = (0..48).map(|_| world.stranger()).collect();
        std::thread::scope(|scope| {
            for user in users {
                let world = &world;
                scope.spawn(move || {
                    assert_eq!(known(world, user % 2, user, &other), 0);
                    assert_eq!(known(world, user % 2, 0, &cached), 4);
                });
            }
        });

        fault.end(&world.fleet, lock);
        let since = Instant::now();
        let mut back: Vec<Duration> = Vec::new();
        for node in 0..2 {
            let user = world.stranger();
            until("known again", || known(&world, node, user, &other) == 4);
            back.push(since.elapsed());
            until("written again", || world.fleet.ask(node, &put(DOUBTFUL, 2)).status < 300);
            until("ready", || !ready(&world.fleet, node).contains("[-]"));
            back.push(since.elapsed());
        }
        for cell in [0, 7] {
            assert!(world.write(cell % 2, cell).status < 300);
            (0..2).for_each(|node| {
                world.is_right(&mut world.fleet.client(node), 0);
            });
        }
        println!("{fault:?}: asked for {during:.1?}; decides, and is ready, on both daemons after {back:.1?}");
    }
}

/// Cells that fill the disk; all of them are stored, or none.
fn many(first: usize) -> Request {
    let cells: Json = (first..first + 500).map(|cell| cells::entity(cell, cell, 1)).collect();
    Request::post("/v1/entities/batch").json(&cells)
}

#[test]
fn a_database_whose_disk_is_full_takes_no_writes_and_answers_as_before() {
    let Some(mut world) = World::start(|setup| setup.set("cache.l3.capacity", 0)) else { return };
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let Some(disk) = SmallDisk::mount(folder.path(), 2) else { return };
    Postgres::give(folder.path());
    world.fleet.sql(&format!("CREATE TABLESPACE small LOCATION '{}'", folder.path().display()));
    world.fleet.sql("ALTER TABLE entities SET TABLESPACE small");

    let refused = (1..200).map(|nth| world.fleet.ask(nth % 2, &many(nth * 1_000))).find(|answer| answer.status >= 300);
    assert_eq!(refused.as_ref().map(|answer| answer.status), Some(503), "{refused:?}");
    for cell in 0..CELLS {
        // There may be room for it on a page that is there.
        let written = world.write(cell % 2, cell).status;
        assert!(matches!(written, 200 | 503), "{written}");
        let stranger = world.stranger();
        (0..2).for_each(|node| {
            world.is_right(&mut world.fleet.client(node), stranger);
        });
    }
    disk.grow(64);
    let since = Instant::now();
    for node in 0..2 {
        until("written again", || world.fleet.ask(node, &many(1_000_000 * (node + 1))).status < 300);
    }
    println!("written again on both daemons after {:.1?}", since.elapsed());
    assert!(world.write(0, 0).status < 300);
    (0..2).for_each(|node| {
        world.is_right(&mut world.fleet.client(node), 0);
    });
    // Else the server would look for it when it ends.
    world.fleet.sql("ALTER TABLE entities SET TABLESPACE pg_default");
    world.fleet.sql("DROP TABLESPACE small");
}
