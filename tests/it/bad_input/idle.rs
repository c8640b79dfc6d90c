//! Clients that hold connections without using them.

use std::fs;
use std::io::ErrorKind;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

use super::{EVALUATION, PERMITTED, goes_on, question};
use crate::harness::{Connection, Request, Setup, TestDaemon, until};

/// A question whose 30 records fill some 1.8 MB of the log.
fn fat_question() -> Request {
    let question = json!({
        "subject": {"type": "Agent", "id": "writer"},
        "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "press"},
        "context": {"text": "x".repeat(6_000)},
    });
    Request::post("/access/v1/evaluations").json(&json!({"evaluations": vec![question; 30]}))
}

/// The number of segments of the log.
fn segments(setup: &Setup) -> usize {
    let names = fs::read_dir(setup.data_dir().join("audit")).expect("the log has a folder");
    let is_segment = |name: &str| name.starts_with("segment-0");
    names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(|name| is_segment(name)).count()
}

/// Sends the head of a question, and returns when the daemon is waiting for its body.
fn begin(daemon: &TestDaemon) -> Connection {
    let mut connection = daemon.connect();
    let head = format!(
        "POST {EVALUATION} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        PERMITTED.len()
    );
    connection.send(head.as_bytes());
    assert_eq!(connection.interim(), 100);
    connection
}

/// Whether the administrator on the admin socket is answered.
#[track_caller]
fn is_administered(setup: &Setup) {
    let output = setup.run(["status"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn idle_connections_use_up_no_files_and_keep_nobody_out() {
    let setup =
        Setup::new().in_files().set("audit.archive", "never").open_files(1_024).set("http.request_timeout_ms", 30_000);
    let setup = setup.set("http.shutdown_timeout_s", 31);
    let daemon = setup.start();
    let idle: Vec<Connection> = (0..1_200).map(|_| daemon.connect()).collect();
    // The log changes to another segment file several times.
    let before = segments(&setup);
    while segments(&setup) < before + 1 {
        let answer = daemon.ask(&fat_question());
        assert_eq!(answer.status, 200, "{answer}");
    }
    goes_on(&daemon);
    is_administered(&setup);
    assert_eq!(daemon.get("/readyz").status, 200);
    drop(idle);
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(setup.run(["audit", "verify"]).status.success());
}

#[test]
fn the_log_goes_on_in_the_next_file_where_none_can_be_opened() {
    let setup = Setup::new()
        .in_files()
        .set("audit.archive", "never")
        .set("http.request_timeout_ms", 30_000)
        .set("http.shutdown_timeout_s", 31);
    let daemon = setup.start();
    let mut connection = daemon.connect();
    assert_eq!(connection.ask(&question()).status, 200);
    let (before, pid) = (segments(&setup), Pid::from_raw(daemon.pid().try_into().expect("a pid")).expect("a pid"));
    let tasks = || fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs");
    let has_next = || {
        let names = fs::read_dir(setup.data_dir().join("audit")).expect("the log has a folder");
        names.filter_map(Result::ok).any(|entry| entry.file_name().to_string_lossy().starts_with("segment-next"))
    };
    while !has_next() {
        assert_eq!(connection.ask(&fat_question()).status, 200);
    }
    until("the next segment is filled", || {
        let names = tasks().filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
        !names.into_iter().any(|name| name.trim() == "audit-segment")
    });
    assert_eq!(connection.ask(&question()).status, 200);
    let none_left = Rlimit { current: Some(8), maximum: getrlimit(Resource::Nofile).maximum };
    let old = prlimit(Some(pid), Resource::Nofile, none_left).expect("limits can be set");
    let mut asked = 0;
    while segments(&setup) == before {
        let answer = connection.ask(&fat_question());
        assert_eq!(answer.status, 200, "{answer}");
        asked += 1;
        assert!(asked < 100, "the log does not go on in another file");
    }
    assert_eq!(connection.ask(&question()).status, 200);
    prlimit(Some(pid), Resource::Nofile, old).expect("limits can be set");
    assert_eq!(daemon.ask(&question()).status, 200);
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(setup.run(["audit", "verify"]).status.success());
}

#[test]
fn a_connection_without_a_request_makes_way_and_one_with_a_request_does_not() {
    let setup = Setup::new().set("http.max_connections", 16).set("http.max_connections_per_address", 16);
    let setup = setup.set("http.request_timeout_ms", 30_000).set("http.shutdown_timeout_s", 31);
    let daemon = setup.start();
    let mut busy: Vec<Connection> = (0..12).map(|_| begin(&daemon)).collect();
    let mut idle: Vec<Connection> = (0..4).map(|_| daemon.connect()).collect();
    for _ in 0..100 {
        goes_on(&daemon);
    }
    busy.extend((0..4).map(|_| begin(&daemon)));
    assert!(idle.iter_mut().all(Connection::is_closed), "these had no request");
    // All are in use now.
    for _ in 0..4 {
        assert!(daemon.connect().is_closed());
    }
    is_administered(&setup);
    for mut connection in busy {
        connection.send(PERMITTED.as_bytes());
        assert_eq!(connection.answer().status, 200);
    }
    goes_on(&daemon);
}

#[test]
fn the_administrator_is_heard_however_many_requests_are_in_progress() {
    let setup = Setup::new().set("http.max_in_flight", 1).set("http.request_timeout_ms", 30_000);
    let setup = setup.set("http.shutdown_timeout_s", 31);
    let daemon = setup.start();
    let mut busy = begin(&daemon);
    assert_eq!(daemon.ask(&question()).status, 503);
    let output = setup.run(["reload"]);
    assert!(output.status.success(), "{output:?}");
    busy.send(PERMITTED.as_bytes());
    assert_eq!(busy.answer().status, 200);
}

#[test]
fn one_address_has_only_so_many_connections() {
    let setup = Setup::new().set("http.max_connections_per_address", 4).set("http.request_timeout_ms", 30_000);
    let setup = setup.set("http.shutdown_timeout_s", 31);
    let daemon = setup.start();
    let busy: Vec<Connection> = (0..4).map(|_| begin(&daemon)).collect();
    assert!(daemon.connect().is_closed());
    drop(busy);
    until("the connections are gone", || {
        daemon.connect().try_ask(&question()).is_ok_and(|answer| answer.status == 200)
    });
    assert!(daemon.stop().success());
    // A proxy's connections belong to many clients.
    let daemon = setup.set("http.trusted_proxies", "127.0.0.1").start();
    let busy: Vec<Connection> = (0..40).map(|_| begin(&daemon)).collect();
    goes_on(&daemon);
    drop(busy);
}

#[test]
fn a_later_head_that_does_not_come_is_given_up_too() {
    let daemon = TestDaemon::start();
    let mut slow = daemon.connect();
    assert_eq!(slow.ask(&question()).status, 200);
    slow.send(b"GET /livez HTTP/1.1\r\nHost:");
    let ended = slow.try_answer().expect_err("there is no whole request");
    assert!(matches!(ended.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{ended}");
    goes_on(&daemon);
}

#[test]
fn a_client_that_takes_no_answers_is_given_up() {
    let daemon = TestDaemon::start();
    let mut deaf = daemon.connect();
    let requests = Request::get("/v1/constitution/policies").bytes().repeat(64);
    let refused = loop {
        if let Err(error) = deaf.try_send(&requests) {
            break error;
        }
    };
    assert!(!matches!(refused.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{refused}");
    goes_on(&daemon);
}
