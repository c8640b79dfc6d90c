//! Connections to a daemon, blocking or not, and answers of HTTP/1.1 as they arrive.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::endpoint::{Address, Endpoint};

/// How long a blocking request may take.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// An answer within received bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The HTTP status.
    pub status: u16,
    /// The bytes of its head.
    pub head: Range<usize>,
    /// The bytes of its body.
    pub body: Range<usize>,
    /// Whether the connection ends with it.
    pub closes: bool,
}

/// Finds a whole answer at the beginning of the bytes; `None` until it is whole, an error if it is malformed.
pub fn find_answer(bytes: &[u8]) -> Result<Option<Received>, &'static str> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > MAX_HEAD { Err("its head is too long") } else { Ok(None) };
    };
    let head = bytes.get(..end).and_then(|head| str::from_utf8(head).ok()).ok_or("its head is no text")?;
    let mut lines = head.lines();
    let mut line = lines.next().unwrap_or_default().split(' ');
    let is_http = line.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let status = line.next().and_then(|status| status.parse().ok()).filter(|_| is_http).ok_or("it is not HTTP/1.1")?;
    let (mut length, mut closes) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>().map_err(|_| "its length is no number")?);
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.trim().eq_ignore_ascii_case("close");
        }
    }
    let length = match length {
        Some(length) => length,
        None if matches!(status, 204 | 304) => 0,
        None => return Err("it has no `Content-Length`"),
    };
    let begin = end + 4;
    let body = begin..begin.checked_add(length).ok_or("its length is too large")?;
    Ok((bytes.len() >= body.end).then_some(Received { status, head: 0..end, body, closes }))
}

/// An answer to a blocking request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// A stream that blocks.
trait Stream: Read + Write + Send {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

/// A connection that is kept open.
pub struct Connection(Box<dyn Stream>);

impl Connection {
    /// Connects.
    pub fn open(endpoint: &Endpoint) -> io::Result<Self> {
        Ok(Self(match &endpoint.address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, TIMEOUT)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                Box::new(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                Box::new(stream)
            }
        }))
    }

    /// Sends a request, and waits for its answer.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.0.write_all(request)?;
        let (mut received, mut chunk) = (Vec::new(), [0; 16 << 10]);
        loop {
            match self.0.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => received.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            }
            if let Some(found) = find_answer(&received).map_err(io::Error::other)? {
                let head = received.get(found.head).map(|head| String::from_utf8_lossy(head).into_owned());
                let body = received.get(found.body).unwrap_or_default().to_vec();
                return Ok(Answer { status: found.status, head: head.unwrap_or_default(), body });
            }
        }
    }
}

/// Opens a stream that never blocks.
pub fn open_nonblocking(endpoint: &Endpoint) -> io::Result<Nonblocking> {
    match &endpoint.address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, Duration::from_secs(1))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(Nonblocking::Tcp(mio::net::TcpStream::from_std(stream)))
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_nonblocking(true)?;
            Ok(Nonblocking::Unix(mio::net::UnixStream::from_std(stream)))
        }
    }
}

/// A stream that never blocks.
#[derive(Debug)]
pub enum Nonblocking {
    /// Over TCP.
    Tcp(mio::net::TcpStream),
    /// Over a Unix socket.
    Unix(mio::net::UnixStream),
}

impl Nonblocking {
    /// The stream as a source of events.
    pub fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

impl Read for Nonblocking {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Unix(stream) => stream.read(into),
        }
    }
}

impl Write for Nonblocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_once_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nX: y\r\n\r\nabcHTTP";
        for length in 0..text.len() - 4 {
            assert_eq!(find_answer(&text[..length]), Ok(None), "{length}");
        }
        let found = find_answer(text).unwrap().unwrap();
        assert_eq!((found.status, &text[found.body], found.closes), (200, b"abc".as_slice(), false));
        let closing =
            find_answer(b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap().unwrap();
        assert_eq!((closing.status, closing.closes), (503, true));
        assert_eq!(find_answer(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().body.len(), 0);
        for wrong in [
            "SSH-2.0 200\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
        ] {
            assert!(find_answer(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(find_answer(&vec![b'a'; MAX_HEAD + 1]).is_err());
    }
}
