//! Each setup has stores of its own, and servers end with the tests.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::can;
use crate::harness::postgres::{Postgres, psql};
use crate::harness::redis::Redis;
use crate::harness::tiers::{Stores, Tiers};
use crate::harness::{PATIENCE, Setup};

fn are_installed() -> bool {
    can(Postgres::is_installed() && Redis::is_installed(), "PostgreSQL or no Redis")
}

#[test]
fn a_setup_has_an_own_database_and_an_own_redis_where_the_tiers_have_them() {
    if !are_installed() {
        return;
    }
    let folder = Path::new("/nowhere");
    let all: Vec<_> = [Tiers::PostgresqlRedis, Tiers::PostgresqlRedis, Tiers::Postgresql].map(Stores::of).into();
    let urls: BTreeSet<String> = all.iter().flat_map(|stores| stores.environment().into_values()).collect();
    assert_eq!(urls.len(), 5, "{urls:?}");
    for stores in &all {
        let environment = stores.environment();
        assert_eq!(environment["ACGS_DATABASE__URL"], stores.database_url(folder));
        assert_eq!(environment.get("ACGS_CACHE__L2__URL").cloned(), stores.redis().map(Redis::url));
        assert_eq!(psql(&stores.database_url(folder), "CREATE TABLE t (a INT)"), Ok(String::new()));
    }
    let files = Stores::of(Tiers::Sqlite);
    assert!(files.environment().is_empty() && files.redis().is_none());
    assert_eq!(files.database_url(folder), "sqlite:/nowhere/acgs.db");
}

#[test]
fn a_dump_shows_what_is_stored_and_a_backup_brings_it_back() {
    if !are_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let stores = Stores::of(Tiers::Postgresql);
    let sql = |text: &str| psql(&stores.database_url(folder.path()), text).unwrap();
    sql("CREATE TABLE t (a TEXT, b BYTEA); INSERT INTO t VALUES ('a text', 'some bytes')");
    let has = |part: &str| stores.dump(folder.path()).windows(part.len()).any(|bytes| bytes == part.as_bytes());
    assert!(has("a text") && has("some bytes") && !has("another"));
    let backup = stores.back_up(folder.path());
    sql("INSERT INTO t VALUES ('another', '')");
    for _ in 0..2 {
        sql("INSERT INTO t VALUES ('another', '')");
        stores.restore(folder.path(), &backup);
        assert_eq!(sql("SELECT a FROM t"), "a text");
    }

    let files = Stores::of(Tiers::Sqlite);
    let write = |text: &str| std::fs::write(folder.path().join("acgs.db"), text).unwrap();
    write("before");
    let backup = files.back_up(folder.path());
    std::fs::write(folder.path().join("acgs.db-wal"), "more").unwrap();
    write("after");
    assert_eq!(files.dump(folder.path()), b"aftermore");
    files.restore(folder.path(), &backup);
    assert_eq!(files.dump(folder.path()), b"before");
}

#[test]
fn servers_and_their_folders_are_gone_after_the_tests_were_killed() {
    if !are_installed() {
        return;
    }
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.args(["--exact", "servers::tiers::servers_that_wait_to_be_killed", "--ignored", "--nocapture"]);
    let mut tests = tests.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(tests.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told: Vec<String> = lines.take_while(|line| line != "ready").filter(|line| line.contains("/proc/")).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    let paths: Vec<&str> = told.iter().flat_map(|line| line.split(' ').filter(|part| part.starts_with('/'))).collect();
    assert!(paths.iter().all(|path| Path::new(path).exists()), "{paths:?}");
    tests.kill().unwrap();
    tests.wait().unwrap();
    let since = Instant::now();
    while let Some(left) = paths.iter().find(|path| Path::new(path).exists()) {
        assert!(since.elapsed() < PATIENCE, "{left} is left");
        std::thread::yield_now();
    }
}

#[test]
#[ignore = "it is started and killed by another test"]
fn servers_that_wait_to_be_killed() {
    let [running, stopped] = [(); 2].map(|()| Postgres::options().hasty().start());
    let [idle, halted] = [(); 2].map(|()| Redis::start());
    stopped.stop();
    halted.stop();
    for postgres in [&running, &stopped] {
        println!("/proc/{} {}", postgres.pid(), postgres.folder().display());
    }
    for redis in [&idle, &halted] {
        println!("/proc/{} {}", redis.pid(), redis.folder().display());
    }
    println!("ready");
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_setup_says_where_its_database_is() {
    let setup = Setup::new();
    let url = setup.database_url();
    match Tiers::current() {
        Tiers::Sqlite => assert!(url.ends_with("/data/acgs.db"), "{url}"),
        _ => assert_eq!(psql(&url, "SELECT current_user"), Ok("acgs".into())),
    }
    assert_eq!(setup.redis().is_some(), Tiers::current() == Tiers::PostgresqlRedis);
}
