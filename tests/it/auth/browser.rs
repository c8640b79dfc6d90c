//! People who sign in with a browser: the cookie of their session, and whatever else sends one.

use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};

use super::{PASSWORD, Tokens, add_user, events, login, me, setup};
use crate::faults::disk::Faults;
use crate::harness::{Answer, Connection, Request, Setup, TestDaemon, issuer};
use crate::token_keys::code;

const SESSION: &str = "/v1/auth/session";
const COOKIE: &str = "__Host-acgs_session";

/// A request that shows nothing but what its headers say.
fn bare(method: &str, path: &str) -> Request {
    Request::new(method, path).anonymous()
}

fn signing_in(name: &str, password: &str) -> Request {
    bare("POST", SESSION).json(&json!({"username": name, "password": password}))
}

/// A signed-in browser.
#[derive(Debug, Clone)]
struct Browser {
    /// Name and value of its cookie.
    cookie: String,
    csrf: String,
}

impl Browser {
    #[track_caller]
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer}");
        let csrf = answer.json()["csrf"].as_str().unwrap().to_owned();
        Self { cookie: cookie(answer).unwrap(), csrf }
    }

    #[track_caller]
    fn sign_in(daemon: &TestDaemon, name: &str) -> Self {
        Self::of(&daemon.ask(&signing_in(name, PASSWORD)))
    }

    /// A request of the daemon's own page.
    fn request(&self, method: &str, path: &str) -> Request {
        bare(method, path).header("Cookie", &self.cookie).header("Sec-Fetch-Site", "same-origin")
    }

    fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    /// A request of it that may change something.
    fn change(&self, method: &str, path: &str) -> Request {
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
fn is_cleared(answer: &Answer) {
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
fn slug(answer: &Answer) -> (u16, String) {
    let slug = answer.json()["type"].as_str().unwrap_or_default().trim_start_matches("/problems/").to_owned();
    (answer.status, slug)
}

fn with_ann() -> (Setup, TestDaemon) {
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
fn a_change_needs_the_csrf_token_of_its_own_session() {
    let (_, daemon) = with_ann();
    let (browser, other) = (Browser::sign_in(&daemon, "ann"), Browser::sign_in(&daemon, "ann"));
    assert_ne!(browser.csrf, other.csrf);
    let forged = |token: Option<&str>| {
        let requests = [
            browser.request("DELETE", "/v1/cache"),
            browser.request("POST", "/v1/validate"),
            browser.request("POST", "/v1/auth/logout-all"),
        ];
        requests.map(|request| match token {
            Some(token) => request.header("X-CSRF-Token", token),
            None => request,
        })
    };
    let (cut, long) = (&browser.csrf[1..], format!("{}A", browser.csrf));
    for token in [None, Some(""), Some(&*other.csrf), Some(cut), Some(&*long), Some("null")] {
        for request in forged(token) {
            let answer = daemon.ask(&request.json(&super::question()));
            assert_eq!(slug(&answer), (403, "csrf".to_owned()), "{token:?}");
            assert_eq!(answer.header("set-cookie"), None);
        }
    }
    let twice = browser.change("DELETE", "/v1/cache").header("X-CSRF-Token", &browser.csrf);
    assert_eq!(slug(&daemon.ask(&twice)), (403, "csrf".to_owned()));
    assert_eq!(daemon.ask(&browser.change("DELETE", "/v1/cache")).status, 200);
    let decision = daemon.ask(&browser.change("POST", super::EVALUATION).json(&super::question()));
    assert_eq!(decision.status, 200, "{decision}");
    assert_eq!(daemon.get("/problems/csrf").status, 200);
    // A page cannot get the header past a preflight of another origin.
    let preflight = daemon.ask(&bare("OPTIONS", SESSION).header("Access-Control-Request-Method", "POST"));
    let allowed = preflight.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
    assert!(!allowed.contains("csrf"), "{allowed}");
}

#[test]
fn a_cookie_counts_for_nothing_that_another_site_sends() {
    let console = "https://console.example";
    let setup = setup().set("http.allowed_origins", console);
    let daemon = setup.start();
    add_user(&daemon, "ann", "operator");
    let browser = Browser::sign_in(&daemon, "ann");
    let from = |method: &str, headers: &[(&str, &str)]| {
        let request = bare(method, "/v1/cache").header("Cookie", &browser.cookie).header("X-CSRF-Token", &browser.csrf);
        daemon.ask(&headers.iter().fold(request, |request, (name, value)| request.header(name, value)))
    };
    for method in ["GET", "DELETE"] {
        for site in ["cross-site", "same-site", "Same-Origin", ""] {
            let answer = from(method, &[("Sec-Fetch-Site", site)]);
            assert_eq!((answer.status, answer.header("set-cookie")), (401, None), "{method} {site}: {answer}");
        }
        let both = [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")];
        assert_eq!(from(method, &both).status, 401, "{method}");
        for origin in ["https://evil.example", "null"] {
            assert_eq!(slug(&from(method, &[("Origin", origin)])), (403, "foreign-origin".to_owned()), "{origin}");
        }
        // Pages of allowed origins may call, but with a token only.
        assert_eq!(from(method, &[("Origin", console)]).status, 401, "{method}");
        for own in ["https://acgs.example", "http://localhost"] {
            let answer = from(method, &[("Origin", own), ("Sec-Fetch-Site", "same-origin")]);
            assert!(answer.status < 300, "{method} {own}: {answer}");
        }
    }
    // Nobody is signed in by a page of another origin.
    for (name, value) in [("Origin", console), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")] {
        let answer = daemon.ask(&signing_in("ann", PASSWORD).header(name, value));
        assert_eq!(slug(&answer), (403, "foreign-origin".to_owned()), "{name} {value}");
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[test]
fn another_credential_takes_the_place_of_the_cookie() {
    let (_, daemon) = with_ann();
    let browser = Browser::sign_in(&daemon, "ann");
    let with = |name: &str, value: &str| daemon.ask(&browser.get("/v1/auth/me").header(name, value));
    let token = issuer::token("somebody", "agent");
    assert!(with("Authorization", &format!("Bearer {token}")).json()["name"].as_str().unwrap().ends_with("#somebody"));
    for (name, value) in [
        ("Authorization", "Bearer wrong"),
        ("Authorization", "Basic YTpi"),
        ("Authorization", "Negotiate x"),
        ("Authorization", ""),
        ("X-API-Key", "acgs_ak_x"),
    ] {
        let answer = with(name, value);
        assert_eq!((answer.status, answer.header("set-cookie")), (401, None), "{name}: {value}: {answer}");
    }
    // With a token a change needs no CSRF token.
    let answer = daemon.ask(&bare("DELETE", "/v1/cache").header("Cookie", &browser.cookie).token(issuer::admin()));
    assert_eq!(answer.status, 200, "{answer}");
}

#[test]
fn a_changed_cookie_is_refused_and_removed() {
    let (_, daemon) = with_ann();
    let (browser, other) = (Browser::sign_in(&daemon, "ann"), Tokens::log_in(&daemon, "ann", PASSWORD));
    let value = browser.cookie.split_once('=').unwrap().1;
    let parts: Vec<&str> = value.split('~').collect();
    let (secret, refresh, access) = (parts[0], parts[1], parts[2]);
    let flipped = |text: &str| {
        let last = if text.ends_with('A') { "Q" } else { "A" };
        format!("{}{last}", &text[..text.len() - 1])
    };
    let (head, rest) = access.split_once('.').unwrap();
    let unsigned = format!("{head}.{}.", rest.split_once('.').unwrap().0);
    for changed in [
        String::new(),
        "x".to_owned(),
        access.to_owned(),
        format!("{secret}~{refresh}~"),
        format!("{secret}~{refresh}~{}", flipped(access)),
        format!("{secret}~{refresh}~{unsigned}"),
        format!("{secret}~{refresh}~{}", other.refresh),
        format!("{secret}~{access}~{refresh}"),
        format!("{value}~x"),
        "A".repeat(8_000),
    ] {
        let answer = daemon.ask(&bare("GET", "/v1/auth/me").header("Cookie", &format!("{COOKIE}={changed}")));
        assert_eq!(answer.status, 401, "{changed}: {answer}");
        is_cleared(&answer);
    }
    let twice = format!("{}; {COOKIE}=x", browser.cookie);
    assert_eq!(daemon.ask(&bare("GET", "/v1/auth/me").header("Cookie", &twice)).status, 401);
    // A longer header is refused as a whole, and the daemon goes on.
    let long = format!("a={}; {}", "b".repeat(200_000), browser.cookie);
    let refused = daemon.connect().try_ask(&bare("GET", "/v1/auth/me").header("Cookie", &long));
    assert!(refused.as_ref().map_or(true, |answer| (400..500).contains(&answer.status)), "{refused:?}");
    let among = format!("a={}; {}; c=d", "b".repeat(8_000), browser.cookie);
    assert_eq!(daemon.ask(&bare("GET", "/v1/auth/me").header("Cookie", &among)).status, 200);
    // On a route that needs no credential, a wrong one is refused all the same.
    let request = bare("POST", super::EVALUATION).json(&super::question()).header("X-CSRF-Token", &browser.csrf);
    let wrong = format!("{COOKIE}={secret}~{refresh}~{}", flipped(access));
    assert_eq!(daemon.ask(&request.header("Cookie", &wrong)).status, 401);
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

#[test]
fn guessing_refresh_tokens_by_cookie_is_throttled() {
    let (_, daemon) = with_ann();
    let browser = Browser::sign_in(&daemon, "ann");
    // Nothing is verified of an access token that says that it has expired.
    let expired = issuer::key().sign("at+jwt", &json!({"exp": 1})).unwrap();
    let guess = |nth: u32| {
        let cookie = format!("{COOKIE}=acgs_ss_{}~acgs_rt_{nth:0>42}A~{expired}", "A".repeat(43));
        daemon.ask(&bare("GET", "/v1/auth/me").header("Cookie", &cookie)).status
    };
    let statuses: Vec<u16> = (0..1_000).map(guess).collect();
    let throttled = statuses.iter().filter(|status| **status == 429).count();
    assert!(throttled > 300 && statuses[0] == 401, "{throttled}");
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)), "{statuses:?}");
    assert_eq!(daemon.ask(&browser.get(SESSION)).status, 200, "who need not renew is not slowed down");
}
