//! PostgreSQL: databases, ends and returns, standbys, TLS.

use std::fs;

use super::{can, is_answered_only_after};
use crate::harness::authority::Authority;
use crate::harness::postgres::{Postgres, psql};

fn is_installed() -> bool {
    can(Postgres::is_installed(), "PostgreSQL")
}

/// How many rows the table `t` has.
fn count(server: &Postgres, database: &str) -> String {
    server.sql(database, "SELECT count(*) FROM t")
}

#[test]
fn each_database_is_empty_and_belongs_to_a_role_that_may_do_no_more() {
    if !is_installed() {
        return;
    }
    let server = Postgres::shared();
    let [one, other] = [(); 2].map(|()| server.create_database());
    for name in [&one, &other] {
        let url = server.url(name);
        assert_eq!(
            psql(&url, "CREATE TABLE t (a INT, b TEXT); SELECT current_user, count(*) FROM t;"),
            Ok("acgs|0".into())
        );
        assert!(psql(&url, "CREATE DATABASE mine").unwrap_err().contains("permission denied"));
    }
    assert_eq!(server.sql(&one, "INSERT INTO t VALUES (1, 'ä'), (2, NULL); SELECT * FROM t ORDER BY a"), "1|ä\n2|");
    assert_eq!(count(server, &other), "0");
    assert_eq!(server.sql(&one, "SHOW server_encoding; SELECT 'a' < 'B'"), "UTF8\nf");
    assert!(server.try_sql(&one, "SELECT 1/0").unwrap_err().contains("division by zero"));
    server.drop_database(&other);
    assert!(psql(&server.url(&other), "SELECT 1").unwrap_err().contains("does not exist"));
}

#[test]
fn what_is_committed_outlasts_a_kill_and_a_restart_at_the_same_place() {
    if !is_installed() {
        return;
    }
    let server = Postgres::start();
    assert_eq!(server.sql("postgres", "SHOW fsync; SHOW max_connections"), "on\n100");
    let database = server.create_database();
    let url = server.url(&database);
    server.sql(&database, "CREATE TABLE t (a INT)");
    for (round, down) in [Postgres::kill, Postgres::shut_down, Postgres::kill].into_iter().enumerate() {
        server.sql(&database, "INSERT INTO t VALUES (0)");
        down(&server);
        assert!(psql(&url, "SELECT 1").unwrap_err().contains("Connection refused"));
        server.start_again();
        assert_eq!(count(&server, &database), (round + 1).to_string());
    }
    server.restart();
    assert_eq!(psql(&url, "SELECT 1"), Ok("1".into()));
    assert!(server.log().contains("database system was shut down"), "{}", server.log());
}

#[test]
fn a_stopped_server_keeps_connections_and_answers_when_it_goes_on() {
    if !is_installed() {
        return;
    }
    let server = Postgres::options().hasty().set("max_connections", 7).start();
    assert_eq!(server.sql("postgres", "SHOW fsync; SHOW max_connections"), "off\n7");
    let url = server.url("postgres");
    let processes = server.sql("postgres", "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()");
    server.stop();
    for process in processes.lines() {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        assert!(stat.contains(") T "), "{stat}");
    }
    assert!(processes.lines().count() > 3, "{processes}");
    is_answered_only_after(|| psql(&url, "SELECT 1"), || server.cont(), &Ok("1".into()));
    server.stop();
    server.kill();
    server.start_again();
}

#[test]
fn a_standby_follows_shows_nothing_new_while_it_is_paused_and_can_take_over() {
    if !is_installed() {
        return;
    }
    let primary = Postgres::options().hasty().start();
    let database = primary.create_database();
    primary.sql(&database, "CREATE TABLE t (a INT)");
    let standby = primary.standby();
    let insert = "INSERT INTO t VALUES (0)";
    primary.sql(&database, insert);
    standby.catch_up_with(&primary);
    assert_eq!(count(&standby, &database), "1");
    assert!(psql(&standby.url(&database), insert).unwrap_err().contains("read-only"));

    standby.pause_replay();
    primary.sql(&database, insert);
    assert_eq!([&primary, &standby].map(|server| count(server, &database)), ["2", "1"]);
    standby.resume_replay();
    standby.catch_up_with(&primary);
    assert_eq!(count(&standby, &database), "2");

    primary.restart();
    primary.sql(&database, insert);
    standby.catch_up_with(&primary);
    primary.kill();
    standby.promote();
    standby.sql(&database, insert);
    assert_eq!(count(&standby, &database), "4");
}

#[test]
fn tls_is_verified_in_full_and_nothing_else_is_let_in() {
    if !is_installed() || !can(Authority::is_possible(), "`openssl`") {
        return;
    }
    let server = Postgres::options().hasty().tls().start();
    let database = server.create_database();
    let url = server.url(&database);
    assert!(url.contains("sslmode=verify-full"), "{url}");
    assert_eq!(psql(&url, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), Ok("t".into()));
    let own = server.authority().root().display().to_string();
    let other = Authority::new();
    let foreign = psql(&url.replace(&own, &other.root().display().to_string()), "SELECT 1");
    assert!(foreign.unwrap_err().contains("certificate verify failed"));
    let plain = psql(&url.replace("verify-full", "disable"), "SELECT 1");
    assert!(plain.unwrap_err().contains("no encryption"));
    let standby = server.standby();
    assert_eq!(psql(&standby.url(&database), "SELECT pg_is_in_recovery()"), Ok("t".into()));
}
