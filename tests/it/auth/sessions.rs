//! People: how they log in, stay logged in, and are out at once when they are to be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::{PASSWORD, Tokens, add_user, admin_password, events, form, is_refused, login, me, refresh, setup};
use crate::harness::{Request, Setup, TestDaemon};

/// A daemon that knows `ann`, who is logged in.
fn with_ann() -> (Setup, TestDaemon, Tokens) {
    let setup = setup();
    let daemon = setup.start();
    add_user(&daemon, "ann", "operator");
    let tokens = Tokens::log_in(&daemon, "ann", PASSWORD);
    (setup, daemon, tokens)
}

/// A request that acts on people for an administrator.
fn change(name: &str, body: &serde_json::Value) -> Request {
    Request::new("PATCH", &format!("/v1/users/{name}")).json(body)
}

/// Neither token of a session is good any more, for whoever comes with it.
#[track_caller]
fn is_over(daemon: &TestDaemon, tokens: &Tokens, why: &str) {
    for _ in 0..4 {
        is_refused(&daemon.ask(&me(&tokens.access)), why);
    }
    let answer = daemon.ask(&refresh(&tokens.refresh));
    assert_eq!(answer.status, 401, "{why}: {answer}");
}

#[test]
fn the_first_start_makes_an_administrator_whose_password_is_for_the_daemons_user_alone() {
    let setup = setup();
    let daemon = setup.start();
    let file = fs::metadata(setup.data_dir().join("admin-password")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let password = admin_password(&setup);
    assert!(password.len() >= 20, "{password}");
    let tokens = Tokens::log_in(&daemon, "admin", &password);
    let answer = daemon.ask(&Request::get("/v1/users").token(&tokens.access));
    assert_eq!((answer.status, &answer.json()["items"][0]["name"]), (200, &json!("admin")), "{answer}");
    daemon.stop();
    let daemon = setup.start();
    assert_eq!(admin_password(&setup), password, "only the first start makes one");
    Tokens::log_in(&daemon, "admin", &password);
}

#[test]
fn who_logged_in_is_known_and_sees_the_sessions() {
    let (setup, daemon, first) = with_ann();
    let second = Tokens::of(&daemon.ask(&login("ann", PASSWORD).header("User-Agent", "second")));
    let known = daemon.ask(&me(&second.access)).json();
    assert_eq!((&known["name"], &known["user"]), (&json!("user:ann"), &json!("ann")));
    assert_eq!(known["scopes"].as_array().unwrap().len(), 6, "{known}");
    let sessions = daemon.ask(&Request::get("/v1/auth/sessions").token(&second.access)).json();
    let sessions = sessions["items"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let current: Vec<_> = sessions.iter().filter(|session| session["current"] == true).collect();
    assert_eq!(
        (current.len(), &current[0]["user_agent"], &current[0]["address"]),
        (1, &json!("second"), &json!("127.0.0.1"))
    );
    assert_eq!(current[0]["id"], known["session"]);
    // One can be ended from the other.
    let other = sessions.iter().find(|session| session["current"] == false).unwrap()["id"].as_str().unwrap();
    let end = |token: &str| Request::delete(&format!("/v1/auth/sessions/{other}")).token(token);
    add_user(&daemon, "bob", "admin");
    let bob = Tokens::log_in(&daemon, "bob", PASSWORD);
    assert_eq!(daemon.ask(&end(&bob.access)).status, 404, "sessions of others are not there");
    assert_eq!(daemon.ask(&end(&second.access)).status, 204);
    is_over(&daemon, &first, "ended from another session");
    assert_eq!(daemon.ask(&me(&second.access)).status, 200);
    assert_eq!(events(&setup, "login").len(), 3);
}

#[test]
fn a_refresh_token_is_good_once() {
    let (setup, daemon, first) = with_ann();
    let second = Tokens::of(&daemon.ask(&refresh(&first.refresh)));
    assert_ne!((&first.access, &first.refresh), (&second.access, &second.refresh));
    let third = Tokens::of(&daemon.ask(&refresh(&second.refresh)));
    let mut other = daemon.connect();
    for token in [&first.access, &second.access, &third.access] {
        assert_eq!(other.ask(&me(token)).status, 200);
    }
    let elsewhere = Tokens::log_in(&daemon, "ann", PASSWORD);
    // Whoever stole an old one is found out, and the session ends: its owner logs in anew.
    assert_eq!(daemon.ask(&refresh(&first.refresh)).status, 401);
    for token in [&first.access, &second.access, &third.access] {
        is_refused(&other.ask(&me(token)), "the session ended");
    }
    is_over(&daemon, &third, "an old refresh token was used again");
    assert_eq!(other.ask(&me(&elsewhere.access)).status, 200, "another session stays");
    let recorded = events(&setup, "refresh_token_reused");
    assert_eq!((recorded.len(), &recorded[0]["caller"]), (1, &json!("user:ann")));
}

#[test]
fn what_is_no_refresh_token_gets_no_other() {
    let (_, daemon, tokens) = with_ann();
    let long = "A".repeat(10_000);
    for wrong in
        ["", "acgs_rt_", &tokens.access, &tokens.refresh[1..], &format!("{} ", tokens.refresh), "' OR 1=1", &long]
    {
        assert_eq!(daemon.ask(&refresh(wrong)).status, 401, "{wrong}");
        let asked = form("/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", wrong)]);
        let answer = daemon.ask(&asked);
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_grant")), "{wrong}");
    }
    is_refused(&daemon.ask(&me(&tokens.refresh)), "a refresh token is no access token");
    Tokens::of(&daemon.ask(&refresh(&tokens.refresh)));
}

#[test]
fn who_logs_out_is_out_at_once_everywhere() {
    let (_, daemon, first) = with_ann();
    let (second, third) = (Tokens::log_in(&daemon, "ann", PASSWORD), Tokens::log_in(&daemon, "ann", PASSWORD));
    // Every worker has seen them.
    for tokens in [&first, &second, &third] {
        (0..8).for_each(|_| assert_eq!(daemon.ask(&me(&tokens.access)).status, 200));
    }
    assert_eq!(daemon.ask(&Request::post("/v1/auth/logout").token(&first.access)).status, 204);
    is_over(&daemon, &first, "logged out");
    assert_eq!(daemon.ask(&me(&second.access)).status, 200);
    let answer = daemon.ask(&Request::post("/v1/auth/logout-all").token(&second.access));
    assert_eq!((answer.status, answer.json()), (200, json!({"sessions": 2})), "{answer}");
    is_over(&daemon, &second, "logged out everywhere");
    is_over(&daemon, &third, "logged out everywhere");
    Tokens::log_in(&daemon, "ann", PASSWORD);
}

#[test]
fn another_password_ends_all_sessions() {
    let (setup, daemon, first) = with_ann();
    let second = Tokens::log_in(&daemon, "ann", PASSWORD);
    let other = "another good password";
    let change = |old: &str, new: &str| {
        let request = Request::post("/v1/auth/password").json(&json!({"old": old, "new": new}));
        daemon.ask(&request.token(&first.access))
    };
    for (old, new) in [("wrong", other), (PASSWORD, "short"), (PASSWORD, "password1234"), ("", other)] {
        assert_eq!(change(old, new).status, 422, "{old} {new}");
    }
    assert_eq!(daemon.ask(&me(&first.access)).status, 200, "nothing was changed");
    assert_eq!(change(PASSWORD, other).status, 204);
    is_over(&daemon, &first, "the password was changed");
    is_over(&daemon, &second, "the password was changed");
    assert_eq!(daemon.ask(&login("ann", PASSWORD)).status, 401);
    Tokens::log_in(&daemon, "ann", other);
    assert_eq!(events(&setup, "password_changed").len(), 1);
}

#[test]
fn whoever_is_disabled_or_removed_or_gets_other_roles_is_out_at_once() {
    let (_, daemon, tokens) = with_ann();
    assert_eq!(daemon.ask(&me(&tokens.access)).status, 200);
    assert_eq!(daemon.ask(&change("ann", &json!({"disabled": true}))).status, 200);
    is_over(&daemon, &tokens, "disabled");
    assert_eq!(daemon.ask(&login("ann", PASSWORD)).status, 401);
    assert_eq!(daemon.ask(&change("ann", &json!({"disabled": false}))).status, 200);
    is_over(&daemon, &tokens, "enabled again, which revives nothing");
    let tokens = Tokens::log_in(&daemon, "ann", PASSWORD);
    assert_eq!(daemon.ask(&change("ann", &json!({"roles": ["agent"]}))).status, 200);
    is_over(&daemon, &tokens, "other roles");
    let tokens = Tokens::log_in(&daemon, "ann", PASSWORD);
    assert_eq!(daemon.ask(&me(&tokens.access)).json()["scopes"], json!(["decide"]));
    assert_eq!(daemon.delete("/v1/users/ann").status, 204);
    is_over(&daemon, &tokens, "removed");
    assert_eq!(daemon.ask(&login("ann", PASSWORD)).status, 401);
    add_user(&daemon, "ann", "operator");
    is_over(&daemon, &tokens, "somebody else of the same name");
}

#[test]
fn a_token_that_was_revoked_is_refused_on_every_connection() {
    let (_, daemon, tokens) = with_ann();
    let mut others: Vec<_> = (0..8).map(|_| daemon.connect()).collect();
    for other in &mut others {
        assert_eq!(other.ask(&me(&tokens.access)).status, 200);
    }
    let revoke = |token: &str| daemon.ask(&form("/oauth2/revoke", &[("token", token), ("client_id", "acgs")])).status;
    assert_eq!(revoke(&tokens.access), 200);
    for other in &mut others {
        is_refused(&other.ask(&me(&tokens.access)), "revoked");
    }
    // Only that token ends, until its refresh token is revoked too.
    let tokens = Tokens::of(&daemon.ask(&refresh(&tokens.refresh)));
    assert_eq!(daemon.ask(&me(&tokens.access)).status, 200);
    assert_eq!(revoke(&tokens.refresh), 200);
    is_over(&daemon, &tokens, "its refresh token was revoked");
    assert_eq!((revoke(&tokens.refresh), revoke("nothing"), revoke("")), (200, 200, 200));
}

#[test]
fn sessions_revocations_and_keys_outlast_a_restart() {
    let (setup, daemon, kept) = with_ann();
    let (ended, revoked) = (Tokens::log_in(&daemon, "ann", PASSWORD), Tokens::log_in(&daemon, "ann", PASSWORD));
    let stale = Tokens::log_in(&daemon, "ann", PASSWORD);
    let fresh = Tokens::of(&daemon.ask(&refresh(&stale.refresh)));
    let fresh = Tokens::of(&daemon.ask(&refresh(&fresh.refresh)));
    assert_eq!(daemon.ask(&Request::post("/v1/auth/logout").token(&ended.access)).status, 204);
    let revoke = form("/oauth2/revoke", &[("token", &revoked.access), ("client_id", "acgs")]);
    assert_eq!(daemon.ask(&revoke).status, 200);
    let keys = daemon.get("/.well-known/jwks.json").json();
    daemon.stop();
    let daemon = setup.start();
    assert_eq!(daemon.get("/.well-known/jwks.json").json(), keys);
    assert_eq!(daemon.ask(&me(&kept.access)).status, 200);
    is_over(&daemon, &ended, "logged out before the restart");
    is_refused(&daemon.ask(&me(&revoked.access)), "revoked before the restart");
    let kept = Tokens::of(&daemon.ask(&refresh(&kept.refresh)));
    // What was used before the restart is known to be used.
    assert_eq!(daemon.ask(&refresh(&stale.refresh)).status, 401);
    is_over(&daemon, &fresh, "an old refresh token was used again");
    daemon.kill();
    let daemon = setup.start();
    is_over(&daemon, &fresh, "after a crash too");
    is_over(&daemon, &ended, "after a crash too");
    is_refused(&daemon.ask(&me(&revoked.access)), "after a crash too");
    assert_eq!(daemon.ask(&me(&kept.access)).status, 200);
}
