//! Health, problem pages, where the daemon listens, and how it stops.

use rustix::process::{Pid, kill_process};
use serde_json::json;

use super::{EVALUATION, EVALUATIONS, asked, decision, permitted, problem};
use crate::harness::{Request, Setup, Signal, TestDaemon, Tiers, issuer, until};

#[test]
fn health_is_plain_text_and_says_more_when_asked() {
    let daemon = TestDaemon::start();
    let more = match Tiers::current() {
        Tiers::Sqlite => "",
        Tiers::Postgresql => "[+]following ok\n",
        Tiers::PostgresqlRedis => "[+]following ok\n[+]redis ok\n",
    };
    let first = "[+]audit ok\n[+]files ok\n[+]database ok\n[+]checkpoint ok\n[+]search ok\n[+]constitution ok\n[+]withdrawals ok\n";
    let checks = format!("{first}{more}[+]running ok\nok\n");
    for (path, expected) in
        [("/livez", "ok"), ("/readyz", "ok"), ("/readyz?verbose", &*checks), ("/readyz?verbose=1", &*checks)]
    {
        // On a busy machine Redis may be late once, and is done without for a moment.
        until(path, || !daemon.get(path).text().contains("[-]redis"));
        let answer = daemon.get(path);
        let kind = answer.header("content-type");
        assert_eq!((answer.status, kind, answer.text()), (200, Some("text/plain; charset=utf-8"), expected), "{path}");
    }
}

#[test]
fn memory_is_taken_in_small_pages() {
    let daemon = TestDaemon::start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    // Kernels without huge pages say nothing.
    let said = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
    assert!(said.is_none_or(|said| said.trim() == "0"), "{said:?}");
}

#[test]
fn the_pool_shows_its_connections_and_what_became_of_them() {
    let daemon = TestDaemon::start();
    for _ in 0..3 {
        assert_eq!(daemon.get("/v1/entities?type=Tool").status, 200);
    }
    let answer = daemon.get("/v1/pool");
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-cache")), "{answer}");
    let shown = answer.json();
    for (pointer, expected) in [
        ("/backend", json!(if Tiers::current() == Tiers::Sqlite { "sqlite" } else { "postgresql" })),
        ("/healthy", json!(true)),
        ("/size", json!(20)),
        ("/min_idle", json!(10)),
        ("/overflow", json!({"open": 0, "busy": 0, "idle": 0})),
        ("/waiting", json!(0)),
        ("/failed", json!({"connect": 0, "ping": 0, "timeout": 0, "refused": 0})),
        ("/closed", json!({"idle": 0, "recycled": 0, "broken": 0})),
        ("/alert/state", json!("ok")),
        ("/last_error", json!(null)),
        ("/replicas", json!([])),
    ] {
        assert_eq!(shown.pointer(pointer), Some(&expected), "{pointer} of {shown}");
    }
    let number = |pointer| shown.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap();
    assert!(number("/open") >= 10 && number("/opened/base") == number("/open"), "{shown}");
    assert_eq!(number("/open"), number("/busy") + number("/idle"));
    assert!(number("/waits/acquired") >= 3, "{shown}");
}

#[test]
fn head_is_get_without_the_body() {
    let daemon = TestDaemon::start();
    for path in ["/livez", "/v1/constitution/policies", "/v1/entities/Tool/calculator", "/problems/stale", "/nothing"] {
        let (head, get) = (daemon.ask(&Request::new("HEAD", path)), daemon.get(path));
        assert_eq!((head.status, &*head.body), (get.status, &b""[..]), "{path}");
        for name in ["content-length", "content-type", "etag"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
    }
    // Nothing of a body is left over for the next answer.
    let mut connection = daemon.connect();
    let twice = [Request::new("HEAD", "/livez"), Request::new("HEAD", "/nothing"), Request::get("/livez")];
    assert_eq!(twice.map(|request| connection.ask(&request).status), [200, 404, 200]);
}

#[test]
fn every_problem_has_a_page_that_explains_it() {
    let daemon = TestDaemon::start();
    for slug in [
        "bad-request",
        "unauthenticated",
        "login-refused",
        "forbidden",
        "not-found",
        "method-not-allowed",
        "request-timeout",
        "constitution-mismatch",
        "name-taken",
        "stale",
        "too-large",
        "unsupported-media-type",
        "faulty-constitution",
        "faulty-settings",
        "invalid-entity",
        "invalid-password",
        "too-many-attempts",
        "internal",
        "overloaded",
        "unavailable",
    ] {
        let page = daemon.get(&format!("/problems/{slug}"));
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{slug}");
        let text = page.text();
        assert!(text.contains("<title>") && !text.contains("http:") && !text.contains("https:"), "{text}");
        assert!(!text.contains('`'), "{text}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{slug}");
    }
    assert_eq!(problem(&daemon.get("/problems/nothing")), "404 not-found");
}

#[test]
fn management_needs_a_credential_however_its_paths_are_written() {
    let daemon = Setup::new().set("http.bind", "0.0.0.0:0").set("auth.decisions", "token").start();
    let named = |method, path| Request::new(method, path).json(&json!({})).anonymous();
    for request in [
        named("GET", "/v1/constitution"),
        named("GET", "/v1/constitution/policies"),
        named("GET", "/v1/constitution/policies/x"),
        named("POST", "/v1/constitution/reload"),
        named("GET", "/v1/entities?type=User"),
        named("POST", "/v1/entities/batch"),
        named("GET", "/v1/entities/User/x"),
        named("PUT", "/v1/entities/User/x"),
        named("DELETE", "/v1/entities/User/x"),
        named("PUT", "/%76%31/entities/User/x"),
        named("PUT", "http://127.0.0.1/v1/entities/User/x"),
    ] {
        let answer = daemon.ask(&request);
        assert_eq!(problem(&answer), "401 unauthenticated", "{request:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"acgs\""), "{request:?}");
    }
    for path in ["/V1/constitution", "//v1/constitution", "/./v1/constitution", "/x/../v1/constitution"] {
        assert_eq!(problem(&daemon.get(path)), "404 not-found", "{path}");
    }
    for path in ["/livez", "/readyz", "/problems/stale", "/.well-known/authzen-configuration"] {
        assert_eq!(daemon.get(path).status, 200, "{path}");
    }
    for path in [EVALUATION, EVALUATIONS, "/v1/validate"] {
        assert_eq!(daemon.ask(&asked(path, &[])).status, 401, "{path}");
        let known = asked(path, &[]).token(&issuer::token("helper", "agent"));
        assert_eq!(daemon.ask(&known).json()["decision"], true, "{path}");
    }
}

#[test]
fn a_unix_socket_is_as_good_as_a_port_and_may_be_left_over() {
    let setup = Setup::new().unix();
    for _ in 0..2 {
        let daemon = setup.start();
        assert!(decision(&daemon, &permitted()));
        assert_eq!(daemon.get("/v1/constitution").status, 200);
        daemon.kill();
    }
}

#[test]
fn a_daemon_that_is_not_ready_yet_stops_when_it_is_told_to() {
    for (signals, code) in
        [(&[Signal::TERM][..], Some(0)), (&[Signal::INT], Some(0)), (&[Signal::HUP, Signal::TERM], Some(0))]
    {
        let folder = tempfile::tempdir().unwrap();
        // The start blocks until this pipe is written.
        let pipe = folder.path().join("keys");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let issuers = format!("[{{ issuer = 'https://id.example', jwks_file = '{}' }}]", pipe.display());
        let setup = Setup::new().set("auth.issuers", issuers);
        let mut child = setup.command(["serve"]).stderr(std::process::Stdio::null()).spawn().unwrap();
        let _writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        for signal in signals {
            kill_process(Pid::from_child(&child), *signal).unwrap();
        }
        assert_eq!(child.wait().unwrap().code(), code, "{signals:?}");
        assert!(setup.run(["audit", "verify"]).status.success());
        assert!(Setup::start(&setup.set("auth.issuers", "")).stop().success(), "the next start copes");
    }
}

#[test]
fn a_request_in_progress_is_answered_before_the_daemon_stops() {
    for signal in [Signal::TERM, Signal::INT] {
        let setup = Setup::new().set("http.request_timeout_ms", 30_000).set("http.shutdown_timeout_s", 60);
        let daemon = setup.start();
        let body = permitted().to_string();
        let head = format!(
            "POST {EVALUATION} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Expect: 100-continue\r\n\r\n",
            body.len()
        );
        let mut idle = daemon.connect();
        assert_eq!(idle.ask(&Request::get("/livez")).status, 200);
        let mut connection = daemon.connect();
        connection.send(head.as_bytes());
        assert_eq!(connection.interim(), 100);
        daemon.signal(signal);
        daemon.wait_for("STOPPING=1");
        connection.send(body.as_bytes());
        let answer = connection.answer();
        assert_eq!((answer.status, &answer.json()["decision"]), (200, &json!(true)), "{answer}");
        drop(connection);
        assert_eq!(daemon.wait().code(), Some(0));
        // An idle connection holds nothing up, and is closed.
        assert!(idle.is_closed());
        let exported = String::from_utf8(setup.run(["audit", "export"]).stdout).unwrap();
        let id = answer.json()["context"]["id"].as_str().unwrap().to_owned();
        assert_eq!(exported.matches(&id).count(), 1, "{exported}");
    }
}

#[test]
fn the_variables_of_a_kubernetes_service_are_ignored_with_one_line_and_others_are_faults() {
    let setup = Setup::new()
        .env("ACGS_PORT", "tcp://10.96.0.17:8080")
        .env("ACGS_SERVICE_HOST", "10.96.0.17")
        .env("ACGS_SERVICE_PORT", "8080")
        .env("ACGS_SERVICE_PORT_HTTP", "8080")
        .env("ACGS_PORT_8080_TCP", "tcp://10.96.0.17:8080")
        .env("ACGS_PORT_8080_TCP_PROTO", "tcp")
        .env("ACGS_PORT_8080_TCP_PORT", "8080")
        .env("ACGS_PORT_8080_TCP_ADDR", "10.96.0.17")
        .env("ACGS_HTTP_PORT", "tcp://[fd00::a]:80")
        .env("ACGS_HTTP_SERVICE_HOST", "fd00::a");
    let daemon = setup.start();
    let (status, log) = daemon.stop_and_tell();
    assert!(status.success(), "{status}");
    assert_eq!(log.matches("Kubernetes").count(), 1, "{log}");
    assert!(log.contains("it and 9 more set nothing here"), "{log}");
    for (name, value) in [("ACGS_HTTP_PORT", "8080"), ("ACGS_PORT", "8080"), ("ACGS_SERVICE_HOST", "acgs.example")] {
        let refused = setup.clone().env(name, value).try_start().expect_err("somebody wrote it, and it sets nothing");
        assert_eq!(refused.status.code(), Some(78), "{refused}");
        assert!(refused.stderr.contains(name), "{refused}");
    }
}
