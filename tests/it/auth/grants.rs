//! Grants never exceed the granter's own rights, and end with them.

use acgs::store::api_keys::{self, ApiKey};
use serde_json::{Value, json};

use super::{CONSTITUTION, PASSWORD, Tokens, add_user, admin_password, events, form, is_refused, login, me, setup};
use crate::harness::{Answer, PATIENCE, Request, Setup, TestDaemon};

/// An API key with its id.
#[derive(Debug, Clone)]
struct Key {
    id: String,
    key: String,
}

impl Key {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 201, "{answer}");
        let text = |member: &str| answer.json()[member].as_str().unwrap().to_owned();
        Self { id: text("id"), key: text("key") }
    }

    fn with(&self, request: Request) -> Request {
        request.header("X-API-Key", &self.key).anonymous()
    }

    /// Makes another key with this one.
    fn make(&self, daemon: &TestDaemon, body: &Value) -> Answer {
        daemon.ask(&self.with(new_key(body)))
    }

    fn status(&self, daemon: &TestDaemon) -> u16 {
        daemon.ask(&self.with(Request::get("/v1/auth/me"))).status
    }
}

fn new_key(body: &Value) -> Request {
    let mut body = body.clone();
    body["name"] = json!("k");
    Request::post("/v1/api-keys").json(&body)
}

fn patch(path: &str, body: &Value) -> Request {
    Request::new("PATCH", path).json(body)
}

/// An API key with these members, made by the tests' administrator.
fn admin_key(daemon: &TestDaemon, body: &Value) -> Key {
    Key::of(&daemon.ask(&new_key(body)))
}

/// Keys of a user, each made with the one before it.
fn chain(daemon: &TestDaemon, user: &str, length: usize) -> Vec<Key> {
    let tokens = Tokens::log_in(daemon, user, PASSWORD);
    let body = json!({"scopes": ["auth:write", "read"]});
    let mut keys = vec![Key::of(&daemon.ask(&new_key(&body).token(&tokens.access)))];
    while keys.len() < length {
        keys.push(Key::of(&keys[keys.len() - 1].make(daemon, &body)));
    }
    keys
}

#[test]
fn a_key_is_bound_in_networks_rate_and_time_as_the_one_it_was_made_with() {
    let daemon = setup().start();
    let bound = json!({"scopes": ["auth:write", "read"], "networks": ["127.0.0.0/8", "10.0.0.0/8"], "rate_per_s": 500,
        "expires_at": "2099-01-01T00:00:00Z"});
    let maker = admin_key(&daemon, &bound);
    let with = |member: &str, value: Value| {
        let mut body = json!({"scopes": ["read"]});
        body[member] = value;
        maker.make(&daemon, &body)
    };
    for (member, value) in [
        ("networks", json!(["0.0.0.0/0"])),
        ("networks", json!(["::/0"])),
        ("networks", json!(["127.0.0.0/8", "11.0.0.0/8"])),
        ("networks", json!(["10.0.0.0/7"])),
        ("rate_per_s", json!(501)),
        ("expires_at", json!("2099-01-01T00:00:01Z")),
        ("scopes", json!(["read", "decide"])),
        ("scopes", json!(["ops"])),
    ] {
        let answer = with(member, value.clone());
        assert_eq!((answer.status, &answer.json()["type"]), (403, &json!("/problems/forbidden")), "{value}: {answer}");
    }
    // A missing bound is the maker's.
    let made = maker.make(&daemon, &json!({"scopes": ["read", "auth:write"]})).json();
    for member in ["networks", "rate_per_s", "expires_at"] {
        assert_eq!(made[member], bound[member], "{made}");
    }
    let made = with("networks", json!(["10.1.0.0/16"])).json();
    assert_eq!(made["networks"], json!(["10.1.0.0/16"]));
    let made = Key::of(&with("networks", json!(["127.0.0.1"])));
    assert_eq!(made.status(&daemon), 200);
    // A bound key cannot create users or clients, which have no bounds.
    for request in [
        Request::post("/v1/clients").json(&json!({"name": "c", "roles": []})),
        Request::post("/v1/users").json(&json!({"name": "u", "password": PASSWORD, "roles": []})),
    ] {
        assert_eq!(daemon.ask(&maker.with(request)).status, 403);
    }
}

#[test]
fn keys_share_the_rate_of_the_one_they_were_made_with() {
    let daemon = setup().start();
    let maker = admin_key(&daemon, &json!({"scopes": ["auth:write", "read"], "rate_per_s": 5}));
    let made: Vec<_> = (0..2).map(|_| Key::of(&maker.make(&daemon, &json!({"scopes": ["read"]})))).collect();
    // Three places are left for both.
    let mut connections = [daemon.connect(), daemon.connect()];
    let mut granted = 0;
    let mut refused = 0;
    for _ in 0..40 {
        for (key, connection) in made.iter().zip(&mut connections) {
            match connection.ask(&key.with(Request::get("/v1/auth/me"))).status {
                200 => granted += 1,
                429 => refused += 1,
                other => panic!("{other}"),
            }
        }
    }
    assert!(refused > 0, "{granted}");
}

#[test]
fn whoever_may_only_manage_callers_makes_no_administrator_and_becomes_none() {
    let setup = setup();
    let daemon = setup.start();
    let key = admin_key(&daemon, &json!({"scopes": ["auth:write"]}));
    let client = daemon.post("/v1/clients", &json!({"name": "strong", "roles": ["admin"]})).json();
    let client = format!("/v1/clients/{}", client["client_id"].as_str().unwrap());
    add_user(&daemon, "out", "agent");
    assert_eq!(daemon.ask(&patch("/v1/users/out", &json!({"disabled": true}))).status, 200);
    let roles = ["admin", "operator", "policy_author", "ratifier", "auditor", "agent"];
    let mut tried: Vec<Request> = Vec::new();
    for role in roles {
        tried.push(Request::post("/v1/users").json(&json!({"name": "m", "password": PASSWORD, "roles": [role]})));
        tried.push(Request::post("/v1/clients").json(&json!({"name": "m", "roles": [role]})));
        tried.push(patch("/v1/users/out", &json!({"roles": [role]})));
        tried.push(patch(&client, &json!({"roles": [role]})));
    }
    tried.push(patch("/v1/users/admin", &json!({"password": PASSWORD})));
    tried.push(patch("/v1/users/admin", &json!({"second_factor": false})));
    tried.push(patch("/v1/users/out", &json!({"disabled": false})));
    tried.push(patch(&client, &json!({"new_secret": true})));
    tried.push(patch(&client, &json!({"disabled": false})));
    tried.push(new_key(&json!({"scopes": ["read"]})));
    let token = form("/oauth2/token", &[("grant_type", "client_credentials"), ("scope", "auth:write")]);
    let strong = daemon.ask(&patch(&client, &json!({"new_secret": true}))).json();
    let [id, secret] = ["client_id", "client_secret"].map(|member| strong[member].as_str().unwrap().to_owned());
    let basic = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"))
    };
    let narrow = daemon.ask(&token.header("Authorization", &format!("Basic {basic}"))).json();
    let narrow = narrow["access_token"].as_str().unwrap();
    for request in &tried {
        for (who, request) in [("a key", key.with(request.clone())), ("a narrow token", request.clone().token(narrow))]
        {
            let answer = daemon.ask(&request);
            assert_eq!(answer.status, 403, "{who}: {request:?}: {answer}");
        }
    }
    // The administrator's password is unchanged.
    Tokens::log_in(&daemon, "admin", &admin_password(&setup));
    assert_eq!(daemon.ask(&login("out", PASSWORD)).status, 401);
    assert_eq!(daemon.ask(&key.with(patch("/v1/users/out", &json!({"roles": []})))).status, 200, "less is no grant");
    assert_eq!(daemon.ask(&key.with(Request::delete("/v1/users/out"))).status, 204, "who manages may take away");
}

#[test]
fn a_key_ends_with_each_of_those_it_comes_from() {
    let setup = setup();
    let daemon = setup.start();
    let ends = |name: &str| {
        vec![
            patch(&format!("/v1/users/{name}"), &json!({"disabled": true})),
            patch(&format!("/v1/users/{name}"), &json!({"roles": ["auditor"]})),
            patch(&format!("/v1/users/{name}"), &json!({"password": "another horse battery staple"})),
            Request::delete(&format!("/v1/users/{name}")),
        ]
    };
    let mut nth = 0;
    let count = ends("x").len();
    // The withdrawn one: the user, its first key, or its second.
    for end in (0..count).chain([100, 101]) {
        nth += 1;
        let name = format!("user{nth}");
        add_user(&daemon, &name, "admin");
        let keys = chain(&daemon, &name, 4);
        let mut connections: Vec<_> = (0..4).map(|_| daemon.connect()).collect();
        let mut ask = |key: &Key| -> Vec<u16> {
            let request = key.with(Request::get("/v1/auth/me"));
            connections.iter_mut().map(|connection| connection.ask(&request).status).collect()
        };
        for key in &keys {
            assert_eq!(ask(key), [200; 4]);
        }
        let (request, kept) = match end {
            100 => (Request::delete(&format!("/v1/api-keys/{}", keys[0].id)), 0),
            101 => (Request::delete(&format!("/v1/api-keys/{}", keys[1].id)), 1),
            end => (ends(&name).swap_remove(end), 0),
        };
        let answer = daemon.ask(&request);
        assert!(answer.status < 300, "{answer}");
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(ask(key), [if place < kept { 200 } else { 401 }; 4], "{request:?}: key {place}");
        }
        let listed = daemon.get("/v1/api-keys?limit=1000").json();
        let is_revoked = |key: &Key| {
            let item = listed["items"].as_array().unwrap().iter().find(|item| item["id"] == key.id).cloned().unwrap();
            !item["revoked_at"].is_null()
        };
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(is_revoked(key), place >= kept, "{request:?}: key {place}");
        }
    }
    // A client's keys end with it, and the record lists them.
    let made = daemon.post("/v1/clients", &json!({"name": "service", "roles": ["admin"]})).json();
    let [id, secret] = ["client_id", "client_secret"].map(|member| made[member].as_str().unwrap().to_owned());
    let fields = [("grant_type", "client_credentials"), ("client_id", &*id), ("client_secret", &*secret)];
    let token = daemon.ask(&form("/oauth2/token", &fields)).json()["access_token"].as_str().unwrap().to_owned();
    let body = json!({"scopes": ["auth:write"]});
    let first = Key::of(&daemon.ask(&new_key(&body).token(&token)));
    let second = Key::of(&first.make(&daemon, &body));
    assert_eq!([first.status(&daemon), second.status(&daemon)], [200; 2]);
    assert_eq!(daemon.ask(&Request::delete(&format!("/v1/clients/{id}"))).status, 204);
    assert_eq!([first.status(&daemon), second.status(&daemon)], [401; 2]);
    let recorded = events(&setup, "client_removed");
    let ended = [&first, &second].map(|key| format!("key:{}", key.id));
    assert_eq!(recorded[0]["ended"], json!(ended), "{recorded:?}");
}

#[test]
fn users_and_clients_that_were_made_with_a_key_are_disabled_with_it() {
    let daemon = setup().start();
    add_user(&daemon, "ann", "admin");
    let ann = Tokens::log_in(&daemon, "ann", PASSWORD);
    let all: Vec<&str> =
        "decide read entities:read entities:write constitution:write audit:read auth:write ops".split(' ').collect();
    let key = Key::of(&daemon.ask(&new_key(&json!({"scopes": all})).token(&ann.access)));
    let bob = Request::post("/v1/users").json(&json!({"name": "bob", "password": PASSWORD, "roles": ["admin"]}));
    assert_eq!(daemon.ask(&key.with(bob)).status, 201);
    let carol = Request::post("/v1/users").json(&json!({"name": "carol", "password": PASSWORD, "roles": ["admin"]}));
    assert_eq!(daemon.ask(&carol.token(&ann.access)).status, 201);
    let made =
        daemon.ask(&key.with(Request::post("/v1/clients").json(&json!({"name": "c", "roles": ["agent"]})))).json();
    assert_eq!(made["made_by"], format!("key:{}", key.id));
    let [id, secret] = ["client_id", "client_secret"].map(|member| made[member].as_str().unwrap().to_owned());
    let fields = [("grant_type", "client_credentials"), ("client_id", &*id), ("client_secret", &*secret)];
    let token = daemon.ask(&form("/oauth2/token", &fields)).json()["access_token"].as_str().unwrap().to_owned();
    let bob = Tokens::log_in(&daemon, "bob", PASSWORD);
    let of_bob = Key::of(&daemon.ask(&new_key(&json!({"scopes": ["read"]})).token(&bob.access)));
    for request in [me(&token), me(&bob.access), of_bob.with(Request::get(CONSTITUTION))] {
        assert_eq!(daemon.ask(&request).status, 200);
    }
    // Removing the user ends the key, and everything made with it.
    assert_eq!(daemon.delete("/v1/users/ann").status, 204);
    for request in [me(&token), me(&bob.access), of_bob.with(Request::get(CONSTITUTION))] {
        is_refused(&daemon.ask(&request), "it came of a key that ended");
    }
    assert_eq!(daemon.ask(&login("bob", PASSWORD)).status, 401);
    assert_eq!(daemon.ask(&form("/oauth2/token", &fields)).status, 401);
    assert_eq!(daemon.get("/v1/users/bob").json()["disabled"], true);
    Tokens::log_in(&daemon, "carol", PASSWORD);
    assert_eq!(daemon.ask(&patch("/v1/users/bob", &json!({"disabled": false}))).status, 200);
    Tokens::log_in(&daemon, "bob", PASSWORD);
}

/// A key stored by an older version, without a known maker.
fn leave(setup: &Setup, like: &ApiKey, id: &str, owner: &str, networks: &str) {
    let mut conn = acgs::store::open(&setup.database_url().as_str().into(), PATIENCE).unwrap();
    let key = acgs::auth::secret::ApiKey::parse(&left(id)).unwrap();
    let left = ApiKey {
        id: id.to_owned(),
        digest: key.digest().to_vec(),
        owner: owner.to_owned(),
        networks: networks.to_owned(),
        ..like.clone()
    };
    api_keys::insert(&mut conn, &left).unwrap();
}

fn left(id: &str) -> String {
    format!("acgs_ak_{id}_{}", "A".repeat(43))
}

#[test]
fn keys_that_an_older_version_left_behind_are_as_good_as_those_they_come_from() {
    let setup = setup();
    let daemon = setup.start();
    add_user(&daemon, "ann", "auditor");
    let made = admin_key(&daemon, &json!({"scopes": ["auth:write", "read"], "networks": ["10.0.0.0/8"]}));
    let gone = admin_key(&daemon, &json!({"scopes": ["read"]}));
    assert!(daemon.stop().success());
    let like = {
        let mut conn = acgs::store::open(&setup.database_url().as_str().into(), PATIENCE).unwrap();
        api_keys::revoke(&mut conn, &gone.id, 1).unwrap();
        api_keys::find(&mut conn, &gone.id).unwrap().unwrap()
    };
    let like = ApiKey { revoked_at: None, scopes: "read ops".to_owned(), ..like };
    let cases = [
        ("aaaaaaaaaaa2", format!("key:{}", gone.id), 401),
        ("aaaaaaaaaaa3", format!("key:{}", made.id), 401),
        ("aaaaaaaaaaa4", "key:nothing".to_owned(), 401),
        ("aaaaaaaaaaa5", "user:nobody".to_owned(), 401),
        ("aaaaaaaaaaa6", "client:nothing".to_owned(), 401),
        ("aaaaaaaaaaa7", "https://gone.example#bob".to_owned(), 401),
        ("aaaaaaaaaab2", "key:aaaaaaaaaab2".to_owned(), 401),
        ("aaaaaaaaaab3", "user:ann".to_owned(), 200),
        ("aaaaaaaaaab4", "local:0".to_owned(), 200),
        ("aaaaaaaaaab5", "https://tests.example#bob".to_owned(), 200),
    ];
    for (id, owner, _) in &cases {
        leave(&setup, &like, id, owner, "");
    }
    let daemon = setup.start();
    for (id, owner, expected) in &cases {
        let answer = daemon.ask(&Request::get("/v1/auth/me").header("X-API-Key", &left(id)).anonymous());
        assert_eq!(answer.status, *expected, "{owner}: {answer}");
        if owner == "user:ann" {
            assert_eq!(answer.json()["scopes"], json!(["read"]), "an auditor has no `ops` to give");
        }
    }
}
