//! Who gets in and who does not, asked of the real binary.

mod api_keys;
mod browser;
mod browser_attacks;
mod clients;
mod clocks;
mod forger;
mod grants;
mod lost_withdrawals;
mod nginx;
mod passwords;
mod proxies;
mod refreshes;
pub(crate) mod routes;
mod sessions;
mod smuggling;
mod tokens;
mod withdrawals;

use std::fs;

use crate::audit::Exported;
use crate::harness::{Answer, Request, Setup, TestDaemon};
use serde_json::{Value, json};

const CONSTITUTION: &str = "/v1/constitution";
const EVALUATION: &str = "/access/v1/evaluation";

/// Where clients reach the daemon, as it thinks; and so the issuer of its tokens, whatever port it gets.
const URL: &str = "https://acgs.example";

/// A good password.
const PASSWORD: &str = "correct horse battery staple";

/// A daemon whose tokens have the same issuer after a restart.
fn setup() -> Setup {
    Setup::new().set("http.public_url", URL)
}

/// May `helper` use the calculator?
fn question() -> Value {
    json!({
        "subject": {"type": "Agent", "id": "helper"},
        "action": {"name": "call_tool"},
        "resource": {"type": "Tool", "id": "calculator"},
    })
}

/// The password of the first user.
fn admin_password(setup: &Setup) -> String {
    fs::read_to_string(setup.data_dir().join("admin-password")).unwrap().trim_end().to_owned()
}

/// Makes a user with the good password.
#[track_caller]
fn add_user(daemon: &TestDaemon, name: &str, role: &str) {
    let answer = daemon.post("/v1/users", &json!({"name": name, "password": PASSWORD, "roles": [role]}));
    assert_eq!(answer.status, 201, "{answer}");
}

/// The request of somebody who logs in.
fn login(name: &str, password: &str) -> Request {
    Request::post("/v1/auth/login").json(&json!({"username": name, "password": password}))
}

/// What somebody who logged in has.
#[derive(Debug, Clone)]
struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    #[track_caller]
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.json();
        let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no `{name}`: {body}")).to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }

    #[track_caller]
    fn log_in(daemon: &TestDaemon, name: &str, password: &str) -> Self {
        Self::of(&daemon.ask(&login(name, password)))
    }
}

/// The request that puts new tokens in place of old ones.
fn refresh(token: &str) -> Request {
    Request::post("/v1/auth/refresh").json(&json!({"refresh_token": token}))
}

/// Who has a token.
fn me(token: &str) -> Request {
    Request::get("/v1/auth/me").token(token)
}

/// A form, as OAuth has it.
fn form(path: &str, fields: &[(&str, &str)]) -> Request {
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    Request::post(path).header("Content-Type", "application/x-www-form-urlencoded").body(fields.join("&"))
}

/// The credential of an answer's request was looked at, and refused.
#[track_caller]
fn is_refused(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 401, "{why}: {answer}");
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    assert!(challenge.starts_with("Bearer "), "{why}: {challenge}");
    assert!(challenge.contains("error=\"invalid_token\""), "{why}: {challenge}");
}

/// What the log has about logins, tokens and keys.
fn events(setup: &Setup, event: &str) -> Vec<Value> {
    let records = Exported::from(setup, 0).records.into_iter();
    records.filter(|record| record["kind"] == "auth" && record["event"] == event).collect()
}
