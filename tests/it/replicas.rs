//! Reads from replicas of the database are never older than the daemon's own knowledge; otherwise the primary is read.

use crate::harness::postgres::Postgres;
use crate::harness::{Setup, TestDaemon, until};
use serde_json::{Value, json};

/// A primary, its standby, and a daemon that has both.
struct Fleet {
    primary: Postgres,
    standby: Postgres,
    database: String,
    daemon: TestDaemon,
}

impl Fleet {
    /// None where PostgreSQL is missing.
    fn start() -> Option<Self> {
        if !Postgres::is_installed() {
            crate::harness::skip("PostgreSQL is missing");
            return None;
        }
        let primary = Postgres::start();
        let standby = primary.standby();
        let database = primary.create_database();
        let setup = Setup::new().set("database.url", primary.url(&database));
        // Nothing is answered without the database.
        let setup = setup.set("cache.l1.capacity", 0).set("cache.l3.capacity", 0);
        let setup = setup.set("database.max_replica_lag_ms", 600).set("database.replicas", standby.url(&database));
        standby.catch_up_with(&primary);
        let fleet = Self { daemon: setup.start(), primary, standby, database };
        until("looked at", || fleet.replica()["healthy"] == true);
        Some(fleet)
    }

    fn replica(&self) -> Value {
        self.daemon.get("/v1/pool").json()["replicas"][0].clone()
    }

    /// How many connections were lent by the primary's pool and the replica's.
    fn lent(&self) -> (u64, u64) {
        let pool = self.daemon.get("/v1/pool").json();
        let lent = |pool: &Value| pool["waits"]["acquired"].as_u64().unwrap();
        (lent(&pool), lent(&pool["replicas"][0]))
    }

    fn risk(&self) -> u64 {
        self.daemon.get("/v1/entities/Tool/saw").json()["attrs"]["risk"].as_u64().unwrap()
    }

    fn write(&self, risk: u64) {
        let saw = json!({"uid": {"type": "Tool", "id": "saw"}, "attrs": {"risk": risk}});
        let written = self.daemon.put("/v1/entities/Tool/saw", &saw);
        assert!(written.header("x-consistency-token").is_some(), "{written}");
        assert!(matches!(written.status, 200 | 201), "{written}");
    }
}

#[test]
fn a_replica_answers_where_it_has_everything_and_the_primary_where_it_has_not() {
    let Some(fleet) = Fleet::start() else { return };
    fleet.write(1);
    fleet.standby.catch_up_with(&fleet.primary);
    until("up to date", || fleet.replica()["lag_ms"] == 0.0);
    let before = fleet.lent();
    for _ in 0..20 {
        assert_eq!(fleet.risk(), 1);
    }
    let after = fleet.lent();
    assert!(after.1 >= before.1 + 20, "the replica is asked: {before:?}, {after:?}");

    fleet.standby.pause_replay();
    for risk in 2..20 {
        fleet.write(risk);
        assert_eq!(fleet.risk(), risk, "who wrote reads it");
    }
    until("told to be behind", || fleet.replica()["healthy"] == false);
    assert!(fleet.replica()["lag_ms"].as_f64().unwrap() > 600.0);
    let before = fleet.lent();
    assert_eq!(fleet.risk(), 19);
    assert!(fleet.lent().0 > before.0, "the primary is asked");

    fleet.standby.resume_replay();
    fleet.standby.catch_up_with(&fleet.primary);
    until("asked again", || fleet.replica()["healthy"] == true);
    assert_eq!(fleet.risk(), 19);
}

#[test]
fn a_replica_that_is_away_or_hangs_is_done_without_and_comes_back() {
    let Some(fleet) = Fleet::start() else { return };
    fleet.write(1);
    fleet.standby.catch_up_with(&fleet.primary);
    let faults: [[fn(&Postgres); 2]; 2] = [[Postgres::kill, Postgres::start_again], [Postgres::stop, Postgres::cont]];
    for [fault, mend] in faults {
        fault(&fleet.standby);
        until("noticed", || fleet.replica()["healthy"] == false);
        for risk in 1..10 {
            fleet.write(risk);
            assert_eq!(fleet.risk(), risk);
        }
        mend(&fleet.standby);
        fleet.standby.catch_up_with(&fleet.primary);
        until("asked again", || fleet.replica()["healthy"] == true);
        assert_eq!(fleet.risk(), 9);
    }
}

#[test]
fn a_replica_with_another_history_is_not_asked_though_its_version_is_greater() {
    let Some(fleet) = Fleet::start() else { return };
    fleet.write(1);
    fleet.standby.catch_up_with(&fleet.primary);
    fleet.standby.promote();
    // As another fleet would continue with it.
    fleet.standby.sql(
        &fleet.database,
        "INSERT INTO changes (version, kind, nonce)
             SELECT newest + n, 'other', n FROM entity_versions, generate_series(1, 50) AS n;
         UPDATE entity_versions SET newest = newest + 50, nonce = 50;
         UPDATE entities SET attrs = '{\"risk\":99}' WHERE type = 'Tool' AND id = 'saw'",
    );
    for risk in 2..20 {
        fleet.write(risk);
        assert_eq!(fleet.risk(), risk);
    }
    let before = fleet.lent();
    (0..20).for_each(|_| assert_eq!(fleet.risk(), 19));
    assert!(fleet.lent().0 >= before.0 + 20, "the primary is asked");
}
