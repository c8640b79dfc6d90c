//! Loads on servers that stall, close connections, or answer wrongly.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;

/// How long a server that stalls does so.
const STALL: Duration = Duration::from_millis(300);

struct Plain;

impl Requests for Plain {
    fn write(&mut self, number: u64, into: &mut Vec<u8>) {
        into.extend_from_slice(format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    }

    fn judge(&mut self, _: u64, status: u16, body: &[u8]) -> Result<(), &'static str> {
        if status == 200 && body == b"ok" { Ok(()) } else { Err("a wrong answer") }
    }
}

/// A server that has `answer` answer requests, whose number it gets; without an answer it closes the connection.
fn serve(answer: impl Fn(usize) -> Option<&'static str> + Send + Sync + 'static) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    let handle = move |mut stream: TcpStream| {
        let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // One request at a time, which comes in one piece.
            while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                let Some(text) = answer(count.fetch_add(1, Ordering::Relaxed)) else { return };
                if stream.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
        });
    };
    thread::spawn(move || listener.incoming().flatten().for_each(handle));
    Endpoint::from_url(&url).unwrap()
}

fn load(endpoint: &Endpoint, connections: usize) -> Run {
    let (rate, stop) = (NonZeroU32::new(100).unwrap(), AtomicBool::new(false));
    let load = Load { endpoint, rate, duration: Duration::from_millis(500), connections, stop: &stop };
    run(&load, &mut Plain, &Live::default()).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_stall_is_felt_by_every_request_that_was_due_meanwhile() {
    let endpoint = serve(|number| {
        if number == 0 {
            thread::sleep(STALL);
        }
        Some(OK)
    });
    let run = load(&endpoint, 1);
    assert_eq!((run.offered, run.answered, run.failed(), run.latencies.count()), (50, 50, 0, 50));
    // Requests were due each 10 ms: of those within the stall, 20 waited for at least 100 ms. A closed loop would have
    // seen one.
    let percentile = run.latencies.quantile(60.0).unwrap();
    assert!(percentile >= STALL / 3, "{percentile:?}");
    assert!(run.late.count() == 50 && run.latencies.quantile(100.0).unwrap() >= STALL);
    let counted: u64 = run.intervals.iter().map(|interval| interval.answered).sum();
    assert_eq!(counted, 50);
}

#[test]
fn failures_are_counted_by_kind_and_connections_are_opened_again() {
    let endpoint = serve(|number| match number {
        3 => None,
        5 => Some("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        7 => Some("no answer of HTTP\r\n\r\n"),
        9 => Some("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
        _ => Some(OK),
    });
    let run = load(&endpoint, 2);
    let expected = [("a connection was closed", 1), ("a wrong answer", 1), ("an answer was malformed", 1)];
    assert_eq!(run.errors, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
    assert_eq!((run.offered, run.answered), (50, 47));
    assert!(run.throughput() > 0.0);
}

#[test]
fn a_load_ends_early_when_it_is_stopped() {
    let endpoint = serve(|_| Some(OK));
    let stop = AtomicBool::new(true);
    let rate = NonZeroU32::new(100).unwrap();
    let load = Load { endpoint: &endpoint, rate, duration: Duration::from_hours(1), connections: 1, stop: &stop };
    let run = run(&load, &mut Plain, &Live::default()).unwrap();
    assert_eq!(run.offered, run.answered);
    assert!(run.offered < 1_000, "{}", run.offered);
}
