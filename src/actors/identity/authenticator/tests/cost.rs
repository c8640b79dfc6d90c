//! Measures the cost of authentication. Run with
//! `cargo test --release --lib -- --ignored --nocapture authenticator::tests::cost`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use nonzero_ext::nonzero;
use serde_json::json;

use super::*;
use crate::actors::active::{Active, InForce};
use crate::actors::audit::testing;
use crate::actors::identity::directory::Lifetimes;
use crate::actors::identity::trust::{ForeignIssuer, KeySource, OwnKeys};
use crate::auth::jwks::Jwks;
use crate::auth::signing_key::SigningKey;
use crate::settings::Settings;
use crate::store::{Store, StoreOptions};

const CAPACITY: NonZeroUsize = nonzero!(10_000_usize);

/// An authenticator that trusts one foreign issuer.
pub(super) fn start(folder: &std::path::Path, keys: Jwks, source: KeySource) -> Addr<Authenticator> {
    let settings = Settings::load(std::path::Path::new("settings"), None, std::iter::empty()).unwrap().settings;
    let (active, _) = Active::load(&settings.constitution).unwrap();
    let foreign = ForeignIssuer {
        issuer: "https://id.example".into(),
        audience: "acgs".into(),
        typ: Some("at+jwt".into()),
        role_claim: "roles".into(),
        algorithms: crate::auth::jwk::Algorithm::ALL.into(),
        source,
        keys: ArcSwap::from_pointee(keys),
    };
    let own = OwnKeys::new(SigningKey::generate().unwrap(), &[]);
    let trust = Trust::new(own, vec![foreign], "https://own.example", "acgs");
    let options = StoreOptions {
        target: folder.join("acgs.db").into(),
        size: std::num::NonZeroU32::MIN,
        max_overflow: 0,
        min_idle: 1,
        pre_ping: false,
        recycle: Duration::from_hours(1),
        health_check: Duration::from_secs(30),
        acquire_timeout: Duration::from_secs(1),
    };
    let store = Store::open(&options).unwrap();
    let lifetimes = Lifetimes { access: 900, refresh: 900, grace: 10 };
    let directory = Directory::new(store, testing::changes(folder), trust.clone(), lifetimes, InForce::new(active));
    let directory = Mailbox::new(directory.start(NonZeroUsize::MIN), Duration::from_secs(1));
    let fetcher = Mailbox::new(KeyFetcher::start(trust.clone()), Duration::from_secs(1));
    Authenticator::start(trust, directory, fetcher, CAPACITY)
}

#[actix::test]
#[ignore = "it measures"]
async fn how_long_it_takes() {
    const ROUNDS: u32 = 200_000;
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let keys = Jwks::parse(&json!({"keys": [key.public_jwk()]}).to_string()).unwrap();
    let authenticator = start(folder.path(), keys, KeySource::File);
    let token = |subject: u32| {
        let exp = OffsetDateTime::now_utc().unix_timestamp() + 3_600;
        let claims = json!({"iss": "https://id.example", "sub": subject.to_string(), "aud": "acgs", "exp": exp,
            "roles": ["agent"]});
        key.sign("at+jwt", &claims).unwrap()
    };
    let tokens: Vec<String> = (0..1_000).map(token).collect();
    let ask = |token: &String| {
        authenticator.send(Authenticate { credential: Credential::Token(token.clone()), address: None })
    };
    let since = Instant::now();
    for token in &tokens {
        black_box(ask(token).await.unwrap().unwrap());
    }
    println!("first sight of a token: {:?}", since.elapsed() / 1_000);
    let since = Instant::now();
    for token in tokens.iter().cycle().take(ROUNDS as usize) {
        black_box(ask(token).await.unwrap().unwrap());
    }
    println!("a token that is remembered, of 1,000, message and answer included: {:?}", since.elapsed() / ROUNDS);
}
