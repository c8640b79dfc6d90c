//! What `/v1/pool` says is what the server says, under load and after it.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use serde_json::Value as Json;

use crate::cells;
use crate::harness::{PATIENCE, Request, until};
use crate::table_lock::TableLock;
use crate::world::{CELLS, World};

/// Requests that nobody waits for the answers of.
const ABORTED: usize = 10_000;

/// What the daemon says of its pool, once it has a place for the request.
#[track_caller]
fn pool(world: &World, node: usize) -> Json {
    let since = Instant::now();
    loop {
        let answer = world.fleet.ask(node, &Request::get("/v1/pool"));
        if answer.status == 200 {
            return answer.json();
        }
        assert!(answer.status == 503 && since.elapsed() < PATIENCE, "{answer}");
    }
}

fn figure(pool: &Json, pointer: &str) -> u64 {
    pool.pointer(pointer).and_then(Json::as_u64).unwrap_or_else(|| panic!("no {pointer} in {pool}"))
}

/// How many connections of all daemons the server knows.
fn server_knows(world: &World) -> u64 {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'acgs'";
    world.fleet.sql(count).parse().unwrap()
}

/// How many connections the server knows that are in no pool shown: those that follow, and those of the search index.
fn others(world: &World) -> u64 {
    let shown: u64 = (0..2).map(|node| figure(&pool(world, node), "/open")).sum();
    server_knows(world).saturating_sub(shown)
}

#[test]
fn more_slow_queries_than_connections_wait_and_are_answered() {
    let slow = |setup: crate::harness::Setup| {
        let setup = setup.set("database.pool.size", 20).set("database.pool.max_overflow", 30);
        setup.set("http.request_timeout_ms", 30_000).set("database.pool.acquire_timeout_ms", 25_000)
    };
    let Some(world) = World::start(slow) else { return };
    let mut client = world.fleet.client(0);
    world.is_right(&mut client, 0);
    let others_before = others(&world);
    let lock = TableLock::take(&world.fleet, "entities");
    thread::scope(|scope| {
        let ask = |count: usize| {
            for _ in 0..count {
                scope.spawn(|| {
                    let answer = world.fleet.ask(0, &Request::get(&cells::path(0)));
                    assert_eq!(answer.status, 200, "{answer}");
                });
            }
        };
        let is_so = |busy: u64, waiting: u64| {
            let pool = pool(&world, 0);
            assert!(figure(&pool, "/open") <= 50, "{pool}");
            (figure(&pool, "/busy"), figure(&pool, "/waiting")) == (busy, waiting)
        };
        ask(50);
        until("all connections are in use", || is_so(50, 0));
        until("somebody is told", || pool(&world, 0)["alert"]["state"] == "exhausted");
        assert_eq!(others(&world), others_before);
        ask(10);
        until("the others wait", || is_so(50, 10));
        assert_eq!(others(&world), others_before);
        // Who needs no connection waits for nobody.
        world.is_right(&mut client, 0);
        lock.release(&world.fleet);
    });
    until("nothing is in use", || figure(&pool(&world, 0), "/busy") == 0);
    // An alert lasts until there was less for some looks in a row.
    until("the alert is over", || pool(&world, 0)["alert"]["state"] == "ok");
    let shown = pool(&world, 0);
    assert_eq!(figure(&shown, "/waiting"), 0, "{shown}");
    assert_eq!(figure(&shown, "/failed/timeout"), 0, "{shown}");
    assert!(figure(&shown, "/waits/waited") >= 10, "{shown}");
    println!("waits: {}", shown["waits"]);
    // Overflow connections are closed when they have been idle for some time, and the figures must follow.
    until("the server knows as many", || others(&world) == others_before);
}

#[test]
fn who_waits_too_long_for_a_connection_is_refused_and_everything_goes_on() {
    let Some(world) = World::start(|setup| setup) else { return };
    let lock = TableLock::take(&world.fleet, "entities");
    thread::scope(|scope| {
        for _ in 0..60 {
            scope.spawn(|| {
                let answer = world.fleet.ask(0, &Request::get(&cells::path(0)));
                assert_eq!(answer.status, 503, "{answer}");
            });
        }
    });
    lock.release(&world.fleet);
    until("answered", || world.fleet.ask(0, &Request::get(&cells::path(0))).status == 200);
    until("nothing is in use", || {
        let pool = pool(&world, 0);
        (figure(&pool, "/busy"), figure(&pool, "/waiting")) == (0, 0)
    });
    println!("{}", pool(&world, 0));
}

#[test]
fn aborted_requests_leave_nothing_behind() {
    // Were the places of aborted requests lost, there would soon be none.
    let Some(world) = World::start(|setup| setup.set("http.max_in_flight", 100)) else { return };
    let (others_before, address) = (others(&world), world.fleet.daemon(0).as_ref().unwrap().address());
    let process = world.fleet.daemon(0).as_ref().unwrap().pid();
    let files = || std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    let files_before = files();
    thread::scope(|scope| {
        for quarter in 0..4 {
            scope.spawn(move || {
                for nth in 0..ABORTED / 4 {
                    // Nobody has asked that before, so it needs the database.
                    let question = cells::question(1_000 + nth, 1_000 * (quarter + 1) + nth, false);
                    let bytes = cells::ask(&[question]).bytes();
                    let sent = if nth % 3 == 0 { &bytes[..bytes.len() / 2] } else { &bytes[..] };
                    TcpStream::connect(address).unwrap().write_all(sent).unwrap();
                }
            });
        }
    });
    until("nothing is in use", || {
        let pool = pool(&world, 0);
        (figure(&pool, "/busy"), figure(&pool, "/waiting")) == (0, 0)
    });
    until("connections are closed", || files() <= files_before + 16);
    until("the server knows as many", || others(&world) == others_before);
    thread::scope(|scope| {
        for user in 0..60 {
            let world = &world;
            scope.spawn(move || world.is_right(&mut world.fleet.client(0), user % CELLS));
        }
    });
    let shown = pool(&world, 0);
    println!("{files_before} files before, {} after; {shown}", files());
}

#[test]
fn the_server_sees_the_pool_opened_in_advance_tested_repaired_and_recycled() {
    let start = |setup: crate::harness::Setup| {
        let setup = setup.set("database.pool.size", 20).set("database.pool.min_idle", 10);
        setup.set("database.pool.health_check_s", 1).set("database.pool.recycle_s", 5)
    };
    let Some(world) = World::start(start) else { return };
    let sessions = "FROM pg_stat_activity WHERE application_name = 'acgs'";
    let end_all = || world.fleet.sql(&format!("SELECT count(pg_terminate_backend(pid)) {sessions}"));
    let opened = figure(&pool(&world, 0), "/open");
    assert!((10..=20).contains(&opened), "{opened} connections at the start");
    assert!(server_knows(&world) >= 20, "10 for each of the two daemons");
    // Tested before use: no request meets a session that has ended.
    end_all();
    thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| {
                let answer = world.fleet.ask(0, &Request::get(&cells::path(0)));
                assert_eq!(answer.status, 200, "{answer}");
            });
        }
    });
    assert!(figure(&pool(&world, 0), "/closed/broken") > 0);
    // Repaired by the health check, without a request.
    end_all();
    until("the connections are replaced", || server_knows(&world) >= 20);
    // Recycled: of the sessions of now, none that is in a pool remains.
    let before = world.fleet.sql(&format!("SELECT string_agg(pid::text, ',') {sessions}"));
    let remaining = || -> u64 {
        let count = world.fleet.sql(&format!("SELECT count(*) {sessions} AND pid IN ({before})"));
        count.parse().unwrap()
    };
    until("no old session remains in a pool", || remaining() <= others(&world));
    assert!(figure(&pool(&world, 0), "/closed/recycled") > 0);
}
