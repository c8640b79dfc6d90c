//! A tiny HTTP server that answers with whatever bytes a test wants.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Starts one, which lasts as long as the test's process; where it listens.
pub fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, answer) = (listener.local_addr().unwrap(), Arc::new(answer));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            // Who asks may go away at any time.
            thread::spawn(move || drop(serve(&stream, &*answer)));
        }
    });
    address
}

fn serve(mut stream: &TcpStream, answer: &dyn Fn(&str) -> Vec<u8>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().map_err(io::Error::other)?;
        }
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    stream.write_all(&answer(path))
}

/// An answer that is HTTP.
pub fn http(status: u16, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
