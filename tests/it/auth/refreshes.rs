//! A refresh token is good once; within the grace period the same client gets the same successor again.

use super::{PASSWORD, Tokens, add_user, events, form, is_refused, me, refresh, setup};
use crate::faults::disk::Faults;
use crate::harness::{Connection, Request, Setup, TestDaemon};

/// A daemon with a user `ann`, who is logged in.
fn with_ann(setup: &Setup) -> (TestDaemon, Tokens) {
    let daemon = setup.start();
    add_user(&daemon, "ann", "operator");
    let tokens = Tokens::log_in(&daemon, "ann", PASSWORD);
    (daemon, tokens)
}

/// The session has ended for every holder of these tokens.
#[track_caller]
fn is_over(daemon: &TestDaemon, all: &[&Tokens]) {
    for tokens in all {
        is_refused(&daemon.ask(&me(&tokens.access)), "the session ended");
        assert_eq!(daemon.ask(&refresh(&tokens.refresh)).status, 401);
    }
}

#[test]
fn whoever_lost_the_answer_gets_the_same_successor_again_until_it_is_used() {
    let setup = setup();
    let (daemon, first) = with_ann(&setup);
    let second = Tokens::of(&daemon.ask(&refresh(&first.refresh)));
    let by_form = form("/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", &first.refresh)]);
    let again = [Tokens::of(&daemon.ask(&refresh(&first.refresh))), Tokens::of(&daemon.ask(&by_form))];
    for tokens in &again {
        assert_eq!(tokens.refresh, second.refresh);
        assert_ne!(tokens.access, second.access);
        assert_eq!(daemon.ask(&me(&tokens.access)).status, 200);
    }
    assert_eq!([events(&setup, "refreshed").len(), events(&setup, "refresh_repeated").len()], [1, 2]);
    // The successor is used: from then on the first token counts as copied.
    let third = Tokens::of(&daemon.ask(&refresh(&second.refresh)));
    assert_eq!(Tokens::of(&daemon.ask(&refresh(&second.refresh))).refresh, third.refresh);
    assert_eq!(daemon.ask(&me(&third.access)).status, 200);
    assert_eq!(daemon.ask(&refresh(&first.refresh)).status, 401);
    is_over(&daemon, &[&first, &second, &third, &again[0], &again[1]]);
    assert_eq!(events(&setup, "refresh_token_reused").len(), 1);
    assert!(!setup.dump().windows(43).any(|bytes| bytes == &third.refresh.as_bytes()["acgs_rt_".len()..]));
}

#[test]
fn many_who_come_with_one_refresh_token_at_once_get_one_successor() {
    let setup = setup();
    let (daemon, first) = with_ann(&setup);
    let mut connections: Vec<_> = (0..8).map(|_| daemon.connect()).collect();
    for connection in &mut connections {
        connection.send(&refresh(&first.refresh).bytes());
    }
    let answers: Vec<_> = connections.iter_mut().map(Connection::answer).collect();
    let all: Vec<_> = answers.iter().map(Tokens::of).collect();
    for tokens in &all {
        assert_eq!(tokens.refresh, all[0].refresh);
        assert_eq!(daemon.ask(&me(&tokens.access)).status, 200);
    }
    assert_eq!([events(&setup, "refreshed").len(), events(&setup, "refresh_repeated").len()], [1, 7]);
}

#[test]
fn another_client_that_comes_with_a_used_token_ends_the_session() {
    let setup = setup().set("http.trusted_proxies", "127.0.0.1");
    let daemon = setup.start();
    add_user(&daemon, "ann", "operator");
    let from = |request: Request, address: &str, agent: &str| {
        daemon.ask(&request.header("X-Forwarded-For", address).header("User-Agent", agent))
    };
    for (address, agent) in [("192.0.2.2", "browser"), ("192.0.2.1", "other"), ("192.0.2.2", "other")] {
        let first = Tokens::log_in(&daemon, "ann", PASSWORD);
        let second = Tokens::of(&from(refresh(&first.refresh), "192.0.2.1", "browser"));
        assert_eq!(Tokens::of(&from(refresh(&first.refresh), "192.0.2.1", "browser")).refresh, second.refresh);
        assert_eq!(from(refresh(&first.refresh), address, agent).status, 401, "{address} {agent}");
        is_over(&daemon, &[&first, &second]);
    }
}

#[test]
fn after_the_grace_or_without_one_a_used_token_ends_the_session() {
    let none = setup().set("auth.refresh_grace_s", 0);
    let (daemon, first) = with_ann(&none);
    let second = Tokens::of(&daemon.ask(&refresh(&first.refresh)));
    assert_eq!(daemon.ask(&refresh(&first.refresh)).status, 401);
    is_over(&daemon, &[&first, &second]);

    let Some(faults) = Faults::new() else { return };
    for ahead in [62, -62] {
        faults.set_clock(0);
        let setup = faults.with_clock(setup().set("auth.refresh_grace_s", 60));
        let (daemon, first) = with_ann(&setup);
        let second = Tokens::of(&daemon.ask(&refresh(&first.refresh)));
        assert_eq!(Tokens::of(&daemon.ask(&refresh(&first.refresh))).refresh, second.refresh);
        faults.set_clock(ahead);
        assert_eq!(daemon.ask(&refresh(&first.refresh)).status, 401, "{ahead}");
        is_over(&daemon, &[&first, &second]);
    }
}

#[test]
fn a_session_that_ended_gives_nothing_again() {
    let setup = setup();
    let (daemon, first) = with_ann(&setup);
    let second = Tokens::of(&daemon.ask(&refresh(&first.refresh)));
    assert_eq!(daemon.ask(&Request::post("/v1/auth/logout").token(&second.access)).status, 204);
    is_over(&daemon, &[&first, &second]);
    assert!(events(&setup, "refresh_token_reused").is_empty());
}
