//! Open loops, for latency: requests are due at a constant rate whether or not earlier ones were answered, and latency
//! counts from when a request was due. So a stall is felt by all requests that were due meanwhile (coordinated
//! omission). The client's own lateness, from when a request was due until this thread ran, is a distribution of its
//! own, since it is a part of every latency that is not the daemon's.
//!
//! One thread waits for the timer of the next request and for answers. It takes no processor from the daemon by
//! spinning.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::connection::{Nonblocking, find_answer, open_nonblocking};
use super::endpoint::Endpoint;
use super::live::Live;
use super::timeline::{Interval, Timeline};
use super::timer::Timer;
use crate::metrics::Latencies;

/// How long an answer may take. The latency of a request without one counts as this.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before a connection that was refused is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// The longest time without a look at timeouts and interruptions.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_millis(50);

/// The token of the timer; connections have those from 0 on.
const TIMER: Token = Token(usize::MAX - 1);

/// Makes the requests of a load, and judges their answers.
pub trait Requests {
    /// Appends the request with this number, counted from 0.
    fn write(&mut self, number: u64, into: &mut Vec<u8>);

    /// Judges the answer to a request; an error is a short text that names a kind of failure.
    fn judge(&mut self, number: u64, status: u16, body: &[u8]) -> Result<(), &'static str>;
}

/// A load at a constant rate.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// The daemon.
    pub endpoint: &'a Endpoint,
    /// Requests a second.
    pub rate: NonZeroU32,
    /// How long requests are due.
    pub duration: Duration,
    /// Connections, kept open, among which requests are spread.
    pub connections: usize,
    /// Ends the load early once it is set.
    pub stop: &'a AtomicBool,
}

/// The outcome of a load.
#[derive(Debug)]
pub struct Run {
    /// From when a request was due until its answer was there.
    pub latencies: Latencies,
    /// From when a request was due until the client ran to send it.
    pub late: Latencies,
    /// Requests that were due.
    pub offered: u64,
    /// Requests with a good answer.
    pub answered: u64,
    /// The numbers of failures, by kind.
    pub errors: BTreeMap<String, u64>,
    /// The course of it.
    pub intervals: Vec<Interval>,
    /// From the first request's time to the last answer.
    pub elapsed: Duration,
}

impl Run {
    /// The number of all failures.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Good answers a second, over the time in which requests were due or answered.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 requests")]
        let answered = self.answered as f64;
        answered / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Sends the load, and waits for the last answers. `live` shows its progress to other threads.
pub fn run(load: &Load<'_>, requests: &mut dyn Requests, live: &Live) -> io::Result<Run> {
    let mut state = Loop::new(load, requests, live)?;
    state.run()?;
    Ok(state.finish())
}

/// A request that was sent and not answered yet.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    number: u64,
    due: Instant,
}

/// One connection.
#[derive(Debug, Default)]
struct Slot {
    stream: Option<Nonblocking>,
    received: Vec<u8>,
    in_flight: Option<InFlight>,
    /// When a lost connection is opened again.
    retry_at: Option<Instant>,
}

struct Loop<'a> {
    load: &'a Load<'a>,
    requests: &'a mut dyn Requests,
    poll: Poll,
    timer: Timer,
    slots: Vec<Slot>,
    /// Connections without a request, the longest idle first, so that none is idle until the daemon closes it.
    idle: VecDeque<usize>,
    /// Requests that are due and wait for a connection.
    waiting: VecDeque<InFlight>,
    begin: Instant,
    next: u64,
    total: u64,
    timeline: Timeline<'a>,
    errors: BTreeMap<String, u64>,
    text: Vec<u8>,
}

impl<'a> Loop<'a> {
    fn new(load: &'a Load<'a>, requests: &'a mut dyn Requests, live: &'a Live) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::new()?;
        timer.register(poll.registry(), TIMER)?;
        let total = u128::from(load.rate.get()) * load.duration.as_micros() / 1_000_000;
        let mut state = Self {
            load,
            requests,
            poll,
            timer,
            slots: Vec::new(),
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            begin: Instant::now(),
            next: 0,
            total: u64::try_from(total).unwrap_or(u64::MAX).max(1),
            timeline: Timeline::new(load.duration, live),
            errors: BTreeMap::new(),
            text: Vec::new(),
        };
        for place in 0..load.connections.max(1) {
            state.slots.push(Slot::default());
            state.connect(place)?;
        }
        state.begin = Instant::now() + Duration::from_millis(20);
        state.timeline.begin(state.begin);
        Ok(state)
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        let mut housekeeping = Instant::now();
        loop {
            if let Some(next) = self.due(self.next) {
                self.timer.set(next.saturating_duration_since(Instant::now()))?;
            }
            match self.poll.poll(&mut events, Some(HOUSEKEEPING_INTERVAL)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                if event.token() != TIMER {
                    self.receive(event.token().0);
                }
            }
            let now = Instant::now();
            while let Some(due) = self.due(self.next).filter(|due| *due <= now) {
                self.timeline.due(now.saturating_duration_since(due));
                self.waiting.push_back(InFlight { number: self.next, due });
                self.next += 1;
            }
            self.send_waiting();
            if now.saturating_duration_since(housekeeping) >= HOUSEKEEPING_INTERVAL {
                housekeeping = now;
                self.expire(now);
                self.reconnect(now);
                if self.load.stop.load(Ordering::Relaxed) {
                    self.total = self.next;
                }
            }
            self.timeline.advance(now);
            let has_ended = self.next >= self.total && self.waiting.is_empty();
            if has_ended && self.slots.iter().all(|slot| slot.in_flight.is_none()) {
                return Ok(());
            }
        }
    }

    /// When a request is due; `None` after the last one.
    fn due(&self, number: u64) -> Option<Instant> {
        let after = u128::from(number) * 1_000_000_000 / u128::from(self.load.rate.get());
        (number < self.total).then(|| self.begin + Duration::from_nanos(u64::try_from(after).unwrap_or(u64::MAX)))
    }

    fn send_waiting(&mut self) {
        while !self.waiting.is_empty() {
            let Some(place) = self.idle.pop_front() else { return };
            let Some(slot) = self.slots.get_mut(place) else { continue };
            let Some(stream) = &mut slot.stream else { continue };
            let Some(request) = self.waiting.pop_front() else { return };
            self.text.clear();
            self.requests.write(request.number, &mut self.text);
            // A request fits the socket's buffer, which is empty: one request at a time.
            let is_sent = stream.write(&self.text).is_ok_and(|written| written == self.text.len());
            slot.in_flight = Some(request);
            if !is_sent {
                self.lose(place, "a connection was closed");
            }
        }
    }

    fn receive(&mut self, place: usize) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        let Some(stream) = &mut slot.stream else { return };
        let mut chunk = [0; 16 << 10];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return self.lose(place, "a connection was closed"),
                Ok(read) => {
                    slot.received.extend_from_slice(chunk.get(..read).unwrap_or_default());
                    if read < chunk.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return self.lose(place, "a connection was closed"),
            }
        }
        let now = Instant::now();
        let found = match find_answer(&slot.received) {
            Ok(None) => return,
            Ok(Some(found)) => found,
            Err(_) => return self.lose(place, "an answer was malformed"),
        };
        let Some(request) = slot.in_flight.take() else { return self.lose(place, "an answer to nothing arrived") };
        let body = slot.received.get(found.body.clone()).unwrap_or_default();
        match self.requests.judge(request.number, found.status, body) {
            Ok(()) => self.timeline.answered(now.saturating_duration_since(request.due)),
            Err(kind) => fail(&mut self.errors, &mut self.timeline, kind),
        }
        slot.received.clear();
        if found.closes {
            slot.stream = None;
            slot.retry_at = Some(now);
        } else {
            self.idle.push_back(place);
        }
    }

    /// Ends a connection; its request fails.
    fn lose(&mut self, place: usize, kind: &str) {
        self.idle.retain(|idle| *idle != place);
        let Some(slot) = self.slots.get_mut(place) else { return };
        *slot = Slot { retry_at: Some(Instant::now()), in_flight: slot.in_flight.take(), ..Slot::default() };
        // An idle connection may be closed at any time: that is no failure.
        if slot.in_flight.take().is_some() {
            fail(&mut self.errors, &mut self.timeline, kind);
        }
    }

    /// Gives up requests without an answer.
    fn expire(&mut self, now: Instant) {
        let is_late = |request: &InFlight| now.saturating_duration_since(request.due) >= ANSWER_TIMEOUT;
        while self.waiting.front().is_some_and(is_late) {
            self.waiting.pop_front();
            self.timeline.expired(ANSWER_TIMEOUT);
            fail(&mut self.errors, &mut self.timeline, "no connection was free in time");
        }
        for place in 0..self.slots.len() {
            if self.slots.get(place).and_then(|slot| slot.in_flight.as_ref()).is_some_and(is_late) {
                self.timeline.expired(ANSWER_TIMEOUT);
                self.lose(place, "no answer arrived in time");
            }
        }
    }

    fn reconnect(&mut self, now: Instant) {
        for place in 0..self.slots.len() {
            let is_due = self.slots.get(place).and_then(|slot| slot.retry_at).is_some_and(|at| at <= now);
            if is_due && self.connect(place).is_err() {
                let again = Some(now + RETRY_INTERVAL);
                self.slots.get_mut(place).into_iter().for_each(|slot| slot.retry_at = again);
            }
        }
    }

    fn connect(&mut self, place: usize) -> io::Result<()> {
        let mut stream = open_nonblocking(self.load.endpoint)?;
        self.poll.registry().register(stream.source(), Token(place), Interest::READABLE)?;
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Slot { stream: Some(stream), ..Slot::default() };
            self.idle.push_back(place);
        }
        Ok(())
    }

    fn finish(self) -> Run {
        let (elapsed, offered) = (self.begin.elapsed(), self.next);
        let (latencies, late, answered, intervals) = self.timeline.finish();
        Run { latencies, late, offered, answered, errors: self.errors, intervals, elapsed }
    }
}

fn fail(errors: &mut BTreeMap<String, u64>, timeline: &mut Timeline<'_>, kind: &str) {
    timeline.failed();
    match errors.get_mut(kind) {
        Some(count) => *count += 1,
        None => drop(errors.insert(kind.to_owned(), 1)),
    }
}

#[cfg(test)]
mod tests;
