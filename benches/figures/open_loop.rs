//! Open loops, for latency: those of `acgs bench`, whose latencies count from when a request was due.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use acgs::bench::endpoint::Endpoint;
use acgs::bench::floor::sync_floor;
use acgs::bench::live::Live;
use acgs::bench::open_loop::{Load, Requests, run as send};
use acgs::metrics::{self, BucketCounts, LatencyRecorder};

/// Connections among which the requests are spread.
const CONNECTIONS: usize = 64;

/// Durations.
pub struct Latencies(metrics::Latencies);

impl Latencies {
    /// Of these.
    pub fn new(all: Vec<Duration>) -> Self {
        let (recorder, mut counts) = (LatencyRecorder::default(), BucketCounts::new());
        for latency in all {
            recorder.record(latency);
        }
        recorder.drain(&mut counts);
        let mut latencies = metrics::Latencies::default();
        latencies.add(&counts);
        Self(latencies)
    }

    /// The latency that a share of the requests stayed within, in milliseconds.
    pub fn percentile(&self, share: f64) -> f64 {
        self.0.quantile(share * 100.0).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }

    /// How many requests were answered.
    pub fn count(&self) -> u64 {
        self.0.count()
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(|share| self.percentile(share));
        write!(f, "p50 {p50:.3} ms, p99 {p99:.3} ms, p99.9 {p999:.3} ms, max {max:.3} ms")
    }
}

/// What a run at a constant rate showed.
pub struct Run {
    /// From when a request was due until its answer was there.
    pub latencies: Latencies,
    /// From when a request was due until the client was awake to send it: a part of the former that is not the
    /// daemon's.
    pub late: Latencies,
    /// How many were denied since something was not available.
    pub unavailable: usize,
}

/// Where requests go: a daemon, and the line and headers of a request but for its length.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// The address.
    pub address: &'a str,
    /// The line and the headers, each with its end.
    pub head: String,
}

impl<'a> Target<'a> {
    /// Evaluations, from nobody.
    pub fn evaluation(address: &'a str) -> Self {
        let head =
            format!("POST /access/v1/evaluation HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
        Self { address, head }
    }

    /// Asks whether the daemon is alive: what a request costs that decides and records nothing.
    pub fn livez(address: &'a str) -> Self {
        Self { address, head: format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n") }
    }
}

/// The requests of a run.
struct Bodies<'a, B> {
    head: &'a str,
    body: B,
    unavailable: usize,
}

impl<B: Fn(u64) -> String> Requests for Bodies<'_, B> {
    fn write(&mut self, number: u64, into: &mut Vec<u8>) {
        let body = (self.body)(number);
        into.extend_from_slice(format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len()).as_bytes());
    }

    fn judge(&mut self, _: u64, status: u16, body: &[u8]) -> Result<(), &'static str> {
        self.unavailable += usize::from(String::from_utf8_lossy(body).contains("\"unavailable\""));
        if status == 200 { Ok(()) } else { Err("an answer was no 200") }
    }
}

/// Sends `rate` requests a second for so long; `body` makes the body of each from its number.
pub fn run(
    target: &Target<'_>,
    rate: u32,
    length: Duration,
    body: impl Fn(u64) -> String,
) -> Result<Run, Box<dyn Error>> {
    let endpoint = Endpoint::from_url(&format!("http://{}", target.address))?;
    let rate = NonZeroU32::new(rate).ok_or("a rate of 0")?;
    let load =
        Load { endpoint: &endpoint, rate, duration: length, connections: CONNECTIONS, stop: &AtomicBool::new(false) };
    let mut bodies = Bodies { head: &target.head, body, unavailable: 0 };
    let run = send(&load, &mut bodies, &Live::default())?;
    if run.failed() > 0 {
        return Err(format!("requests failed: {:?}", run.errors).into());
    }
    let (latencies, late) = (Latencies(run.latencies), Latencies(run.late));
    Ok(Run { latencies, late, unavailable: bodies.unavailable })
}

/// What the machine itself takes for the same: a thread sleeps until each of `rate` times a second, writes 4 KiB of a
/// file that is full already, and syncs it. No daemon is involved.
pub fn floor(folder: &Path, rate: u32, length: Duration) -> Result<Latencies, Box<dyn Error>> {
    let rate = NonZeroU32::new(rate).ok_or("a rate of 0")?;
    // A thread of its own: daemons that are started later would inherit how it wakes.
    let stop = AtomicBool::new(false);
    let measured = std::thread::scope(|scope| scope.spawn(|| sync_floor(folder, rate, length, &stop)).join());
    Ok(Latencies(measured.map_err(|_| "the thread ended")??))
}
