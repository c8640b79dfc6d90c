//! A collector of traces: takes OTLP over HTTP as JSON, refuses it, or does not answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::Value;

use super::PATIENCE;

/// What the collector does with an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It takes the spans.
    Takes,
    /// It refuses so many exports, and takes those after.
    RefusesFirst(usize),
    /// It never answers.
    Hangs,
}

/// A collector on a port of its own; it ends with the process.
#[derive(Debug)]
pub struct Collector {
    url: String,
    spans: Receiver<Value>,
}

impl Collector {
    /// Starts to listen.
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (told, spans) = channel();
        let exports = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (told, exports) = (told.clone(), Arc::clone(&exports));
                thread::spawn(move || serve(&stream.unwrap(), behaviour, &told, &exports));
            }
        });
        Self { url, spans }
    }

    /// The URL for `trace.otlp_endpoint`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The spans of a trace, once that of the request has come; spans of other traces are dropped.
    #[track_caller]
    pub fn trace(&self, id: &str) -> Vec<Value> {
        let mut found: Vec<Value> = Vec::new();
        // The spans of a request come together, its own first.
        loop {
            let span = self.spans.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("no trace {id}: {error}"));
            match (span["traceId"] == id, found.is_empty()) {
                (true, _) => found.push(span),
                (false, true) => {}
                (false, false) => return found,
            }
        }
    }
}

fn serve(stream: &TcpStream, behaviour: Behaviour, told: &Sender<Value>, exports: &AtomicUsize) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        assert!(line.starts_with("POST /v1/traces HTTP/1.1"), "{line}");
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            assert!(!header.starts_with("content-type:") || header == "content-type: application/json", "{header}");
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let status = match behaviour {
            Behaviour::Hangs => {
                thread::sleep(PATIENCE);
                return None;
            }
            Behaviour::RefusesFirst(first) if exports.fetch_add(1, Ordering::SeqCst) < first => {
                "503 Service Unavailable"
            }
            Behaviour::RefusesFirst(_) | Behaviour::Takes => {
                tell(&serde_json::from_slice(&body).unwrap(), told);
                "200 OK"
            }
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}");
        writer.write_all(head.as_bytes()).ok()?;
    }
}

fn tell(export: &Value, told: &Sender<Value>) {
    for resource in export["resourceSpans"].as_array().unwrap() {
        assert!(resource["resource"]["attributes"].to_string().contains("service.name"), "{resource}");
        for scope in resource["scopeSpans"].as_array().unwrap() {
            for span in scope["spans"].as_array().unwrap() {
                // The test may be over.
                drop(told.send(span.clone()));
            }
        }
    }
    // The end of an export, which also ends the last trace in it.
    drop(told.send(Value::Null));
}
