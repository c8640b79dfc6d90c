//! Without the service cache daemons decide as they do with it; and when it is back, they use it.

use std::time::{Duration, Instant};

use crate::cells;
use crate::harness::postgres::ROLE;
use crate::harness::{PATIENCE, Request, until};
use crate::nodes::{Client, Fleet};
use crate::world::{CELLS, World, put};

const ROUNDS: usize = 60;

#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    Stopped,
    Restarted,
    Wiped,
    Full,
    Slow,
}

impl Fault {
    fn begin(self, fleet: &Fleet) {
        let redis = &fleet.redis;
        match self {
            Self::Killed => redis.kill(),
            Self::Stopped => redis.stop(),
            Self::Restarted => redis.restart(),
            Self::Wiped => redis.flush(),
            // Whatever is to be written is refused.
            Self::Full => drop(redis.command(&["CONFIG", "SET", "maxmemory", "1"])),
            Self::Slow => drop(redis.command(&["CLIENT", "PAUSE", "2000", "ALL"])),
        }
    }

    fn end(self, fleet: &Fleet) {
        let redis = &fleet.redis;
        match self {
            Self::Killed => redis.restart(),
            Self::Stopped => redis.cont(),
            Self::Full => drop(redis.command(&["CONFIG", "SET", "maxmemory", "0"])),
            Self::Slow => drop(redis.command(&["CLIENT", "UNPAUSE"])),
            Self::Restarted | Self::Wiped => {}
        }
    }

    /// Whether the daemons must notice.
    fn is_outage(self) -> bool {
        matches!(self, Self::Killed | Self::Stopped)
    }
}

/// How many verdicts the service cache was asked for.
fn asked(fleet: &Fleet) -> u64 {
    ["keyspace_hits", "keyspace_misses"].map(|name| fleet.redis.info(name).parse::<u64>().unwrap()).iter().sum()
}

/// Asks what no daemon knows until a daemon asks the service cache.
fn is_used_by(world: &mut World, node: usize) {
    let before = asked(&world.fleet);
    let since = Instant::now();
    while asked(&world.fleet) == before {
        assert!(since.elapsed() < PATIENCE, "daemon {node} does not use the service cache");
        let stranger = world.stranger();
        world.is_right(&mut world.fleet.client(node), stranger);
    }
}

fn says(fleet: &Fleet, node: usize, line: &str) -> bool {
    let ready = fleet.ask(node, &Request::get("/readyz?verbose"));
    assert_eq!(ready.status, 200, "{ready}");
    ready.text().contains(line)
}

#[test]
fn without_its_service_cache_a_daemon_decides_as_before_and_uses_it_again_when_it_is_back() {
    let Some(mut world) = World::start(|setup| setup.set("cache.l3.capacity", 0)) else { return };
    (0..2).for_each(|node| is_used_by(&mut world, node));
    let faults = [Fault::Killed, Fault::Stopped, Fault::Restarted, Fault::Wiped, Fault::Full, Fault::Slow];
    for fault in faults {
        fault.begin(&world.fleet);
        let mut took = Vec::new();
        for round in 0..ROUNDS {
            assert!(world.write(round % 2, round % CELLS).status < 300);
            let stranger = world.stranger();
            let mut clients: [Client; 2] = [0, 1].map(|node| world.fleet.client(node));
            for client in &mut clients {
                took.extend([0, 0, stranger].map(|user| world.is_right(client, user)));
            }
        }
        took.sort_unstable();
        if fault.is_outage() {
            (0..2).for_each(|node| until("degraded", || says(&world.fleet, node, "[-]redis degraded: ")));
        }
        fault.end(&world.fleet);
        let since = Instant::now();
        (0..2).for_each(|node| {
            until("used again", || says(&world.fleet, node, "[+]redis ok"));
            is_used_by(&mut world, node);
        });
        let back: Duration = since.elapsed();
        println!(
            "{fault:?}: {} batches of {CELLS}, p50 {:.1?}, p99 {:.1?}, at most {:.1?}; used again by both after {back:.1?}",
            took.len(),
            took[took.len() / 2],
            took[took.len() * 99 / 100],
            took[took.len() - 1]
        );
    }
}

/// Has a daemon give each cell the number two, and share verdicts about that with the fleet.
#[track_caller]
fn share_what_will_be_lost(world: &World, asker: usize) {
    (0..CELLS).for_each(|cell| assert_eq!(world.fleet.ask(0, &put(cell, 2)).status, 200));
    let question = world.question(asker, 0..CELLS);
    until("the verdicts are shared", || {
        let shown = cells::shown(&world.fleet.ask(0, &question));
        assert!(shown.iter().all(|shown| shown.is_some_and(|shown| shown.cell == Some(2))));
        world.fleet.redis.command(&["DBSIZE"]).parse::<usize>().unwrap() >= CELLS
    });
}

/// Lets the other daemon, which was never asked, assign the lost versions to other changes; then its decisions with the
/// fleet's verdicts must be right.
#[track_caller]
fn nothing_lost_comes_back(world: &mut World, asker: usize) {
    let versions = u16::try_from(CELLS).unwrap() + 1;
    (1..=versions).for_each(|number| {
        let written = world.fleet.ask(1, &put(CELLS, number));
        assert!(written.status < 300, "{written}");
        written.header("x-consistency-token").unwrap().clone_into(&mut world.newest);
    });
    let found = || world.fleet.redis.info("keyspace_hits").parse::<usize>().unwrap();
    let before = found();
    until("verdicts are found", || {
        world.is_right(&mut world.fleet.client(1), asker);
        found() > before + CELLS
    });
}

/// A backup is restored while no daemon runs. What Redis has of the time that was lost must not come back, though the
/// versions of then are given again to something else.
#[test]
fn a_verdict_of_a_state_that_was_lost_is_not_believed() {
    let world = World::start(|setup| setup.set("cache.l1.capacity", 0).set("cache.l3.capacity", 0));
    let Some(mut world) = world else { return };
    (0..2).for_each(|node| world.fleet.kill(node));
    let (database, postgres) = (world.fleet.database.clone(), &world.fleet.postgres);
    let backup = format!("CREATE DATABASE backup TEMPLATE {database} OWNER {ROLE}");
    until("nobody is connected", || postgres.try_sql("postgres", &backup).is_ok());

    world.fleet.start_again(0);
    let asker = world.stranger();
    share_what_will_be_lost(&world, asker);
    world.fleet.kill(0);
    world.fleet.postgres.drop_database(&database);
    world.fleet.postgres.sql("postgres", &format!("ALTER DATABASE backup RENAME TO {database}"));
    world.fleet.start_again(1);
    nothing_lost_comes_back(&mut world, asker);
}

/// A backup is restored under a running daemon; a daemon that has ended had shared verdicts of the lost changes.
#[test]
fn a_verdict_of_an_incarnation_that_was_lost_is_not_believed() {
    const TABLES: [&str; 3] = ["entities", "entity_versions", "changes"];
    let world = World::start(|setup| setup.set("cache.l1.capacity", 0).set("cache.l3.capacity", 0));
    let Some(mut world) = world else { return };
    let each = |statement: &dyn Fn(&str) -> String| TABLES.map(statement).concat();
    world.fleet.sql(&each(&|table| format!("CREATE TABLE saved_{table} AS SELECT * FROM {table};")));
    let asker = world.stranger();
    share_what_will_be_lost(&world, asker);
    (0..2).for_each(|node| world.fleet.kill(node));
    world.fleet.start_again(1);

    let restore = each(&|table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM saved_{table};"));
    world.fleet.sql(&format!("BEGIN; {restore} COMMIT;"));
    let old = "SELECT count(*) FROM entity_versions JOIN saved_entity_versions USING (incarnation)";
    until("another incarnation is begun", || world.fleet.sql(old).trim() == "0");
    nothing_lost_comes_back(&mut world, asker);
}
