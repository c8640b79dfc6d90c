//! Those who guess passwords.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{PASSWORD, Tokens, add_user, admin_password, events, form, is_refused, login, me, setup};
use crate::harness::{Answer, Request, Setup, TestDaemon};

/// Sends everything at once, each on a connection of its own, and then reads the answers.
fn at_once(daemon: &TestDaemon, requests: impl IntoIterator<Item = Request>) -> Vec<Answer> {
    let requests: Vec<_> = requests.into_iter().map(|request| (daemon.connect(), request.bytes())).collect();
    let sent = requests.into_iter().map(|(mut connection, bytes)| {
        connection.send(&bytes);
        connection
    });
    let sent: Vec<_> = sent.collect();
    sent.into_iter().map(|mut connection| connection.answer()).collect()
}

/// A login as a proxy that the daemon trusts passes it on.
fn from(address: &str, name: &str, password: &str) -> Request {
    login(name, password).header("X-Forwarded-For", address)
}

/// The daemon asks to come again later, and says when.
#[track_caller]
fn is_locked(answer: &Answer) {
    assert_eq!(answer.status, 429, "{answer}");
    let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3_600).contains(&wait), "{wait}");
}

fn behind_a_proxy() -> (Setup, TestDaemon) {
    let setup = setup().set("http.trusted_proxies", "127.0.0.0/8");
    let daemon = setup.start();
    add_user(&daemon, "ann", "agent");
    (setup, daemon)
}

#[test]
fn whoever_guesses_is_locked_out_where_they_are_and_nobody_else_is() {
    let (setup, daemon) = behind_a_proxy();
    let earlier = Tokens::of(&daemon.ask(&from("10.0.0.1", "ann", PASSWORD)));
    for nth in 0..5 {
        let answer = daemon.ask(&from("10.0.0.1", "ann", &format!("guess {nth}")));
        assert_eq!((answer.status, &answer.json()["type"]), (401, &json!("/problems/login-refused")), "{answer}");
    }
    is_locked(&daemon.ask(&from("10.0.0.1", "ann", "guess 6")));
    is_locked(&daemon.ask(&from("10.0.0.1", "ann", PASSWORD)));
    assert_eq!(daemon.ask(&me(&earlier.access)).status, 200, "who is in stays in");
    Tokens::of(&daemon.ask(&from("10.0.0.2", "ann", PASSWORD)));
    Tokens::of(&daemon.ask(&from("10.0.0.1", "admin", &admin_password(&setup))));
    // The administrator of the host has another way in.
    let (file, other) = (setup.data_dir().join("other"), "another good password");
    fs::write(&file, other).unwrap();
    let output = setup.run(["user", "password", "ann", "--password-file", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    is_refused(&daemon.ask(&me(&earlier.access)), "the password was changed");
    is_locked(&daemon.ask(&from("10.0.0.1", "ann", other)));
    Tokens::of(&daemon.ask(&from("10.0.0.2", "ann", other)));
    let refused = events(&setup, "login_refused");
    let of = |why: &str| refused.iter().filter(|record| record["why"] == why).count();
    assert_eq!((of("wrong_credentials"), of("locked")), (5, 3));
    for record in &refused {
        assert_eq!((&record["caller"], &record["user"]), (&json!("anonymous"), &json!("ann")), "{record}");
        assert_eq!(record["address"], "10.0.0.1", "{record}");
    }
}

#[test]
fn guesses_that_come_all_at_once_lock_out_as_those_one_after_another_do() {
    let daemon = setup().start();
    add_user(&daemon, "ann", "agent");
    let answers = at_once(&daemon, (0..32).map(|nth| login("ann", &format!("guess {nth}"))));
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(401), count(429)), (5, 27), "{answers:?}");
    is_locked(&daemon.ask(&login("ann", PASSWORD)));
    // The same for a password that is to be changed.
    add_user(&daemon, "bob", "agent");
    let token = Tokens::log_in(&daemon, "bob", PASSWORD).access;
    let body = |nth: u32| json!({"old": format!("guess {nth}"), "new": "another good password"});
    let guesses = (0..32).map(|nth| Request::post("/v1/auth/password").json(&body(nth)).token(&token));
    let answers = at_once(&daemon, guesses);
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(422), count(429)), (5, 27), "{answers:?}");
}

#[test]
fn whoever_tries_a_name_from_everywhere_slows_it_down_and_does_not_lock_it() {
    let (_, daemon) = behind_a_proxy();
    for nth in 0..20 {
        assert_eq!(daemon.ask(&from(&format!("10.0.1.{nth}"), "ann", "guess")).status, 401);
    }
    let answer = daemon.ask(&from("10.0.2.1", "ann", PASSWORD));
    let wait: u32 = answer.header("retry-after").map_or(0, |wait| wait.parse().unwrap());
    assert!(matches!((answer.status, wait), (429, 1..=3) | (200, 0)), "{answer}");
}

#[test]
fn names_that_nobody_has_lock_as_others_do() {
    let daemon = setup().start();
    for _ in 0..5 {
        assert_eq!(daemon.ask(&login("nobody", "guess")).status, 401);
    }
    is_locked(&daemon.ask(&login("nobody", "guess")));
}

#[test]
fn a_wrong_login_says_nothing_of_what_was_wrong() {
    let daemon = setup().start();
    add_user(&daemon, "ann", "agent");
    add_user(&daemon, "bob", "agent");
    assert_eq!(daemon.ask(&Request::new("PATCH", "/v1/users/bob").json(&json!({"disabled": true}))).status, 200);
    let long = "x".repeat(100_000);
    let names = [("ann", "wrong"), ("ANN", PASSWORD), ("ann ", PASSWORD), ("nobody", PASSWORD), ("bob", PASSWORD)];
    let hostile =
        [("", ""), ("ann", ""), ("ann", &*long), (&*long, "x"), ("ann' --", PASSWORD), ("ann\u{0}", PASSWORD)];
    let mut bodies = Vec::new();
    for (name, password) in names.into_iter().chain(hostile) {
        let answer = daemon.ask(&login(name, password));
        assert_eq!(answer.status, 401, "{answer}");
        let mut body = answer.json();
        // What tells the requests apart, not the callers.
        body.as_object_mut().unwrap().retain(|name, _| name != "instance");
        bodies.push(body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[test]
fn only_so_many_passwords_are_checked_at_once() {
    let setup = setup().set("http.request_timeout_ms", 30_000);
    let daemon = setup.start();
    let answers = at_once(&daemon, (0..160).map(|nth| login(&format!("nobody-{nth}"), "guess")));
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(count(401) + count(503), answers.len(), "{answers:?}");
    assert!(count(401) >= 32 && count(503) > 0, "{} refused, {} too many", count(401), count(503));
    for answer in answers.iter().filter(|answer| answer.status == 503) {
        assert!(answer.header("retry-after").is_some(), "{answer}");
    }
    Tokens::log_in(&daemon, "admin", &admin_password(&setup));
    assert_eq!(daemon.get("/readyz").status, 200);
}

#[test]
fn those_who_guess_from_many_addresses_do_not_starve_who_logs_in_from_another() {
    let setup = setup().set("http.trusted_proxies", "127.0.0.0/8").set("http.request_timeout_ms", 30_000);
    let daemon = setup.set("auth.lockout_attempts", 1_000).start();
    add_user(&daemon, "ann", "agent");
    let address = |nth: usize| format!("10.0.{}.{}", nth % 16, nth % 16);
    let guesses: Vec<_> = (0..320).map(|nth| from(&address(nth), &format!("nobody-{nth}"), "guess").bytes()).collect();
    let mut waiting: Vec<_> = guesses.iter().map(|_| daemon.connect()).collect();
    for (connection, guess) in waiting.iter_mut().zip(&guesses) {
        connection.send(guess);
    }
    for nth in 0..4 {
        let answer = daemon.ask(&from(&format!("192.0.2.{nth}"), "ann", PASSWORD));
        assert_eq!(answer.status, 200, "{answer}");
    }
    let answers: Vec<_> = waiting.iter_mut().map(|connection| connection.answer()).collect();
    for answer in &answers {
        assert!(matches!(answer.status, 401 | 503), "{answer}");
    }
}

#[test]
fn a_password_in_the_wrong_field_is_not_in_the_log() {
    let setup = setup();
    let daemon = setup.start();
    add_user(&daemon, "ann", "agent");
    let secret = "Tr0ub4dor and three";
    let long = "y".repeat(60_000);
    for name in [secret, secret, &long, "ann", "ann\u{0}", "unknown:0:0"] {
        assert_eq!(daemon.ask(&login(name, "guess")).status, 401, "{name}");
    }
    for _ in 0..5 {
        daemon.ask(&login(secret, "guess"));
    }
    for client in [secret, &long] {
        for path in ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"] {
            let fields =
                [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", "x"), ("token", "x")];
            assert_eq!(daemon.ask(&form(path, &fields)).status, 401, "{path}");
        }
    }
    for header in ["X-API-Key", "Authorization"] {
        let path = format!("/v1/users/{}", secret.replace(' ', "%20"));
        let answer = daemon.ask(&Request::get(&path).header(header, &format!("Bearer {secret}")).anonymous());
        assert_eq!(answer.status, 401, "{answer}");
    }
    let refused = events(&setup, "login_refused");
    let users: Vec<_> = refused.iter().map(|record| record["user"].as_str().unwrap()).collect();
    assert_eq!((users[0], users[3]), (users[1], "ann"), "the same name again");
    assert_ne!(users[0], users[2]);
    for (user, length) in
        users.iter().zip(["19", "19", "60000", "", "4", "11"]).filter(|(_, length)| !length.is_empty())
    {
        assert!(user.starts_with("unknown:") && user.ends_with(&format!(":{length}")), "{user}");
    }
    assert_eq!(users.iter().filter(|user| **user == users[0]).count(), 7, "{users:?}");
    let clients = events(&setup, "client_refused");
    assert_eq!(clients.len(), 6);
    assert!(clients.iter().all(|record| record["client"].as_str().unwrap().starts_with("unknown:")), "{clients:?}");
    let (_, told) = daemon.stop_and_tell();
    let credentials = events(&setup, "credential_refused");
    assert_eq!(credentials.len(), 2);
    assert!(credentials.iter().all(|record| record["path"] == "/v1/users/{name}"), "{credentials:?}");
    for record in refused.iter().chain(&clients).chain(&credentials) {
        let text = record.to_string();
        assert!(text.len() < 1_000 && !text.contains(secret) && !text.contains("yyyy"), "{text}");
    }
    assert!(!told.contains(secret));
}

#[test]
fn names_and_passwords_are_the_same_from_every_keyboard() {
    let daemon = setup().start();
    let (typed, elsewhere) = ("\u{fc}ber alle Berge", "u\u{308}ber\u{a0}alle\u{3000}Berge");
    let new = |name: &str, password: &str| {
        daemon.post("/v1/users", &json!({"name": name, "password": password, "roles": ["agent"]}))
    };
    let made = new("\u{ff41}nn", elsewhere);
    assert_eq!((made.status, &made.json()["name"]), (201, &json!("ann")), "{made}");
    assert_eq!(new("ann", typed).status, 409);
    for name in ["ann", "\u{ff41}\u{ff4e}n"] {
        for password in [typed, elsewhere] {
            Tokens::log_in(&daemon, name, password);
        }
    }
    assert_eq!(daemon.ask(&login("ann", "uber alle Berge")).status, 401);
    for wrong in ["with a\u{0}zero in it", "with a\ttab in it", "and \u{200b} nothing", "private \u{e000} use"] {
        let refused = new("bob", wrong);
        assert_eq!((refused.status, &refused.json()["type"]), (422, &json!("/problems/invalid-password")), "{refused}");
    }
}

#[test]
fn a_name_that_nobody_has_takes_as_long_as_one_that_somebody_has() {
    let daemon = setup().set("auth.lockout_attempts", 1_000).start();
    add_user(&daemon, "ann", "agent");
    let mut connection = daemon.connect();
    let mut times = [Vec::new(), Vec::new()];
    for nth in 0..30 {
        for (times, name) in times.iter_mut().zip(["ann".to_owned(), format!("nobody-{nth}")]) {
            let request = login(&name, "guess");
            let since = Instant::now();
            assert_eq!(connection.ask(&request).status, 401);
            times.push(since.elapsed());
        }
    }
    let [known, unknown] = times.map(median);
    println!("median of 30 wrong logins: {known:?} for a known name, {unknown:?} for an unknown one");
    assert!(known < unknown * 3 && unknown < known * 3, "{known:?} {unknown:?}");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
