//! Callers that are slow, that leave, and that are too many.

use std::thread;

use super::{EVALUATION, PERMITTED, goes_on, message, question};
use crate::harness::{Connection, Request, Setup, TestDaemon};

/// Sends the head of a question, and returns when the daemon is waiting for its body.
fn begin(daemon: &TestDaemon, length: usize) -> Connection {
    let mut connection = daemon.connect();
    let head = format!(
        "POST {EVALUATION} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    connection.send(head.as_bytes());
    assert_eq!(connection.interim(), 100);
    connection
}

#[test]
fn a_body_that_trickles_is_given_up() {
    let daemon = Setup::new().set("http.request_timeout_ms", 600).set("database.pool.acquire_timeout_ms", 100).start();
    for path in [EVALUATION, "/v1/validate"] {
        let mut connection = daemon.connect();
        let head = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n";
        connection.send(format!("POST {path} HTTP/1.1\r\n{head}{{").as_bytes());
        let answer = connection.answer();
        assert_eq!((answer.status, message(&answer).as_str()), (408, "the body did not arrive in time"));
        assert!(connection.is_closed());
    }
    goes_on(&daemon);
}

#[test]
fn a_head_that_does_not_come_is_given_up() {
    let daemon = TestDaemon::start();
    let mut silent = daemon.connect();
    let mut slow = daemon.connect();
    slow.send(b"GET /livez HTTP/1.1\r\nHost:");
    assert_eq!((silent.answer().status, slow.answer().status), (408, 408));
    assert!(silent.is_closed() && slow.is_closed());
    goes_on(&daemon);
}

#[test]
fn one_request_too_many_is_refused_at_once_and_asked_to_come_back() {
    let daemon =
        Setup::new().set("http.max_in_flight", 1).set("http.workers", 1).set("http.request_timeout_ms", 30_000);
    let daemon = daemon.set("http.shutdown_timeout_s", 31).start();
    let mut first = begin(&daemon, PERMITTED.len());
    for path in [EVALUATION, "/v1/validate", "/v1/constitution"] {
        let answer = daemon.ask(&Request::post(path).header("Content-Type", "application/json").body(PERMITTED));
        let refused = (answer.status, answer.header("retry-after"), message(&answer));
        assert_eq!(refused, (503, Some("1"), "1 requests are in progress".to_owned()), "{path}");
    }
    assert_eq!(daemon.get("/livez").status, 200);
    assert_eq!(daemon.get("/readyz").status, 200);
    first.send(PERMITTED.as_bytes());
    assert_eq!(first.answer().status, 200);
    goes_on(&daemon);
    // A caller that leaves gives its place back, too.
    let mut second = begin(&daemon, 500);
    second.finish();
    assert_eq!(second.answer().status, 400);
    goes_on(&daemon);
}

#[test]
fn callers_that_leave_in_the_middle_leave_nothing_behind() {
    let daemon = TestDaemon::start();
    let whole = question().bytes();
    // Cut at every place of the request, and after it: the answer finds nobody.
    for length in 1..=whole.len() {
        daemon.connect().send(&whole[..length]);
    }
    goes_on(&daemon);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn many_connections_at_once_are_all_answered() {
    let daemon = TestDaemon::start();
    let connections: Vec<Connection> = (0..256).map(|_| daemon.connect()).collect();
    let mut parts: Vec<Vec<Connection>> = (0..8).map(|_| Vec::new()).collect();
    for (nth, connection) in connections.into_iter().enumerate() {
        parts[nth % 8].push(connection);
    }
    thread::scope(|scope| {
        for part in &mut parts {
            scope.spawn(move || {
                for connection in &mut *part {
                    connection.send(&question().bytes());
                }
                for connection in part {
                    assert_eq!(connection.answer().status, 200);
                    assert_eq!(connection.ask(&question()).status, 200);
                }
            });
        }
    });
    goes_on(&daemon);
}
