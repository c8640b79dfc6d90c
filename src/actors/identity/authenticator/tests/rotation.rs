//! An issuer rotates its keys, also under the same `kid`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cost::start;
use super::*;
use crate::actors::identity::fetch_state::FetchState;
use crate::actors::identity::trust::KeySource;
use crate::auth::jwks::Jwks;
use crate::auth::signing_key::SigningKey;

/// The public JWK of a key; all of them have the same `kid`.
fn jwk(key: &SigningKey) -> Value {
    let mut jwk = key.public_jwk();
    jwk["kid"] = "same".into();
    jwk
}

fn token(key: &SigningKey, subject: &str) -> Credential {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let exp = OffsetDateTime::now_utc().unix_timestamp() + 600;
    let claims = json!({"iss": "https://id.example", "sub": subject, "aud": "acgs", "exp": exp});
    let header = json!({"alg": "EdDSA", "kid": "same", "typ": "at+jwt"});
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let pair = ring::signature::Ed25519KeyPair::from_pkcs8(key.pkcs8()).unwrap();
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    Credential::Token(format!("{signed}.{signature}"))
}

/// Serves the current `keys` over HTTP; returns the URL and the number of requests so far.
fn serve(keys: Arc<Mutex<Vec<Value>>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut head) = (stream.unwrap(), [0; 4096]);
            assert!(stream.read(&mut head).unwrap() > 0);
            counter.fetch_add(1, Ordering::Relaxed);
            let body = json!({"keys": *keys.lock().unwrap()}).to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    (url, asked)
}

#[actix::test]
async fn a_key_that_was_replaced_under_its_name_is_fetched_at_most_once_a_minute() {
    const MINUTE: Duration = Duration::from_secs(61);
    let folder = tempfile::tempdir().unwrap();
    let [first, second, third, stranger] = [(); 4].map(|()| SigningKey::generate().unwrap());
    let served = Arc::new(Mutex::new(vec![jwk(&second)]));
    let (url, asked) = serve(Arc::clone(&served));
    let known = Jwks::parse(&json!({"keys": [jwk(&first)]}).to_string()).unwrap();
    let source = KeySource::Url { url: url.into(), asked: FetchState::at(Instant::now().checked_sub(MINUTE).unwrap()) };
    let authenticator = start(folder.path(), known, source);
    let is_taken = async |key: &SigningKey, subject: &str| {
        let ask = Authenticate { credential: token(key, subject), address: None };
        authenticator.send(ask).await.unwrap().is_ok()
    };
    assert!(is_taken(&first, "a").await);
    assert_eq!(asked.load(Ordering::Relaxed), 0, "the keys that are known will do");
    assert!(is_taken(&second, "b").await);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(!is_taken(&first, "c").await, "it was replaced");
    assert!(is_taken(&second, "d").await);
    // Replaced again within a minute: neither this nor a forged token causes another request.
    *served.lock().unwrap() = vec![jwk(&third)];
    for nth in 0..5 {
        assert!(!is_taken(&third, &nth.to_string()).await);
        assert!(!is_taken(&stranger, &nth.to_string()).await);
    }
    assert!(is_taken(&second, "e").await);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
