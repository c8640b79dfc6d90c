//! A withdrawal stays in force although the database loses it, also after a restart.

use diesel::connection::SimpleConnection as _;
use diesel::sqlite::SqliteConnection;
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _};
use serde_json::json;

use super::withdrawals::Stage;
use super::{PASSWORD, Tokens, add_user, is_refused, me, setup};
use crate::audit::Exported;
use crate::harness::postgres::Postgres;
use crate::harness::{Request, Setup, TestDaemon, issuer, until};

/// A database that is put back under its daemon.
enum Database {
    Sqlite(std::path::PathBuf),
    Postgres(Postgres),
}

impl Database {
    fn save(&self) {
        match self {
            Self::Sqlite(path) => {
                let mut conn = open(path);
                for table in tables(&mut conn) {
                    conn.batch_execute(&format!("CREATE TABLE saved_{table} AS SELECT * FROM {table}")).unwrap();
                }
            }
            Self::Postgres(server) => {
                server.shut_down();
                server.back_up();
                server.start_again();
            }
        }
    }

    fn put_back(&self) {
        match self {
            Self::Sqlite(path) => {
                let mut conn = open(path);
                let saved =
                    tables(&mut conn).into_iter().filter_map(|table| table.strip_prefix("saved_").map(str::to_owned));
                let put = |table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM saved_{table};");
                conn.batch_execute(&format!("BEGIN; {} COMMIT;", saved.map(put).collect::<String>())).unwrap();
            }
            Self::Postgres(server) => {
                server.shut_down();
                server.restore();
                server.start_again();
            }
        }
    }
}

fn open(path: &std::path::Path) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = OFF").unwrap();
    conn
}

fn tables(conn: &mut SqliteConnection) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Table {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
    }
    let query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_\\_%' ESCAPE '\\'
                 AND name NOT LIKE 'sqlite%'";
    diesel::sql_query(query).load::<Table>(conn).unwrap().into_iter().map(|table| table.name).collect()
}

#[test]
fn what_a_running_daemon_withdrew_stays_out_when_the_sqlite_database_loses_it() {
    let setup = setup().in_files();
    let path = setup.data_dir().join("acgs.db");
    stays_out_when_lost(setup, &Database::Sqlite(path));
}

#[test]
fn what_a_running_daemon_withdrew_stays_out_when_the_postgresql_database_loses_it() {
    if !Postgres::is_installed() {
        crate::harness::skip("PostgreSQL is missing");
        return;
    }
    let server = Postgres::options().hasty().start();
    let setup = setup().set("database.url", server.url(&server.create_database()));
    stays_out_when_lost(setup, &Database::Postgres(server));
}

#[track_caller]
fn stays_out_when_lost(setup: Setup, database: &Database) {
    let stage = Stage::new(setup);
    // Users who are disabled and enabled again, before and after the state that is put back.
    let names = ["before", "between", "after"];
    for name in &names {
        add_user(&stage.daemon, name, "admin");
    }
    let set = |name: &str, disabled: bool| {
        let change = Request::new("PATCH", &format!("/v1/users/{name}")).json(&json!({"disabled": disabled}));
        until("it is changed", || stage.daemon.ask(&change).status < 300);
    };
    set("before", true);
    set("before", false);
    set("between", true);
    let after = Tokens::log_in(&stage.daemon, "after", PASSWORD);
    database.save();
    until("it goes on", || stage.daemon.ask(&me(&after.access)).status == 200);
    set("between", false);
    for disabled in [true, false] {
        set("after", disabled);
    }
    // A session that the restored database does not know.
    let unknown = Tokens::log_in(&stage.daemon, "before", PASSWORD);
    assert!(stage.daemon.ask(&Request::post("/v1/auth/logout").token(&unknown.access)).status < 300);
    for case in &stage.cases {
        let answer = stage.daemon.ask(&case.withdraw);
        assert!(answer.status < 300, "{}: {answer}", case.name);
        stage.is_out(case);
    }
    let lost = stage.cases.len() + ["between", "after", "after", "unknown"].len();

    database.put_back();
    let rolled_back = || stage.daemon.get("/v1/audit/entries?kind=database").json()["items"].clone();
    until("it is noticed", || rolled_back().as_array().is_some_and(|events| !events.is_empty()));
    let check = |stage: &Stage| {
        stage.cases.iter().for_each(|case| stage.is_out(case));
        for ended in [&after, &unknown] {
            is_refused(&stage.daemon.ask(&me(&ended.access)), "a session");
        }
        for (name, status) in [("disabled", 401), ("removed", 401), ("before", 200), ("between", 401), ("after", 200)] {
            assert_eq!(stage.daemon.ask(&super::login(name, PASSWORD)).status, status, "{name}");
        }
        let user = stage.daemon.get("/v1/users/demoted").json();
        assert_eq!(user["roles"], json!(["auditor"]), "{user}");
    };
    check(&stage);
    let repeated = |stage: &Stage| {
        let records = Exported::from(&stage.setup, 0).records;
        records.into_iter().filter(|record| record["repeats"].is_string()).collect::<Vec<_>>()
    };
    let found = repeated(&stage);
    assert_eq!(found.len(), lost, "{found:#?}");
    for case in &stage.cases {
        assert!(found.iter().any(|record| record["event"] == case.event), "{}", case.name);
    }
    let told = stage.daemon.stderr();
    let line =
        told.lines().find(|line| line.contains("the database has lost changes")).unwrap_or_else(|| panic!("{told}"));
    for part in
        ["ERROR", "those of this node are in its log", "acgs audit export --from ", "acgs key rotate token --withdraw"]
    {
        assert!(line.contains(part), "{line}");
    }
    let Stage { setup, daemon, cases, kept, client, assertion } = stage;
    assert!(daemon.stop().success());
    let stage = Stage { daemon: setup.start(), setup, cases, kept, client, assertion };
    check(&stage);
    assert_eq!(repeated(&stage).len(), lost);
}

/// These changes give something besides, and are made again without it.
#[test]
fn an_old_password_a_copied_refresh_token_and_withdrawn_keys_stay_out_when_the_database_loses_it() {
    let setup = setup().in_files();
    let database = Database::Sqlite(setup.data_dir().join("acgs.db"));
    let daemon = setup.start();
    let new_password = "a staple of a battery horse";
    let [changed, copied, signed] = ["changed", "copied", "signed"].map(|name| {
        add_user(&daemon, name, "admin");
        Tokens::log_in(&daemon, name, PASSWORD)
    });
    database.save();
    let change = json!({"old": PASSWORD, "new": new_password});
    let change = Request::post("/v1/auth/password").json(&change).token(&changed.access);
    let rotate = Request::post("/v1/auth/keys/rotate").json(&json!({"withdraw": true})).token(issuer::admin());
    let answer = daemon.ask(&change);
    assert!(answer.status < 300, "{answer}");
    let second = Tokens::of(&daemon.ask(&super::refresh(&copied.refresh)));
    Tokens::of(&daemon.ask(&super::refresh(&second.refresh)));
    assert_eq!(daemon.ask(&super::refresh(&copied.refresh)).status, 401);
    let answer = daemon.ask(&rotate);
    assert!(answer.status < 300, "{answer}");
    database.put_back();
    let events = || daemon.get("/v1/audit/entries?kind=database").json()["items"].clone();
    until("it is noticed", || events().as_array().is_some_and(|events| !events.is_empty()));
    let check = |daemon: &TestDaemon| {
        for tokens in [&changed, &copied, &second, &signed] {
            is_refused(&daemon.ask(&me(&tokens.access)), "a token of a withdrawn key");
        }
        assert_eq!(daemon.ask(&super::refresh(&copied.refresh)).status, 401);
        assert_eq!(daemon.ask(&super::login("changed", PASSWORD)).status, 401);
        let fresh = Tokens::log_in(daemon, "changed", new_password);
        assert_eq!(daemon.ask(&me(&fresh.access)).status, 200);
    };
    check(&daemon);
    assert!(daemon.stop().success());
    check(&setup.start());
}
