//! Bytes that are no HTTP, or HTTP as nobody writes it.

use super::{EVALUATION, PERMITTED, check, goes_on, message, question};
use crate::harness::{Request, Setup, TestDaemon};

/// The head of a request, with headers of the test's own.
fn head(line: &str, headers: &str) -> Vec<u8> {
    format!("{line}\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

#[test]
fn what_is_no_http_is_refused_and_the_connection_closed() {
    let daemon = TestDaemon::start();
    let evaluation = format!("POST {EVALUATION} HTTP/1.1");
    let get = "GET /livez HTTP/1.1";
    let many = "X: a\r\n".repeat(300);
    let refused: [(&str, Vec<u8>, u16); 19] = [
        ("the start of TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n".into(), 400),
        ("a greeting", b"hello\r\n\r\n".into(), 400),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 400),
        ("HTTP/0.9", b"GET /livez\r\n\r\n".into(), 400),
        ("HTTP/3.7", head("GET /livez HTTP/3.7", ""), 400),
        ("no host", b"GET /livez HTTP/1.1\r\n\r\n".into(), 400),
        ("a header without colon", head(get, "foo bar\r\n"), 400),
        ("a space in a header's name", head(get, "foo : bar\r\n"), 400),
        ("a NUL in a header", head(get, "X: a\0b\r\n"), 400),
        ("a long address", head(&format!("GET /{} HTTP/1.1", "a".repeat(70_000)), ""), 400),
        ("long headers", head(get, &format!("X: {}\r\n", "a".repeat(200_000))), 431),
        ("many headers", head(get, &many), 431),
        ("a length beyond 64 bits", head(&evaluation, "Content-Length: 99999999999999999999\r\n"), 400),
        ("a negative length", head(&evaluation, "Content-Length: -1\r\n"), 400),
        ("a length with a sign", head(&evaluation, "Content-Length: +2\r\n"), 400),
        ("two lengths", head(&evaluation, "Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        ("length and chunks", head(&evaluation, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
        ("a transfer encoding nobody knows", head(&evaluation, "Transfer-Encoding: gzip\r\n"), 400),
        ("an address with a space", head("GET /live z HTTP/1.1", ""), 400),
    ];
    for (name, bytes, status) in refused {
        let mut connection = daemon.connect();
        // The daemon may have answered and closed before all is written.
        let _ = connection.try_send(&bytes);
        assert_eq!(connection.answer().status, status, "{name}");
        assert!(connection.is_closed(), "{name}");
    }
    goes_on(&daemon);
}

#[test]
fn a_body_with_broken_framing_is_refused() {
    let daemon = TestDaemon::start();
    let chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let sized = "Content-Type: application/json\r\nContent-Length: 500\r\n";
    for (name, headers, body) in [
        ("a chunk with no size", chunked, "zz\r\n{}\r\n0\r\n\r\n"),
        ("a chunk of 2^67 bytes", chunked, "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        ("no last chunk", chunked, "2\r\n{}\r\n"),
        ("fewer bytes than said", sized, "{}"),
    ] {
        let mut connection = daemon.connect();
        let head = head(&format!("POST {EVALUATION} HTTP/1.1"), headers);
        connection.send(&[&head, body.as_bytes()].concat());
        connection.finish();
        let answer = connection.answer();
        let expected = "the body is cut short, or its chunks are malformed";
        assert_eq!((answer.status, message(&answer).as_str()), (400, expected), "{name}");
    }
    goes_on(&daemon);
}

#[test]
fn unusual_but_correct_http_is_answered() {
    let daemon = TestDaemon::start();
    let length = PERMITTED.len();
    let json = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
    let chunks = format!(
        "1\r\n{}\r\n{:x};note=\"x\"\r\n{}\r\n0\r\nTrailer: x\r\n\r\n",
        &PERMITTED[..1],
        length - 1,
        &PERMITTED[1..]
    );
    let evaluation = format!("POST {EVALUATION} HTTP/1.1");
    let with_chunks = head(&evaluation, "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n");
    for (name, bytes) in [
        ("HTTP/1.0", b"GET /livez HTTP/1.0\r\n\r\n".to_vec()),
        ("HTTP/1.0 with a body", [&head(&format!("POST {EVALUATION} HTTP/1.0"), &json), PERMITTED.as_bytes()].concat()),
        ("an absolute address", head("GET http://localhost/livez HTTP/1.1", "")),
        ("an escaped letter", head("GET /%6civez HTTP/1.1", "")),
        ("a query nobody reads", head("GET /livez?a=b&c HTTP/1.1", "")),
        ("an upgrade that is not taken", head("GET /livez HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n")),
        ("a GET with a body", [head("GET /livez HTTP/1.1", "Content-Length: 5\r\n"), b"hello".to_vec()].concat()),
        ("chunks with an extension and a trailer", [with_chunks, chunks.into()].concat()),
        ("many headers, though not too many", head("GET /livez HTTP/1.1", &"X: a\r\n".repeat(90))),
    ] {
        let mut connection = daemon.connect();
        connection.send(&bytes);
        assert_eq!(connection.answer().status, 200, "{name}");
    }
    let mut connection = daemon.connect();
    connection.send(&head(&evaluation, &format!("{json}Expect: 100-continue\r\n")));
    let mut line = connection.interim();
    assert_eq!(line, 100);
    connection.send(PERMITTED.as_bytes());
    line = connection.answer().status;
    assert_eq!(line, 200);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let daemon = TestDaemon::start();
    let mut connection = daemon.connect();
    let ids = ["first", "second", "third", "fourth"];
    let requests = [question(), Request::get("/v1/nothing"), Request::get("/livez"), question()];
    let all = requests.into_iter().zip(ids).flat_map(|(request, id)| request.header("X-Request-ID", id).bytes());
    connection.send(&all.collect::<Vec<u8>>());
    let answers = ids.map(|_| connection.answer());
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 404, 200, 200]);
    assert_eq!(answers.each_ref().map(|answer| answer.header("x-request-id")), ids.map(Some));
    goes_on(&daemon);
}

#[test]
fn an_address_that_leads_nowhere_is_not_found() {
    let daemon = TestDaemon::start();
    let long = format!("/{}", "a".repeat(20_000));
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v1/entities/User",
        "/v1/entities/User/",
        "/v1/entities//a",
        "/access",
        "/access/v2/evaluation",
        "/access/v1/evaluation/",
        "/livez/",
        "//livez",
        "/v1/../livez",
        "/livez%00",
        "/LIVEZ",
        "/index.html",
        "/.env",
        "*",
        &long,
    ] {
        check(&daemon, path, &Request::get(path), 404, "there is no such route");
    }
    goes_on(&daemon);
}

#[test]
fn an_address_that_is_no_text_is_refused() {
    let daemon = TestDaemon::start();
    for path in [
        "/v1/entities/User/%ff",
        "/v1/entities/User/%C3",
        "/v1/entities/User/%ED%A0%80",
        "/v1/entities/User/%zz",
        "/v1/entities/User/%4",
        "/v1/entities/User/%",
        "/v1/entities/%fe/a",
        "/v1/constitution/policies/%ff",
        "/v1/entities?type=%ff",
        "/v1/entities?type=User&cursor=%",
        "/v1/%+1",
    ] {
        check(&daemon, path, &Request::get(path), 400, "the address is not percent-encoded UTF-8");
    }
    goes_on(&daemon);
}

#[test]
fn a_query_that_is_wrong_is_refused_with_its_parameter() {
    let daemon = TestDaemon::start();
    let limit = "the query cannot be read: `limit` must be from 1 to 1000";
    let cursor = "`cursor` is not one that this list gave";
    for (path, expected) in [
        ("/v1/entities", "the query cannot be read: missing field `type`"),
        ("/v1/entities?type=User&type=Team", "the query cannot be read: duplicate field `type`"),
        (
            "/v1/entities?type=User&kind=x",
            "the query cannot be read: unknown field `kind`, expected one of `type`, `limit`, `cursor`",
        ),
        ("/v1/entities?type=User&limit=0", limit),
        ("/v1/entities?type=User&limit=1001", limit),
        ("/v1/entities?type=User&limit=-1", limit),
        ("/v1/entities?type=User&limit=99999999999999999999", limit),
        ("/v1/constitution/policies?limit=", limit),
        ("/v1/constitution/policies?limit=1e1", limit),
        ("/v1/entities?type=User&cursor=x", cursor),
        ("/v1/entities?type=User&cursor=", cursor),
        ("/v1/constitution/policies?cursor=!!", cursor),
        ("/v1/constitution/policies?cursor=bm9uZQ", cursor),
    ] {
        check(&daemon, path, &Request::get(path), 400, expected);
    }
    goes_on(&daemon);
}

#[test]
fn a_method_that_a_route_does_not_take_is_refused_with_those_it_takes() {
    let daemon = Setup::new().start();
    for (path, allowed) in [
        (EVALUATION, "POST"),
        ("/access/v1/evaluations", "POST"),
        ("/.well-known/authzen-configuration", "GET, HEAD"),
        ("/v1/validate", "POST"),
        ("/v1/constitution", "GET, HEAD"),
        ("/v1/constitution/policies", "GET, HEAD"),
        ("/v1/constitution/policies/x", "GET, HEAD"),
        ("/v1/constitution/reload", "POST"),
        ("/v1/entities", "GET, HEAD"),
        ("/v1/entities/batch", "POST"),
        ("/v1/entities/User/x", "GET, HEAD, PUT, DELETE"),
        ("/livez", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/problems/not-found", "GET, HEAD"),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "FROB", "get"] {
            if allowed.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let answer = daemon.ask(&Request::new(method, path));
            let refused = (answer.status, answer.header("allow"), message(&answer));
            assert_eq!(refused, (405, Some(allowed), format!("the route takes {allowed}")), "{method} {path}");
        }
    }
    goes_on(&daemon);
}
