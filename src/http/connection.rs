//! One connection to a client: its bytes, whose they are, and how long it may keep others waiting.

use std::cell::Cell;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::net::{TcpStream, UnixStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connections::Place;
use super::local_admin::LocalAdmin;
use crate::auth::network::ClientAddress;

/// How long a connection may take to send the head of a request.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a client may take no byte of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The bytes of a connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection as its requests see it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it comes from, as far as the connection itself says.
    pub address: ClientAddress,
    /// Whether what its requests say of other addresses is believed.
    pub is_proxy: bool,
    /// The administrator at its other end, where it came in on the admin socket.
    pub admin: Option<LocalAdmin>,
    progress: Rc<Progress>,
}

impl Peer {
    pub(super) fn new(address: ClientAddress, is_proxy: bool, admin: Option<LocalAdmin>, place: Place) -> Self {
        let phase = Cell::new(Phase::Waiting(Instant::now()));
        let progress = Progress { phase, is_first: Cell::new(true), place };
        Self { address, is_proxy, admin, progress: Rc::new(progress) }
    }

    /// Whether it is this host's administrator.
    pub fn is_admin(&self) -> bool {
        self.admin.is_some()
    }

    /// The head of a request has arrived.
    pub fn begin_request(&self) {
        self.progress.is_first.set(false);
        self.progress.set(Phase::Busy);
    }

    /// A request is answered. Whether the connection is to end with that, because its place is needed.
    pub fn end_request(&self) -> bool {
        self.progress.set(Phase::Waiting(Instant::now()));
        self.progress.place.is_evicted()
    }
}

/// How far the requests of a connection are.
#[derive(Debug)]
struct Progress {
    phase: Cell<Phase>,
    /// Actix gives the first head a time of its own, with an answer.
    is_first: Cell<bool>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No byte of the next request has come, since then.
    Waiting(Instant),
    /// Some of it has, since then.
    Head(Instant),
    /// A request is in progress.
    Busy,
}

impl Progress {
    fn set(&self, phase: Phase) {
        self.place.set_busy(phase == Phase::Busy);
        self.phase.set(phase);
    }

    /// Until when the next bytes of a request have to come, unless one is in progress.
    fn deadline(&self) -> Option<Instant> {
        match self.phase.get() {
            Phase::Waiting(since) => Some(since + KEEP_ALIVE),
            Phase::Head(since) => Some(since + if self.is_first.get() { KEEP_ALIVE } else { HEAD_TIMEOUT }),
            Phase::Busy => None,
        }
    }
}

/// A connection that ends where its client is too slow, or where its place is needed.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    peer: Peer,
    /// Since when no byte of an answer could be written.
    stalled: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    pub(super) fn new(stream: Stream, peer: Peer) -> Self {
        Self { stream, peer, stalled: None, timer: None }
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether this time has passed; if not, the task is woken then, or before.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Error> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // A timer that ends sooner costs one wake-up; setting it anew for each request costs more.
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// Notes whether something was written, and ends a connection whose client takes nothing.
    fn wrote<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        self.poll_deadline(cx, since + WRITE_TIMEOUT).map(Err)
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let progress = Rc::clone(&this.peer.progress);
        if progress.phase.get() != Phase::Busy {
            progress.place.register(cx.waker());
            if progress.place.is_evicted() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        let before = buffer.filled().len();
        let read = match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if read.is_pending() {
            return match progress.deadline() {
                Some(deadline) => this.poll_deadline(cx, deadline).map(Err),
                None => Poll::Pending,
            };
        }
        if matches!(progress.phase.get(), Phase::Waiting(_)) && buffer.filled().len() > before {
            progress.set(Phase::Head(Instant::now()));
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

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
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
