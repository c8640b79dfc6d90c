//! A disk or database that hangs: readiness reports it, requests do not pile up, and refused changes are never made.

use std::thread;

use acgs::store::{self, Target};
use diesel::connection::SimpleConnection as _;
use serde_json::{Value, json};

use super::disk::Faults;
use crate::audit::{Exported, question, verify};
use crate::harness::postgres::Postgres;
use crate::harness::{Answer, Request, Setup, TestDaemon, until};

fn path(id: &str) -> String {
    format!("/v1/entities/Tool/{id}")
}

fn put(id: &str) -> Request {
    Request::put(&path(id)).json(&json!({"uid": {"type": "Tool", "id": id}, "attrs": {}, "parents": []}))
}

fn client(name: &str) -> Request {
    Request::post("/v1/clients").json(&json!({"name": name, "roles": ["agent"]}))
}

/// Whether the entity is stored now.
fn is_stored(daemon: &TestDaemon, id: &str) -> bool {
    daemon.get(&path(id)).status == 200
}

#[track_caller]
fn becomes_unready(daemon: &TestDaemon, check: &str) {
    until(check, || {
        let told = daemon.get("/readyz");
        told.status == 503 && told.text().contains(check)
    });
}

#[track_caller]
fn becomes_ready(daemon: &TestDaemon) {
    until("ready again", || daemon.get("/readyz").status == 200);
}

/// The ids of the entities whose changes are recorded.
fn recorded(setup: &Setup) -> Vec<Value> {
    let records = Exported::from(setup, 0).records.into_iter();
    records
        .filter(|record| record["kind"] == "entity")
        .map(|record| record.pointer("/resource/id").unwrap().clone())
        .collect()
}

/// The outcome of a change that was answered with 202.
#[track_caller]
fn outcome(daemon: &TestDaemon, accepted: &Answer) -> String {
    assert_eq!(accepted.status, 202, "{accepted}");
    let told = daemon.get(accepted.header("location").unwrap());
    assert_eq!(told.status, 200, "{told}");
    told.json().get("state").and_then(Value::as_str).unwrap().to_owned()
}

#[test]
fn a_hanging_disk_of_the_log_makes_the_daemon_unready_and_what_it_refuses_never_happens() {
    let Some(faults) = Faults::new() else { return };
    for call in ["write", "sync"] {
        faults.clear();
        let setup = faults.within(crate::audit::setup());
        let daemon = setup.start();
        assert_eq!(daemon.ask(&question(1)).status, 200);
        faults.set(&format!("{call} hang 0 .log"));
        // The outcome of a write in progress is unknown.
        let begun = daemon.ask(&put("begun"));
        assert_eq!(outcome(&daemon, &begun), "unknown");
        becomes_unready(&daemon, "[-]audit failed: the disk does not answer");
        assert!(!is_stored(&daemon, "begun"));
        for _ in 0..3 {
            let refused = daemon.ask(&question(1));
            assert_eq!(refused.status, 503, "{refused}");
            assert!(refused.text().contains("the disk of the audit log does not answer"), "{refused}");
            assert_eq!(daemon.ask(&put("refused")).status, 503);
        }
        assert_eq!(daemon.ask(&client("refused")).status, 503);
        faults.clear();
        becomes_ready(&daemon);
        until("done", || outcome(&daemon, &begun) == "done");
        assert_eq!((is_stored(&daemon, "begun"), is_stored(&daemon, "refused")), (true, false));
        assert_eq!(daemon.ask(&question(1)).status, 200);
        assert_eq!(daemon.ask(&put("later")).status, 201);
        assert_eq!(recorded(&setup), ["begun", "later"]);
        assert_eq!(daemon.ask(&client("refused")).status, 201, "it was not made before");
        assert!(daemon.stop().success());
        verify(&setup);
    }
}

#[test]
fn a_hanging_disk_of_the_database_leaves_no_doubt_about_what_was_refused() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(crate::audit::setup()).in_files();
    let daemon = setup.start();
    faults.set("sync hang 0 /acgs.db");
    let begun = daemon.ask(&put("begun"));
    assert_eq!(outcome(&daemon, &begun), "unknown");
    let refused: Vec<u16> = (0..3).map(|_| daemon.ask(&put("refused")).status).collect();
    assert_eq!(refused, [503; 3]);
    assert_eq!(daemon.ask(&client("refused")).status, 503);
    faults.clear();
    until("done", || outcome(&daemon, &begun) == "done");
    becomes_ready(&daemon);
    assert_eq!(daemon.ask(&put("later")).status, 201);
    assert_eq!((is_stored(&daemon, "begun"), is_stored(&daemon, "refused")), (true, false));
    assert_eq!(recorded(&setup), ["begun", "later"]);
    assert!(daemon.stop().success());
}

#[test]
fn a_hanging_server_makes_the_daemon_unready_and_what_it_refuses_never_happens() {
    if !Postgres::is_installed() {
        crate::harness::skip("there is no PostgreSQL");
        return;
    }
    let postgres = Postgres::start();
    let database = postgres.create_database();
    let setup = crate::audit::setup().set("database.url", postgres.url(&database));
    let daemon = setup.start();
    assert_eq!(daemon.ask(&put("before")).status, 201);
    postgres.stop();
    let refused: Vec<Answer> = thread::scope(|scope| {
        let asked: Vec<_> = (0..4).map(|_| scope.spawn(|| daemon.ask(&put("refused")))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(refused.iter().all(|answer| answer.status == 503), "{refused:?}");
    becomes_unready(&daemon, "[-]database failed: it does not answer");
    assert_eq!(daemon.ask(&client("refused")).status, 503);
    assert_eq!(daemon.ask(&Request::delete(&path("before"))).status, 503);
    postgres.cont();
    becomes_ready(&daemon);
    // After a later write: writers are serialized.
    assert_eq!(daemon.ask(&put("later")).status, 201);
    assert_eq!((is_stored(&daemon, "refused"), is_stored(&daemon, "before")), (false, true));
    assert_eq!(recorded(&setup), ["before", "later"]);
    assert_eq!(daemon.ask(&client("refused")).status, 201, "it was not made before");
    assert!(daemon.stop().success());
    verify(&setup);
}

#[test]
fn a_change_whose_commit_gets_no_answer_is_accepted_with_an_unknown_outcome() {
    if !Postgres::is_installed() {
        crate::harness::skip("there is no PostgreSQL");
        return;
    }
    let postgres = Postgres::start();
    let database = postgres.create_database();
    let daemon = crate::audit::setup().set("database.url", postgres.url(&database)).start();
    // The server ends the session while it commits.
    postgres.sql(
        &database,
        "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON changes DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION at_commit()",
    );
    let (entity, other) = (daemon.ask(&put("lost")), daemon.ask(&client("lost")));
    assert_eq!([outcome(&daemon, &entity), outcome(&daemon, &other)], ["unknown", "unknown"]);
    postgres.sql(&database, "DROP TRIGGER at_commit ON changes");
    assert_eq!(daemon.ask(&put("later")).status, 201);
    assert!(daemon.stop().success());
}

#[test]
fn a_database_file_that_somebody_else_locks_refuses_writes_that_never_happen() {
    let setup = crate::audit::setup().in_files();
    let daemon = setup.start();
    let wait = std::time::Duration::from_secs(10);
    let mut other = store::open(&Target::from(&*setup.data_dir().join("acgs.db")), wait).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let refused: Vec<u16> = (0..3).map(|_| daemon.ask(&put("refused")).status).collect();
    assert_eq!(refused, [503; 3]);
    assert_eq!(daemon.ask(&client("refused")).status, 503);
    assert_eq!(daemon.ask(&question(1)).status, 200, "reading goes on");
    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(daemon.ask(&put("later")).status, 201);
    assert!(!is_stored(&daemon, "refused"));
    assert_eq!(recorded(&setup), ["later"]);
    assert!(daemon.stop().success());
}

#[test]
fn the_outcome_of_what_nobody_was_told_of_is_not_found() {
    let daemon = crate::audit::setup().start();
    for id in ["", "x", "00000000-0000-4000-8000-000000000000"] {
        assert_eq!(daemon.get(&format!("/v1/writes/{id}")).status, 404, "{id}");
    }
    let stranger = Request::get("/v1/writes/00000000-0000-4000-8000-000000000000").anonymous();
    assert_eq!(daemon.ask(&stranger).status, 401);
}
