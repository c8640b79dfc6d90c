//! One client connection: its stream, its peer, and its timeouts.

use std::cell::{Cell, RefCell};
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::rt::net::{TcpStream, UnixStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::answered::Answered;
use super::connections::ConnectionSlot;
use super::local_admin::LocalAdmin;
use crate::auth::network::ClientAddress;

/// The longest time in which the head of a request must arrive, from its first byte on.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest time for which an idle connection is kept open.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The longest time in which a client takes no byte of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The transport of a connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The peer of a connection, as its requests see it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client's address, as the transport or the PROXY protocol header says.
    pub address: ClientAddress,
    /// Whether the peer is a trusted proxy, whose `Forwarded` and `X-Forwarded-For` headers count.
    pub is_proxy: bool,
    /// The administrator at the other end, if the connection came in on the admin socket.
    pub admin: Option<LocalAdmin>,
    progress: Rc<Progress>,
}

impl Peer {
    pub(super) fn new(
        address: ClientAddress,
        is_proxy: bool,
        admin: Option<LocalAdmin>,
        place: ConnectionSlot,
    ) -> Self {
        let phase = Cell::new(Phase::Waiting(None));
        let progress = Progress {
            phase,
            is_first: Cell::new(true),
            read_at: Cell::new(Instant::now()),
            unwritten: RefCell::default(),
            is_streaming: Cell::new(false),
            place,
        };
        Self { address, is_proxy, admin, progress: Rc::new(progress) }
    }

    /// Whether the peer is this host's administrator.
    pub fn is_admin(&self) -> bool {
        self.admin.is_some()
    }

    /// Notes that the head of a request has arrived. Returns when the first byte of the request was read.
    ///
    /// A pipelined request, whose bytes were read while another one was in progress, counts as read with the last of
    /// these bytes: exact if it arrived in one piece, otherwise somewhat late.
    pub(super) fn begin_request(&self) -> std::time::Instant {
        let since = match self.progress.phase.get() {
            Phase::Head(since) => since,
            Phase::Waiting(_) | Phase::Busy => self.progress.read_at.get(),
        };
        self.progress.is_first.set(false);
        self.progress.set(Phase::Busy);
        since.into_std()
    }

    /// Notes that the answer is a stream, or that the stream has ended. Meanwhile the connection is kept open without
    /// requests, and may be evicted.
    pub(super) fn set_streaming(&self, is_streaming: bool) {
        self.progress.is_streaming.set(is_streaming);
    }

    /// Notes that a request was answered, and counts it once the answer is handed to the socket. True if the
    /// connection has to close then, because it was evicted.
    pub(super) fn end_request(&self, answered: Answered) -> bool {
        self.progress.set(Phase::Waiting(None));
        self.progress.unwritten.borrow_mut().push(answered);
        self.progress.place.is_evicted()
    }
}

/// The state of a connection's requests.
#[derive(Debug)]
struct Progress {
    phase: Cell<Phase>,
    /// Actix has a timeout of its own for the first head, which it answers with 408.
    is_first: Cell<bool>,
    /// When bytes were last read.
    read_at: Cell<Instant>,
    /// Answered requests whose answers are not handed to the socket yet.
    unwritten: RefCell<Vec<Answered>>,
    /// Whether the answer is a stream that goes on: no request is waited for meanwhile.
    is_streaming: Cell<bool>,
    place: ConnectionSlot,
}

/// The clock is looked at only when bytes were read, and at the first read that has to wait for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No byte of the next request has arrived, since that moment.
    Waiting(Option<Instant>),
    /// Part of a request's head has arrived, its first byte at that moment.
    Head(Instant),
    /// A request is in progress.
    Busy,
}

impl Progress {
    fn set(&self, phase: Phase) {
        self.place.set_busy(phase == Phase::Busy);
        self.phase.set(phase);
    }

    /// When the next bytes of a request must have arrived; `None` while one is in progress. Called when a read has to
    /// wait.
    fn deadline(&self) -> Option<Instant> {
        match self.phase.get() {
            Phase::Waiting(_) if self.is_streaming.get() => None,
            Phase::Waiting(since) => {
                let since = since.unwrap_or_else(Instant::now);
                self.phase.set(Phase::Waiting(Some(since)));
                Some(since + KEEP_ALIVE)
            }
            Phase::Head(since) => Some(since + if self.is_first.get() { KEEP_ALIVE } else { HEAD_TIMEOUT }),
            Phase::Busy => None,
        }
    }

    /// Notes that bytes were read.
    fn read(&self) {
        let now = Instant::now();
        self.read_at.set(now);
        if matches!(self.phase.get(), Phase::Waiting(_)) {
            self.set(Phase::Head(now));
        }
    }

    /// Counts the answered requests: the socket has taken all bytes of their answers so far, or the connection ends.
    ///
    /// An answer in memory is written as a whole before this; one that is streamed counts with its first part.
    fn written(&self) {
        let mut unwritten = self.unwritten.borrow_mut();
        if !unwritten.is_empty() {
            let now = Instant::now().into_std();
            unwritten.drain(..).for_each(|answered| answered.written(now));
        }
    }
}

/// A connection that is closed if its client is too slow, or if it is evicted in favour of another.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    peer: Peer,
    /// Since when the client has taken no byte of an answer.
    stalled: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The waker of the task, which an eviction wakes.
    waker: Option<Waker>,
    /// Whether the timer wakes the task, too.
    is_armed: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream, peer: Peer) -> Self {
        Self { stream, peer, stalled: None, timer: None, waker: None, is_armed: false }
    }

    /// Registers the waker for an eviction, if it is another than before.
    fn register(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.peer.progress.place.register(waker);
            self.waker = Some(waker.clone());
            self.is_armed = false;
        }
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Polls for the deadline; wakes the task at the deadline or before.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Error> {
        self.register(cx.waker());
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // An earlier timer costs one needless wake-up; resetting it for each request would cost more.
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
            self.is_armed = false;
        }
        if self.is_armed && !timer.is_elapsed() {
            return Poll::Pending;
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            timer.as_mut().reset(deadline);
        }
        self.is_armed = true;
        Poll::Pending
    }

    /// Tracks whether the client takes bytes, and fails once it has taken none for [`WRITE_TIMEOUT`].
    fn wrote<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        self.poll_deadline(cx, since + WRITE_TIMEOUT).map(Err)
    }
}

/// A client that is gone was answered all the same.
impl Drop for Connection {
    fn drop(&mut self) {
        self.peer.progress.written();
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.register(cx.waker());
        let progress = &this.peer.progress;
        if progress.phase.get() != Phase::Busy && progress.place.is_evicted() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let read = match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if read.is_pending() {
            return match this.peer.progress.deadline() {
                Some(deadline) => this.poll_deadline(cx, deadline).map(Err),
                None => Poll::Pending,
            };
        }
        if buffer.filled().len() > before {
            progress.read();
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        this.wrote(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        };
        this.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Called by the dispatcher once its buffer is written.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.peer.progress.written();
        match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
