//! Open loops, for latency: requests are due at a constant rate whether or not earlier ones were answered, and latency
//! counts from when a request was due. So a stall is felt by all who would have come meanwhile (coordinated omission).

use std::collections::VecDeque;
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

/// Connections among which the requests are spread.
const CONNECTIONS: usize = 64;

/// From how far ahead the due time is waited for by looking at the clock.
const SPIN: Duration = Duration::from_micros(150);

/// Latencies, in order.
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// The latency that a share of the requests stayed within, in milliseconds.
    pub fn percentile(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list"
        )]
        let place = ((self.0.len() as f64 * share).ceil() as usize).saturating_sub(1);
        self.0.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }

    /// How many requests were answered.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

struct Connection {
    stream: mio::net::TcpStream,
    due: Option<Instant>,
    received: Vec<u8>,
}

/// Sends `rate` requests a second for so long; `body` makes the body of each from its number.
pub fn run(
    address: &str,
    rate: u32,
    length: Duration,
    body: impl Fn(u64) -> String,
) -> Result<Latencies, Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(CONNECTIONS);
    let mut connections = (0..CONNECTIONS).map(|_| connect(address)).collect::<Result<Vec<_>, _>>()?;
    for (token, connection) in connections.iter_mut().enumerate() {
        poll.registry().register(&mut connection.stream, Token(token), Interest::READABLE)?;
    }
    // First in, first out: a connection that is never used would be closed by the daemon.
    let mut idle: VecDeque<usize> = (0..CONNECTIONS).collect();
    let mut overdue: VecDeque<(u64, Instant)> = VecDeque::new();
    let mut latencies = Vec::new();
    let begin = Instant::now() + Duration::from_millis(100);
    let total = u64::from(rate) * length.as_secs();
    let due_at = |number: u64| begin + Duration::from_nanos(number * 1_000_000_000 / u64::from(rate));
    let mut next = 0;
    while (latencies.len() as u64) < total {
        let now = Instant::now();
        while next < total && due_at(next) <= now {
            overdue.push_back((next, due_at(next)));
            next += 1;
        }
        while !idle.is_empty() {
            let Some((number, due)) = overdue.pop_front() else { break };
            let connection =
                idle.pop_front().and_then(|place| connections.get_mut(place)).ok_or("no such connection")?;
            send(connection, address, &body(number), due)?;
        }
        let ahead = if next < total {
            due_at(next).saturating_duration_since(Instant::now())
        } else {
            Duration::from_millis(5)
        };
        poll.poll(&mut events, Some(ahead.saturating_sub(SPIN).max(Duration::ZERO)))?;
        for event in &events {
            let token = event.token().0;
            if let Some(latency) = receive(connections.get_mut(token).ok_or("no such connection")?)? {
                latencies.push(latency);
                idle.push_back(token);
            }
        }
        if now > begin + length + Duration::from_secs(30) {
            return Err("the daemon does not keep up with the rate".into());
        }
    }
    latencies.sort_unstable();
    Ok(Latencies(latencies))
}

fn connect(address: &str) -> std::io::Result<Connection> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(Connection { stream: mio::net::TcpStream::from_std(stream), due: None, received: Vec::new() })
}

fn send(connection: &mut Connection, host: &str, body: &str, due: Instant) -> std::io::Result<()> {
    let head = "POST /access/v1/evaluation HTTP/1.1\r\nHost: ";
    let length = body.len();
    let request = format!("{head}{host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    connection.due = Some(due);
    // A request fits the socket's buffer, which is empty: one request at a time.
    connection.stream.write_all(request.as_bytes())
}

fn receive(connection: &mut Connection) -> Result<Option<Duration>, Box<dyn Error>> {
    let mut chunk = [0; 4096];
    loop {
        match connection.stream.read(&mut chunk) {
            Ok(0) => return Err("the daemon closed a connection".into()),
            Ok(read) => connection.received.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    if !is_whole(&connection.received)? {
        return Ok(None);
    }
    connection.received.clear();
    Ok(connection.due.take().map(|due| due.elapsed()))
}

/// Whether a whole answer is there; anything but a 200 is an error.
fn is_whole(received: &[u8]) -> Result<bool, Box<dyn Error>> {
    let text = String::from_utf8_lossy(received);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(false) };
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("a request failed: {text}").into());
    }
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|length| length.parse().ok());
    Ok(body.len() >= length.unwrap_or(0))
}
