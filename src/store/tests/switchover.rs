//! Another PostgreSQL server takes over while the connections to the old one stay, which takes no writes any more.
//! Skipped where PostgreSQL is not installed.

use std::thread;

use super::server::harness::postgres::Postgres;
use super::*;

/// A database on two servers, of which the second follows the first.
struct Pair {
    primary: Postgres,
    standby: Postgres,
    database: String,
}

impl Pair {
    fn start() -> Option<Self> {
        if !Postgres::is_installed() {
            println!("skipped: PostgreSQL is missing");
            return None;
        }
        let primary = Postgres::options().hasty().start();
        let standby = primary.standby();
        let database = primary.create_database();
        Some(Self { primary, standby, database })
    }

    /// Whichever of them takes writes.
    fn target(&self) -> Target {
        let (first, second) = (self.primary.port(), self.standby.port());
        let hosts = format!("127.0.0.1:{first},127.0.0.1:{second}");
        Target::from(&*format!("postgres://acgs@{hosts}/{}?target_session_attrs=read-write", self.database))
    }

    /// The first takes no writes from now on, and ends no connection; the second is promoted.
    fn switch_over(&self) {
        self.standby.catch_up_with(&self.primary);
        self.primary.sql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()");
        let shown = "SELECT current_setting('default_transaction_read_only')";
        while self.primary.sql(&self.database, shown) != "on" {
            thread::yield_now();
        }
        self.standby.promote();
    }
}

#[test]
fn after_a_switchover_one_write_fails_and_all_others_find_the_new_server() {
    let Some(pair) = Pair::start() else { return };
    let size = NonZeroU32::new(6).unwrap();
    let options = StoreOptions { target: pair.target(), size, min_idle: 6, ..options(Path::new("/")) };
    let store = Store::open(&options).unwrap();
    store.put(&user("ann", 1), Precondition::default(), |_| Ok(())).unwrap();
    pair.switch_over();
    let put = |n: i64| store.put(&user("ann", n), Precondition::default(), |_| Ok(()));
    let failed = put(2).expect_err("the first job finds out");
    assert!(matches!(failed, StoreError::Unavailable { .. }), "{failed}");
    // At once on all connections there may be, none of which is one to the old server.
    thread::scope(|scope| {
        let writers: Vec<_> = (3..15).map(|n| scope.spawn(move || put(n))).collect();
        for writer in writers {
            writer.join().unwrap().unwrap();
        }
    });
    let seen = pair.standby.sql(&pair.database, "SELECT count(*) FROM entities");
    assert_eq!(seen, "1");
    assert_eq!(store.pool().stats().base.closed_broken, 6);
}

#[test]
fn a_refused_change_of_callers_finds_out_about_a_switchover_too() {
    let Some(pair) = Pair::start() else { return };
    let options = StoreOptions { target: pair.target(), min_idle: 4, ..options(Path::new("/")) };
    let store = Store::open(&options).unwrap();
    pair.switch_over();
    let change = || store.transaction::<_, StoreError>(changes::of_callers);
    assert!(change().is_err());
    change().unwrap();
}

#[test]
fn sessions_that_the_server_ends_cost_one_job_where_they_are_not_tested_before() {
    let Some(pair) = Pair::start() else { return };
    let options = StoreOptions { target: pair.target(), min_idle: 4, pre_ping: false, ..options(Path::new("/")) };
    let store = Store::open(&options).unwrap();
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'acgs'";
    pair.primary.sql(&pair.database, end);
    assert!(store.probe().is_err());
    for _ in 0..8 {
        store.probe().unwrap();
    }
}

/// A server that ends the session at the commit, whose answer is lost then, and one that refuses the commit.
#[test]
fn a_write_is_uncertain_when_the_answer_to_its_commit_is_lost_and_only_then() {
    if !Postgres::is_installed() {
        println!("skipped: PostgreSQL is missing");
        return;
    }
    let server = Postgres::options().hasty().start();
    let database = server.create_database();
    let target = Target::from(&*format!("postgres://acgs@127.0.0.1:{}/{database}", server.port()));
    let store = Store::open(&StoreOptions { target, ..options(Path::new("/")) }).unwrap();
    let put = |n: i64| store.put(&user("ann", n), Precondition::default(), |_| Ok(()));
    let at_commit = |statement: &str| {
        let trigger = format!(
            "CREATE OR REPLACE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN {statement}; RETURN NULL; END $$; \
             DROP TRIGGER IF EXISTS at_commit ON changes; \
             CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON changes DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION at_commit()"
        );
        server.sql(&database, &trigger);
    };
    put(1).unwrap();
    at_commit("PERFORM pg_terminate_backend(pg_backend_pid())");
    let lost = put(2).unwrap_err();
    assert!(matches!(lost, StoreError::Uncertain(_)), "{lost}");
    at_commit("RAISE EXCEPTION 'no' USING ERRCODE = 'serialization_failure'");
    let refused = put(3).unwrap_err();
    assert!(matches!(refused, StoreError::Busy(_)), "{refused}");
    server.sql(&database, "DROP TRIGGER at_commit ON changes");
    put(4).unwrap();
}
