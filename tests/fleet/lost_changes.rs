//! A database loses changes under running daemons: verdicts on lost data are not given any more, and their tokens are
//! refused.

use std::path::Path;

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use diesel::sqlite::SqliteConnection;
use serde_json::Value as Json;

use crate::cells;
use crate::harness::postgres::Postgres;
use crate::harness::{Answer, Request, Setup, TestDaemon, until};
use crate::history::{Token, Value};
use crate::world::put;

const TABLES: [&str; 3] = ["entities", "entity_versions", "changes"];

fn copy(from: &str, to: &str) -> String {
    TABLES.map(|table| format!("CREATE TABLE {to}{table} AS SELECT * FROM {from}{table};")).concat()
}

fn put_back() -> String {
    let tables = TABLES.map(|table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM saved_{table};"));
    format!("BEGIN; {} COMMIT;", tables.concat())
}

#[track_caller]
fn token(answer: &Answer) -> Token {
    assert!(answer.status < 300, "{answer}");
    Token::parse(answer.header("x-consistency-token").unwrap())
}

/// A daemon's view of a cell, for a caller that has asked before; `None` if it cannot be read.
#[track_caller]
fn shown(daemon: &TestDaemon, cell: usize) -> Option<Value> {
    let answer = daemon.ask(&cells::ask(&[cells::question(0, cell, false)]));
    if answer.status == 503 { None } else { cells::shown(&answer)[0].map(|shown| shown.cell) }
}

/// Whether all workers have that view.
fn all_show(daemon: &TestDaemon, cell: usize, value: u16) -> bool {
    (0..16).all(|_| shown(daemon, cell) == Some(Some(value)))
}

/// Each way to demand an answer at least as new as a token.
fn demanding(token: &dyn std::fmt::Display) -> [Request; 4] {
    let question = cells::question(0, 0, false);
    let requests = [
        Request::get(&cells::path(0)),
        Request::get("/v1/entities?type=Cell"),
        Request::post("/access/v1/evaluation").json(&question),
        cells::ask(&[question]),
    ];
    requests.map(|request| request.header("X-Consistency", &format!("at-least {token}")))
}

#[track_caller]
fn is_answered(daemon: &TestDaemon, token: &dyn std::fmt::Display, status: u16) {
    for request in demanding(token) {
        let answer = daemon.ask(&request);
        assert_eq!(answer.status, status, "{token}: {answer}");
    }
}

fn setup(folder: &Path) -> Setup {
    cells::constitution(folder);
    Setup::new().constitution(folder)
}

#[test]
fn a_token_is_believed_only_of_this_database_and_of_changes_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path());
    let daemon = setup.start();
    let tokens: Vec<Token> = (1..4).map(|number| token(&daemon.ask(&put(0, number)))).collect();
    // The same after a restart.
    assert!(daemon.stop().success());
    let daemon = setup.start();
    let last = tokens[2];
    for good in &tokens {
        is_answered(&daemon, good, 200);
        is_answered(&daemon, &Token { incarnation: good.incarnation ^ 1, ..*good }, 412);
        is_answered(&daemon, &Token { nonce: good.nonce ^ 1, ..*good }, 412);
    }
    is_answered(&daemon, &Token { incarnation: 7, version: i64::MAX, nonce: 0 }, 412);
    is_answered(&daemon, &Token { version: last.version + 1_000, ..last }, 503);
    is_answered(&daemon, &last.version, 412);
    for wrong in ["x", "1.2", "1.2.3", &format!("{last}0"), &format!("+{last}"), &format!("{last}.")] {
        is_answered(&daemon, &wrong, 400);
    }
}

/// Losses are detected without any write or consistency demand.
#[test]
fn a_database_file_that_is_put_back_under_its_daemon_invalidates_every_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path()).in_files();
    let daemon = setup.start();
    token(&daemon.ask(&put(0, 2)));
    let path = setup.data_dir().join("acgs.db");
    let run = |sql: &str| {
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        conn.batch_execute(&format!("PRAGMA busy_timeout = 10000; {sql}")).unwrap();
    };
    run(&copy("", "saved_"));
    let lost = token(&daemon.ask(&put(0, 1)));
    assert!(all_show(&daemon, 0, 1));
    run(&put_back());
    until("the older state is shown", || all_show(&daemon, 0, 2));
    until("the token is refused", || daemon.ask(&demanding(&lost)[0]).status == 412);
    is_answered(&daemon, &lost, 412);
    let events = || daemon.get("/v1/audit/entries?kind=database").json()["items"].clone();
    until("it is recorded", || events().as_array().is_some_and(|events| events.len() == 1));
    assert_eq!(events()[0]["record"]["event"], "rolled_back");
    let new = token(&daemon.ask(&put(0, 4)));
    assert!(new.version > lost.version && new.incarnation != lost.incarnation, "{lost}, {new}");
    is_answered(&daemon, &new, 200);
    daemon.kill();
    // The loss was recorded, so a start accepts the database.
    assert!(all_show(&setup.start(), 0, 4));
}

/// The newest two changes do not reach the standby, and four others follow after the failover, so versions alone do not
/// tell.
#[test]
fn a_failover_that_loses_changes_is_noticed_however_many_come_instead() {
    if !Postgres::is_installed() {
        crate::harness::skip("PostgreSQL is missing");
        return;
    }
    for instead in [0, 2, 4] {
        let primary = Postgres::start();
        let standby = primary.standby();
        let database = primary.create_database();
        let folder = tempfile::tempdir().unwrap();
        let url = format!(
            "postgres://{}@127.0.0.1:{},127.0.0.1:{}/{database}?target_session_attrs=read-write",
            crate::harness::postgres::ROLE,
            primary.port(),
            standby.port()
        );
        let node = |nth: usize| {
            let setup = setup(folder.path()).set("database.url", &url);
            setup.set("audit.origin", format_args!("node-{nth}.example"))
        };
        let setups = [node(0), node(1)];
        let daemons = [setups[0].start(), setups[1].start()];
        let first = token(&daemons[0].ask(&put(0, 2)));
        standby.catch_up_with(&primary);
        standby.shut_down();
        let lost: Vec<Token> = [put(0, 1), put(1, 1)].iter().map(|put| token(&daemons[0].ask(put))).collect();
        // The other node has not seen them, and continues with the standby's state.
        assert!(all_show(&daemons[0], 0, 1));
        primary.kill();
        standby.start_again();
        standby.promote();
        for number in 0..instead {
            until("written", || daemons[1].ask(&put(2, number + 1)).status < 300);
        }
        let refuse = |daemon: &TestDaemon, token: &Token| {
            demanding(token).iter().all(|request| daemon.ask(request).status == 412)
        };
        for daemon in &daemons {
            until("another incarnation is known", || refuse(daemon, &first));
            until("what was lost is not shown", || all_show(daemon, 0, 2));
            (0..64).for_each(|_| assert_ne!(shown(daemon, 0), Some(Some(1)), "{instead} instead"));
            for lost in &lost {
                until("the token is refused", || refuse(daemon, lost));
            }
        }
        until("written again", || daemons[1].ask(&put(0, 8)).status < 300);
        until("known to both", || daemons.iter().all(|daemon| all_show(daemon, 0, 8)));
        let all: Json = daemons[0].get("/v1/entities/Cell/0").json();
        assert_eq!(all, daemons[1].get("/v1/entities/Cell/0").json());
    }
}
