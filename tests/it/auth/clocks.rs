//! A wall clock that is wrong for a while makes nothing valid again that was withdrawn.

use serde_json::{Value, json};

use super::{PASSWORD, Tokens, add_user, events, form, is_refused, me, setup};
use crate::audit::Exported;
use crate::faults::disk::Faults;
use crate::harness::{Request, Setup, TestDaemon, issuer, until};

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

/// The number of clock jumps in the audit log.
fn jumps(setup: &Setup) -> Vec<Value> {
    let records = Exported::from(setup, 0).records.into_iter();
    records.filter(|record| record["kind"] == "clock").map(|record| record["jump_ms"].clone()).collect()
}

/// Sets the wall clock, and waits until the daemon has noticed.
#[track_caller]
fn set(faults: &Faults, setup: &Setup, ahead_s: i64) {
    let before = jumps(setup).len();
    faults.set_clock(ahead_s);
    until("the jump is recorded", || jumps(setup).len() > before);
}

fn log_out(daemon: &TestDaemon, name: &str) -> Tokens {
    let tokens = Tokens::log_in(daemon, name, PASSWORD);
    assert_eq!(daemon.ask(&me(&tokens.access)).status, 200);
    assert_eq!(daemon.ask(&Request::post("/v1/auth/logout").token(&tokens.access)).status, 204);
    tokens
}

#[test]
fn a_clock_that_is_wrong_during_a_revocation_or_a_start_brings_nothing_back() {
    let Some(faults) = Faults::new() else { return };
    for ahead in [5 * HOUR, 3 * YEAR, -3 * YEAR, -HOUR] {
        faults.set_clock(0);
        let setup = faults.with_clock(setup());
        let daemon = setup.start();
        add_user(&daemon, "ann", "auditor");
        let first = log_out(&daemon, "ann");
        is_refused(&daemon.ask(&me(&first.access)), "logged out");
        let good = Tokens::log_in(&daemon, "ann", PASSWORD);

        set(&faults, &setup, ahead);
        // Withdrawn while the clock is wrong, with a valid token: its session ends, too.
        let second = if ahead < 0 { None } else { Some(log_out(&daemon, "ann")) };
        let disabled = Request::new("PATCH", "/v1/users/ann").json(&json!({"disabled": true}));
        let token = issuer::key().sign("at+jwt", &admin_claims(ahead)).unwrap();
        assert_eq!(daemon.ask(&disabled.token(&token)).status, 200);
        // A start with a wrong clock purges nothing either.
        assert!(daemon.stop().success());
        let daemon = setup.start();

        set(&faults, &setup, 0);
        for tokens in [Some(&first), Some(&good), second.as_ref()].into_iter().flatten() {
            is_refused(&daemon.ask(&me(&tokens.access)), "withdrawn");
        }
        let noticed = jumps(&setup);
        assert!(noticed.len() >= 2 && noticed[0].as_i64().unwrap().signum() == ahead.signum(), "{noticed:?}");
        assert!(daemon.stop().success());
        let daemon = setup.start();
        for tokens in [&first, &good] {
            is_refused(&daemon.ask(&me(&tokens.access)), "withdrawn, after another start");
        }
    }
}

#[test]
fn a_revocation_counts_although_the_clock_says_that_its_token_has_expired() {
    let Some(faults) = Faults::new() else { return };
    for ahead in [2 * HOUR, YEAR] {
        faults.set_clock(0);
        let setup = faults.with_clock(setup());
        let mut daemon = setup.start();
        let made = daemon.post("/v1/clients", &json!({"name": "service", "roles": ["agent"]})).json();
        let [id, secret] = ["client_id", "client_secret"].map(|member| made[member].as_str().unwrap().to_owned());
        let client = [("client_id", &*id), ("client_secret", &*secret)];
        let ask = |daemon: &TestDaemon, path: &str, field| daemon.ask(&form(path, &[&[field], &client[..]].concat()));
        let token = |daemon: &TestDaemon| {
            let granted = ask(daemon, "/oauth2/token", ("grant_type", "client_credentials")).json();
            granted["access_token"].as_str().unwrap().to_owned()
        };
        add_user(&daemon, "ann", "auditor");
        let [refresh, access, other] = [(); 3].map(|()| Tokens::log_in(&daemon, "ann", PASSWORD));
        let session = daemon.ask(&me(&other.access)).json()["session"].as_str().unwrap().to_owned();
        // Of the two tokens of the client, one is signed with a key that is retired since.
        let old = token(&daemon);
        assert!(setup.run(["key", "rotate", "token"]).status.success());
        let tokens = [old, token(&daemon)];
        let all = || tokens.iter().chain([&refresh.access, &access.access, &other.access]);
        for token in all() {
            assert_eq!(daemon.ask(&me(token)).status, 200);
        }

        set(&faults, &setup, ahead);
        // The retired key is read again, and verifies nothing now.
        assert!(daemon.stop().success());
        daemon = setup.start();
        for token in &tokens {
            assert_eq!(ask(&daemon, "/oauth2/revoke", ("token", token)).status, 200);
        }
        for token in [&refresh.refresh, &access.access] {
            let revoke = form("/oauth2/revoke", &[("token", token), ("client_id", "acgs")]);
            assert_eq!(daemon.ask(&revoke).status, 200);
        }
        let again = Tokens::log_in(&daemon, "ann", PASSWORD);
        let end = Request::delete(&format!("/v1/auth/sessions/{session}")).token(&again.access);
        assert_eq!(daemon.ask(&end).status, 204);
        assert_eq!(events(&setup, "revoked").len(), 4);

        set(&faults, &setup, 0);
        for _ in 0..2 {
            for token in all() {
                is_refused(&daemon.ask(&me(token)), "revoked");
            }
            assert!(daemon.stop().success());
            daemon = setup.start();
        }
    }
}

fn admin_claims(ahead: i64) -> Value {
    let mut claims = issuer::claims("admin", "admin");
    let now = issuer::now() + ahead;
    (claims["iat"], claims["exp"]) = (json!(now), json!(now + HOUR));
    claims
}

#[test]
fn a_jump_of_the_clock_is_logged_and_recorded() {
    let Some(faults) = Faults::new() else { return };
    faults.set_clock(0);
    let setup = faults.with_clock(setup());
    let daemon = setup.start();
    set(&faults, &setup, 60);
    set(&faults, &setup, -60);
    let jumps = jumps(&setup);
    let near = |jump: &Value, expected: i64| (jump.as_i64().unwrap() - expected * 1_000).abs() < 1_500;
    assert!(near(&jumps[0], 60) && near(&jumps[1], -120), "{jumps:?}");
    let (status, messages) = daemon.stop_and_tell();
    assert!(status.success() && messages.contains("the wall clock jumped"), "{messages}");

    // The clock jumped while no daemon ran.
    faults.set_clock(-HOUR);
    let daemon = setup.start();
    until("recorded", || self::jumps(&setup).len() == 3);
    let (_, messages) = daemon.stop_and_tell();
    assert!(messages.contains("the wall clock is behind the last run"), "{messages}");
}
