//! The disk under the audit log fails: nothing is answered without a record, and the log stays whole.

pub mod disk;
mod displaced;
mod first_start;
mod hanging;
mod taken_twice;

use crate::audit::{Answered, Clients, Exported, Story, kill_under_load, question, setup, verify};
use crate::harness::{Request, Setup, SmallDisk, TestDaemon};
use disk::{EIO, ENOSPC, Faults};
use serde_json::json;

const CLIENTS: u64 = 4;

/// The most decisions that one of the questions asks for.
const DECISIONS: usize = 8;

/// A question whose 30 records fill 1.8 MB of the log.
fn fat_question(_: u64) -> Request {
    let body = json!({
        "subject": {"type": "Agent", "id": "writer"},
        "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "press"},
        "context": {"text": "x".repeat(60_000)},
        "evaluations": vec![json!({}); 30],
    });
    Request::post("/access/v1/evaluations").header("Prefer", "return=representation").json(&body)
}

fn readiness(daemon: &TestDaemon) -> (u16, String) {
    let answer = daemon.get("/readyz?verbose");
    (answer.status, answer.text().to_owned())
}

/// No answer but decisions and 503, and everything that was answered is in the log.
fn check_log(setup: &Setup, stories: &[Story]) {
    verify(setup);
    let refused: Vec<_> = stories.iter().flat_map(|story| &story.refused).collect();
    let others: Vec<_> = refused.iter().filter(|answer| answer.status != 503).collect();
    assert!(others.is_empty(), "{others:?}");
    let answered: Vec<&Answered> = stories.iter().flat_map(|story| &story.answered).collect();
    let exported = Exported::from(setup, 0);
    exported.holds(0, answered.iter().copied());
    let unanswered = refused.len() + stories.iter().filter(|story| story.cut).count();
    let surplus = exported.decisions() - answered.len();
    assert!(surplus <= unanswered * DECISIONS, "{surplus} records that nobody asked for");
}

/// While clients ask, writing fails until the fault is over; then it goes on by itself, for so many answers at least.
/// Returns the ticks between which nothing could be written.
fn check_outage(daemon: &TestDaemon, clients: &Clients, after: usize, over: impl FnOnce()) -> (u64, u64) {
    clients.wait_for(20, 503);
    let (status, text) = readiness(daemon);
    assert_eq!(status, 503);
    assert!(text.contains("[-]audit failed: the log cannot be written: cannot "), "{text}");
    let begun = clients.tick();
    clients.wait_for(20, 503);
    let ended = clients.tick();
    over();
    clients.wait_for(after, 200);
    assert_eq!(readiness(daemon).0, 200);
    (begun, ended)
}

#[test]
fn while_the_log_cannot_be_written_nothing_is_decided_and_then_it_goes_on_by_itself() {
    let Some(faults) = Faults::new() else { return };
    for errno in [EIO, ENOSPC] {
        faults.clear();
        // Nothing waits until it is too late for it.
        let setup = faults.within(setup()).set("http.request_timeout_ms", 20_000);
        let daemon = setup.start();
        let clients = Clients::start(&daemon, CLIENTS, question);
        clients.wait_for(20, 200);
        faults.set(&format!("write error {errno} audit"));
        let (begun, ended) = check_outage(&daemon, &clients, 20, || faults.clear());
        let stories = clients.end();
        assert!(stories.iter().all(|story| !story.cut));
        let during = |one: &&Answered| one.ticks.0 > begun && one.ticks.1 < ended;
        let during: Vec<_> = stories.iter().flat_map(|story| &story.answered).filter(during).collect();
        assert!(during.is_empty(), "answered without a record: {during:?}");
        for answer in stories.iter().flat_map(|story| &story.refused) {
            assert_eq!(answer.to_string(), "503 the audit log cannot be written");
        }
        assert!(daemon.stop().success());
        check_log(&setup, &stories);
    }
}

#[test]
fn an_asynchronous_log_that_cannot_be_written_keeps_what_was_answered() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(setup()).set("audit.durability", "async");
    let daemon = setup.start();
    let clients = Clients::start(&daemon, CLIENTS, question);
    clients.wait_for(20, 200);
    faults.set(&format!("write error {EIO} audit"));
    check_outage(&daemon, &clients, 20, || faults.clear());
    let stories = clients.end();
    assert!(daemon.stop().success());
    verify(&setup);
    let exported = Exported::from(&setup, 0);
    let lost: Vec<_> = stories.iter().flat_map(|story| &story.answered).collect();
    let lost: Vec<_> = lost.into_iter().filter(|one| exported.place(&one.id).is_none()).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn short_writes_change_nothing() {
    let Some(faults) = Faults::new() else { return };
    faults.set("write short 0 audit");
    let setup = faults.within(setup());
    for _ in 0..2 {
        let daemon = setup.start();
        let clients = Clients::start(&daemon, CLIENTS, question);
        clients.wait_for(100, 200);
        let stories = clients.end();
        assert!(stories.iter().all(|story| !story.cut && story.refused.is_empty()), "{stories:?}");
        assert!(daemon.stop().success());
        check_answered(&setup, &stories);
    }
}

fn check_answered(setup: &Setup, stories: &[Story]) {
    verify(setup);
    Exported::from(setup, 0).holds(0, stories.iter().flat_map(|story| &story.answered));
}

#[test]
fn a_failed_sync_ends_the_process_and_loses_nothing_that_was_answered() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(setup());
    let daemon = setup.start();
    let clients = Clients::start(&daemon, CLIENTS, question);
    clients.wait_for(20, 200);
    faults.set(&format!("sync error {EIO} .log"));
    assert_eq!(daemon.wait().code(), Some(74));
    let stories = clients.end();
    assert!(stories.iter().all(|story| story.cut));
    check_log(&setup, &stories);
    faults.clear();
    let daemon = setup.start();
    assert_eq!(readiness(&daemon).0, 200);
    assert!(daemon.stop().success());
    check_log(&setup, &stories);
}

#[test]
fn a_kill_in_the_middle_of_a_write_loses_nothing_that_was_answered() {
    let Some(faults) = Faults::new() else { return };
    // A frame takes several slow writes, so that most kills come between two of them.
    faults.set("write delay 1 .log\nwrite short 1024 .log");
    let setup = faults.within(setup());
    let (mut answered, mut torn) = (Vec::new(), 0);
    for _ in 0..12 {
        answered.extend(kill_under_load(&setup, 12));
        torn += usize::from(!verify(&setup).stderr.is_empty());
        Exported::from(&setup, 0).holds(0, &answered);
    }
    assert!(torn > 0, "no kill came in the middle of a write");
    println!("{} answered, {torn} torn tails", answered.len());
}

#[test]
fn a_next_segment_that_cannot_be_made_stops_decisions_only_until_it_can() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(setup());
    // The first segment is there before anything fails.
    assert!(setup.start().stop().success());
    faults.set(&format!("write error {ENOSPC} segment-next"));
    let daemon = setup.start();
    let clients = Clients::start(&daemon, 1, fat_question);
    clients.wait_for(3, 200);
    check_outage(&daemon, &clients, 2, || faults.clear());
    let stories = clients.end();
    assert!(daemon.stop().success());
    check_answered(&setup, &stories);
}

#[test]
fn a_full_disk_stops_decisions_only_until_there_is_room() {
    let setup = setup();
    // Enough for the first segment of 8 MiB, and not for the next one of 64.
    let Some(disk) = SmallDisk::mount(&setup.data_dir(), 24) else { return };
    let daemon = setup.start();
    let clients = Clients::start(&daemon, 1, fat_question);
    clients.wait_for(3, 200);
    check_outage(&daemon, &clients, 2, || disk.grow(256));
    let stories = clients.end();
    assert!(daemon.stop().success());
    check_answered(&setup, &stories);
}

#[test]
fn a_slow_disk_makes_answers_late_but_not_wrong() {
    let Some(faults) = Faults::new() else { return };
    faults.set("sync delay 200 .log");
    let setup = faults.within(setup());
    let daemon = setup.start();
    let clients = Clients::start(&daemon, 16, question);
    clients.wait_for(40, 200);
    let stories = clients.end();
    assert!(stories.iter().all(|story| !story.cut && story.refused.is_empty()), "{stories:?}");
    assert!(daemon.stop().success());
    check_log(&setup, &stories);
}

#[test]
fn more_decisions_than_may_wait_are_refused_at_once() {
    let Some(faults) = Faults::new() else { return };
    faults.set("sync delay 200 .log");
    let setup = faults.within(setup()).set("http.max_evaluations", 8).set("audit.max_queue", 8);
    let daemon = setup.start();
    let clients = Clients::start(&daemon, 24, question);
    clients.wait_for(20, 200);
    clients.wait_for(20, 503);
    assert_eq!(readiness(&daemon).0, 200);
    let stories = clients.end();
    for answer in stories.iter().flat_map(|story| &story.refused) {
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer}");
    }
    assert!(daemon.stop().success());
    check_log(&setup, &stories);
}

#[test]
fn a_decision_that_is_recorded_too_late_is_not_answered() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(setup()).set("http.request_timeout_ms", 300).set("database.pool.acquire_timeout_ms", 300);
    let daemon = setup.start();
    faults.set("sync delay 1000 .log");
    let late = daemon.ask(&question(1));
    assert_eq!((late.status, late.text()), (503, "no decision was recorded in time"));
    faults.clear();
    assert!(daemon.stop().success());
    verify(&setup);
    assert_eq!(Exported::from(&setup, 0).decisions(), 1, "recorded and not answered");
}
