//! A server that takes posted alerts.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::Value;

/// A posted alert.
#[derive(Debug)]
pub struct Posted {
    pub signature: String,
    pub body: String,
}

impl Posted {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A running server.
pub struct AlertReceiver {
    address: SocketAddr,
    is_stopping: Arc<AtomicBool>,
    status: Arc<AtomicU16>,
    thread: Option<JoinHandle<()>>,
    posted: Mutex<Receiver<Posted>>,
}

impl AlertReceiver {
    /// Listens, and answers each request with this status. With the status 0 connections are closed without an answer.
    pub fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (is_stopping, status) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU16::new(status)));
        let (tell, posted) = channel();
        let (stopping, answered) = (Arc::clone(&is_stopping), Arc::clone(&status));
        let serve = move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Acquire) {
                    return;
                }
                let mut reader = BufReader::new(stream.unwrap());
                let (mut signature, mut length) = (String::new(), 0);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    let (name, value) = line.trim_end().split_once(": ").unwrap_or_default();
                    match name.to_ascii_lowercase().as_str() {
                        "x-acgs-signature" => value.clone_into(&mut signature),
                        "content-length" => length = value.parse().unwrap(),
                        _ => {}
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                if reader.read_exact(&mut body).is_err() {
                    continue;
                }
                let status = answered.load(Ordering::Acquire);
                if status == 0 {
                    continue;
                }
                let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
                let _ = tell.send(Posted { signature, body: String::from_utf8(body).unwrap() });
            }
        };
        Self { address, is_stopping, status, thread: Some(thread::spawn(serve)), posted: Mutex::new(posted) }
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Answers further requests with another status.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Release);
    }

    /// The next post of this alert; a busy or full host has others of its own.
    #[track_caller]
    pub fn next_of(&self, alert: &str) -> Posted {
        let posted = self.posted.lock().unwrap();
        loop {
            let next = posted.recv_timeout(super::PATIENCE).expect("an alert is posted");
            if next.json()["alert"]["name"] == alert {
                return next;
            }
        }
    }
}

impl Drop for AlertReceiver {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        // Wakes the thread.
        let _ = std::net::TcpStream::connect(self.address);
        drop(self.thread.take().map(JoinHandle::join));
    }
}
