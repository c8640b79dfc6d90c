//! A proxy that loses one decision and repeats another, as a daemon must not.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the proxy does with decisions.
#[derive(Debug, Default)]
struct State {
    /// Answers by their requests.
    answers: HashMap<Vec<u8>, Vec<u8>>,
    has_lost: bool,
    has_repeated: bool,
}

/// Starts the proxy; its address.
pub fn start(daemon: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let state = Arc::new(Mutex::new(State::default()));
    thread::spawn(move || {
        for client in listener.incoming() {
            let state = Arc::clone(&state);
            // A connection ends when either side closes it.
            thread::spawn(move || drop(serve(client.unwrap(), daemon, &state)));
        }
    });
    address
}

fn serve(mut client: TcpStream, daemon: SocketAddr, state: &Mutex<State>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(daemon)?;
    let (mut requests, mut answers) = (BufReader::new(client.try_clone()?), BufReader::new(server.try_clone()?));
    loop {
        let request = message(&mut requests)?;
        let is_decision = request.starts_with(b"POST /access/v1/evaluation ");
        let lost = is_decision.then(|| state.lock().unwrap().lose(&request)).flatten();
        let answer = if let Some(answer) = lost {
            answer
        } else {
            let times = if is_decision && state.lock().unwrap().repeats() { 2 } else { 1 };
            let mut answer = Vec::new();
            for _ in 0..times {
                server.write_all(&request)?;
                answer = message(&mut answers)?;
            }
            if is_decision {
                state.lock().unwrap().answers.insert(request, answer.clone());
            }
            answer
        };
        client.write_all(&answer)?;
    }
}

impl State {
    /// Once: an answer to a question that was answered before, with an id that belongs to no decision.
    fn lose(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let answer = self.answers.get(request).filter(|_| !self.has_lost)?;
        self.has_lost = true;
        let text = String::from_utf8(answer.clone()).unwrap();
        let (before, rest) = text.split_once("\"id\":\"").unwrap();
        let (_, after) = rest.split_once('"').unwrap();
        Some(format!("{before}\"id\":\"00000000-0000-7000-8000-000000000001\"{after}").into_bytes())
    }

    /// Whether a decision is asked for twice: once, after one was lost.
    fn repeats(&mut self) -> bool {
        let repeats = self.has_lost && !self.has_repeated;
        self.has_repeated |= repeats;
        repeats
    }
}

/// A head and as long a body as it says.
fn message(from: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let (mut whole, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        whole.extend_from_slice(line.as_bytes());
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        if line == "\r\n" {
            break;
        }
    }
    from.by_ref().take(length).read_to_end(&mut whole)?;
    Ok(whole)
}
