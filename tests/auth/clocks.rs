//! A wall clock that is wrong for a while makes nothing valid again that was withdrawn.

use serde_json::{Value, json};

use crate::audit::Exported;
use crate::disk::Faults;
use crate::harness::{Request, Setup, TestDaemon, issuer, until};
use crate::{PASSWORD, Tokens, add_user, is_refused, me, setup};

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
