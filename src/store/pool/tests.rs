//! The pool over a server that fails, hangs and forgets its connections as it is told.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Instant;

use r2d2::ManageConnection;

use super::tracked_connection::{MonitoredManager, TierState};
use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Works,
    Refuses,
    Hangs,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    /// Connections of an older life do not work any more.
    life: u32,
    open: u32,
    most: u32,
    limit: u32,
}

#[derive(Debug, Clone)]
struct Server(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug)]
struct Link {
    server: Server,
    life: u32,
    is_cut: AtomicBool,
}

#[derive(Debug)]
struct Failed(&'static str);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Failed {}

impl Server {
    fn new() -> Self {
        let state = State { mode: Mode::Works, life: 0, open: 0, most: 0, limit: u32::MAX };
        Self(Arc::new((Mutex::new(state), Condvar::new())))
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    fn see<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.0.lock().unwrap())
    }

    /// It ends, and all connections with it.
    fn stop(&self) {
        self.set(|state| (state.mode, state.life) = (Mode::Refuses, state.life + 1));
    }

    fn start(&self) {
        self.set(|state| state.mode = Mode::Works);
    }
}

impl ManageConnection for Server {
    type Connection = Link;
    type Error = Failed;

    fn connect(&self) -> Result<Link, Failed> {
        let (state, changed) = &*self.0;
        let mut state = changed.wait_while(state.lock().unwrap(), |state| state.mode == Mode::Hangs).unwrap();
        if state.mode == Mode::Refuses {
            return Err(Failed("connection refused\n\tis it running?\n"));
        }
        if state.open >= state.limit {
            return Err(Failed("too many clients"));
        }
        state.open += 1;
        state.most = state.most.max(state.open);
        Ok(Link { server: self.clone(), life: state.life, is_cut: AtomicBool::new(false) })
    }

    fn is_valid(&self, link: &mut Link) -> Result<(), Failed> {
        let (state, changed) = &*self.0;
        let state = changed.wait_while(state.lock().unwrap(), |state| state.mode == Mode::Hangs).unwrap();
        if link.life == state.life { Ok(()) } else { Err(Failed("terminated")) }
    }

    fn has_broken(&self, link: &mut Link) -> bool {
        link.is_cut.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.server.set(|state| state.open -= 1);
    }
}

/// Long enough to be sure that nobody waited for it.
const LONG: Duration = Duration::from_mins(5);

fn dimensions(size: u32, max_overflow: u32) -> Dimensions {
    Dimensions {
        size: NonZeroU32::new(size).unwrap(),
        max_overflow,
        min_idle: 1,
        pre_ping: true,
        recycle: Duration::from_hours(1),
        acquire_timeout: LONG,
    }
}

fn pool(server: &Server, size: u32, max_overflow: u32) -> Tiers<Server> {
    Tiers::open(server.clone(), dimensions(size, max_overflow)).unwrap()
}

/// For what has no event to wait for.
fn until(holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < end);
        thread::yield_now();
    }
}

#[test]
fn the_first_connections_are_there_before_the_pool_is() {
    let server = Server::new();
    let pool = Tiers::open(server.clone(), Dimensions { min_idle: 3, ..dimensions(5, 5) }).unwrap();
    assert!(server.see(|state| state.open) >= 3);
    let stats = pool.stats();
    assert_eq!((stats.base.open, stats.overflow.open, stats.busy()), (3, 0, 0));
    let lease = pool.acquire().unwrap();
    assert_eq!((pool.stats().busy(), pool.take_peak()), (1, 1));
    drop(lease);
    assert_eq!((pool.stats().busy(), pool.take_peak(), pool.take_peak()), (0, 1, 0));
    assert_eq!((pool.stats().waits.acquired, pool.stats().waits.waited), (1, 0));
}

#[test]
fn the_overflow_is_opened_when_the_base_does_not_come_back_and_nothing_beyond_it() {
    let server = Server::new();
    let pool =
        Tiers::open(server.clone(), Dimensions { acquire_timeout: Duration::from_millis(50), ..dimensions(2, 1) });
    let pool = pool.unwrap();
    let leases = [pool.acquire().unwrap(), pool.acquire().unwrap(), pool.acquire().unwrap()];
    let stats = pool.stats();
    assert_eq!((stats.base.busy, stats.overflow.busy, stats.capacity()), (2, 1, 3));
    assert_eq!(pool.acquire().unwrap_err(), NoConnection::Late);
    let stats = pool.stats();
    assert_eq!((stats.late, stats.waiting, stats.open()), (1, 0, 3));
    assert!(stats.waits.longest >= Duration::from_millis(50));
    assert_eq!(server.see(|state| state.most), 3);
    drop(leases);
    assert_eq!(pool.stats().busy(), 0);
    drop([pool.acquire().unwrap(), pool.acquire().unwrap(), pool.acquire().unwrap()]);
    assert_eq!(server.see(|state| state.most), 3);
}

#[test]
fn those_who_wait_get_connections_in_the_order_in_which_they_came() {
    let (server, (tell, told)) = (Server::new(), mpsc::channel());
    let pool = pool(&server, 1, 0);
    thread::scope(|scope| {
        let lease = pool.acquire().unwrap();
        for name in 0..5 {
            let (pool, tell) = (&pool, tell.clone());
            scope.spawn(move || {
                let lease = pool.acquire().unwrap();
                tell.send(name).unwrap();
                drop(lease);
            });
            until(|| pool.stats().waiting == name + 1);
        }
        drop(lease);
    });
    drop(tell);
    assert_eq!(told.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let waits = pool.stats().waits;
    assert_eq!((waits.acquired, waits.waited), (6, 5));
}

#[test]
fn connections_that_a_restart_ended_are_replaced_before_a_job_gets_them() {
    let server = Server::new();
    let pool = Tiers::open(server.clone(), Dimensions { min_idle: 3, ..dimensions(3, 0) }).unwrap();
    server.stop();
    server.start();
    let lease = pool.acquire().unwrap();
    assert_eq!(lease.life, 1);
    let base = pool.stats().base;
    assert!(base.failed_ping == 1 && (1..=3).contains(&base.closed_broken), "one tells of all: {base:?}");
}

#[test]
fn no_connection_is_used_again_that_was_open_when_one_was_found_to_be_of_no_use() {
    for pre_ping in [true, false] {
        let server = Server::new();
        let pool = Tiers::open(server.clone(), Dimensions { min_idle: 3, pre_ping, ..dimensions(3, 2) }).unwrap();
        let busy = pool.acquire().unwrap();
        // The server still answers, so that no test finds anything wrong.
        server.set(|state| state.life += 1);
        pool.renew();
        // More often than once a second it does nothing.
        pool.renew();
        assert_eq!(pool.acquire().unwrap().life, 1);
        drop(busy);
        let leases = [pool.acquire().unwrap(), pool.acquire().unwrap(), pool.acquire().unwrap()];
        assert_eq!(leases.each_ref().map(|lease| lease.life), [1; 3], "pre_ping = {pre_ping}");
        drop(leases);
        assert_eq!(pool.stats().base.closed_broken, 3);
    }
}

#[test]
fn while_the_server_is_gone_nobody_waits_and_when_it_is_back_all_goes_on() {
    let server = Server::new();
    let pool = pool(&server, 4, 4);
    server.stop();
    let why = NoConnection::Down("connection refused; is it running?".into());
    for _ in 0..10 {
        assert_eq!(pool.acquire().unwrap_err(), why);
    }
    assert_eq!(pool.test().unwrap_err(), why);
    let stats = pool.stats();
    assert_eq!((stats.refused, stats.late, stats.open(), stats.waiting), (10, 0, 0, 0));
    assert_eq!(stats.outage.as_deref(), Some("connection refused; is it running?"));
    let opened = stats.base.opened;
    server.start();
    assert!(pool.state().wait_for_opened(opened + 1, Instant::now() + Duration::from_mins(1)));
    until(|| pool.stats().outage.is_none());
    drop(pool.acquire().unwrap());
    assert_eq!(pool.test().unwrap(), ProbeResult::Answers);
}

#[test]
fn a_server_that_hangs_costs_the_time_out_once() {
    let server = Server::new();
    let short = Dimensions { min_idle: 0, acquire_timeout: Duration::from_millis(30), ..dimensions(2, 2) };
    let pool = Tiers::open(server.clone(), short).unwrap();
    server.set(|state| state.mode = Mode::Hangs);
    assert_eq!(pool.acquire().unwrap_err(), NoConnection::Late);
    let why = NoConnection::Down("no connection was opened in time".into());
    assert_eq!(pool.acquire().unwrap_err(), why);
    server.start();
    assert!(pool.state().wait_for_opened(1, Instant::now() + Duration::from_mins(1)));
    until(|| pool.stats().outage.is_none());
    pool.acquire().unwrap();
}

#[test]
fn a_server_that_has_no_more_to_give_is_not_gone() {
    let server = Server::new();
    let pool = pool(&server, 1, 2);
    server.set(|state| state.limit = 1);
    let lease = pool.acquire().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.acquire().map(|lease| lease.life));
        until(|| pool.stats().overflow.failed_connect > 0);
        drop(lease);
        assert_eq!(waiting.join().unwrap(), Ok(0));
    });
    let stats = pool.stats();
    assert_eq!((stats.outage, stats.last_error.as_deref()), (None, Some("too many clients")));
    // Nothing of the failed try is in the way of those who come next.
    drop(pool.acquire().unwrap());
    assert_eq!((pool.stats().busy(), pool.stats().waiting), (0, 0));
}

#[test]
fn a_connection_that_is_not_trusted_or_broken_is_not_put_back() {
    let server = Server::new();
    let pool = pool(&server, 1, 0);
    pool.acquire().unwrap().distrust();
    assert_eq!(pool.stats().base.closed_broken, 1);
    pool.acquire().unwrap().is_cut.store(true, Ordering::Relaxed);
    assert_eq!(pool.stats().base.closed_broken, 2);
    assert_eq!(pool.acquire().unwrap().life, 0);
}

#[test]
fn connections_that_are_too_old_are_told_apart_from_broken_and_idle_ones() {
    let (server, state) = (Arc::new(Server::new()), Arc::new(TierState::default()));
    let young = MonitoredManager {
        inner: Arc::clone(&server),
        state: Arc::clone(&state),
        max: 20,
        lifetime: LONG,
        pre_ping: true,
    };
    let old = MonitoredManager {
        inner: server,
        state: Arc::clone(&state),
        max: 20,
        lifetime: Duration::ZERO,
        pre_ping: true,
    };
    let (mut one, mut other) = (young.connect().unwrap(), old.connect().unwrap());
    assert_eq!((young.has_broken(&mut one), old.has_broken(&mut other)), (false, true));
    drop((one, other));
    let mut broken = young.connect().unwrap();
    broken.conn.is_cut.store(true, Ordering::Relaxed);
    assert!(young.has_broken(&mut broken));
    drop(broken);
    let closed = TierStats::of(&state);
    assert_eq!((closed.closed_idle, closed.closed_recycled, closed.closed_broken), (1, 1, 1));
    assert_eq!((closed.open, closed.opened), (0, 3));
}

#[test]
fn connections_opened_together_do_not_end_together() {
    let server = Arc::new(Server::new());
    let lifetime = Duration::from_secs(100);
    let watched = MonitoredManager { inner: server, state: Arc::default(), max: 20, lifetime, pre_ping: true };
    let mut lifetimes: Vec<_> = (0..20).map(|_| watched.connect().unwrap().tag.lifetime()).collect();
    lifetimes.sort_unstable();
    assert!(lifetimes[0] >= Duration::from_secs(90) && lifetimes[19] <= Duration::from_secs(100), "{lifetimes:?}");
    assert!(lifetimes.is_sorted_by(|a, b| *b > *a + Duration::from_millis(100)), "{lifetimes:?}");
}

#[test]
fn an_idle_connection_is_tested_and_replaced_without_taking_any_from_jobs() {
    let server = Server::new();
    let without = Dimensions { pre_ping: false, min_idle: 2, ..dimensions(2, 2) };
    let pool = Tiers::open(server.clone(), without).unwrap();
    assert_eq!(pool.test().unwrap(), ProbeResult::Answers);
    server.stop();
    server.start();
    assert_eq!(pool.test().unwrap(), ProbeResult::Answers);
    assert!(pool.stats().base.failed_ping >= 1);
    let leases = [pool.acquire().unwrap(), pool.acquire().unwrap()];
    assert_eq!(pool.test().unwrap(), ProbeResult::Busy);
    drop(leases);
}

#[test]
fn nothing_leaks_whatever_becomes_of_the_jobs() {
    let server = Server::new();
    let pool = pool(&server, 3, 2);
    thread::scope(|scope| {
        for number in 0..12 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..1_000_u32 {
                    let mut lease = pool.acquire().unwrap();
                    match (round + number) % 50 {
                        0 => lease.distrust(),
                        1 => thread::yield_now(),
                        2 => drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                            let _held = lease;
                            std::panic::resume_unwind(Box::new(()));
                        }))),
                        _ => {}
                    }
                }
            });
        }
    });
    let stats = pool.stats();
    assert_eq!((stats.busy(), stats.waiting, stats.late), (0, 0, 0));
    assert_eq!(stats.waits.acquired, 12_000);
    assert!(server.see(|state| state.most) <= 5 && stats.open() <= 5);
    let closed = |tier: TierStats| tier.closed_broken + tier.closed_idle + tier.closed_recycled;
    for tier in [stats.base, stats.overflow] {
        assert!(tier.opened - closed(tier) <= 3, "{tier:?}");
    }
    let all: Vec<_> = (0..5).map(|_| pool.acquire().unwrap()).collect();
    assert_eq!(pool.stats().busy(), 5);
    drop(all);
}
