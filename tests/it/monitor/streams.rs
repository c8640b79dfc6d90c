//! Streams of figures: what they bring, how many there can be, and how long they last.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{PATIENCE, alert, decide, wait_for};
use crate::harness::{Setup, TestDaemon, issuer};

/// The most streams at the same time.
const MOST: usize = 64;

/// An idle connection without a stream is closed after this time.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Asks for a stream; the status, and the answer after its first line.
fn open(daemon: &TestDaemon) -> (u16, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let token = issuer::admin();
    write!(stream, "GET /v1/performance/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n")
        .unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    (line.split(' ').nth(1).unwrap().parse().unwrap(), reader)
}

/// The next event of a stream: its name and its data.
fn event(reader: &mut BufReader<TcpStream>) -> (String, Value) {
    let (mut name, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the stream has ended");
        if let Some(event) = line.strip_prefix("event: ") {
            event.trim_end().clone_into(&mut name);
        }
        if let Some(data) = line.strip_prefix("data: ") {
            return (name, serde_json::from_str(data).unwrap());
        }
    }
}

#[test]
fn a_stream_brings_figures_at_once_and_as_they_change_and_ends_with_the_daemon() {
    let daemon = Setup::new().start();
    alert(&daemon, "latency_p99");
    let (status, mut reader) = open(&daemon);
    assert_eq!(status, 200);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
    let first: BTreeSet<String> = (0..3).map(|_| event(&mut reader).0).collect();
    assert_eq!(first, ["alerts", "performance", "point"].map(str::to_owned).into());
    assert_eq!(decide(&daemon, 10), [200; 10]);
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < until, "no figures with decisions");
        let (name, data) = event(&mut reader);
        let kpis = data["kpis"].as_array().into_iter().flatten();
        let rate = kpis.filter(|kpi| kpi["name"] == "decisions_per_s").find_map(|kpi| kpi["value"].as_f64());
        if name == "performance" && rate.is_some_and(|rate| rate > 0.0) {
            break;
        }
    }
    // The values of alerts change without their states, so they are repeated with the figures.
    while event(&mut reader).0 != "performance" {}
    assert_eq!(event(&mut reader).0, "alerts");
    // It is no request in progress that a stop would wait for.
    assert!(daemon.stop().success());
}

#[test]
fn sixty_four_streams_are_open_at_a_time_and_outlast_an_idle_connection() {
    let daemon = Setup::new().start();
    let mut streams: Vec<_> = (0..MOST).map(|_| open(&daemon)).collect();
    assert!(streams.iter().all(|(status, _)| *status == 200));
    assert_eq!(open(&daemon).0, 503);
    drop(streams.pop());
    wait_for("another stream has the place of the closed one", || (open(&daemon).0 == 200).then_some(()));
    let (_, mut longest) = streams.pop().unwrap();
    drop(streams);
    let since = Instant::now();
    while since.elapsed() < KEEP_ALIVE + Duration::from_secs(5) {
        let mut line = String::new();
        assert!(longest.read_line(&mut line).unwrap() > 0, "the stream has ended after {:?}", since.elapsed());
    }
}
