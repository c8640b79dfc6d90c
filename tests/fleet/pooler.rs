//! Daemons behind a `PgBouncer` that assigns a server session to each transaction: they rely on no session state, and
//! leave none behind for other clients.

use std::thread;

use serde_json::json;

use crate::cells;
use crate::harness::pgbouncer::PgBouncer;
use crate::harness::postgres::{Postgres, psql};
use crate::harness::redis::Redis;
use crate::harness::{Request, Setup, TestDaemon, until};

const USERS: usize = 8;
const ROUNDS: usize = 12;

/// The servers, with a pooler in front of PostgreSQL.
struct Pooled {
    postgres: Postgres,
    bouncer: PgBouncer,
    redis: Redis,
    database: String,
    constitution: tempfile::TempDir,
}

impl Pooled {
    fn start(mode: &str, settings: &str) -> Option<Self> {
        if !(Postgres::is_installed() && Redis::is_installed() && PgBouncer::is_installed()) {
            crate::harness::skip("there is no PostgreSQL, no Redis or no PgBouncer");
            return None;
        }
        let postgres = Postgres::options().hasty().start();
        let bouncer = PgBouncer::start(&postgres, mode, 30, settings);
        let database = postgres.create_database();
        let constitution = tempfile::tempdir().unwrap();
        cells::constitution(constitution.path());
        Some(Self { redis: Redis::options().start(), postgres, bouncer, database, constitution })
    }

    fn setup(&self, name: &str) -> Setup {
        Setup::new()
            .set("audit.origin", format_args!("{name}.example"))
            .set("http.public_url", "http://fleet.example")
            .in_files()
            .constitution(self.constitution.path())
            .set("database.url", self.bouncer.url(&self.database))
            .set("database.pool.size", 8)
            .set("database.pool.max_overflow", 8)
            .set("database.pool.min_idle", 2)
            .set("cache.l2.url", self.redis.url())
            .set("cache.l2.timeout_ms", 100)
    }

    /// The value of a parameter in a session that the pooler assigns.
    fn shows(&self, parameter: &str) -> String {
        psql(&self.bouncer.url(&self.database), &format!("SHOW {parameter}")).unwrap()
    }
}

fn number(daemon: &TestDaemon, cell: usize) -> Option<u64> {
    let answer = daemon.ask(&Request::get(&cells::path(cell)).header("X-Consistency", "full"));
    (answer.status == 200).then(|| answer.json()["attrs"]["bits"].as_array().unwrap().len() as u64)
}

/// Writes and reads on two daemons concurrently, so that transactions get varying sessions.
fn work(daemons: &[TestDaemon; 2]) {
    thread::scope(|scope| {
        for user in 0..USERS {
            scope.spawn(move || {
                let [here, there] = [&daemons[user % 2], &daemons[(user + 1) % 2]];
                for round in 0..ROUNDS {
                    let value = u16::try_from(round % 7 + 1).unwrap();
                    let written = here.put(&cells::path(user), &cells::entity(user, user, value));
                    assert!(matches!(written.status, 200 | 201), "{written}");
                    let token = written.header("x-consistency-token").unwrap();
                    let read = Request::get(&cells::path(user)).header("X-Consistency", &format!("at-least {token}"));
                    let read = there.ask(&read);
                    let expected = &cells::entity(user, user, value)["attrs"]["bits"];
                    assert_eq!((read.status, &read.json()["attrs"]["bits"]), (200, expected));
                    let batch = json!([cells::entity(100 + user, user, value), cells::entity(200 + user, user, value)]);
                    let stored = there.post("/v1/entities/batch", &batch);
                    assert!(stored.status < 300, "{stored}");
                    assert_eq!(number(here, 100 + user), Some(u64::from(value.count_ones())));
                    let listed = here.get("/v1/entities?type=Cell&limit=3");
                    assert_eq!(listed.status, 200, "{listed}");
                    let asked = cells::ask(&[cells::question(user, user, true)]);
                    assert_eq!(there.ask(&asked).status, 200);
                }
            });
        }
    });
}

#[test]
fn daemons_behind_a_pooler_of_transactions_work_as_with_sessions_of_their_own() {
    for (mode, more, told) in [
        ("transaction", "", None),
        ("transaction", "server_round_robin = 1", None),
        ("transaction", "", Some(false)),
        ("session", "", None),
    ] {
        let Some(pooled) = Pooled::start(mode, more) else { return };
        let setups = ["one", "other"].map(|name| pooled.setup(name));
        let setups =
            setups.map(|setup| told.map_or(setup.clone(), |told| setup.set("database.prepared_statements", told)));
        let daemons = setups.each_ref().map(Setup::start);
        work(&daemons);
        // Callers and the search index are stored in the database, too.
        let key = daemons[0].post("/v1/api-keys", &json!({"name": "robot", "scopes": ["read"]}));
        assert!(key.status < 300, "{key}");
        let shown = Request::get("/v1/constitution").header("X-API-Key", key.json()["key"].as_str().unwrap());
        until("the key is known", || daemons[1].ask(&shown.clone().anonymous()).status == 200);
        until("searched", || {
            let found = daemons[1].get("/v1/audit/entries?kind=decision&limit=1");
            found.status == 200 && !found.json()["items"].as_array().unwrap().is_empty()
        });
        for daemon in &daemons {
            until("ready", || !daemon.get("/readyz?verbose").text().contains("degraded"));
        }
        // A daemon joins the running ones, and leaves.
        let [first, second] = daemons;
        let (status, log) = first.stop_and_tell();
        assert!(status.success(), "{log}");
        assert_eq!(log.contains("a pooler assigns"), mode == "transaction" && told.is_none(), "{mode}: {log}");
        assert!(!log.contains("ERROR"), "{log}");
        let again = [setups[0].start(), second];
        work(&again);
        for daemon in again {
            assert!(daemon.stop().success());
        }
        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
        until("no lock is left", || pooled.postgres.sql(&pooled.database, held) == "0");
        if mode == "transaction" {
            for (parameter, usual) in [
                ("lock_timeout", "0"),
                ("statement_timeout", "0"),
                ("idle_in_transaction_session_timeout", "0"),
                ("default_transaction_read_only", "off"),
                ("client_min_messages", "notice"),
            ] {
                assert_eq!(pooled.shows(parameter), usual, "{parameter} is somebody else's session's");
            }
        }
    }
}
