//! Client addresses named by reverse proxies: in `Forwarded`, in `X-Forwarded-For`, and by the PROXY protocol.

use serde_json::json;

use super::{CONSTITUTION, PASSWORD, Tokens, add_user, events, is_refused, login, setup};
use crate::harness::{Answer, Connection, Request, Setup, TestDaemon};

/// A request with raw header lines, which need not be UTF-8.
fn with_lines(request: &Request, lines: &[&[u8]]) -> Vec<u8> {
    let bytes = request.bytes();
    let first = bytes.windows(2).position(|window| window == b"\r\n").unwrap() + 2;
    let mut sent = bytes[..first].to_vec();
    for line in lines {
        sent.extend_from_slice(line);
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(&bytes[first..]);
    sent
}

#[track_caller]
fn ask(daemon: &TestDaemon, request: &Request, lines: &[&[u8]]) -> Answer {
    let mut connection = daemon.connect();
    connection.send(&with_lines(request, lines));
    connection.answer()
}

/// The address recorded with a session that is begun with these header lines.
#[track_caller]
fn address(daemon: &TestDaemon, lines: &[&[u8]]) -> String {
    let token = Tokens::of(&ask(daemon, &login("ann", PASSWORD), lines)).access;
    newest_session(daemon, &token)
}

#[track_caller]
pub fn newest_session(daemon: &TestDaemon, token: &str) -> String {
    let sessions = daemon.ask(&Request::get("/v1/auth/sessions").token(token)).json();
    let items = sessions["items"].as_array().unwrap();
    let current = items.iter().find(|session| session["current"] == true).unwrap();
    current["address"].as_str().unwrap().to_owned()
}

/// An API key that is bound to a network.
#[track_caller]
pub fn bound_key(daemon: &TestDaemon, network: &str) -> String {
    let body = json!({"name": "robot", "scopes": ["read"], "networks": [network]});
    let answer = daemon.post("/v1/api-keys", &body);
    assert_eq!(answer.status, 201, "{answer}");
    answer.json()["key"].as_str().unwrap().to_owned()
}

pub fn with_key(key: &str) -> Request {
    Request::get(CONSTITUTION).header("X-API-Key", key).anonymous()
}

#[test]
fn where_somebody_is_says_only_a_proxy_that_is_trusted() {
    for (proxies, cases) in [
        (
            "",
            &[(&[][..], "127.0.0.1"), (&[&b"X-Forwarded-For: 10.0.0.1"[..], b"Forwarded: for=10.0.0.1"], "127.0.0.1")]
                [..],
        ),
        (
            "10.0.0.0/8, unix",
            &[(&[b"X-Forwarded-For: 10.0.0.1"], "127.0.0.1"), (&[b"Forwarded: for=unknown"], "127.0.0.1")],
        ),
        (
            "127.0.0.1, 192.0.2.0/24",
            &[
                (&[], "127.0.0.1"),
                (&[b"X-Forwarded-For: "], "127.0.0.1"),
                (&[b"X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
                (&[b"X-Forwarded-For: 198.51.100.1, 203.0.113.9:5000, 192.0.2.7"], "203.0.113.9"),
                (&[b"X-Forwarded-For: 198.51.100.1", b"X-Forwarded-For: [2001:db8::9]:5000"], "2001:db8::9"),
                (&[b"X-Forwarded-For: ::ffff:203.0.113.9"], "203.0.113.9"),
                (&[b"X-Forwarded-For: \xff, 203.0.113.9"], "203.0.113.9"),
                (&[b"X-Forwarded-For: 203.0.113.9, unknown"], "unknown"),
                (&[b"X-Forwarded-For: 203.0.113.9, \xff\xfe"], "unknown"),
                (&[b"X-Forwarded-For: 203.0.113.9, client.example"], "unknown"),
                (&[b"Forwarded: for=\"[2001:db8::9]:5000\";proto=https"], "2001:db8::9"),
                (&[b"Forwarded: for=\"198.51.100.1", b"Forwarded: For=203.0.113.9, for=192.0.2.7"], "203.0.113.9"),
                (&[b"Forwarded: for=203.0.113.9, for=_hidden"], "unknown"),
                (&[b"Forwarded: by=192.0.2.7"], "unknown"),
                (&[b"Forwarded: for=203.0.113.9", b"X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
                (&[b"Forwarded: for=198.51.100.1", b"X-Forwarded-For: 203.0.113.9"], "unknown"),
            ],
        ),
    ] {
        let daemon = setup().set("http.trusted_proxies", proxies).start();
        add_user(&daemon, "ann", "agent");
        for (lines, expected) in cases {
            let shown: Vec<_> = lines.iter().map(|line| line.escape_ascii().to_string()).collect();
            assert_eq!(address(&daemon, lines), *expected, "{proxies}: {shown:?}");
        }
    }
}

#[test]
fn a_key_that_is_bound_to_networks_is_refused_where_the_address_is_unknown() {
    for (setup, proxies) in [(setup(), "127.0.0.0/8"), (setup().unix(), "unix")] {
        let daemon = setup.set("http.trusted_proxies", proxies).start();
        // The networks of the proxy and of a client.
        let (proxys, clients) = (bound_key(&daemon, "127.0.0.0/8"), bound_key(&daemon, "10.0.0.0/8"));
        for line in [
            &b"X-Forwarded-For: 10.0.0.1"[..],
            b"X-Forwarded-For: 10.0.0.1:80",
            b"X-Forwarded-For: 192.0.2.1, ::ffff:10.0.0.1",
            b"Forwarded: for=10.0.0.1",
            b"Forwarded: for=\"10.0.0.1:80\"",
        ] {
            let answer = ask(&daemon, &with_key(&clients), &[line]);
            assert_eq!(answer.status, 200, "{}: {answer}", line.escape_ascii());
            is_refused(&ask(&daemon, &with_key(&proxys), &[line]), "from elsewhere");
        }
        for line in [
            &b"X-Forwarded-For: unknown"[..],
            b"X-Forwarded-For: _hidden",
            b"X-Forwarded-For: 10.0.0.1, unknown",
            b"X-Forwarded-For: 10.0.0.1, 192.0.2.1",
            b"X-Forwarded-For: 10.0.0.1, \xc3\x28",
            b"X-Forwarded-For: 10.0.0.1:port",
            b"X-Forwarded-For: 10.0.0.1 127.0.0.1",
            b"X-Forwarded-For: 127.0.0.1, x",
            b"Forwarded: for=unknown",
            b"Forwarded: for=_gazonk",
            b"Forwarded: proto=http",
            b"Forwarded: for=127.0.0.1;for=10.0.0.1",
            b"Forwarded: 127.0.0.1",
        ] {
            for key in [&proxys, &clients] {
                is_refused(&ask(&daemon, &with_key(key), &[line]), &line.escape_ascii().to_string());
            }
        }
    }
}

#[test]
fn strangers_behind_a_proxy_on_the_unix_socket_lock_out_only_themselves() {
    let setup = setup().unix().set("http.trusted_proxies", "unix");
    let daemon = setup.start();
    add_user(&daemon, "ann", "agent");
    assert_eq!(address(&daemon, &[]), "", "who says nothing is on this host");
    assert_eq!(address(&daemon, &[b"X-Forwarded-For: 192.0.2.7"]), "192.0.2.7");
    let guess = |lines: &[&[u8]]| ask(&daemon, &login("ann", "guess"), lines).status;
    for hidden in
        [&b"X-Forwarded-For: unknown"[..], b"Forwarded: for=_a", b"Forwarded: for=_b", b"X-Forwarded-For: \xff"]
    {
        assert_eq!(guess(&[hidden]), 401);
    }
    assert_eq!(guess(&[b"X-Forwarded-For: ?"]), 401);
    assert_eq!(guess(&[b"Forwarded: for=_c"]), 429, "all whose address is unknown are one");
    assert_eq!(address(&daemon, &[b"X-Forwarded-For: 192.0.2.7"]), "192.0.2.7");
    assert_eq!(address(&daemon, &[]), "");
    let refused = events(&setup, "login_refused");
    assert!(refused.iter().all(|record| record["address"] == "unknown"), "{refused:?}");
}

#[test]
fn without_a_word_in_the_settings_headers_on_the_unix_socket_say_nothing() {
    for proxies in ["", "127.0.0.0/8"] {
        let daemon = setup().unix().set("http.trusted_proxies", proxies).start();
        add_user(&daemon, "ann", "agent");
        assert_eq!(address(&daemon, &[b"X-Forwarded-For: 192.0.2.7", b"Forwarded: for=192.0.2.7"]), "", "{proxies}");
    }
}

/// A header of the PROXY protocol, version 2, for TCP over IPv4.
fn proxy_header(command: u8, client: [u8; 4]) -> Vec<u8> {
    let head = [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, 0x11, 0, 12]].concat();
    [head.as_slice(), &client, &[10, 9, 9, 9], &[0x12, 0x34, 0, 80]].concat()
}

#[track_caller]
fn begin(daemon: &TestDaemon, header: &[u8]) -> Connection {
    let mut connection = daemon.connect();
    connection.send(header);
    connection
}

#[test]
fn the_proxy_protocol_says_where_a_connection_comes_from() {
    for (setup, proxies) in [(setup(), "127.0.0.1"), (setup().unix(), "unix")] {
        let daemon = setup.set("http.trusted_proxies", proxies).set("http.proxy_protocol", "v2").start();
        let admin = |request: &Request| begin(&daemon, &proxy_header(0x20, [0; 4])).ask(request);
        let body = json!({"name": "robot", "scopes": ["read"], "networks": ["192.0.2.0/24"]});
        let key = admin(&Request::post("/v1/api-keys").json(&body)).json()["key"].as_str().unwrap().to_owned();
        let mut inside = begin(&daemon, &proxy_header(0x21, [192, 0, 2, 7]));
        for _ in 0..3 {
            assert_eq!(inside.ask(&with_key(&key)).status, 200, "each request of the connection");
        }
        let mut outside = begin(&daemon, &proxy_header(0x21, [203, 0, 113, 7]));
        is_refused(&outside.ask(&with_key(&key).header("X-Forwarded-For", "192.0.2.7")), "a client's own word");
        let mut unspecified = begin(&daemon, b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0");
        is_refused(&unspecified.ask(&with_key(&key)), "the address is unknown");
        // A header may arrive in several pieces.
        let header = proxy_header(0x21, [192, 0, 2, 7]);
        let (first, rest) = header.split_at(7);
        let mut pieces = begin(&daemon, first);
        pieces.send(rest);
        assert_eq!(pieces.ask(&with_key(&key)).status, 200);
        for wrong in [
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n".as_slice(),
            b"PROXY TCP4 192.0.2.7 10.9.9.9 4660 80\r\n",
            &proxy_header(0x22, [192, 0, 2, 7]),
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\xc0\0\x02\x07",
        ] {
            assert!(begin(&daemon, wrong).is_closed(), "{}", wrong.escape_ascii());
        }
    }
}

#[test]
fn only_trusted_proxies_may_speak_the_proxy_protocol() {
    let daemon = setup().set("http.trusted_proxies", "10.0.0.0/8").set("http.proxy_protocol", "v2").start();
    let mut connection = daemon.connect();
    // The connection may be closed before anything is sent.
    let _ = connection.try_send(&proxy_header(0x21, [192, 0, 2, 7]));
    assert!(connection.is_closed());
    for (bind, proxies) in [("127.0.0.1:0", ""), ("127.0.0.1:0", "unix"), ("unix:acgs.sock", "10.0.0.0/8")] {
        let setup = Setup::new().set("http.bind", bind).set("http.trusted_proxies", proxies);
        let refused = setup.set("http.proxy_protocol", "v2").try_start().expect_err("nobody could connect");
        assert_eq!(refused.status.code(), Some(78), "{refused}");
        assert!(refused.stderr.contains("http.trusted_proxies"), "{refused}");
    }
}
