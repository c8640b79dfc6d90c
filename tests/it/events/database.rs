//! The database is restored to an older state, or replaced, under an audit log that has recorded later changes.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Answer, Request, Setup, TestDaemon, Tiers, issuer, until};

fn tool(risk: u64) -> Value {
    json!({"attrs": {"risk": risk}})
}

fn risk(daemon: &TestDaemon) -> Value {
    daemon.get("/v1/entities/Tool/saw").json()["attrs"]["risk"].clone()
}

#[track_caller]
fn done(answer: &Answer) {
    assert!(answer.status < 300, "{answer}");
}

type Change = fn(&TestDaemon);

/// Each is the only change after the backup.
const CHANGES: [(&str, Change); 6] = [
    ("an entity is changed", |daemon| done(&daemon.put("/v1/entities/Tool/saw", &tool(9)))),
    ("an entity is deleted", |daemon| done(&daemon.delete("/v1/entities/Tool/saw"))),
    ("entities are stored in a batch", |daemon| {
        let axe = json!({"uid": {"type": "Tool", "id": "axe"}, "attrs": {"risk": 1}});
        done(&daemon.post("/v1/entities/batch", &json!([axe])));
    }),
    ("a user is removed who never logged in", |daemon| done(&daemon.delete("/v1/users/ann"))),
    ("an API key is revoked", |daemon| {
        let keys = daemon.get("/v1/api-keys").json();
        done(&daemon.delete(&format!("/v1/api-keys/{}", keys["items"][0]["id"].as_str().unwrap())));
    }),
    ("keys that sign tokens are rotated", |daemon| {
        let rotate = Request::post("/v1/auth/keys/rotate").json(&json!({}));
        done(&daemon.ask(&rotate.token(&issuer::token("root", "admin"))));
    }),
];

/// A stopped daemon that has stored a tool, a user and an API key.
#[track_caller]
fn prepared() -> Setup {
    let setup = Setup::new();
    let daemon = setup.start();
    done(&daemon.put("/v1/entities/Tool/saw", &tool(1)));
    done(
        &daemon
            .post("/v1/users", &json!({"name": "ann", "password": "a long enough passphrase", "roles": ["auditor"]})),
    );
    done(&daemon.post("/v1/api-keys", &json!({"name": "robot", "scopes": ["read"]})));
    assert!(daemon.stop().success());
    setup
}

#[track_caller]
fn is_refused(setup: &Setup, case: &str) {
    let refused = setup.try_start().map(|_| format!("{case}: it starts")).unwrap_err();
    assert_eq!(refused.status.code(), Some(74), "{case}: {refused}");
    for said in ["older than the audit log", "acgs serve --accept-rollback database"] {
        assert!(refused.stderr.contains(said), "{case}: {refused}");
    }
    // A command does not change anything either.
    assert_eq!(setup.run(["user", "list"]).status.code(), Some(74), "{case}");
}

#[test]
fn a_database_that_lacks_any_recorded_change_is_refused_whichever_the_change_was_and_however_the_daemon_ended() {
    let setup = prepared();
    let mark = setup.data_dir().join("database-revision");
    for (nth, (case, change)) in CHANGES.into_iter().enumerate() {
        let backup = setup.back_up();
        let older_mark = fs::read(&mark).unwrap();
        let daemon = setup.start();
        change(&daemon);
        if nth % 2 == 0 {
            daemon.kill();
        } else {
            assert!(daemon.stop().success());
        }
        let newer = setup.back_up();
        let newer_mark = fs::read(&mark).unwrap();
        setup.restore(&backup);
        is_refused(&setup, case);
        // The mark beside the log only says where to begin scanning.
        fs::remove_file(&mark).unwrap();
        if nth % 2 == 1 {
            is_refused(&setup, case);
            fs::write(&mark, older_mark).unwrap();
            is_refused(&setup, case);
        }
        fs::write(&mark, newer_mark).unwrap();
        setup.restore(&newer);
        assert!(setup.start().stop().success(), "{case}: the newer one is taken");
    }
}

#[test]
fn an_older_database_is_accepted_once_when_an_administrator_says_so_and_that_is_recorded() {
    let setup = prepared();
    let backup = setup.back_up();
    let daemon = setup.start();
    let lost = daemon.put("/v1/entities/Tool/saw", &tool(9));
    let lost = lost.header("x-consistency-token").unwrap().to_owned();
    assert!(daemon.stop().success());
    setup.restore(&backup);
    is_refused(&setup, "no flag");
    let other = setup.try_start_with(&["--accept-rollback", "log"]).unwrap_err();
    assert_eq!(other.status.code(), Some(74), "{other}");

    let daemon = setup.try_start_with(&["--accept-rollback", "database"]).unwrap();
    assert_eq!(risk(&daemon), 1);
    let search = || daemon.get("/v1/audit/entries?kind=database").json();
    until("copied", || search()["items"].as_array().is_some_and(|items| !items.is_empty()));
    let events = search();
    let accepted: Vec<&Value> = events["items"].as_array().unwrap().iter().map(|item| &item["record"]).collect();
    assert_eq!(accepted.len(), 1, "{events}");
    assert_eq!((&accepted[0]["event"], &accepted[0]["lost"]), (&json!("rollback_accepted"), &json!(lost)));
    let token =
        |request: &str| Request::get("/v1/entities/Tool/saw").header("X-Consistency", &format!("at-least {request}"));
    assert_eq!(daemon.ask(&token(&lost)).status, 412);
    let written = daemon.put("/v1/entities/Tool/saw", &tool(2));
    let written = written.header("x-consistency-token").unwrap().to_owned();
    assert_eq!(daemon.ask(&token(&written)).status, 200);
    daemon.kill();

    // From then on the log belongs to this database, with or without the flag.
    let daemon = setup.start();
    assert_eq!((risk(&daemon), daemon.ask(&token(&written)).status), (json!(2), 200));
    assert!(daemon.stop().success());
    let daemon = setup.try_start_with(&["--accept-rollback", "database"]).unwrap();
    assert_eq!(daemon.ask(&token(&written)).status, 200, "nothing was rolled back");
    assert!(daemon.stop().success());
}

#[test]
fn a_history_that_went_on_from_a_backup_is_refused_though_its_numbers_are_greater() {
    let setup = prepared();
    let backup = setup.back_up();
    let daemon = setup.start();
    done(&daemon.put("/v1/entities/Tool/saw", &tool(9)));
    daemon.kill();
    setup.restore(&backup);
    // Another daemon continues with the backup.
    let other = setup.clone().set("data_dir", setup.data_dir().with_file_name("other").display());
    let other = other.set("audit.origin", "acgs.example/other");
    let other = if Tiers::current() == Tiers::Sqlite {
        // Nor does it have the copy of the first one's log.
        for file in ["acgs-audit.db", "acgs-audit.db-wal", "acgs-audit.db-shm"] {
            drop(fs::remove_file(setup.data_dir().join(file)));
        }
        other.set("database.url", format_args!("sqlite:{}", setup.data_dir().join("acgs.db").display()))
    } else {
        other
    };
    let daemon = other.start();
    (0..20).for_each(|risk| done(&daemon.put("/v1/entities/Tool/saw", &tool(risk))));
    assert!(daemon.stop().success());
    is_refused(&setup, "another history");
}

#[test]
fn a_new_database_behind_a_log_is_refused() {
    if Tiers::have_no_files() {
        return;
    }
    let setup = prepared();
    for file in ["acgs.db", "acgs.db-wal", "acgs.db-shm"] {
        drop(fs::remove_file(setup.data_dir().join(file)));
    }
    is_refused(&setup, "no database");
    let daemon = setup.try_start_with(&["--accept-rollback", "database"]).unwrap();
    assert_eq!(daemon.get("/v1/entities/Tool/saw").status, 404);
    assert!(daemon.stop().success());
    assert!(setup.start().stop().success());
}

#[test]
fn daemons_that_are_killed_while_they_write_start_again() {
    let setup = prepared();
    for round in 0..12_u64 {
        let daemon = setup.start();
        let mut connection = daemon.connect();
        let killer = std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                let put = |risk: u64| Request::put("/v1/entities/Tool/saw").json(&tool(risk));
                (0..u64::MAX).take_while(|n| connection.try_ask(&put(*n)).is_ok()).count()
            });
            // Killed at some moment while it writes.
            (0..round * 3).for_each(|_| drop(daemon.get("/healthz")));
            daemon.kill();
            writer.join().unwrap()
        });
        println!("{killer} writes");
    }
    assert!(setup.start().stop().success());
}
