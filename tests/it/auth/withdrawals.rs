//! Withdrawals that cannot be recorded or stored yet are in force at once, and stay in force; so do those that the
//! database loses.

use serde_json::{Value, json};

use super::clients::{KeyHolder, asserted};
use super::{PASSWORD, Tokens, add_user, events, form, is_refused, me, refresh, setup};
use crate::audit::Exported;
use crate::faults::disk::{EIO, ENOSPC, Faults};
use crate::harness::{Request, Setup, SmallDisk, TestDaemon, until};

/// Everything that can be withdrawn, with the credentials that depend on it.
pub(super) struct Stage {
    pub(super) setup: Setup,
    pub(super) daemon: TestDaemon,
    pub(super) client: (String, String),
    /// The assertion of a client, used by one of the cases.
    pub(super) assertion: String,
    pub(super) cases: Vec<Case>,
    /// Credentials that remain valid.
    pub(super) kept: Vec<Request>,
}

/// A withdrawal, the event that records it, and the requests that are refused from then on.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) event: &'static str,
    pub(super) withdraw: Request,
    pub(super) refused: Vec<Request>,
}

impl Stage {
    pub(super) fn new(setup: Setup) -> Self {
        let daemon = setup.start();
        for name in ["revoked", "loggedout", "everywhere", "disabled", "demoted", "removed", "kept"] {
            add_user(&daemon, name, "admin");
        }
        let log_in = |name: &str| Tokens::log_in(&daemon, name, PASSWORD);
        let key_of = |tokens: &Tokens| {
            let made = Request::post("/v1/api-keys").json(&json!({"name": "k", "scopes": ["read"]}));
            let made = daemon.ask(&made.token(&tokens.access)).json();
            let key = made["key"].as_str().unwrap();
            (made["id"].as_str().unwrap().to_owned(), Request::get("/v1/auth/me").header("X-API-Key", key).anonymous())
        };
        let made = daemon.post("/v1/clients", &json!({"name": "service", "roles": ["agent"]})).json();
        let [id, secret] = ["client_id", "client_secret"].map(|member| made[member].as_str().unwrap().to_owned());
        let client = (id, secret);
        let tokens = [(); 2].map(|()| client_token(&daemon, &client));
        let path = |name: &str| format!("/v1/users/{name}");
        let mut cases = Vec::new();
        let mut case = |name, event, withdraw, refused| cases.push(Case { name, event, withdraw, refused });

        let revoked = log_in("revoked");
        let revoke = |token: &str, id: &str, secret: &str| {
            form("/oauth2/revoke", &[("token", token), ("client_id", id), ("client_secret", secret)])
        };
        case("an access token", "revoked", revoke(&tokens[0], &client.0, &client.1), vec![me(&tokens[0])]);
        let holder = KeyHolder::add(&setup);
        let grant = ("grant_type", "client_credentials");
        let token = daemon.ask(&asserted("/oauth2/token", grant, &holder.assertion("1"))).json();
        let (token, assertion) = (token["access_token"].as_str().unwrap(), holder.assertion("2"));
        let by_assertion = asserted("/oauth2/revoke", ("token", token), &assertion);
        case("an access token, by an assertion", "revoked", by_assertion, vec![me(token)]);
        let by_refresh = form("/oauth2/revoke", &[("token", &revoked.refresh), ("client_id", "acgs")]);
        case("a refresh token", "revoked", by_refresh, vec![me(&revoked.access)]);
        let out = log_in("loggedout");
        let logout = Request::post("/v1/auth/logout").token(&out.access);
        case("a session", "logout", logout, vec![me(&out.access)]);
        let everywhere = [log_in("everywhere"), log_in("everywhere")];
        let logout = Request::post("/v1/auth/logout-all").token(&everywhere[0].access);
        let both = everywhere.iter().map(|tokens| me(&tokens.access)).collect();
        case("all sessions of a user", "logout_all", logout, both);
        for (name, event, withdraw) in [
            ("disabled", "user_changed", Request::new("PATCH", &path("disabled")).json(&json!({"disabled": true}))),
            ("demoted", "user_changed", Request::new("PATCH", &path("demoted")).json(&json!({"roles": ["auditor"]}))),
            ("removed", "user_removed", Request::delete(&path("removed"))),
        ] {
            let tokens = log_in(name);
            let (_, key) = key_of(&tokens);
            case(name, event, withdraw, vec![me(&tokens.access), key]);
        }
        let kept = log_in("kept");
        let ((key, shown), (_, other)) = (key_of(&kept), key_of(&kept));
        case("an API key", "api_key_revoked", Request::delete(&format!("/v1/api-keys/{key}")), vec![shown]);
        let change = Request::new("PATCH", &format!("/v1/clients/{}", client.0)).json(&json!({"disabled": true}));
        case("a client", "client_changed", change, vec![me(&tokens[1])]);
        Self { setup, daemon, client, assertion, cases, kept: vec![me(&kept.access), other] }
    }

    /// The daemon is stopped and started again.
    pub(super) fn restart(self) -> Self {
        assert!(self.daemon.stop().success());
        Self { daemon: self.setup.start(), ..self }
    }

    /// The assertion that authenticated a revocation counts for nothing more.
    #[track_caller]
    pub(super) fn is_used(&self) {
        let grant = ("grant_type", "client_credentials");
        for request in
            [("/oauth2/token", grant), ("/oauth2/introspect", ("token", "x")), ("/oauth2/revoke", ("token", "x"))]
                .map(|(path, field)| asserted(path, field, &self.assertion))
        {
            let answer = self.daemon.ask(&request);
            assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_client")), "{answer}");
        }
    }

    /// Withdrawn credentials are refused, also on connections that have used them before; the others remain valid.
    #[track_caller]
    pub(super) fn is_out(&self, case: &Case) {
        let mut connections: Vec<_> = (0..4).map(|_| self.daemon.connect()).collect();
        for connection in &mut connections {
            for request in &case.refused {
                is_refused(&connection.ask(request), case.name);
            }
            for request in &self.kept {
                assert_eq!(connection.ask(request).status, 200, "{}", case.name);
            }
        }
    }
}

#[track_caller]
fn client_token(daemon: &TestDaemon, (id, secret): &(String, String)) -> String {
    let fields = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    let answer = daemon.ask(&form("/oauth2/token", &fields));
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_withdrawn_while_the_log_cannot_be_written_is_out_at_once_and_is_recorded_first() {
    let Some(faults) = Faults::new() else { return };
    let stage = Stage::new(faults.within(setup()));
    let from = Exported::from(&stage.setup, 0).records.len();
    for request in stage.cases.iter().flat_map(|case| &case.refused) {
        assert_eq!(stage.daemon.ask(request).status, 200);
    }
    faults.set(&format!("write error {ENOSPC} audit"));
    for case in &stage.cases {
        let answer = stage.daemon.ask(&case.withdraw);
        assert_eq!((answer.status, &answer.json()["recorded"]), (202, &json!(false)), "{}: {answer}", case.name);
        stage.is_out(case);
    }
    // The use of the assertion is in memory only: this refusal cannot be recorded.
    let again = asserted("/oauth2/introspect", ("token", "x"), &stage.assertion);
    assert_eq!(stage.daemon.ask(&again).status, 503);
    let pending = format!("{} withdrawals of access are in force on this node only", stage.cases.len());
    let readiness = stage.daemon.get("/readyz?verbose");
    assert!(readiness.text().contains(&format!("[-]withdrawals degraded: {pending}")), "{readiness}");
    // Grants are refused meanwhile, and do not take effect later.
    let enable = Request::new("PATCH", "/v1/users/disabled").json(&json!({"disabled": false}));
    assert_eq!(stage.daemon.ask(&enable).status, 503);
    assert_eq!(stage.daemon.ask(&super::login("disabled", PASSWORD)).status, 503);

    faults.clear();
    let names: Vec<_> = stage.cases.iter().map(|case| case.event).collect();
    let recorded = || {
        let records = Exported::from(&stage.setup, from as u64).records;
        records.into_iter().filter(|record| record["kind"] == "auth").collect::<Vec<_>>()
    };
    let is_settled =
        |records: &Vec<Value>| names.iter().all(|name| records.iter().any(|record| record["event"] == **name));
    until("recorded", || is_settled(&recorded()));
    until("stored", || stage.daemon.get("/readyz?verbose").text().contains("[+]withdrawals ok"));
    let records = recorded();
    let first: Vec<_> = records.iter().take(names.len()).map(|record| record["withdrawal"].clone()).collect();
    assert_eq!(first, names.iter().map(|name| json!(name)).collect::<Vec<_>>());
    for case in &stage.cases {
        stage.is_out(case);
    }
    assert_eq!(stage.daemon.ask(&super::login("disabled", PASSWORD)).status, 401);
    assert_eq!(stage.daemon.ask(&super::login("loggedout", PASSWORD)).status, 200, "the user itself is as before");
    stage.is_used();
    let stage = stage.restart();
    stage.is_used();
    for case in &stage.cases {
        stage.is_out(case);
    }
}

#[test]
fn a_copied_refresh_token_ends_its_session_although_the_log_cannot_be_written() {
    let Some(faults) = Faults::new() else { return };
    let setup = faults.within(setup());
    let daemon = setup.start();
    let users = ["ann", "bob"].map(|name| {
        add_user(&daemon, name, "auditor");
        let first = Tokens::log_in(&daemon, name, PASSWORD);
        let second = Tokens::of(&daemon.ask(&refresh(&first.refresh)));
        (first, Tokens::of(&daemon.ask(&refresh(&second.refresh))))
    });
    faults.set(&format!("write error {ENOSPC} audit"));
    for _ in 0..2 {
        for (first, third) in &users {
            assert_eq!(daemon.ask(&refresh(&first.refresh)).status, 401);
            is_refused(&daemon.ask(&me(&third.access)), "the token was copied");
        }
    }
    let readiness = daemon.get("/readyz?verbose");
    let owed = "degraded: 2 withdrawals of access are in force on this node only";
    assert!(readiness.text().contains(owed), "{readiness}");
    faults.clear();
    until("recorded", || events(&setup, "refresh_token_reused").len() == 2);
    for (_, third) in &users {
        is_refused(&daemon.ask(&me(&third.access)), "the token was copied");
        assert_eq!(daemon.ask(&refresh(&third.refresh)).status, 401);
    }
}

#[test]
fn what_is_withdrawn_first_of_all_when_writing_begins_to_fail_is_out_too() {
    let Some(faults) = Faults::new() else { return };
    let stage = Stage::new(faults.within(setup()));
    for (nth, case) in stage.cases.iter().enumerate() {
        faults.set(&format!("write error {} audit", if nth % 2 == 0 { EIO } else { ENOSPC }));
        let answer = stage.daemon.ask(&case.withdraw);
        assert_eq!(answer.status, 202, "{}: {answer}", case.name);
        stage.is_out(case);
        faults.clear();
        until("ready again", || stage.daemon.get("/readyz").status == 200);
        until(case.event, || !events(&stage.setup, case.event).is_empty());
        stage.is_out(case);
    }
    assert!(!stage.client.0.is_empty());
}

#[test]
fn what_is_withdrawn_on_a_full_disk_is_out_at_once_and_stays_out() {
    let setup = setup().in_files();
    let Some(disk) = SmallDisk::mount(&setup.data_dir(), 160) else { return };
    let stage = Stage::new(setup);
    fill(&stage.setup);
    for case in &stage.cases {
        let answer = stage.daemon.ask(&case.withdraw);
        assert!(answer.status < 300, "{}: {answer}", case.name);
        stage.is_out(case);
    }
    disk.grow(400);
    for case in &stage.cases {
        until(case.event, || !events(&stage.setup, case.event).is_empty());
        stage.is_out(case);
    }
    stage.is_used();
    let stage = stage.restart();
    stage.is_used();
    for case in &stage.cases {
        stage.is_out(case);
    }
}

/// Fills the disk.
fn fill(setup: &Setup) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(setup.data_dir().join("filler")).unwrap();
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}
