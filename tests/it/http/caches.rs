//! What the caches show of themselves, and how they are emptied.

use std::fs;

use serde_json::{Value, json};

use super::{EVALUATION, EVALUATIONS, asked, call, permitted, problem, with};
use crate::harness::{Request, Setup, TestDaemon, repository, until};

/// A daemon with one worker, so that it is known whose cache is asked.
fn alone() -> Setup {
    Setup::new().set("http.workers", 1)
}

/// A daemon whose caches are empty: what it reads after its start is read, and was taken away again.
#[track_caller]
fn empty(setup: &Setup) -> TestDaemon {
    let daemon = setup.start();
    let stored = fs::read(repository().join("settings/constitution/entities.json")).unwrap();
    let stored = serde_json::from_slice::<Vec<Value>>(&stored).unwrap().len();
    until("what is stored is read", || shown(&daemon)["tiers"]["l3"]["entries"] == json!(stored));
    assert_eq!(daemon.delete("/v1/cache?tier=l3").status, 200);
    daemon
}

#[track_caller]
fn shown(daemon: &TestDaemon) -> Value {
    let answer = daemon.get("/v1/cache");
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-cache")), "{answer}");
    answer.json()
}

/// Hits, misses and their share.
#[track_caller]
fn counted(shown: &Value, pointer: &str) -> (u64, u64, Option<f64>) {
    let counted = shown.pointer(pointer).unwrap();
    let number = |name: &str| counted[name].as_u64().unwrap();
    (number("hits"), number("misses"), counted["hit_rate"].as_f64())
}

#[test]
fn each_tier_shows_how_full_it_is_and_how_often_it_had_what_was_looked_for() {
    let daemon = empty(&alone());
    let before = shown(&daemon);
    for pointer in ["/overall", "/tiers/l1", "/tiers/l2", "/tiers/l3"] {
        assert_eq!(counted(&before, pointer), (0, 0, None), "{pointer} of {before}");
    }
    assert_eq!(before["overall"]["is_met"], json!(null));
    for _ in 0..4 {
        daemon.post(EVALUATION, &permitted());
    }
    let now = shown(&daemon);
    for pointer in ["/tiers/l1", "/tiers/l1/window", "/overall", "/overall/window"] {
        assert_eq!(counted(&now, pointer), (3, 1, Some(75.0)), "{pointer} of {now}");
    }
    let (_, missed, _) = counted(&now, "/tiers/l3");
    assert!(missed >= 1, "{now}");
    for (pointer, expected) in [
        ("/overall/target", json!(85.0)),
        ("/overall/window_s", json!(300)),
        ("/overall/is_met", json!(false)),
        ("/tiers/l1/enabled", json!(true)),
        ("/tiers/l1/entries", json!(1)),
        ("/tiers/l1/capacity", json!(20_000)),
        ("/tiers/l1/max_bytes", json!(67_108_864)),
        ("/tiers/l1/workers", json!(1)),
        ("/tiers/l3/enabled", json!(true)),
        ("/tiers/l3/entries", json!(missed)),
        ("/tiers/l3/capacity", json!(100_000)),
        ("/tiers/l3/max_bytes", json!(268_435_456)),
        ("/follower/fault", json!(null)),
    ] {
        assert_eq!(now.pointer(pointer), Some(&expected), "{pointer} of {now}");
    }
    assert!(now["tiers"]["l3"]["bytes"].as_u64().unwrap() >= missed * 100, "{now}");
    assert!(now["follower"]["applied"].as_i64().unwrap() > 0, "{now}");
    let batch = json!({"evaluations": vec![permitted(); 16]});
    assert_eq!(daemon.post(EVALUATIONS, &batch).status, 200);
    let now = shown(&daemon);
    assert_eq!(counted(&now, "/overall"), (19, 1, Some(95.0)));
    assert_eq!(now["overall"]["is_met"], json!(true));
}

#[test]
fn a_decision_whose_entities_are_all_at_hand_is_a_hit() {
    let daemon = empty(&alone());
    daemon.post(EVALUATION, &permitted());
    // Another question about the same entities.
    let other = with(permitted(), &json!({"context": {"risk": 0}}));
    assert_eq!(daemon.post("/v1/validate", &other).json()["cached"], json!(false));
    let now = shown(&daemon);
    assert_eq!(counted(&now, "/tiers/l1"), (0, 2, Some(0.0)), "{now}");
    assert_eq!(counted(&now, "/overall"), (1, 1, Some(50.0)), "{now}");
}

#[test]
fn what_no_cache_may_answer_is_not_counted() {
    let daemon = alone().start();
    daemon.ask(&asked(EVALUATION, &[("x-consistency", "full")]));
    daemon.ask(&asked(EVALUATION, &[("x-constitutional-hash", "0000000000000000")]));
    let now = shown(&daemon);
    for pointer in ["/overall", "/tiers/l1"] {
        assert_eq!(counted(&now, pointer), (0, 0, None), "{pointer} of {now}");
    }
}

#[test]
fn a_tier_that_is_off_says_so() {
    // A verdict from Redis would be a hit.
    let daemon = alone().in_files().set("cache.l1.capacity", 0).set("cache.l3.capacity", 0).start();
    for _ in 0..2 {
        daemon.post(EVALUATION, &permitted());
    }
    let now = shown(&daemon);
    for tier in ["l1", "l3"] {
        let shown = &now["tiers"][tier];
        assert_eq!([&shown["enabled"], &shown["entries"], &shown["capacity"]], [&json!(false), &json!(0), &json!(0)]);
    }
    assert_eq!(counted(&now, "/overall"), (0, 2, Some(0.0)));
}

#[test]
fn tiers_are_emptied_alone_or_all_at_once() {
    // What the fleet has decided needs no entities here.
    let daemon = empty(&alone().in_files());
    let fill = || {
        for tool in ["calculator", "search"] {
            daemon.post(EVALUATION, &call(tool));
        }
        let now = shown(&daemon);
        ["l1", "l3"].map(|tier| now["tiers"][tier]["entries"].as_u64().unwrap())
    };
    let [verdicts, entities] = fill();
    assert!(verdicts == 2 && entities >= 2, "{verdicts} {entities}");
    let entries = |tier: &str| shown(&daemon)["tiers"][tier]["entries"].clone();

    let cleared = daemon.delete("/v1/cache?tier=l3");
    assert_eq!((cleared.status, cleared.json()), (200, json!({"cleared": {"l3": entities}})));
    assert_eq!([entries("l1"), entries("l3")], [json!(verdicts), json!(0)]);
    assert_eq!(shown(&daemon)["tiers"]["l3"]["bytes"], json!(0));

    let cleared = daemon.delete("/v1/cache?tier=l1");
    assert_eq!(cleared.json(), json!({"cleared": {"l1": verdicts}}));
    assert_eq!(entries("l1"), json!(0));

    fill();
    let cleared = daemon.delete("/v1/cache").json();
    assert_eq!([&cleared["cleared"]["l1"], &cleared["cleared"]["l3"]], [&json!(verdicts), &json!(entities)]);
    assert!(cleared["cleared"]["l2"].is_u64(), "{cleared}");
    assert_eq!(fill(), [verdicts, entities]);
}

#[test]
fn an_unknown_tier_is_refused_and_nothing_is_emptied() {
    let daemon = alone().start();
    daemon.post(EVALUATION, &permitted());
    for (query, fault) in [
        ("tier=l4", "`tier` must be `l1`, `l2` or `l3`, not `l4`"),
        ("tier=L1", "`tier` must be `l1`, `l2` or `l3`, not `L1`"),
    ] {
        let answer = daemon.delete(&format!("/v1/cache?{query}"));
        assert_eq!(problem(&answer), format!("400 bad-request\n {fault}"));
    }
    assert_eq!(daemon.delete("/v1/cache?level=l1").status, 400);
    assert_eq!(daemon.ask(&Request::post("/v1/cache")).header("allow"), Some("GET, HEAD, DELETE"));
    assert_eq!(shown(&daemon)["tiers"]["l1"]["entries"], json!(1));
}
