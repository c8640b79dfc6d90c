//! Streams of figures: how many there can be, and how long they last.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::wait_for;
use crate::harness::{Setup, TestDaemon, issuer};

/// The most streams at the same time.
const MOST: usize = 64;

/// An idle connection without a stream is closed after this time.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Asks for a stream; the status, and the rest of the connection.
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
