//! People who sign in with a browser: the cookie of their session, and whatever else sends one.

use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};

use super::{PASSWORD, Tokens, add_user, events, login, me, setup};
use crate::faults::disk::Faults;
use crate::harness::{Answer, Connection, Request, Setup, TestDaemon, issuer};
use crate::token_keys::code;

pub const SESSION: &str = "/v1/auth/session";
pub const COOKIE: &str = "__Host-acgs_session";

/// A request that shows nothing but what its headers say.
pub fn bare(method: &str, path: &str) -> Request {
    Request::new(method, path).anonymous()
}

pub fn signing_in(name: &str, password: &str) -> Request {
    bare("POST", SESSION).json(&json!({"username": name, "password": password}))
}

/// A signed-in browser.
#[derive(Debug, Clone)]
pub struct Browser {
    /// Name and value of its cookie.
    pub cookie: String,
    pub csrf: String,
}

impl Browser {
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer}");
        let csrf = answer.json()["csrf"].as_str().unwrap().to_owned();
        Self { cookie: cookie(answer).unwrap(), csrf }
    }

    #[track_caller]
    pub fn sign_in(daemon: &TestDaemon, name: &str) -> Self {
        Self::of(&daemon.ask(&signing_in(name, PASSWORD)))
    }

    /// A request of the daemon's own page.
    pub fn request(&self, method: &str, path: &str) -> Request {
        bare(method, path).header("Cookie", &self.cookie).header("Sec-Fetch-Site", "same-origin")
    }

    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    /// A request of it that may change something.
    pub fn change(&self, method: &str, path: &str) -> Request {
        self.request(method, path).header("X-CSRF-Token", &self.csrf)
    }
}

/// Name and value of the cookie that an answer sets.
fn cookie(answer: &Answer) -> Option<String> {
    let set = answer.header("set-cookie")?;
    Some(set.split(';').next().unwrap().to_owned())
}

/// The answer removes the cookie.
#[track_caller]
pub fn is_cleared(answer: &Answer) {
    let set = answer.header("set-cookie").unwrap_or_default();
    assert!(set.starts_with(&format!("{COOKIE}=; Max-Age=0;")), "{set}: {answer}");
}

/// The session is over for the browser.
#[track_caller]
fn is_over(daemon: &TestDaemon, browser: &Browser, why: &str) {
    for request in [browser.get("/v1/auth/me"), browser.get(SESSION), browser.get("/v1/constitution")] {
        let answer = daemon.ask(&request);
        assert_eq!(answer.status, 401, "{why}: {answer}");
        is_cleared(&answer);
    }
}

#[track_caller]
pub fn slug(answer: &Answer) -> (u16, String) {
    let slug = answer.json()["type"].as_str().unwrap_or_default().trim_start_matches("/problems/").to_owned();
    (answer.status, slug)
}

pub fn with_ann() -> (Setup, TestDaemon) {
    let setup = setup();
    let daemon = setup.start();
    add_user(&daemon, "ann", "operator");
    (setup, daemon)
}

#[test]
fn whoever_signs_in_has_a_cookie_that_no_script_reads_and_may_do_as_with_a_token() {
    let (setup, daemon) = with_ann();
    let answer = daemon.ask(&signing_in("ann", PASSWORD).header("Sec-Fetch-Site", "same-origin"));
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with(&format!("{COOKIE}=acgs_ss_")) && set.len() < 4_096, "{set}");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{set}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let shown = answer.json();
    assert_eq!((&shown["user"], &shown["roles"]), (&json!("ann"), &json!(["operator"])), "{shown}");
    assert!(shown["scopes"].as_array().unwrap().contains(&json!("audit:read")), "{shown}");
    for secret in set.split(['~', '=', ';']).filter(|part| part.len() > 20) {
        assert!(!answer.text().contains(secret), "the body tells a part of the cookie");
    }
    let browser = Browser::of(&answer);
    let again = daemon.ask(&browser.get(SESSION));
    assert_eq!((again.status, again.json(), again.header("set-cookie")), (200, shown, None), "{again}");
    assert_eq!(daemon.ask(&browser.get("/v1/auth/me")).json()["name"], "user:ann");
    let found = daemon.ask(&browser.get("/v1/audit/entries?limit=1"));
    assert_eq!((found.status, found.header("cache-control")), (200, Some("no-store")), "{found}");
    let record = daemon.ask(&browser.get("/v1/audit/entries/0"));
    assert!(record.header("cache-control").unwrap().starts_with("private,"), "{record}");
    assert_eq!(slug(&daemon.ask(&browser.get("/v1/users"))), (403, "forbidden".to_owned()));
    let entity = json!({"uid": {"type": "User", "id": "bob"}, "attrs": {"teams": []}, "parents": []});
    let put = daemon.ask(&browser.change("PUT", "/v1/entities/User/bob").json(&entity));
    assert!(put.status < 300 || put.status == 422, "not refused for want of a credential: {put}");
    // Where browsers do not say which page sent a request, the cookie counts, too.
    assert_eq!(daemon.ask(&bare("GET", SESSION).header("Cookie", &browser.cookie)).status, 200);
    assert_eq!(events(&setup, "login").len(), 1);
}

#[test]
fn without_tls_the_cookie_has_a_plain_name() {
    let daemon = Setup::new().start();
    add_user(&daemon, "ann", "auditor");
    let answer = daemon.ask(&signing_in("ann", PASSWORD));
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("acgs_session=acgs_ss_") && set.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{set}");
    let browser = Browser::of(&answer);
    assert_eq!(daemon.ask(&browser.get(SESSION)).status, 200);
    let other = browser.cookie.replace("acgs_session", COOKIE);
    assert_eq!(daemon.ask(&bare("GET", SESSION).header("Cookie", &other)).status, 401, "another name");
}

#[test]
fn an_ended_session_ends_in_the_browser() {
    let (setup, daemon) = with_ann();
    let password = |browser: &Browser, old: &str, new: &str| {
        browser.change("POST", "/v1/auth/password").json(&json!({"old": old, "new": new}))
    };
    let other = "another good password";
    let browser = Browser::sign_in(&daemon, "ann");
    let out = daemon.ask(&browser.change("DELETE", SESSION));
    assert_eq!(out.status, 204, "{out}");
    is_cleared(&out);
    is_over(&daemon, &browser, "signed out");

    let all = [Browser::sign_in(&daemon, "ann"), Browser::sign_in(&daemon, "ann")];
    assert_eq!(daemon.ask(&all[0].change("POST", "/v1/auth/logout-all")).status, 200);
    for browser in &all {
        is_over(&daemon, browser, "signed out everywhere");
    }

    let all = [Browser::sign_in(&daemon, "ann"), Browser::sign_in(&daemon, "ann")];
    assert_eq!(daemon.ask(&password(&all[0], PASSWORD, other)).status, 204);
    for browser in &all {
        is_over(&daemon, browser, "another password");
    }
    assert_eq!(daemon.ask(&signing_in("ann", PASSWORD)).status, 401);

    let browser = Browser::of(&daemon.ask(&signing_in("ann", other)));
    assert_eq!(daemon.ask(&Request::new("PATCH", "/v1/users/ann").json(&json!({"disabled": true}))).status, 200);
    is_over(&daemon, &browser, "disabled");
    assert_eq!(events(&setup, "logout").len(), 1);
    // The events of others have their cookies' secrets nowhere.
    let secret = browser.cookie.split_once('=').unwrap().1.split('~').next().unwrap();
    assert!(!setup.dump().windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
}

#[test]
fn guessing_is_throttled_and_the_second_factor_asked_for_as_at_the_other_login() {
    let daemon = setup().start();
    add_user(&daemon, "ann", "agent");
    for nth in 0..5 {
        // Both logins count together.
        let guess = format!("guess {nth}");
        let request = if nth % 2 == 0 { signing_in("ann", &guess) } else { login("ann", &guess) };
        let answer = daemon.ask(&request);
        assert_eq!(slug(&answer), (401, "login-refused".to_owned()), "{answer}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    let locked = daemon.ask(&signing_in("ann", PASSWORD));
    assert_eq!((locked.status, locked.header("set-cookie")), (429, None), "{locked}");
    assert!(locked.header("retry-after").is_some());
    for body in [json!({}), json!({"username": "ann"}), json!({"username": "ann", "password": "x", "admin": true})] {
        assert_eq!(daemon.ask(&bare("POST", SESSION).json(&body)).status, 400, "{body}");
    }
    // Whoever has a second factor needs its code here, too.
    add_user(&daemon, "bob", "agent");
    let token = Tokens::log_in(&daemon, "bob", PASSWORD).access;
    let ask = |path: &str, body: Value| daemon.ask(&Request::post(path).token(&token).json(&body));
    let secret = ask("/v1/auth/totp", json!({})).json()["secret"].as_str().unwrap().to_owned();
    let code = code(&BASE32_NOPAD.decode(secret.as_bytes()).unwrap(), issuer::now() / 30);
    let codes = ask("/v1/auth/totp/confirm", json!({"code": code})).json()["recovery_codes"].clone();
    assert_eq!(daemon.ask(&signing_in("bob", PASSWORD)).status, 401);
    let body = json!({"username": "bob", "password": PASSWORD, "code": codes[0]});
    let answer = daemon.ask(&bare("POST", SESSION).json(&body));
    assert_eq!((answer.status, cookie(&answer).is_some()), (200, true), "{answer}");
    let form = bare("POST", SESSION).header("Content-Type", "text/plain").body("{\"username\":\"ann\"}");
    assert_eq!(daemon.ask(&form).status, 415, "what a form of another page can send");
}

#[test]
fn the_daemon_renews_an_expired_access_token_by_the_rules_of_refresh_tokens() {
    let Some(faults) = Faults::new() else { return };
    faults.set_clock(0);
    let setup = faults.with_clock(setup().set("auth.refresh_token_ttl_s", 10_000));
    let daemon = setup.start();
    add_user(&daemon, "ann", "operator");
    let first = Browser::sign_in(&daemon, "ann");
    faults.set_clock(1_000);
    // A request that is refused for another reason renews it, too.
    let answer = daemon.ask(&first.get("/v1/users"));
    assert_eq!(answer.status, 403, "{answer}");
    let second = Browser { cookie: cookie(&answer).expect("a new cookie"), ..first.clone() };
    assert_ne!(first.cookie, second.cookie);
    // Within the grace period the old cookie is good for all that were under way.
    let mut others: Vec<_> = (0..6).map(|_| daemon.connect()).collect();
    for other in &mut others {
        other.send(&first.get("/v1/auth/me").bytes());
    }
    for answer in others.iter_mut().map(Connection::answer) {
        assert_eq!(answer.status, 200, "{answer}");
        assert!(cookie(&answer).is_some());
    }
    // The CSRF token stays.
    let answer = daemon.ask(&second.change("DELETE", "/v1/cache"));
    assert_eq!((answer.status, answer.header("set-cookie")), (200, None), "{answer}");
    assert_eq!(daemon.ask(&second.get(SESSION)).json()["csrf"], json!(first.csrf));
    let wrong = daemon.ask(&first.request("DELETE", "/v1/cache"));
    assert_eq!((wrong.status, wrong.header("set-cookie")), (403, None), "nothing is renewed for a forged request");
    faults.set_clock(2_000);
    let answer = daemon.ask(&second.get(SESSION));
    let third = Browser { cookie: cookie(&answer).expect("a new cookie"), ..first.clone() };
    assert_eq!(daemon.ask(&third.get("/v1/auth/me")).status, 200);
    // Whoever copied an old cookie is found out, and the session ends.
    is_over(&daemon, &first, "an old cookie was used again");
    is_over(&daemon, &third, "an old cookie was used again");
    assert_eq!(events(&setup, "refresh_token_reused").len(), 1);

    let last = Browser::sign_in(&daemon, "ann");
    faults.set_clock(13_000);
    is_over(&daemon, &last, "the session has expired");
}

#[test]
fn a_session_outlasts_a_restart_of_the_daemon() {
    let (setup, daemon) = with_ann();
    let browser = Browser::sign_in(&daemon, "ann");
    daemon.stop();
    let daemon = setup.start();
    assert_eq!(daemon.ask(&browser.get(SESSION)).json()["csrf"], json!(browser.csrf));
    let tokens = Tokens::log_in(&daemon, "ann", PASSWORD);
    let sessions = daemon.ask(&Request::get("/v1/auth/sessions").token(&tokens.access)).json();
    assert_eq!(sessions["items"].as_array().map(Vec::len), Some(2), "{sessions}");
    assert_eq!(daemon.ask(&me(&tokens.access)).status, 200);
}

/// Who `GET /v1/auth/session` says is there.
fn shown(answer: &Answer) -> (u16, Value) {
    (answer.status, answer.json()["scopes"].clone())
}

#[test]
fn an_open_dashboard_is_for_browsers_of_this_host_to_read() {
    let daemon = Setup::new().set("auth.dashboard", "open").start();
    add_user(&daemon, "ann", "operator");
    let own = |method: &str, path: &str| bare(method, path).header("Sec-Fetch-Site", "same-origin");
    assert_eq!(shown(&daemon.ask(&own("GET", SESSION))), (200, json!(["read", "audit:read"])));
    for path in ["/v1/status", "/v1/constitution", "/v1/audit/entries?limit=1", "/v1/audit", "/v1/pool"] {
        assert_eq!(daemon.ask(&own("GET", path)).status, 200, "{path}");
        assert_eq!(daemon.ask(&bare("HEAD", path).header("Sec-Fetch-Site", "none")).status, 200, "{path}");
        for (name, value) in [
            ("X-Nothing", "same-origin"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
            ("Sec-Fetch-Site", ""),
        ] {
            assert_eq!(daemon.ask(&bare("GET", path).header(name, value)).status, 401, "{path} {name} {value}");
        }
        for (name, value) in [
            ("Authorization", "Basic YTpi"),
            ("X-Forwarded-For", "192.0.2.1"),
            ("Forwarded", "for=192.0.2.1"),
            ("Cookie", "acgs_session=x"),
            ("X-API-Key", "x"),
        ] {
            assert_eq!(daemon.ask(&own("GET", path).header(name, value)).status, 401, "{path} {name}");
        }
        assert_eq!(daemon.ask(&own("GET", path).header("Origin", "https://evil.example")).status, 403, "{path}");
        // The page of another name that resolves to this host.
        let rebound = format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nSec-Fetch-Site: same-origin\r\n\r\n");
        let mut connection = daemon.connect();
        connection.send(rebound.as_bytes());
        assert_eq!(connection.answer().status, 421, "{path}");
    }
    for (method, path) in [
        ("GET", "/v1/entities"),
        ("GET", "/v1/users"),
        ("GET", "/v1/auth/me"),
        ("GET", "/v1/auth/sessions"),
        ("DELETE", "/v1/cache"),
        ("POST", "/v1/constitution/reload"),
        ("POST", "/v1/auth/logout"),
    ] {
        assert_eq!(daemon.ask(&own(method, path)).status, 401, "{method} {path}");
    }
    // Whoever signs in may do more.
    let browser = Browser::sign_in(&daemon, "ann");
    assert_eq!(daemon.ask(&browser.change("DELETE", "/v1/cache")).status, 200);
    assert_eq!(daemon.ask(&browser.get(SESSION)).json()["user"], "ann");
}

#[test]
fn a_dashboard_is_open_on_this_host_only() {
    let open = || Setup::new().set("auth.dashboard", "open");
    let elsewhere = open().set("http.bind", "0.0.0.0:0").set("auth.decisions", "token").start();
    let proxied = open().set("http.trusted_proxies", "127.0.0.1").start();
    let published = open().set("http.public_url", "https://acgs.example").start();
    for daemon in [elsewhere, proxied, published, Setup::new().start()] {
        for path in [SESSION, "/v1/status", "/v1/audit/entries"] {
            let answer = daemon.ask(&bare("GET", path).header("Sec-Fetch-Site", "same-origin"));
            assert_eq!(answer.status, 401, "{path}: {answer}");
        }
        assert_eq!(daemon.get("/v1/status").json()["dashboard"], json!({"login": "required"}));
    }
}
