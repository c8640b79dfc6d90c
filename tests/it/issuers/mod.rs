//! Issuers whose keys are at a URL.

mod foreign;
mod signers;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Request, Setup, TestDaemon, issuer};
use acgs::auth::signing_key::SigningKey;
use serde_json::{Value, json};

/// What the issuer's tokens have as `iss`.
const ISSUER: &str = "https://id.example";

/// Answers every request with a text, and counts them; it goes on to the end of the test.
fn serve(status: &'static str, body: String) -> (SocketAddr, Arc<AtomicUsize>) {
    serve_paths(move |_| (status.to_owned(), body.clone()))
}

/// Serves texts by path, and counts the requests.
fn serve_paths(answer: impl Fn(&str) -> (String, String) + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                head.extend(byte);
            }
            counter.fetch_add(1, Ordering::Relaxed);
            let head = String::from_utf8_lossy(&head).into_owned();
            let (status, body) = answer(head.split(' ').nth(1).unwrap_or_default());
            let length = body.len();
            // Whoever asked may be gone.
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        }
    });
    (address, asked)
}

fn daemon(keys: SocketAddr) -> TestDaemon {
    with_issuer(keys, "role_claim = \"groups\"").start()
}

/// A daemon that trusts an issuer with its keys there, with these settings.
fn with_issuer(keys: SocketAddr, settings: &str) -> Setup {
    let issuers = format!("[{{ issuer = \"{ISSUER}\", jwks_url = \"http://{keys}/jwks\", {settings} }}]");
    Setup::new().set("auth.issuers", issuers)
}

fn token(key: &SigningKey, subject: &str) -> String {
    let claims: Value = json!({"iss": ISSUER, "sub": subject, "aud": "acgs", "exp": issuer::now() + 600,
        "groups": ["staff", "auditor"], "roles": ["admin"], "scope": "auth:write"});
    key.sign("at+jwt", &claims).unwrap()
}

fn status(daemon: &TestDaemon, path: &str, token: &str) -> u16 {
    daemon.ask(&Request::get(path).token(token)).status
}

#[test]
fn keys_are_fetched_once_and_for_unknown_ones_not_again_and_again() {
    let (known, unknown) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let (address, asked) = serve("200 OK", json!({"keys": [known.public_jwk()]}).to_string());
    let daemon = daemon(address);
    assert_eq!(asked.load(Ordering::Relaxed), 0, "a start does not wait for an issuer");
    let ann = token(&known, "ann");
    // The roles are those of the claim that the settings name; what else the token says is for others.
    for (path, expected) in [("/v1/constitution", 200), ("/v1/audit", 200), ("/v1/users", 403)] {
        assert_eq!(status(&daemon, path, &ann), expected, "{path}");
    }
    let who = daemon.ask(&Request::get("/v1/auth/me").token(&ann)).json();
    assert_eq!(who["name"], "https://id.example#ann");
    for nth in 0..20 {
        assert_eq!(status(&daemon, "/v1/constitution", &token(&unknown, &nth.to_string())), 401);
        assert_eq!(status(&daemon, "/v1/constitution", &token(&known, &nth.to_string())), 200);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn an_issuer_that_fails_lets_nobody_in_and_holds_up_nobody_else() {
    let key = SigningKey::generate().unwrap();
    for (answer, body) in [
        ("500 Internal Server Error", String::new()),
        ("200 OK", "nonsense".to_owned()),
        ("302 Found\r\nLocation: http://127.0.0.1:1/", String::new()),
        ("200 OK", " ".repeat(1 << 20)),
    ] {
        let (address, asked) = serve(answer, body);
        let daemon = daemon(address);
        for _ in 0..3 {
            assert_eq!(status(&daemon, "/v1/constitution", &token(&key, "ann")), 401, "{answer}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1, "{answer}");
        assert_eq!(daemon.get("/livez").status, 200);
    }
}
