//! A blocking HTTP/1.1 client, near enough to the wire that tests can also send what is no HTTP.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use serde_json::Value;

use super::PATIENCE;

/// A request, as callers write it. Where it needs a credential and has none, it is the administrator's, unless it is to
/// be anonymous.
#[derive(Debug, Clone)]
pub struct Request {
    line: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    anonymous: bool,
}

impl Request {
    /// Any method.
    pub fn new(method: &str, path: &str) -> Self {
        Self { line: format!("{method} {path} HTTP/1.1"), headers: Vec::new(), body: None, anonymous: false }
    }

    /// `GET`
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// `POST`
    pub fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    /// `PUT`
    pub fn put(path: &str) -> Self {
        Self::new("PUT", path)
    }

    /// `DELETE`
    pub fn delete(path: &str) -> Self {
        Self::new("DELETE", path)
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// From nobody, or from whoever the headers say.
    pub fn anonymous(self) -> Self {
        Self { anonymous: true, ..self }
    }

    /// With a token.
    pub fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}")).anonymous()
    }

    /// Whether the route is one that asks who calls.
    fn is_managing(&self) -> bool {
        let path = self.line.split(' ').nth(1).unwrap_or_default().replace("%76", "v").replace("%31", "1");
        path.starts_with("/v1/") && !path.starts_with("/v1/validate") && !path.starts_with("/v1/auth/")
    }

    /// With a body, as it is.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: Some(body.into()), ..self }
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    /// The bytes that go over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\nHost: localhost\r\n", self.line);
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        if !self.anonymous && self.is_managing() {
            text.extend(["Authorization: Bearer ", super::issuer::admin(), "\r\n"]);
        }
        if let Some(body) = &self.body {
            text.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        text.push_str("\r\n");
        [text.as_bytes(), self.body.as_deref().unwrap_or_default()].concat()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The header of that name (in lower case), if it is there; once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(header, _)| header == name);
        let first = found.next();
        assert!(found.next().is_none(), "`{name}` comes twice: {self}");
        first.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self}"))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// A byte stream to the daemon.
pub trait Stream: Read + Write + Send + fmt::Debug + Sized + 'static {
    /// Makes blocking calls fail rather than last for ever.
    fn bound(&self) -> io::Result<()>;
    /// The same stream once more.
    fn again(&self) -> io::Result<Self>;
    /// Says that nothing more will be sent.
    fn finish(&self) -> io::Result<()>;
}

macro_rules! stream {
    ($($type:ty),*) => {$(
        impl Stream for $type {
            fn bound(&self) -> io::Result<()> {
                self.set_read_timeout(Some(PATIENCE))?;
                self.set_write_timeout(Some(PATIENCE))
            }
            fn again(&self) -> io::Result<Self> {
                self.try_clone()
            }
            fn finish(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }
        }
    )*};
}
stream!(TcpStream, UnixStream);

/// A connection that is kept open.
pub struct Connection {
    reader: BufReader<Box<dyn Read + Send>>,
    writer: Box<dyn Write + Send>,
    finish: Box<dyn Fn() -> io::Result<()> + Send>,
}

impl Connection {
    /// Over this stream.
    pub fn new(stream: impl Stream) -> io::Result<Self> {
        stream.bound()?;
        let (reader, writer) = (BufReader::new(Box::new(stream.again()?) as _), Box::new(stream.again()?));
        Ok(Self { reader, writer, finish: Box::new(move || stream.finish()) })
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Answer {
        self.try_ask(request).unwrap()
    }

    /// The same, where the daemon may be gone.
    pub fn try_ask(&mut self, request: &Request) -> io::Result<Answer> {
        self.try_send(&request.bytes())?;
        if request.line.starts_with("HEAD ") { self.head() } else { self.try_answer() }
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes, where the daemon may have closed the connection.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.writer.flush()
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        (self.finish)().unwrap();
    }

    /// Reads an answer.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.try_answer().unwrap()
    }

    /// Reads an answer, where there may be none; `UnexpectedEof` where the daemon closed the connection instead.
    pub fn try_answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.head()?;
        let length = answer.header("content-length").map(|length| length.parse().map_err(io::Error::other));
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = self.line()?;
                let size = u64::from_str_radix(&size, 16).map_err(io::Error::other)?;
                self.body(&mut answer.body, size)?;
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = length {
            self.body(&mut answer.body, length?)?;
        } else if !matches!(answer.status, 204 | 304) {
            self.reader.read_to_end(&mut answer.body)?;
        }
        Ok(answer)
    }

    /// Reads an answer that only announces another, such as 100: its status.
    #[track_caller]
    pub fn interim(&mut self) -> u16 {
        self.head().unwrap().status
    }

    /// Whether the daemon has closed the connection, once what is left of it was read.
    pub fn is_closed(&mut self) -> bool {
        !matches!(self.reader.read(&mut [0; 1]), Ok(1))
    }

    fn head(&mut self) -> io::Result<Answer> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {line}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Answer { status, headers, body: Vec::new() })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    fn body(&mut self, into: &mut Vec<u8>, length: u64) -> io::Result<()> {
        match self.reader.by_ref().take(length).read_to_end(into)? as u64 {
            read if read == length => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
