//! `Host` and `Origin`: web pages that reach a daemon on loopback under a host name of their own get nothing.

use super::{EVALUATION, permitted, problem};
use crate::harness::{Answer, Request, Setup, TestDaemon};

/// A request with these header lines, and no other `Host`.
#[track_caller]
fn ask(daemon: &TestDaemon, line: &str, headers: &[&str]) -> Answer {
    let body = permitted().to_string();
    let headers = [headers.join("\r\n"), String::from(if headers.is_empty() { "" } else { "\r\n" })].concat();
    let mut connection = daemon.connect();
    let length = body.len();
    let text = format!("{line}\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    connection.send(text.as_bytes());
    connection.answer()
}

fn decide(daemon: &TestDaemon, headers: &[&str]) -> u16 {
    ask(daemon, &format!("POST {EVALUATION} HTTP/1.1"), headers).status
}

#[test]
fn on_loopback_a_request_is_for_this_host_or_refused() {
    let setup =
        Setup::new().set("http.public_url", "https://acgs.example/path").set("http.allowed_hosts", "pdp, 192.0.2.1");
    let daemon = setup.start();
    let port = daemon.address().port();
    for host in [
        "localhost",
        "LocalHost:8080",
        &format!("localhost:{port}"),
        &format!("127.0.0.1:{port}"),
        "127.1.2.3",
        "[::1]:9",
        "acgs.example",
        "ACGS.example:443",
        "pdp:1",
        "192.0.2.1",
    ] {
        assert_eq!(decide(&daemon, &[&format!("Host: {host}")]), 200, "{host}");
    }
    for host in
        ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0", "[::]", ""]
    {
        assert_eq!(decide(&daemon, &[&format!("Host: {host}")]), 421, "{host}");
        let answer = ask(&daemon, "POST /v1/validate HTTP/1.1", &[&format!("Host: {host}")]);
        assert_eq!(problem(&answer), "421 misdirected", "{host}");
    }
    for host in
        ["local host", "localhost 8080", "localhost:80 80", "localhost:http", "user@localhost", "::1", "[::1", "a/b"]
    {
        assert_eq!(decide(&daemon, &[&format!("Host: {host}")]), 400, "{host}");
    }
    assert_eq!(decide(&daemon, &["Host: localhost", "Host: localhost"]), 400);
    assert_eq!(decide(&daemon, &[]), 400);
    // A request target with an authority.
    for (target, status) in [
        ("http://localhost:1", 200),
        ("http://evil.example", 421),
        ("http://user@localhost", 400),
        ("http://acgs.example", 200),
    ] {
        let answer = ask(&daemon, &format!("POST {target}{EVALUATION} HTTP/1.1"), &["Host: localhost"]);
        assert_eq!(answer.status, status, "{target}");
    }
    assert_eq!(daemon.ask(&Request::get("/livez")).status, 200);
}

#[test]
fn elsewhere_any_host_will_do() {
    let everywhere = Setup::new().set("http.bind", "0.0.0.0:0").set("auth.decisions", "token");
    for daemon in [everywhere.start(), Setup::new().unix().start()] {
        assert_eq!(ask(&daemon, "GET /livez HTTP/1.1", &["Host: acgs.example"]).status, 200);
        assert_eq!(ask(&daemon, "GET /livez HTTP/1.1", &["Host: acgs example"]).status, 400);
    }
}

#[test]
fn a_web_page_from_elsewhere_gets_nothing() {
    let daemon = Setup::new().set("http.public_url", "https://acgs.example/path").start();
    for origin in ["https://acgs.example", "HTTPS://ACGS.EXAMPLE", "http://localhost", "https://localhost"] {
        let answer =
            ask(&daemon, &format!("POST {EVALUATION} HTTP/1.1"), &["Host: localhost", &format!("Origin: {origin}")]);
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None), "{origin}");
    }
    for origin in [
        "http://evil.example",
        "null",
        "",
        "http://acgs.example",
        "https://acgs.example:8443",
        "https://acgs.example.evil.example",
        "http://localhost:3000",
        "http://localhost.evil.example",
        "file://",
        "é",
    ] {
        let headers = ["Host: localhost", &format!("Origin: {origin}")];
        assert_eq!(decide(&daemon, &headers), 403, "{origin}");
        let answer = ask(&daemon, "POST /v1/validate HTTP/1.1", &headers);
        assert_eq!(problem(&answer), "403 foreign-origin", "{origin}");
        assert_eq!(ask(&daemon, "GET /livez HTTP/1.1", &headers).status, 403, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let twice = ["Host: localhost", "Origin: http://localhost", "Origin: http://evil.example"];
    assert_eq!(decide(&daemon, &twice), 403);
    let preflight = ["Host: localhost", "Origin: http://evil.example", "Access-Control-Request-Method: POST"];
    assert_eq!(ask(&daemon, &format!("OPTIONS {EVALUATION} HTTP/1.1"), &preflight).status, 403);
}

#[test]
fn a_web_page_that_the_settings_name_may_call() {
    let origin = "https://console.example";
    let daemon = Setup::new().set("http.allowed_origins", format!("{origin}, http://localhost:3000")).start();
    let headers = ["Host: localhost", &format!("Origin: {origin}")];
    let answer = ask(&daemon, &format!("POST {EVALUATION} HTTP/1.1"), &headers);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(origin)), "{answer}");
    assert_eq!(answer.header("vary"), Some("Origin"));
    let preflight = [headers[0], headers[1], "Access-Control-Request-Method: POST"];
    let answer = ask(&daemon, &format!("OPTIONS {EVALUATION} HTTP/1.1"), &preflight);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some(origin)), "{answer}");
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
    assert_eq!(decide(&daemon, &["Host: localhost", "Origin: http://localhost:3001"]), 403);
    // Errors are readable for allowed origins, too.
    let answer = ask(&daemon, "POST /v1/nothing HTTP/1.1", &headers);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (404, Some(origin)), "{answer}");
}

#[test]
fn metadata_is_where_clients_of_a_url_with_a_path_look_for_it() {
    let daemon = Setup::new().set("http.public_url", "https://acgs.example/a/b").start();
    for name in ["oauth-authorization-server", "authzen-configuration"] {
        let plain = daemon.get(&format!("/.well-known/{name}"));
        let inserted = daemon.get(&format!("/.well-known/{name}/a/b"));
        assert_eq!((plain.status, inserted.status), (200, 200), "{name}");
        assert_eq!(plain.json(), inserted.json());
        assert!(plain.text().contains("https://acgs.example/a/b"), "{plain}");
        for other in ["/a", "/a/b/c", "/", "/a/b/"] {
            assert_eq!(daemon.get(&format!("/.well-known/{name}{other}")).status, 404, "{name}{other}");
        }
    }
    let daemon = Setup::new().set("http.public_url", "https://acgs.example").start();
    assert_eq!(daemon.get("/.well-known/oauth-authorization-server/a").status, 404);
}
