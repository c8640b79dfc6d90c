//! Keys that are sent with each request.

use serde_json::{Value, json};

use super::{CONSTITUTION, EVALUATION, PASSWORD, Tokens, add_user, events, is_refused, me, question, setup};
use crate::harness::{Request, TestDaemon};

/// Makes a key; answers its id and the key.
#[track_caller]
fn add(daemon: &TestDaemon, body: &Value) -> (String, String) {
    let answer = daemon.post("/v1/api-keys", body);
    assert_eq!((answer.status, answer.header("cache-control")), (201, Some("no-store")), "{answer}");
    let made = answer.json();
    (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
}

/// The request with a key and nothing else.
fn with_key(request: Request, key: &str) -> Request {
    request.header("X-API-Key", key).anonymous()
}

#[test]
fn a_key_permits_what_it_was_made_for() {
    let setup = setup().set("auth.decisions", "token");
    let daemon = setup.start();
    let (id, key) = add(&daemon, &json!({"name": "robot", "scopes": ["decide"]}));
    for _ in 0..4 {
        assert_eq!(daemon.ask(&with_key(Request::post(EVALUATION).json(&question()), &key)).status, 200);
        let answer = daemon.ask(&with_key(Request::get(CONSTITUTION), &key));
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(answer.status == 403 && challenge.contains("scope=\"read\""), "{answer}");
    }
    let known = daemon.ask(&with_key(Request::get("/v1/auth/me"), &key)).json();
    assert_eq!((&known["name"], &known["user"]), (&json!(format!("key:{id}")), &json!(null)));
    assert_eq!(daemon.ask(&with_key(Request::post("/v1/auth/logout"), &key)).status, 403, "it has no session");
    is_refused(&daemon.ask(&me(&key)), "a key is no token");
    let other = if key.ends_with('A') { "E" } else { "A" };
    let cut = &key[..key.len() - 1];
    for wrong in ["", "x", cut, &format!("{cut}{other}"), &format!("{key}="), &key.to_uppercase(), &id, "' OR 1=1 --"] {
        is_refused(&daemon.ask(&with_key(Request::get(CONSTITUTION), wrong)), wrong);
    }
    let token = crate::harness::issuer::admin();
    is_refused(&daemon.ask(&with_key(Request::get(CONSTITUTION), token)), "a token is no key");
}

/// The id of a key with its prefix, and the secret, in which there may be an underscore, too.
fn parts(key: &str) -> (&str, &str) {
    let (id, secret) = key.strip_prefix("acgs_ak_").and_then(|rest| rest.split_once('_')).unwrap();
    assert_eq!((id.len(), secret.len()), (12, 43));
    (&key[..key.len() - secret.len() - 1], secret)
}

#[test]
fn a_key_is_told_once() {
    let setup = setup();
    let daemon = setup.start();
    let (id, key) = add(&daemon, &json!({"name": "robot", "scopes": ["read"]}));
    let (_, secret) = parts(&key);
    let listed = daemon.get("/v1/api-keys");
    assert_eq!(listed.json()["items"][0]["id"], json!(id));
    assert!(!listed.text().contains(secret), "{listed}");
    let added = events(&setup, "api_key_added");
    assert_eq!((added.len(), &added[0]["key"], &added[0]["scopes"]), (1, &json!(id), &json!("read")));
    assert!(!added[0].to_string().contains(secret));
    daemon.stop();
    let stored = setup.dump();
    assert!(stored.windows(id.len()).any(|bytes| bytes == id.as_bytes()), "the key is stored");
    assert!(!stored.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "it is stored");
    let daemon = setup.start();
    assert_eq!(daemon.ask(&with_key(Request::get(CONSTITUTION), &key)).status, 200, "it outlasts a restart");
}

#[test]
fn a_key_that_is_bound_to_networks_is_refused_elsewhere() {
    let setup = setup();
    let daemon = setup.start();
    let body = |networks: Value| json!({"name": "robot", "scopes": ["read"], "networks": networks});
    let (_, here) = add(&daemon, &body(json!(["10.0.0.0/8", "127.0.0.1"])));
    let (bound, elsewhere) = add(&daemon, &body(json!(["10.0.0.0/8", "::1"])));
    for _ in 0..4 {
        assert_eq!(daemon.ask(&with_key(Request::get(CONSTITUTION), &here)).status, 200);
        let asked = with_key(Request::get(CONSTITUTION), &elsewhere);
        let refused = daemon.ask(&asked);
        is_refused(&refused, "from elsewhere");
        assert!(refused.text().contains("from `127.0.0.1`"), "{refused}");
        is_refused(&daemon.ask(&asked.header("X-Forwarded-For", "10.0.0.1")), "who only says where it is");
    }
    for wrong in [json!(["10.0.0.0/33"]), json!(["everywhere"]), json!([""]), json!([" ", ","]), json!("10.0.0.1")] {
        let answer = daemon.post("/v1/api-keys", &body(wrong.clone()));
        assert!(matches!(answer.status, 400 | 422), "{wrong}: {answer}");
    }
    let (stranger, _) = parts(&elsewhere);
    is_refused(&daemon.ask(&with_key(Request::get(CONSTITUTION), &format!("{stranger}_{}", "A".repeat(43)))), "forged");
    // They are recorded in the background.
    let mut refused = events(&setup, "credential_refused");
    while refused.len() < 9 {
        std::thread::yield_now();
        refused = events(&setup, "credential_refused");
    }
    let named = refused.iter().filter(|record| record["key"] == json!(bound)).count();
    let unknown = refused.iter().filter(|record| record.get("key").is_none()).count();
    assert_eq!((named, unknown), (8, 1), "{refused:?}");
}

#[test]
fn the_record_of_a_new_key_has_its_bounds() {
    let setup = setup();
    let daemon = setup.start();
    add(&daemon, &json!({"name": "free", "scopes": ["read"]}));
    add(
        &daemon,
        &json!({"name": "bound", "scopes": ["read"], "networks": ["10.0.0.0/8", "::1"], "rate_per_s": 7,
            "expires_at": "2090-01-31T12:00:00Z"}),
    );
    daemon.stop();
    let added = events(&setup, "api_key_added");
    let bounds = |record: &Value| ["networks", "rate_per_s", "expires_at"].map(|member| record.get(member).cloned());
    assert_eq!(bounds(&added[0]), [None, None, None]);
    let wanted = [json!(["10.0.0.0/8", "::1"]), json!(7), json!("2090-01-31T12:00:00Z")];
    assert_eq!(bounds(&added[1]), wanted.map(Some));
}

#[test]
fn a_key_is_used_from_where_a_trusted_proxy_says() {
    let daemon = setup().set("http.trusted_proxies", "127.0.0.1").start();
    let body = json!({"name": "robot", "scopes": ["read"], "networks": ["10.0.0.0/8"]});
    let (_, key) = add(&daemon, &body);
    let from = |hops: &str| daemon.ask(&with_key(Request::get(CONSTITUTION), &key).header("X-Forwarded-For", hops));
    assert_eq!(from("10.0.0.1").status, 200);
    assert_eq!(from("192.0.2.1, 10.0.0.1").status, 200);
    is_refused(&from("10.0.0.1, 192.0.2.1"), "what comes before the proxy's own word is anybody's");
    is_refused(&from("nonsense"), "nonsense");
    is_refused(&from("10.0.0.1, nonsense"), "nonsense");
}

#[test]
fn a_key_that_would_have_expired_or_permits_nothing_is_not_made() {
    let daemon = setup().start();
    for (member, value) in [
        ("expires_at", json!("2020-01-01T00:00:00Z")),
        ("expires_at", json!("tomorrow")),
        ("expires_at", json!(0)),
        ("expires_at", json!("1969-12-31T23:59:59Z")),
        ("expires_at", json!("9999-12-31T23:59:59-00:01")),
        ("expires_at", json!("10000-01-01T00:00:00Z")),
        ("scopes", json!([])),
        ("scopes", json!(["everything"])),
        ("scopes", json!("read")),
        ("name", json!("")),
    ] {
        let mut body = json!({"name": "robot", "scopes": ["read"]});
        body[member] = value.clone();
        let answer = daemon.post("/v1/api-keys", &body);
        assert!(matches!(answer.status, 400 | 422), "{member} {value}: {answer}");
    }
    assert_eq!(daemon.get("/v1/api-keys").json()["items"], json!([]));
    add(&daemon, &json!({"name": "robot", "scopes": ["read"], "expires_at": "2099-01-01T00:00:00Z"}));
}

#[test]
fn a_key_that_was_revoked_is_refused_at_once_on_every_connection() {
    let setup = setup();
    let daemon = setup.start();
    let (id, key) = add(&daemon, &json!({"name": "robot", "scopes": ["read"]}));
    let asked = with_key(Request::get(CONSTITUTION), &key);
    let mut others: Vec<_> = (0..8).map(|_| daemon.connect()).collect();
    for other in &mut others {
        assert_eq!(other.ask(&asked).status, 200);
    }
    assert_eq!(daemon.delete(&format!("/v1/api-keys/{id}")).status, 204);
    for other in &mut others {
        is_refused(&other.ask(&asked), "revoked");
    }
    assert_eq!(daemon.delete("/v1/api-keys/nothing").status, 404);
    assert_eq!(events(&setup, "api_key_revoked").len(), 1);
    daemon.stop();
    is_refused(&setup.start().ask(&asked), "revoked before the restart");
}

#[test]
fn a_key_permits_no_more_than_who_made_it() {
    let daemon = setup().start();
    add_user(&daemon, "ann", "admin");
    let ann = Tokens::log_in(&daemon, "ann", PASSWORD);
    let made = Request::post("/v1/api-keys").json(&json!({"name": "keys", "scopes": ["auth:write", "read"]}));
    let key = daemon.ask(&made.token(&ann.access)).json()["key"].as_str().unwrap().to_owned();
    let trying = |scopes: Value| {
        let request = Request::post("/v1/api-keys").json(&json!({"name": "more", "scopes": scopes}));
        daemon.ask(&with_key(request, &key)).status
    };
    assert_eq!(trying(json!(["read"])), 201);
    for more in [json!(["decide"]), json!(["read", "ops"]), json!(["audit:read", "auth:write"])] {
        assert_eq!(trying(more.clone()), 403, "{more}");
    }
}

#[test]
fn a_key_is_used_no_more_often_than_it_may_be_by_whichever_connection() {
    let daemon = setup().start();
    let (_, slow) = add(&daemon, &json!({"name": "slow", "scopes": ["read"], "rate_per_s": 3}));
    let (_, fast) = add(&daemon, &json!({"name": "fast", "scopes": ["read"]}));
    let mut connections: Vec<_> = (0..4).map(|_| daemon.connect()).collect();
    let mut asked = 0;
    let refused = loop {
        for connection in &mut connections {
            assert_eq!(connection.ask(&with_key(Request::get(CONSTITUTION), &fast)).status, 200);
        }
        let connection = &mut connections[asked % 4];
        let answer = connection.ask(&with_key(Request::get(CONSTITUTION), &slow));
        if answer.status != 200 {
            break answer;
        }
        asked += 1;
        assert!(asked < 100, "it is never held up");
    };
    assert!(refused.status == 429 && asked >= 3, "{asked}: {refused}");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"key\";q=3"));
    assert_eq!(daemon.post("/v1/api-keys", &json!({"name": "x", "scopes": ["read"], "rate_per_s": 0})).status, 400);
}
