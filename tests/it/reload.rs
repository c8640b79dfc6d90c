//! Reload under load: no request fails, and nothing is decided under the old constitution once the reload is answered.

use crate::audit;
use crate::harness;
use std::os::unix::fs::symlink;
use std::time::Instant;

use crate::audit::{Clients, constitution, question};
use crate::harness::{Setup, Signal, TestDaemon};
use serde_json::Value;

const RELOADS: usize = 30;

/// The folder that the settings name, which is another constitution each time.
fn switch(setup: &Setup, to: &str) {
    let link = link(setup);
    let new = link.with_extension("new");
    symlink(constitution(to), &new).unwrap();
    std::fs::rename(new, link).unwrap();
}

fn link(setup: &Setup) -> std::path::PathBuf {
    setup.data_dir().with_file_name("constitution")
}

/// A daemon whose constitution can be switched.
fn start() -> (Setup, TestDaemon) {
    let setup = Setup::new();
    let setup = setup.clone().constitution(&link(&setup));
    switch(&setup, "open");
    let daemon = setup.start();
    (setup, daemon)
}

fn by_route(daemon: &TestDaemon) {
    let answer = daemon.ask(&harness::Request::post("/v1/constitution/reload"));
    assert_eq!(answer.status, 200, "{answer}");
}

fn by_signal(daemon: &TestDaemon) {
    daemon.signal(Signal::HUP);
    daemon.wait_for("READY=1");
}

fn hash(daemon: &TestDaemon) -> String {
    daemon.get("/livez").header("x-constitutional-hash").unwrap().to_owned()
}

/// Reloads again and again while clients ask. Every decision must be one that the constitutions in force between its
/// question and its answer give.
fn check(how: &str, reload: fn(&TestDaemon)) {
    let (setup, daemon) = start();
    let clients = Clients::start(&daemon, 4, question);
    // From which tick on a constitution was in force for certain, and until which it may have been.
    let mut reigns = vec![(0, u64::MAX, true, hash(&daemon))];
    let mut took = Vec::new();
    for nth in 1..=RELOADS {
        let permits = nth % 2 == 0;
        clients.wait_for(8, 200);
        switch(&setup, if permits { "open" } else { "closed" });
        let asked = clients.tick();
        let since = Instant::now();
        reload(&daemon);
        took.push(since.elapsed());
        let done = clients.tick();
        reigns.last_mut().unwrap().1 = done;
        reigns.push((asked, u64::MAX, permits, hash(&daemon)));
    }
    clients.wait_for(8, 200);
    let stories = clients.end();
    assert!(stories.iter().all(|story| !story.cut && story.refused.is_empty()), "{stories:?}");
    let mut decided = [0, 0];
    for one in stories.iter().flat_map(|story| &story.answered) {
        // In force: from when its reload was asked for, until the next reload was answered.
        let (sent, got) = one.ticks;
        let could = |(from, until, _, _): &&(u64, u64, bool, String)| *from < got && sent < *until;
        let permits = one.decision["decision"] == true;
        let mut possible = reigns.iter().filter(could);
        assert!(possible.any(|reign| reign.2 == permits && reign.3 == one.hash), "under an old constitution: {one:?}");
        decided[usize::from(permits)] += 1;
    }
    assert!(decided.iter().all(|count| *count > 0), "{decided:?}");
    took.sort_unstable();
    println!(
        "{how}: median {:?}, slowest {:?}, {decided:?} denied and permitted",
        took[RELOADS / 2],
        took[RELOADS - 1]
    );
    assert!(daemon.stop().success());
    audit::verify(&setup);
    audit::Exported::from(&setup, 0).holds(0, stories.iter().flat_map(|story| &story.answered));
}

#[test]
fn no_decision_is_made_under_the_old_constitution_after_the_reload_route_answers() {
    check("POST /v1/constitution/reload", by_route);
}

#[test]
fn no_decision_is_made_under_the_old_constitution_after_a_reload_by_signal() {
    check("SIGHUP", by_signal);
}

#[test]
fn a_faulty_bundle_is_refused_with_every_fault_and_the_old_one_stays() {
    let (setup, daemon) = start();
    let before = hash(&daemon);
    let clients = Clients::start(&daemon, 4, question);
    clients.wait_for(8, 200);
    switch(&setup, "faulty");
    let refused = daemon.ask(&harness::Request::post("/v1/constitution/reload"));
    assert_eq!(refused.status, 422, "{refused}");
    let body = refused.json();
    let faults: Vec<&str> =
        body["errors"].as_array().unwrap().iter().map(|fault| fault["detail"].as_str().unwrap()).collect();
    assert_eq!(
        faults,
        [
            "policies/all.cedar:4:1: policy `everything` is there twice, first at policies/all.cedar:1:1",
            "policies/all.cedar:7:1: policy `nowhere` names principle `haste`, which does not exist",
            "policies/all.cedar:9:30: for policy `nowhere`, unrecognized action `Action::\"fly\"` (did you mean `Action::\"call_tool\"`?)",
        ]
    );
    by_signal(&daemon);
    assert_eq!(hash(&daemon), before);
    clients.wait_for(8, 200);
    let stories = clients.end();
    assert!(stories.iter().all(|story| !story.cut && story.refused.is_empty()), "{stories:?}");
    let all_permitted = |one: &Value| one["decision"] == true;
    assert!(stories.iter().flat_map(|story| &story.answered).all(|one| all_permitted(&one.decision)));
    assert!(daemon.stop().success());
}
