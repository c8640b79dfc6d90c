//! Open loops, for latency: requests are due at a constant rate whether or not earlier ones were answered, and latency
//! counts from when a request was due. So a stall is felt by all who would have come meanwhile (coordinated omission).

use std::error::Error;
use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

/// Connections among which the requests are spread.
const CONNECTIONS: usize = 64;

/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Durations, in order.
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// In order.
    pub fn new(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self(all)
    }

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

/// A connection as its reader has it.
struct Connection {
    stream: mio::net::TcpStream,
    received: Vec<u8>,
}

/// Where requests go: a daemon's address, and the line and headers of a request but for its length.
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

/// Sends `rate` requests a second for so long; `body` makes the body of each from its number.
///
/// One thread sleeps until each request is due and sends it, another waits for answers: neither takes a processor from
/// the daemon by spinning.
pub fn run(
    target: &Target<'_>,
    rate: u32,
    length: Duration,
    body: impl Fn(u64) -> String + Sync,
) -> Result<Run, Box<dyn Error>> {
    let streams = (0..CONNECTIONS).map(|_| connect(target.address)).collect::<Result<Vec<_>, _>>()?;
    let writers = streams.iter().map(TcpStream::try_clone).collect::<Result<Vec<_>, _>>()?;
    let total = u64::from(rate) * length.as_secs();
    // First in, first out: a connection that is never used would be closed by the daemon.
    let (now_idle, idle) = channel();
    (0..CONNECTIONS).try_for_each(|connection| now_idle.send(connection))?;
    let (sent, due) = channel();
    let begin = Instant::now() + Duration::from_millis(100);
    let body = &body;
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let outcome = send_all(&target.head, rate, total, begin, &writers, &idle, &sent, body);
            if outcome.is_err() {
                for stream in &writers {
                    drop(stream.shutdown(Shutdown::Both));
                }
            }
            outcome.map_err(|error| error.to_string())
        });
        let latencies = receive_all(streams, total, begin + length + PATIENCE, &now_idle, &due);
        let late = sender.join().map_err(|_| "the sender ended")??;
        let (latencies, unavailable) = latencies?;
        Ok(Run { latencies: Latencies::new(latencies), late: Latencies::new(late), unavailable })
    })
}

/// What the machine itself takes for the same: a thread sleeps until each of `rate` times a second, writes 4 KiB of a
/// file that is full already, and syncs it. No daemon is involved.
pub fn floor(folder: &Path, rate: u32, length: Duration) -> Result<Latencies, Box<dyn Error>> {
    // A thread of its own: daemons that are started later would inherit how it wakes.
    let write = || write_and_sync(folder, rate, length).map_err(|error| error.to_string());
    let measured = thread::scope(|scope| scope.spawn(write).join());
    Ok(measured.map_err(|_| "the thread ended")??)
}

fn write_and_sync(folder: &Path, rate: u32, length: Duration) -> Result<Latencies, Box<dyn Error>> {
    const BLOCK: usize = 4096;
    const BLOCKS: u64 = 4096;
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&vec![0; BLOCK * usize::try_from(BLOCKS)?])?;
    file.sync_all()?;
    wake_on_time()?;
    let begin = Instant::now() + Duration::from_millis(100);
    let mut latencies = Vec::new();
    for number in 0..u64::from(rate) * length.as_secs() {
        let due = begin + Duration::from_nanos(number * 1_000_000_000 / u64::from(rate));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        file.write_all_at(&[1; BLOCK], number % BLOCKS * BLOCK as u64)?;
        file.sync_data()?;
        latencies.push(due.elapsed());
    }
    Ok(Latencies::new(latencies))
}

/// Has this thread sleep no longer than it asks for: by default the kernel may add 50 µs. What the thread starts
/// inherits it.
fn wake_on_time() -> std::io::Result<()> {
    Ok(rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?)
}

#[expect(clippy::too_many_arguments, reason = "one thread's share of a run")]
fn send_all(
    head: &str,
    rate: u32,
    total: u64,
    begin: Instant,
    writers: &[TcpStream],
    idle: &Receiver<usize>,
    sent: &Sender<(usize, Instant)>,
    body: &impl Fn(u64) -> String,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    wake_on_time()?;
    let mut late = Vec::new();
    for number in 0..total {
        let due = begin + Duration::from_nanos(number * 1_000_000_000 / u64::from(rate));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        late.push(due.elapsed());
        // No idle connection: this request is late, and so are those after it.
        let connection = idle.recv_timeout(PATIENCE)?;
        let body = body(number);
        let length = body.len();
        let request = format!("{head}Content-Length: {length}\r\n\r\n{body}");
        sent.send((connection, due))?;
        // A request fits the socket's buffer, which is empty: one request at a time.
        writers.get(connection).ok_or("no such connection")?.write_all(request.as_bytes())?;
    }
    Ok(late)
}

fn receive_all(
    streams: Vec<TcpStream>,
    total: u64,
    until: Instant,
    now_idle: &Sender<usize>,
    sent: &Receiver<(usize, Instant)>,
) -> Result<(Vec<Duration>, usize), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(CONNECTIONS);
    let mut due: Vec<Option<Instant>> = vec![None; CONNECTIONS];
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for (token, stream) in streams.into_iter().enumerate() {
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(token), Interest::READABLE)?;
        connections.push(Connection { stream, received: Vec::new() });
    }
    let (mut latencies, mut unavailable) = (Vec::new(), 0);
    while (latencies.len() as u64) < total {
        poll.poll(&mut events, Some(until.saturating_duration_since(Instant::now())))?;
        let now = Instant::now();
        if now >= until {
            return Err("the daemon does not keep up with the rate".into());
        }
        for event in &events {
            let token = event.token().0;
            if let Some(answer) = receive(connections.get_mut(token).ok_or("no such connection")?)? {
                unavailable += usize::from(answer.contains("\"unavailable\""));
                // What was sent is said before it is sent.
                for (connection, at) in sent.try_iter() {
                    *due.get_mut(connection).ok_or("no such connection")? = Some(at);
                }
                let due = due.get_mut(token).and_then(Option::take).ok_or("an answer to nothing")?;
                latencies.push(now.saturating_duration_since(due));
                // The sender may be done.
                let _ = now_idle.send(token);
            }
        }
    }
    Ok((latencies, unavailable))
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Reads what is there; an answer once it is whole.
fn receive(connection: &mut Connection) -> Result<Option<String>, Box<dyn Error>> {
    let mut chunk = [0; 4096];
    loop {
        match connection.stream.read(&mut chunk) {
            Ok(0) => return Err("the daemon closed a connection".into()),
            Ok(read) => connection.received.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    let text = String::from_utf8_lossy(&connection.received);
    let answer = is_whole(&text)?.then(|| text.into_owned());
    if answer.is_some() {
        connection.received.clear();
    }
    Ok(answer)
}

/// Whether a whole answer is there; anything but a 200 is an error.
fn is_whole(text: &str) -> Result<bool, Box<dyn Error>> {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(false) };
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("a request failed: {text}").into());
    }
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|length| length.parse().ok());
    Ok(body.len() >= length.unwrap_or(0))
}
