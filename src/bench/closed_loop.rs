//! Closed loops, for throughput: each connection sends its next request as soon as its last one is answered.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::endpoint::Endpoint;

/// Answers with status 200 a second, over so many connections. Any other answer is an error.
pub fn throughput(
    endpoint: &Endpoint,
    requests: &[Vec<u8>],
    connections: usize,
    duration: Duration,
) -> io::Result<f64> {
    let begin = Instant::now();
    let counts = thread::scope(|scope| {
        let client = |client: usize| scope.spawn(move || ask(endpoint, requests, client * 7_919, begin + duration));
        let clients: Vec<_> = (0..connections.max(1)).map(client).collect();
        let ended = || io::Error::other("a client ended");
        clients.into_iter().map(|client| client.join().map_err(|_| ended())?).collect::<io::Result<Vec<u32>>>()
    })?;
    let total: f64 = counts.into_iter().map(f64::from).sum();
    Ok(total / begin.elapsed().as_secs_f64())
}

fn ask(endpoint: &Endpoint, requests: &[Vec<u8>], first: usize, until: Instant) -> io::Result<u32> {
    let mut connection = Connection::open(endpoint)?;
    let mut answered = 0;
    for request in requests.iter().cycle().skip(first.checked_rem(requests.len()).unwrap_or(0)) {
        if Instant::now() >= until {
            break;
        }
        let answer = connection.exchange(request)?;
        if answer.status != 200 {
            return Err(io::Error::other(format!("an answer has status {}", answer.status)));
        }
        answered += 1;
    }
    Ok(answered)
}
