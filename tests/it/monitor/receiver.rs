//! A server that takes posted alerts.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
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
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    posted: Mutex<Receiver<Posted>>,
}

impl AlertReceiver {
    /// Listens, and answers each request with this status.
    pub fn start(address: SocketAddr, status: u16) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let (tell, posted) = channel();
        let over = Arc::clone(&is_over);
        let serve = move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Acquire) {
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
                let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
                let _ = tell.send(Posted { signature, body: String::from_utf8(body).unwrap() });
            }
        };
        Self { address, is_over, thread: Some(thread::spawn(serve)), posted: Mutex::new(posted) }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next that is posted of this alert; a busy or full host has others of its own.
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
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread, so that the address is free afterwards.
        let _ = std::net::TcpStream::connect(self.address);
        drop(self.thread.take().map(JoinHandle::join));
    }
}
