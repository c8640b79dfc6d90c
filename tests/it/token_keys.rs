//! The keys that sign tokens: replaced, withdrawn, and not brought back by an older database.

use crate::harness;
use crate::harness::{Request, Setup, TestDaemon};
use serde_json::{Value, json};

/// A daemon whose issuer stays the same when it is started again.
fn setup() -> Setup {
    Setup::new().set("http.public_url", "http://acgs.example")
}

/// What a command prints that must succeed.
#[track_caller]
fn printed(setup: &Setup, arguments: &[&str]) -> String {
    let output = setup.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A new client that may read.
fn client(setup: &Setup) -> (String, String) {
    let made = printed(setup, &["client", "add", "reader", "--role", "auditor", "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    (made["client_id"].as_str().unwrap().to_owned(), made["client_secret"].as_str().unwrap().to_owned())
}

#[track_caller]
fn token(daemon: &TestDaemon, (id, secret): &(String, String)) -> String {
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let request = Request::post("/oauth2/token").header("Content-Type", "application/x-www-form-urlencoded").body(form);
    let answer = daemon.ask(&request);
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn status(daemon: &TestDaemon, token: &str) -> u16 {
    daemon.ask(&Request::get("/v1/constitution").token(token)).status
}

fn kids(daemon: &TestDaemon) -> Vec<String> {
    let keys = daemon.get("/.well-known/jwks.json").json();
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_rotated_key_verifies_until_its_tokens_have_lapsed_and_a_withdrawn_one_no_more() {
    let setup = setup();
    let daemon = setup.start();
    let client = client(&setup);
    let (first, old) = (token(&daemon, &client), kids(&daemon));
    assert_eq!((status(&daemon, &first), old.len()), (200, 1));

    let new = printed(&setup, &["key", "rotate", "token"]);
    let second = token(&daemon, &client);
    assert_eq!(kids(&daemon), [new.trim(), &old[0]]);
    assert_eq!([&first, &second].map(|token| status(&daemon, token)), [200, 200]);
    let cached = daemon.get("/.well-known/jwks.json");
    assert_eq!(cached.header("cache-control"), Some("public, max-age=300"));

    let newest = printed(&setup, &["key", "rotate", "token", "--withdraw"]);
    assert_eq!(kids(&daemon), [newest.trim()]);
    // On connections that knew these tokens, and on new ones.
    assert_eq!([&first, &second].map(|token| status(&daemon, token)), [401, 401]);
    assert_eq!(status(&daemon, &token(&daemon, &client)), 200);
    assert!(daemon.stop().success());

    let daemon = setup.start();
    assert_eq!(kids(&daemon), [newest.trim()]);
    assert_eq!([&first, &second].map(|token| status(&daemon, token)), [401, 401]);
    let records = daemon.get("/v1/audit/entries?kind=auth&limit=1000").json();
    let events: Vec<_> = records["items"].as_array().unwrap().iter().map(|item| &item["record"]["event"]).collect();
    assert_eq!(events.iter().filter(|event| **event == "signing_key_rotated").count(), 2, "{events:?}");
}

#[test]
fn an_older_database_does_not_bring_back_a_key_that_was_replaced_since() {
    let setup = setup();
    let daemon = setup.start();
    let client = client(&setup);
    let stolen = token(&daemon, &client);
    assert!(daemon.stop().success());
    let backup = setup.back_up();

    let daemon = setup.start();
    let new = printed(&setup, &["key", "rotate", "token", "--withdraw"]);
    assert_eq!(status(&daemon, &stolen), 401);
    assert!(daemon.stop().success());
    let newer = setup.back_up();

    setup.restore(&backup);
    let refused = setup.try_start().unwrap_err();
    assert_eq!(refused.status.code(), Some(74), "{refused}");
    assert!(refused.stderr.contains("older than the audit log"), "{refused}");
    // Nor does a command make it do so.
    assert_eq!(setup.run(["user", "list"]).status.code(), Some(74));

    setup.restore(&newer);
    let daemon = setup.start();
    assert_eq!((kids(&daemon), status(&daemon, &stolen)), (vec![new.trim().to_owned()], 401));
    assert!(daemon.stop().success());

    // An administrator who has nothing newer says so, and withdraws what came back.
    setup.restore(&backup);
    let daemon = setup.try_start_with(&["--accept-rollback", "database"]).unwrap();
    printed(&setup, &["key", "rotate", "token", "--withdraw"]);
    assert_eq!(status(&daemon, &stolen), 401);
    assert!(daemon.stop().success());
    assert_eq!(status(&setup.start(), &stolen), 401);
}

/// The code of a step, as an authenticator makes it (RFC 4226, section 5.3).
pub fn code(secret: &[u8], step: i64) -> String {
    use ring::hmac;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let from = usize::from(tag.as_ref()[19] & 0xf);
    let word = u32::from_be_bytes(tag.as_ref()[from..from + 4].try_into().unwrap());
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}

#[test]
fn a_second_factor_is_asked_for_once_it_is_confirmed() {
    use acgs::auth::totp::TotpSecret;
    let setup = setup();
    let daemon = setup.start();
    let password = printed(&setup, &["user", "add", "ann", "--role", "auditor"]).trim().to_owned();
    let login = |code: Option<&str>| {
        let mut body = json!({"username": "ann", "password": password});
        if let Some(code) = code {
            body["code"] = json!(code);
        }
        daemon.ask(&Request::post("/v1/auth/login").json(&body))
    };
    let session = login(None).json()["access_token"].as_str().unwrap().to_owned();
    let ask = |method: &str, path: &str, body: Value| {
        daemon.ask(&Request::new(method, &format!("/v1/auth/{path}")).json(&body).token(&session))
    };
    let enrolled = ask("POST", "totp", json!({})).json();
    assert_eq!(login(None).status, 200, "it is not confirmed yet");
    let secret = data_encoding::BASE32_NOPAD.decode(enrolled["secret"].as_str().unwrap().as_bytes()).unwrap();
    assert!(enrolled["url"].as_str().unwrap().starts_with("otpauth://totp/"));
    assert_eq!(ask("POST", "totp/confirm", json!({"code": "000000"})).status, 400);

    let now = harness::issuer::now();
    let code = code(&secret, now / 30);
    assert!(TotpSecret::from_bytes(&secret).unwrap().step_of(&code, now, 0).is_some());
    let confirmed = ask("POST", "totp/confirm", json!({"code": code}));
    assert_eq!(confirmed.status, 200, "{confirmed}");
    let codes = confirmed.json()["recovery_codes"].clone();
    assert_eq!(codes.as_array().unwrap().len(), 10);

    assert_eq!(login(None).status, 401);
    assert_eq!(login(Some(&code)).status, 401, "it was used");
    let recovery = codes[0].as_str().unwrap();
    assert_eq!([login(Some(recovery)).status, login(Some(recovery)).status], [200, 401]);

    assert_eq!(ask("DELETE", "totp", json!({"code": "123456"})).status, 400);
    assert_eq!(ask("DELETE", "totp", json!({"code": codes[1]})).status, 204);
    assert_eq!(login(None).status, 200);
}

#[test]
fn what_was_withdrawn_stays_so_for_as_long_as_tokens_were_once_good() {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use acgs::store::{Store, StoreOptions, ended_tokens};
    let long = setup().set("auth.access_token_ttl_s", 86_400);
    let daemon = long.start();
    let client = client(&long);
    let token = token(&daemon, &client);
    assert!(daemon.stop().success());
    // The setting is lowered, and only then the token's client is disabled.
    let short = long.set("auth.access_token_ttl_s", 60);
    let daemon = short.start();
    assert_eq!(status(&daemon, &token), 200);
    printed(&short, &["client", "disable", &client.0]);
    assert_eq!(status(&daemon, &token), 401);
    assert!(daemon.stop().success());
    let store = Store::open(&StoreOptions {
        target: short.database_url().as_str().into(),
        size: NonZeroU32::MIN,
        max_overflow: 0,
        min_idle: 1,
        pre_ping: false,
        recycle: Duration::from_hours(1),
        health_check: Duration::from_secs(30),
        acquire_timeout: Duration::from_secs(10),
    });
    let lapsed = harness::issuer::now() + 86_400;
    let denied = store.unwrap().query(|conn| ended_tokens::denied(conn, lapsed)).unwrap();
    assert_eq!(denied.len(), 1, "{denied:?}");
}
