//! What one daemon decides about callers, the others know.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::harness::{Request, issuer, until};
use crate::nodes::Fleet;
use crate::world::World;

/// Connections on which it is asked who calls, so that every worker has remembered the caller.
const ASKED: usize = 16;

fn form(path: &str, body: &str) -> Request {
    Request::post(path).header("Content-Type", "application/x-www-form-urlencoded").body(body)
}

/// What a daemon says to a request, whichever of its workers is asked.
fn statuses(fleet: &Fleet, node: usize, request: &Request) -> Vec<u16> {
    let mut statuses: Vec<u16> = (0..ASKED).map(|_| fleet.ask(node, request).status).collect();
    statuses.dedup();
    statuses
}

#[track_caller]
fn made(fleet: &Fleet, node: usize, path: &str, body: &Json) -> Json {
    let answer = fleet.ask(node, &Request::post(path).json(body).token(issuer::admin()));
    assert!(answer.status < 300, "{answer}");
    answer.json()
}

/// How long it takes until a daemon refuses a request on all workers.
fn until_refused(fleet: &Fleet, node: usize, request: &Request) -> Duration {
    let since = Instant::now();
    until("refused", || statuses(fleet, node, request) == [401]);
    since.elapsed()
}

fn token(fleet: &Fleet, node: usize, client: &Json) -> String {
    let (id, secret) = (client["client_id"].as_str().unwrap(), client["client_secret"].as_str().unwrap());
    let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let answer = fleet.ask(node, &form("/oauth2/token", &body));
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn with(token: &str) -> Request {
    Request::get("/v1/constitution").token(token)
}

#[test]
fn what_is_withdrawn_on_one_daemon_is_refused_by_the_other() {
    let Some(world) = World::start(|setup| setup) else { return };
    let fleet = &world.fleet;
    for (here, there) in [(0, 1), (1, 0)] {
        let key = made(fleet, here, "/v1/api-keys", &json!({"name": "robot", "scopes": ["read"]}));
        let with_key = Request::get("/v1/constitution").header("X-API-Key", key["key"].as_str().unwrap()).anonymous();
        until("known", || statuses(fleet, there, &with_key) == [200]);
        let gone = fleet.ask(here, &Request::delete(&format!("/v1/api-keys/{}", key["id"].as_str().unwrap())));
        assert!(gone.status < 300, "{gone}");
        assert_eq!(statuses(fleet, here, &with_key), [401]);
        let key_took = until_refused(fleet, there, &with_key);

        let client = made(fleet, here, "/v1/clients", &json!({"name": format!("reader-{here}"), "roles": ["auditor"]}));
        let (one, other) = (token(fleet, here, &client), token(fleet, there, &client));
        for node in [here, there] {
            assert_eq!([&one, &other].map(|token| statuses(fleet, node, &with(token))), [[200], [200]]);
        }
        let (id, secret) = (client["client_id"].as_str().unwrap(), client["client_secret"].as_str().unwrap());
        let body = format!("token={one}&client_id={id}&client_secret={secret}");
        assert_eq!(fleet.ask(here, &form("/oauth2/revoke", &body)).status, 200);
        assert_eq!(statuses(fleet, here, &with(&one)), [401]);
        let token_took = until_refused(fleet, there, &with(&one));
        assert_eq!(statuses(fleet, there, &with(&other)), [200], "the other token stays good");

        let path = format!("/v1/clients/{id}");
        let changed = fleet.ask(here, &Request::new("PATCH", &path).json(&json!({"disabled": true})));
        assert!(changed.status < 300, "{changed}");
        let client_took = until_refused(fleet, there, &with(&other));
        println!(
            "refused by the other daemon: a key after {key_took:.1?}, a token after {token_took:.1?}, a client after {client_took:.1?}"
        );
    }
}

#[test]
fn a_key_that_is_rotated_on_one_daemon_verifies_on_the_other() {
    let Some(world) = World::start(|setup| setup) else { return };
    let fleet = &world.fleet;
    let client = made(fleet, 0, "/v1/clients", &json!({"name": "reader", "roles": ["auditor"]}));
    for (here, there) in [(0, 1), (1, 0)] {
        let before = [here, there].map(|node| token(fleet, node, &client));
        let kid = made(fleet, here, "/v1/auth/keys/rotate", &json!({}))["kid"].clone();
        let new = token(fleet, here, &client);
        let since = Instant::now();
        until("verified", || statuses(fleet, there, &with(&new)) == [200]);
        let took = since.elapsed();
        // Nobody who has a good token is sent away meanwhile.
        for old in &before {
            assert_eq!([here, there].map(|node| statuses(fleet, node, &with(old))), [[200], [200]]);
        }
        let kids = |node| {
            let keys = fleet.ask(node, &Request::get("/.well-known/jwks.json")).json();
            keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect::<Vec<_>>()
        };
        until("shown", || kids(there).contains(&kid));
        assert_eq!(kids(here), kids(there));

        let newest = made(fleet, there, "/v1/auth/keys/rotate", &json!({"withdraw": true}))["kid"].clone();
        assert_eq!(statuses(fleet, there, &with(&new)), [401]);
        let withdrawn = until_refused(fleet, here, &with(&new));
        assert_eq!([kids(here), kids(there)], [[newest.clone()], [newest]]);
        let newest = token(fleet, here, &client);
        assert_eq!([here, there].map(|node| statuses(fleet, node, &with(&newest))), [[200], [200]]);
        println!(
            "the other daemon verifies with the new key after {took:.1?}, and refuses a withdrawn one after {withdrawn:.1?}"
        );
    }
}
