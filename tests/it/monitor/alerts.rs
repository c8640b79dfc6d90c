//! Each alert fires when what it is about happens, and ends with it. The settings of a case leave out the hold.

use std::any::Any;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;

use super::{EVALUATION, alert, becomes, decide, permitted, wait_for};
use crate::audit::Exported;
use crate::faults::disk::{ENOSPC, Faults};
use crate::harness::postgres::Postgres;
use crate::harness::redis::Redis;
use crate::harness::{Request, Setup, SmallDisk, skip};
use crate::tampering::archiving::{log_from, run_until};

/// The cases. They wait for windows of a minute most of the time, so all run at once.
const CASES: [(&str, fn()); 18] = [
    ("cold_caches", cold_caches),
    ("a_figure_must_be_bad_for_as_long_as_the_hold", a_figure_must_be_bad_for_as_long_as_the_hold),
    ("a_slow_disk_of_the_log", a_slow_disk_of_the_log),
    (
        "a_log_that_cannot_be_written_and_decisions_that_are_not_answered",
        a_log_that_cannot_be_written_and_decisions_that_are_not_answered,
    ),
    ("a_disk_that_is_nearly_full", a_disk_that_is_nearly_full),
    ("a_disk_that_fills_up", a_disk_that_fills_up),
    ("a_log_that_will_fill_its_disk", a_log_that_will_fill_its_disk),
    ("a_search_index_that_cannot_be_written", a_search_index_that_cannot_be_written),
    ("checkpoints_that_cannot_be_written", checkpoints_that_cannot_be_written),
    ("a_clock_that_stands_still", a_clock_that_stands_still),
    ("more_denials_than_in_the_minutes_before", more_denials_than_in_the_minutes_before),
    ("a_redis_that_is_full_and_refuses", a_redis_that_is_full_and_refuses),
    ("a_database_that_hangs_and_one_that_is_gone", a_database_that_hangs_and_one_that_is_gone),
    ("a_replica_that_stands_still", a_replica_that_stands_still),
    ("a_key_in_use_that_expires_soon", a_key_in_use_that_expires_soon),
    ("memory_and_processors", memory_and_processors),
    ("compliance", super::compliance::a_verdict_that_is_not_what_the_database_says),
    ("webhook", super::webhook::an_alert_that_fires_and_ends),
];

#[test]
fn each_alert_fires_when_it_should_and_ends() {
    let cases = CASES.map(|(name, case)| (name, thread::spawn(case)));
    let failed = cases.into_iter().filter_map(|(name, case)| Some(format!("{name}: {}", why(&*case.join().err()?))));
    assert_eq!(failed.collect::<Vec<_>>(), Vec::<String>::new());
}

/// The message of a panic.
fn why(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Tells the threads of a scope that they end, also when the scope's own closure panics.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ends the session that holds a table, also when a case panics.
struct Unlock<'a>(&'a Postgres, &'a str);

impl Drop for Unlock<'_> {
    fn drop(&mut self) {
        let holders = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(3600)'";
        drop(self.0.try_sql(self.1, holders));
    }
}

fn setup() -> Setup {
    Setup::new().set("monitor.alerts.hold_s", 0)
}

/// The alerts in the log, as `name event`.
fn recorded(setup: &Setup) -> Vec<String> {
    let records = Exported::from(setup, 0).records.into_iter().filter(|record| record["kind"] == "alert");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    records.map(|record| format!("{} {}", text(&record["alert"]), text(&record["event"]))).collect()
}

fn cold_caches() {
    let setup = setup().set("cache.l1.capacity", 0).set("cache.l3.capacity", 0).set("cache.l2.url", "");
    let setup = setup.set("monitor.cache_hit_rate_window_s", 5);
    let daemon = setup.start();
    let fired = wait_for("few look-ups are hits", || {
        decide(&daemon, 30);
        Some(alert(&daemon, "hit_rate")).filter(|alert| alert["state"] == "firing")
    });
    assert_eq!((&fired["value"], &fired["condition"]), (&json!(0.0), &json!("< 85 %")), "{fired}");
    becomes(&daemon, "hit_rate", "inactive");
    let recorded = recorded(&setup);
    for event in ["fired", "resolved"] {
        assert_eq!(recorded.iter().filter(|record| **record == format!("hit_rate {event}")).count(), 1, "{recorded:?}");
    }
    let stderr = daemon.stderr();
    assert!(stderr.contains("/alerts/hit_rate") && stderr.contains("the alert has ended"), "{stderr}");
}

fn a_figure_must_be_bad_for_as_long_as_the_hold() {
    let setup = setup().set("cache.l1.capacity", 0).set("cache.l3.capacity", 0).set("cache.l2.url", "");
    let daemon = setup.set("monitor.alerts.hold_s", 4).start();
    decide(&daemon, 30);
    becomes(&daemon, "hit_rate", "pending");
    becomes(&daemon, "hit_rate", "firing");
    assert_eq!(alert(&daemon, "hit_rate")["condition"], "< 85 % for 4 s");
}

fn a_slow_disk_of_the_log() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(setup());
    let daemon = setup.start();
    faults.set("sync delay 20 .log");
    decide(&daemon, 25);
    for name in ["latency_p50", "latency_p95", "latency_p99"] {
        let fired = becomes(&daemon, name, "firing");
        assert!(fired["value"].as_f64().unwrap() >= 20.0, "{fired}");
    }
    let firing = daemon.get("/v1/alerts").json()["alerts"][0]["state"].clone();
    assert_eq!(firing, "firing", "those that fire come first");
    assert!(daemon.get("/metrics").text().contains("acgs_alert_firing{name=\"latency_p99\"} 1"));
    faults.clear();
    becomes(&daemon, "latency_p99", "inactive");
    assert!(daemon.get("/metrics").text().contains("acgs_alert_firing{name=\"latency_p99\"} 0"));
}

fn a_log_that_cannot_be_written_and_decisions_that_are_not_answered() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(setup().set("monitor.alerts.min_throughput_per_s", 1));
    let daemon = setup.start();
    decide(&daemon, 1);
    faults.set(&format!("write error {ENOSPC} .log"));
    wait_for("decisions fail", || decide(&daemon, 1).contains(&503).then_some(()));
    becomes(&daemon, "audit_log_unwritable", "firing");
    wait_for("fewer are answered than asked for", || {
        decide(&daemon, 200);
        (alert(&daemon, "throughput")["state"] == "firing").then_some(())
    });
    faults.clear();
    becomes(&daemon, "audit_log_unwritable", "inactive");
    becomes(&daemon, "throughput", "inactive");
    let recorded = recorded(&setup);
    for event in ["audit_log_unwritable fired", "audit_log_unwritable resolved", "throughput fired"] {
        assert!(recorded.iter().any(|record| record == event), "{event} in {recorded:?}");
    }
}

fn a_disk_that_is_nearly_full() {
    let setup = setup().in_files();
    let Some(disk) = SmallDisk::mount(&setup.data_dir(), 200) else { return skip("no small disk") };
    let setup = setup.set("monitor.alerts.disk_free_percent", 50);
    let daemon = setup.start();
    let filler = setup.data_dir().join("filler");
    fs::write(&filler, vec![0; 110 << 20]).unwrap();
    let fired = becomes(&daemon, "disk_space", "firing");
    assert!(fired["value"].as_f64().unwrap() < 50.0, "{fired}");
    fs::remove_file(&filler).unwrap();
    becomes(&daemon, "disk_space", "inactive");
    daemon.stop();
    drop(disk);
}

fn a_log_that_will_fill_its_disk() {
    let setup = setup().in_files();
    let Some(disk) = SmallDisk::mount(&setup.data_dir(), 400) else { return skip("no small disk") };
    // One record a second, so some ten megabytes a day.
    log_from(&setup, 1_500, OffsetDateTime::now_utc() - time::Duration::seconds(1_500));
    run_until(&setup, "the segments are archived", |left| left[0] > 1_000 && left.len() <= 4);
    let setup = setup.set("monitor.alerts.disk_days_left", 3_650);
    let daemon = setup.start();
    let fired = becomes(&daemon, "disk_days_left", "firing");
    let days = fired["value"].as_f64().unwrap();
    assert!(days > 0.0 && days < 3_650.0, "{fired}");
    daemon.stop();
    drop(disk);
}

fn a_disk_that_fills_up() {
    let setup = setup().in_files();
    let Some(disk) = SmallDisk::mount(&setup.data_dir(), 2_000) else { return skip("no small disk") };
    let daemon = setup.start();
    let filler = setup.data_dir().join("filler");
    let mut megabytes = 0;
    let fired = wait_for("`disk_growth` fires", || {
        // Two megabytes a second at most: the disk would be full in some fifteen minutes.
        megabytes = (megabytes + 1).min(150);
        fs::write(&filler, vec![0; megabytes << 20]).unwrap();
        thread::sleep(Duration::from_millis(500));
        Some(alert(&daemon, "disk_growth")).filter(|alert| alert["state"] == "firing")
    });
    assert!(fired["value"].as_f64().unwrap() < 3_600.0, "{fired}");
    fs::remove_file(&filler).unwrap();
    becomes(&daemon, "disk_growth", "inactive");
    daemon.stop();
    drop(disk);
}

fn a_search_index_that_cannot_be_written() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(setup().in_files().set("monitor.alerts.index_lag_records", 20));
    let daemon = setup.start();
    decide(&daemon, 1);
    faults.set(&format!("write error {ENOSPC} /acgs-audit.db"));
    decide(&daemon, 50);
    let fired = becomes(&daemon, "index_lag", "firing");
    assert!(fired["value"].as_f64().unwrap() > 20.0, "{fired}");
    faults.clear();
    becomes(&daemon, "index_lag", "inactive");
}

fn checkpoints_that_cannot_be_written() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(setup().set("monitor.alerts.checkpoint_age_s", 2));
    let daemon = setup.start();
    faults.set(&format!("write error {ENOSPC} checkpoint"));
    decide(&daemon, 5);
    becomes(&daemon, "checkpoint_age", "firing");
    faults.clear();
    becomes(&daemon, "checkpoint_age", "inactive");
}

fn a_clock_that_stands_still() {
    let Some(faults) = Faults::new() else { return };
    faults.set_clock(0);
    let daemon = faults.with_clock(setup()).start();
    for second in 1..=3 {
        faults.set_clock(-second * 3);
        thread::sleep(Duration::from_secs(1));
    }
    becomes(&daemon, "clock_step", "firing");
    becomes(&daemon, "clock_step", "inactive");
}

fn more_denials_than_in_the_minutes_before() {
    let Some(faults) = Faults::new() else { return };
    faults.set_clock(0);
    let daemon = faults.with_clock(setup()).start();
    let deny = |count: usize| {
        let mut question = permitted();
        question["resource"]["id"] = json!("unknown");
        let mut connection = daemon.connect();
        for _ in 0..count {
            let answer = connection.ask(&Request::post(EVALUATION).json(&question));
            assert_eq!((answer.status, &answer.json()["decision"]), (200, &json!(false)), "{answer}");
        }
    };
    // A minute passes each second.
    let pass = |minutes: std::ops::Range<i64>, denials: usize| {
        for minute in minutes {
            faults.set_clock(minute * 60);
            deny(denials);
            thread::sleep(Duration::from_millis(1_100));
        }
    };
    pass(1..22, 1);
    assert_eq!(alert(&daemon, "denial_surge")["state"], "inactive");
    deny(150);
    let fired = becomes(&daemon, "denial_surge", "firing");
    assert!(fired["value"].as_f64().unwrap() >= 10.0, "{fired}");
    pass(22..34, 0);
    becomes(&daemon, "denial_surge", "inactive");
}

fn a_redis_that_is_full_and_refuses() {
    if !Redis::is_installed() {
        return skip("Redis is missing");
    }
    let redis = Redis::options().set("maxmemory", "4mb").set("maxmemory-policy", "noeviction").start();
    let daemon = setup().set("cache.l2.url", redis.url()).start();
    becomes(&daemon, "redis_policy", "firing");
    assert_eq!(alert(&daemon, "redis_memory")["state"], "inactive");
    for size in [100 << 10, 4 << 10] {
        let text = "x".repeat(size);
        let fill = |number: usize| redis.try_command(&["SET", &format!("filler{size}-{number}"), &text]).ok();
        assert!((0..1_000).map_while(fill).count() < 1_000, "Redis refuses what exceeds its memory");
    }
    let fired = becomes(&daemon, "redis_memory", "firing");
    assert!(fired["value"].as_f64().unwrap() >= 90.0, "{fired}");
    redis.flush();
    becomes(&daemon, "redis_memory", "inactive");
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    becomes(&daemon, "redis_policy", "inactive");
}

fn a_database_that_hangs_and_one_that_is_gone() {
    if !Postgres::is_installed() {
        return skip("PostgreSQL is missing");
    }
    let postgres = Postgres::start();
    let database = postgres.create_database();
    let setup = setup().set("database.url", postgres.url(&database)).set("database.pool.size", 2);
    let setup = setup.set("database.pool.min_idle", 2).set("database.pool.max_overflow", 0);
    let daemon = setup.set("database.pool.health_check_s", 1).start();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = SetOnDrop(&is_over);
        let _unlock = Unlock(&postgres, &database);
        let lock = "BEGIN; LOCK TABLE entities IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3600)";
        scope.spawn(|| postgres.try_sql(&database, lock).map(drop));
        for number in 0..4 {
            let (daemon, is_over) = (&daemon, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    daemon.get(&format!("/v1/entities/Tool/t{number}"));
                }
            });
        }
        becomes(&daemon, "pool_exhausted", "firing");
        becomes(&daemon, "pool_utilization", "firing");
    });
    postgres.stop();
    becomes(&daemon, "database_unavailable", "firing");
    postgres.cont();
    for name in ["pool_exhausted", "pool_utilization", "database_unavailable"] {
        becomes(&daemon, name, "inactive");
    }
    postgres.kill();
    becomes(&daemon, "database_unavailable", "firing");
    postgres.restart();
    becomes(&daemon, "database_unavailable", "inactive");
}

fn a_replica_that_stands_still() {
    if !Postgres::is_installed() {
        return skip("PostgreSQL is missing");
    }
    let primary = Postgres::start();
    let standby = primary.standby();
    let database = primary.create_database();
    let setup = setup().set("database.url", primary.url(&database)).set("database.replicas", standby.url(&database));
    standby.catch_up_with(&primary);
    let daemon = setup.set("database.max_replica_lag_ms", 600).start();
    becomes(&daemon, "replica_lag", "inactive");
    standby.stop();
    becomes(&daemon, "replica_lag", "firing");
    standby.cont();
    becomes(&daemon, "replica_lag", "inactive");
}

fn a_key_in_use_that_expires_soon() {
    let setup = setup();
    let daemon = setup.start();
    let expires = time::OffsetDateTime::now_utc() + time::Duration::days(3);
    let expires = expires.format(&time::format_description::well_known::Rfc3339).unwrap();
    let made = daemon.post("/v1/api-keys", &json!({"name": "soon", "scopes": ["read"], "expires_at": expires}));
    assert_eq!(made.status, 201, "{made}");
    let key = made.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(daemon.ask(&Request::get("/v1/pool").anonymous().header("X-Api-Key", &key)).status, 200);
    let fired = becomes(&daemon, "key_expiry", "firing");
    assert!((2.0..=3.0).contains(&fired["value"].as_f64().unwrap()), "{fired}");
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(daemon.delete(&format!("/v1/api-keys/{id}")).status, 204);
    becomes(&daemon, "key_expiry", "inactive");
}

fn memory_and_processors() {
    let setup = setup().set("monitor.alerts.memory_bytes", 1_048_576).set("monitor.alerts.cpu_percent", 0);
    let daemon = setup.start();
    becomes(&daemon, "memory", "firing");
    wait_for("it uses a processor", || {
        decide(&daemon, 50);
        (alert(&daemon, "cpu")["state"] == "firing").then_some(())
    });
}
