//! Whoever makes tokens that are not quite good, with a key that the daemon trusts.

use acgs::auth::signing_key::SigningKey;
use acgs::store::signing_keys;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

use super::{CONSTITUTION, EVALUATION, URL, is_refused, question, setup};
use crate::harness::{Answer, PATIENCE, Request, Setup, TestDaemon, issuer};

/// Somebody with an issuer's key: what it signs is good, unless what it says is not.
#[derive(Debug)]
pub struct Forger {
    /// The key.
    pub key: SigningKey,
    /// What its tokens have as `iss`.
    pub issuer: &'static str,
}

impl Forger {
    /// With the key that the daemon signs with itself, taken from its database.
    pub fn own(setup: &Setup) -> Self {
        let mut conn = acgs::store::open(&setup.database_url().as_str().into(), PATIENCE).unwrap();
        let row = signing_keys::all(&mut conn).unwrap().pop().unwrap();
        Self { key: SigningKey::from_pkcs8(&row.pkcs8).unwrap(), issuer: URL }
    }

    /// With the key of the issuer that the daemon trusts.
    pub fn foreign() -> Self {
        Self { key: SigningKey::from_pkcs8(issuer::key().pkcs8()).unwrap(), issuer: issuer::ISSUER }
    }

    /// The claims of a good token, which may read and ask for decisions.
    pub fn claims(&self) -> Value {
        let now = issuer::now();
        json!({
            "iss": self.issuer, "sub": "user:ada", "aud": "acgs", "exp": now + 600, "nbf": now, "iat": now,
            "jti": "token-1", "client_id": "acgs", "scope": "decide read", "roles": ["admin"], "sid": "session-1",
        })
    }

    /// The header of a good token.
    pub fn header(&self) -> Value {
        json!({"alg": "EdDSA", "kid": self.key.kid(), "typ": "at+jwt"})
    }

    /// A token of these two texts, with a good signature.
    pub fn sign(&self, header: &str, claims: &str) -> String {
        self.sign_encoded(&encode(header), &encode(claims))
    }

    /// A token of these two parts, with a good signature.
    pub fn sign_encoded(&self, header: &str, claims: &str) -> String {
        let signed = format!("{header}.{claims}");
        let pair = Ed25519KeyPair::from_pkcs8(self.key.pkcs8()).unwrap();
        let signature = encode(pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// A good token.
    pub fn good(&self) -> String {
        self.sign(&self.header().to_string(), &self.claims().to_string())
    }

    /// A token that is good but for one member of its header; `None` leaves it out.
    pub fn with_header(&self, name: &str, value: Option<Value>) -> String {
        self.sign(&changed(self.header(), name, value).to_string(), &self.claims().to_string())
    }

    /// A token that is good but for one claim; `None` leaves it out.
    pub fn with_claim(&self, name: &str, value: Option<Value>) -> String {
        self.sign(&self.header().to_string(), &changed(self.claims(), name, value).to_string())
    }
}

fn changed(mut object: Value, name: &str, value: Option<Value>) -> Value {
    match value {
        Some(value) => object[name] = value,
        None => drop(object.as_object_mut().unwrap().remove(name)),
    }
    object
}

/// As a part of a token.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A daemon that wants to know who asks for decisions.
pub struct Attacked {
    daemon: TestDaemon,
    /// Whose tokens it trusts: its own, and those of the other issuer.
    pub forgers: [Forger; 2],
}

impl Attacked {
    /// Starts the daemon.
    pub fn start() -> Self {
        let setup = setup().set("auth.decisions", "token");
        let daemon = setup.start();
        Self { daemon, forgers: [Forger::own(&setup), Forger::foreign()] }
    }

    /// Shows a token where something is managed, and where something is decided.
    fn show(&self, token: &str) -> [Answer; 2] {
        let decide = Request::post(EVALUATION).json(&question());
        [Request::get(CONSTITUTION), decide].map(|request| self.daemon.ask(&request.token(token)))
    }

    /// Nobody gets in with any of these, and whoever got in before still does.
    #[track_caller]
    pub fn refuses(&self, tokens: impl IntoIterator<Item = String>) {
        let mut count = 0;
        for token in tokens {
            self.show(&token).iter().for_each(|answer| is_refused(answer, &token));
            count += 1;
        }
        assert!(count > 0);
        self.forgers.iter().for_each(|forger| self.accepts(&forger.good()));
    }

    /// One gets in with this.
    #[track_caller]
    pub fn accepts(&self, token: &str) {
        self.show(token).iter().for_each(|answer| assert_eq!(answer.status, 200, "{token}: {answer}"));
    }

    /// The same attack with the key of either issuer.
    #[track_caller]
    pub fn refuses_of_each(&self, attack: impl Fn(&Forger) -> Vec<String>) {
        self.refuses(self.forgers.iter().flat_map(attack));
    }
}
