//! Services: how they get tokens, and how these end.

use std::fs;

use acgs::auth::signing_key::SigningKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{EVALUATION, PASSWORD, Tokens, URL, add_user, events, form, is_refused, me, question, setup};
use crate::harness::{Answer, Request, Setup, TestDaemon, issuer};

const TOKEN: &str = "/oauth2/token";
const INTROSPECT: &str = "/oauth2/introspect";
const REVOKE: &str = "/oauth2/revoke";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client with its secret.
#[derive(Debug, Clone)]
struct Client {
    id: String,
    secret: String,
}

impl Client {
    /// Makes one as the administrator of the host does.
    #[track_caller]
    fn add(setup: &Setup, name: &str, role: &str) -> Self {
        let made = run(setup, &["client", "add", name, "--role", role, "--json"]);
        assert_eq!((&made["name"], &made["roles"]), (&json!(name), &json!([role])), "{made}");
        let text = |member: &str| made[member].as_str().unwrap().to_owned();
        Self { id: text("client_id"), secret: text("client_secret") }
    }

    /// The request with the client's id and secret in its header.
    fn basic(&self, request: Request) -> Request {
        basic(request, &self.id, &self.secret)
    }

    /// Asks for a token with all the client may do.
    #[track_caller]
    fn token(&self, daemon: &TestDaemon) -> String {
        granted(&daemon.ask(&self.basic(form(TOKEN, &[("grant_type", "client_credentials")]))))
    }
}

fn basic(request: Request, id: &str, secret: &str) -> Request {
    request.header("Authorization", &format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
}

#[track_caller]
fn run(setup: &Setup, arguments: &[&str]) -> Value {
    let output = setup.run(arguments);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The token of an answer that grants one; a client gets nothing to refresh it with.
#[track_caller]
fn granted(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(900)), "{body}");
    assert!(body["refresh_token"].is_null(), "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}

/// The answer has this error of OAuth's.
#[track_caller]
fn has_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(error)), "{answer}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    if status == 401 {
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic "));
    }
}

#[test]
fn the_administrator_of_the_host_makes_clients_while_the_daemon_runs_and_while_it_does_not() {
    let setup = setup().set("auth.decisions", "token");
    // Before the first start there is nothing at all yet.
    let before = Client::add(&setup, "before", "agent");
    let daemon = setup.start();
    let during = Client::add(&setup, "during", "agent");
    for client in [&before, &during] {
        let decide = Request::post(EVALUATION).json(&question()).token(&client.token(&daemon));
        assert_eq!(daemon.ask(&decide).status, 200);
    }
    daemon.stop();
    let after = Client::add(&setup, "after", "auditor");
    let daemon = setup.start();
    let known = daemon.ask(&me(&after.token(&daemon))).json();
    assert_eq!((&known["name"], &known["client"]), (&json!(format!("client:{}", after.id)), &json!(after.id)));
    assert_eq!((&known["user"], &known["scopes"]), (&json!(null), &json!(["read", "entities:read", "audit:read"])));
    let added = events(&setup, "client_added");
    assert_eq!(added.len(), 3);
    for record in &added {
        assert!(record["caller"].as_str().unwrap().starts_with("local:"), "{record}");
        assert!(!record.to_string().contains(&after.secret), "{record}");
    }
    let listed = daemon.get("/v1/clients");
    assert!(!listed.text().contains("acgs_cs_"), "{listed}");
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 3);
}

#[test]
fn a_client_shows_its_secret_in_the_header_or_in_the_form_and_not_in_both() {
    let setup = setup();
    let daemon = setup.start();
    let client = Client::add(&setup, "service", "agent");
    let grant = ("grant_type", "client_credentials");
    let (id, secret) = (("client_id", &*client.id), ("client_secret", &*client.secret));
    granted(&daemon.ask(&client.basic(form(TOKEN, &[grant]))));
    granted(&daemon.ask(&client.basic(form(TOKEN, &[grant, id]))));
    granted(&daemon.ask(&form(TOKEN, &[grant, id, secret])));
    has_error(&daemon.ask(&client.basic(form(TOKEN, &[grant, id, secret]))), 400, "invalid_request");
    let another = ("client_id", "another");
    has_error(&daemon.ask(&client.basic(form(TOKEN, &[grant, another]))), 400, "invalid_request");
    has_error(&daemon.ask(&form(TOKEN, &[grant, secret])), 400, "invalid_request");
    has_error(&daemon.ask(&form(TOKEN, &[grant, grant, id, secret])), 400, "invalid_request");
    has_error(&daemon.ask(&client.basic(form(TOKEN, &[]))), 400, "invalid_request");
    has_error(&daemon.ask(&client.basic(form(TOKEN, &[("grant_type", "password")]))), 400, "unsupported_grant_type");
    assert_eq!(daemon.get(&format!("{TOKEN}?grant_type=client_credentials")).status, 405, "secrets are for no URL");
}

#[test]
fn whoever_is_not_the_client_gets_nothing() {
    let setup = setup();
    let daemon = setup.start();
    let (client, other) = (Client::add(&setup, "service", "agent"), Client::add(&setup, "other", "admin"));
    let disabled = Client::add(&setup, "disabled", "agent");
    assert!(setup.run(["client", "disable", &disabled.id]).status.success());
    let mut answers = Vec::new();
    for (id, secret) in [
        ("nobody", &*client.secret),
        (&client.id, &other.secret),
        (&client.id, ""),
        (&client.id, "acgs_cs_"),
        (&client.id, &format!("{} ", client.secret)),
        (&client.id.to_uppercase(), &client.secret),
        ("acgs", ""),
        ("' OR '1'='1", "x"),
        (&disabled.id, &disabled.secret),
    ] {
        let grant = ("grant_type", "client_credentials");
        answers.push(daemon.ask(&basic(form(TOKEN, &[grant]), id, secret)));
        answers.push(daemon.ask(&form(TOKEN, &[grant, ("client_id", id), ("client_secret", secret)])));
        answers.push(daemon.ask(&basic(form(INTROSPECT, &[("token", "x")]), id, secret)));
        if id != "acgs" {
            answers.push(daemon.ask(&basic(form(REVOKE, &[("token", "x")]), id, secret)));
        }
    }
    let grant = ("grant_type", "client_credentials");
    answers.push(daemon.ask(&form(TOKEN, &[grant])));
    answers.push(daemon.ask(&form(TOKEN, &[grant, ("client_id", &client.id)])));
    answers.push(daemon.ask(&form(INTROSPECT, &[("token", "x")])));
    answers.push(daemon.ask(&form(REVOKE, &[("token", "x")])));
    for answer in &answers {
        has_error(answer, 401, "invalid_client");
        assert_eq!(answer.body, answers[0].body, "it says what was wrong");
    }
    // All but those who do not even say which client they are.
    assert_eq!(events(&setup, "client_refused").len(), answers.len() - 3);
}

#[test]
fn a_client_gets_no_more_than_its_roles_permit() {
    let setup = setup();
    let daemon = setup.start();
    let client = Client::add(&setup, "service", "operator");
    let ask =
        |scope: &str| daemon.ask(&client.basic(form(TOKEN, &[("grant_type", "client_credentials"), ("scope", scope)])));
    for scope in ["auth:write", "read auth:write", "admin", "Read", "read,decide", "*"] {
        has_error(&ask(scope), 400, "invalid_scope");
    }
    let answer = ask("read entities:read");
    assert_eq!(answer.json()["scope"], "read entities:read");
    let token = granted(&answer);
    assert_eq!(daemon.ask(&Request::get("/v1/entities?type=User").token(&token)).status, 200);
    assert_eq!(daemon.ask(&Request::get("/v1/audit").token(&token)).status, 403);
}

/// A client that has a key in place of a secret.
pub struct KeyHolder {
    pub id: String,
    key: SigningKey,
}

impl KeyHolder {
    pub fn add(setup: &Setup) -> Self {
        let key = SigningKey::generate().unwrap();
        let file = setup.data_dir().join("client.json");
        fs::write(&file, json!({"keys": [key.public_jwk()]}).to_string()).unwrap();
        let file = file.to_str().unwrap();
        let made = run(setup, &["client", "add", "key holder", "--role", "agent", "--jwks", file, "--json"]);
        assert!(made["client_secret"].is_null(), "{made}");
        Self { id: made["client_id"].as_str().unwrap().to_owned(), key }
    }

    /// An assertion with that id, valid for an hour.
    pub fn assertion(&self, id: &str) -> String {
        let mut claims = self.claims(id);
        claims["exp"] = json!(issuer::now() + 3_600);
        self.key.sign("JWT", &claims).unwrap()
    }

    fn claims(&self, id: &str) -> Value {
        let (now, audience) = (issuer::now(), format!("{URL}{TOKEN}"));
        json!({"iss": self.id, "sub": self.id, "aud": audience, "exp": now + 60, "iat": now, "jti": id})
    }
}

/// The form with an assertion.
pub fn asserted(path: &str, field: (&str, &str), assertion: &str) -> Request {
    form(path, &[field, ("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)])
}

#[test]
fn a_client_with_a_key_signs_each_request_anew() {
    let setup = setup();
    let daemon = setup.start();
    let client = KeyHolder::add(&setup);
    let grant = ("grant_type", "client_credentials");
    let first = client.key.sign("JWT", &client.claims("1")).unwrap();
    granted(&daemon.ask(&asserted(TOKEN, grant, &first)));
    has_error(&daemon.ask(&asserted(TOKEN, grant, &first)), 401, "invalid_client");
    let again = client.key.sign("JWT", &client.claims("1")).unwrap();
    has_error(&daemon.ask(&asserted(INTROSPECT, ("token", "x"), &again)), 401, "invalid_client");
    let second = client.key.sign("JWT", &client.claims("2")).unwrap();
    assert_eq!(daemon.ask(&asserted(INTROSPECT, ("token", "x"), &second)).json(), json!({"active": false}));
    let (other, mut wrong) = (SigningKey::generate().unwrap(), Vec::new());
    wrong.push(other.sign("JWT", &client.claims("3")).unwrap());
    wrong.push(client.key.sign("at+jwt", &client.claims("3")).unwrap());
    for (name, value) in [
        ("aud", json!("https://evil.example/oauth2/token")),
        ("aud", json!("acgs")),
        ("iss", json!("acgs")),
        ("exp", json!(issuer::now() - 60)),
        ("exp", json!(null)),
        ("nbf", json!("now")),
        ("jti", json!(null)),
        ("jti", json!("")),
    ] {
        let mut claims = client.claims("3");
        claims[name] = value;
        wrong.push(client.key.sign("JWT", &claims).unwrap());
    }
    for assertion in wrong {
        has_error(&daemon.ask(&asserted(TOKEN, grant, &assertion)), 401, "invalid_client");
    }
    has_error(&daemon.ask(&asserted(TOKEN, grant, "nonsense")), 400, "invalid_request");
    // It is used up even by a request that gets no token.
    let beyond = client.key.sign("JWT", &client.claims("4")).unwrap();
    let greedy = [grant, ("scope", "auth:write"), ("client_assertion_type", JWT_BEARER), ("client_assertion", &beyond)];
    has_error(&daemon.ask(&form(TOKEN, &greedy)), 400, "invalid_scope");
    has_error(&daemon.ask(&asserted(TOKEN, grant, &beyond)), 401, "invalid_client");
    assert_eq!(events(&setup, "scope_refused").len(), 1);
    let third = client.key.sign("JWT", &client.claims("3")).unwrap();
    granted(&daemon.ask(&asserted(TOKEN, grant, &third)));
    // What was used before a restart was used.
    daemon.stop();
    let daemon = setup.start();
    has_error(&daemon.ask(&asserted(TOKEN, grant, &third)), 401, "invalid_client");
}

#[test]
fn introspection_tells_clients_what_a_token_is() {
    let setup = setup();
    let daemon = setup.start();
    let (client, other) = (Client::add(&setup, "service", "agent"), Client::add(&setup, "other", "auditor"));
    let token = client.token(&daemon);
    let about = |token: &str| daemon.ask(&other.basic(form(INTROSPECT, &[("token", token)])));
    let answer = about(&token);
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let told = answer.json();
    assert_eq!((&told["active"], &told["scope"], &told["iss"]), (&json!(true), &json!("decide"), &json!(URL)));
    assert_eq!((&told["sub"], &told["client_id"]), (&json!(format!("client:{}", client.id)), &json!(client.id)));
    add_user(&daemon, "ann", "agent");
    let ann = Tokens::log_in(&daemon, "ann", PASSWORD);
    assert_eq!(about(&ann.access).json()["username"], "ann");
    for nothing in ["", "x", "a.b.c", &ann.refresh, &client.secret, &token[..token.len() - 2]] {
        assert_eq!(about(nothing).json(), json!({"active": false}), "{nothing}");
    }
    let own = form(INTROSPECT, &[("token", &token)]).token(&ann.access);
    assert_eq!(daemon.ask(&own).json()["active"], true, "whoever has a token may ask");
    is_refused(&daemon.ask(&form(INTROSPECT, &[("token", &token)]).token("x")), "a bad token is no credential");
}

#[test]
fn a_client_ends_its_own_tokens_and_no_others() {
    let setup = setup();
    let daemon = setup.start();
    let (client, other) = (Client::add(&setup, "service", "agent"), Client::add(&setup, "other", "admin"));
    let (token, kept) = (client.token(&daemon), client.token(&daemon));
    let mut connections: Vec<_> = (0..8).map(|_| daemon.connect()).collect();
    for connection in &mut connections {
        assert_eq!(connection.ask(&me(&token)).status, 200);
    }
    assert_eq!(daemon.ask(&other.basic(form(REVOKE, &[("token", &token)]))).status, 200, "which tells it nothing");
    let as_people = form(REVOKE, &[("token", &token), ("client_id", "acgs")]);
    assert_eq!(daemon.ask(&as_people).status, 200);
    for connection in &mut connections {
        assert_eq!(connection.ask(&me(&token)).status, 200);
    }
    assert_eq!(daemon.ask(&client.basic(form(REVOKE, &[("token", &token)]))).status, 200);
    for connection in &mut connections {
        is_refused(&connection.ask(&me(&token)), "revoked");
    }
    assert_eq!(daemon.ask(&me(&kept)).status, 200);
    add_user(&daemon, "ann", "agent");
    let ann = Tokens::log_in(&daemon, "ann", PASSWORD);
    assert_eq!(daemon.ask(&other.basic(form(REVOKE, &[("token", &ann.refresh)]))).status, 200);
    assert_eq!(daemon.ask(&me(&ann.access)).status, 200, "people's sessions are not for clients to end");
}

#[test]
fn the_tokens_of_a_client_that_is_disabled_changed_or_removed_end_at_once() {
    let setup = setup();
    let daemon = setup.start();
    let client = Client::add(&setup, "service", "agent");
    let path = format!("/v1/clients/{}", client.id);
    let mut connections: Vec<_> = (0..8).map(|_| daemon.connect()).collect();
    let change = |body: &Value| Request::new("PATCH", &path).json(body);
    for change in [
        change(&json!({"disabled": true})),
        change(&json!({"roles": ["auditor"]})),
        change(&json!({"new_secret": true})),
        Request::delete(&path),
    ] {
        let restore = Request::new("PATCH", &path).json(&json!({"disabled": false, "new_secret": true}));
        let made = daemon.ask(&restore).json();
        let client = Client { id: client.id.clone(), secret: made["client_secret"].as_str().unwrap().to_owned() };
        let token = client.token(&daemon);
        for connection in &mut connections {
            assert_eq!(connection.ask(&me(&token)).status, 200);
        }
        let answer = daemon.ask(&change);
        assert!(answer.status < 300, "{answer}");
        for connection in &mut connections {
            is_refused(&connection.ask(&me(&token)), "withdrawn");
        }
    }
    let ask = client.basic(form(TOKEN, &[("grant_type", "client_credentials")]));
    has_error(&daemon.ask(&ask), 401, "invalid_client");
}

#[test]
fn what_clients_need_to_know_is_published() {
    let daemon = setup().start();
    let keys = daemon.get("/.well-known/jwks.json");
    assert_eq!((keys.status, keys.header("cache-control")), (200, Some("public, max-age=300")));
    assert_eq!(keys.header("content-type"), Some("application/jwk-set+json"));
    let key = &keys.json()["keys"][0];
    assert_eq!((&key["kty"], &key["crv"], &key["use"]), (&json!("OKP"), &json!("Ed25519"), &json!("sig")));
    assert!(key["d"].is_null(), "{key}");
    let told = daemon.get("/.well-known/oauth-authorization-server").json();
    assert_eq!((&told["issuer"], &told["token_endpoint"]), (&json!(URL), &json!(format!("{URL}{TOKEN}"))));
    for (name, path) in [
        ("introspection_endpoint", INTROSPECT),
        ("revocation_endpoint", REVOKE),
        ("jwks_uri", "/.well-known/jwks.json"),
    ] {
        assert_eq!(told[name], format!("{URL}{path}"));
    }
    assert_eq!(told["grant_types_supported"], json!(["client_credentials", "refresh_token"]));
}

#[test]
fn a_parameter_that_comes_twice_is_refused() {
    let daemon = setup().start();
    let body = "grant_type=client_credentials&client_id=a&client_secret=b&client_id=c";
    let request = Request::post("/oauth2/token").header("Content-Type", "application/x-www-form-urlencoded").body(body);
    let answer = daemon.ask(&request);
    assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_request")), "{answer}");
}
