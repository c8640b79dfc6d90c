//! Bodies that are no JSON, no question, or a strange one.

use serde_json::{Value, json};

use super::{EVALUATION, PERMITTED, check, context, goes_on, post, question, with, with_context};
use crate::harness::{Request, Setup, TestDaemon, issuer};

#[test]
fn a_body_that_cannot_be_read_is_refused_with_the_reason_and_the_place() {
    let invalid_utf8 = |at: &str| {
        let (before, after) = PERMITTED.split_once(at).expect("it is there");
        [before.as_bytes(), b"\xff\xfe", after.as_bytes()].concat()
    };
    let cannot_be_read: [(&str, Vec<u8>, &str); 20] = [
        ("cut off", b"{".into(), "EOF while parsing an object at line 1 column 1"),
        ("only space", b" \n".into(), "EOF while parsing a value at line 2 column 0"),
        ("something behind it", format!("{PERMITTED}x").into(), "trailing characters at line 1 column 118"),
        ("two", PERMITTED.repeat(2).into(), "trailing characters at line 1 column 118"),
        ("a byte order mark", format!("\u{feff}{PERMITTED}").into(), "expected value at line 1 column 1"),
        ("null", b"null".into(), "must be an object, not null"),
        ("an array", b"[]".into(), "must be an object, not an array"),
        ("a number", b"5".into(), "must be an object, not an integer"),
        ("text", b"\"x\"".into(), "must be an object, not a string"),
        ("a key twice", with("\"action\"", "\"subject\"").into(), "duplicate key `subject` at line 1 column 118"),
        (
            "a key twice within",
            with_context("{\"a\":{\"b\":1,\"b\":1}}").into(),
            "duplicate key `b` at line 1 column 145",
        ),
        ("1e999", with_context("{\"a\":1e999}").into(), "number out of range at line 1 column 137"),
        (
            "10^400",
            with_context(&format!("{{\"a\":1{}}}", "0".repeat(400))).into(),
            "number out of range at line 1 column 533",
        ),
        ("not a number", with_context("{\"a\":NaN}").into(), "expected value at line 1 column 133"),
        ("no UTF-8 in text", invalid_utf8("helper"), "invalid unicode code point at line 1 column 34"),
        ("no UTF-8 in a key", invalid_utf8("action"), "invalid unicode code point at line 1 column 44"),
        ("half a surrogate pair", with("helper", "\\ud800").into(), "unexpected end of hex escape at line 1 column 40"),
        ("an unknown escape", with("helper", "\\x").into(), "invalid escape at line 1 column 35"),
        (
            "a bare line feed in text",
            with("helper", "a\nb").into(),
            "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0",
        ),
        (
            "a bare NUL in text",
            with("helper", "\0").into(),
            "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 34",
        ),
    ];
    let nest_too_deep: [(&str, Vec<u8>); 3] = [
        ("100,000 arrays", vec![b'['; 100_000]),
        ("5,000 objects", "{\"a\":".repeat(5000).into()),
        ("deep context", with_context(&"[".repeat(200)).into()),
    ];
    let daemon = TestDaemon::start();
    let cannot_be_read = cannot_be_read
        .into_iter()
        .map(|(name, body, reason)| (name, body, format!("the body cannot be read: {reason}")))
        .chain(
            nest_too_deep.map(|(name, body)| (name, body, "the body nests deeper than 64 arrays and objects".into())),
        );
    for (name, body, expected) in cannot_be_read {
        for path in [EVALUATION, "/access/v1/evaluations", "/v1/validate"] {
            check(&daemon, name, &post(path, body.clone()), 400, &expected);
        }
    }
    goes_on(&daemon);
}

#[test]
fn a_body_that_is_no_question_is_refused_with_every_fault() {
    let daemon = TestDaemon::start();
    for (body, expected) in [
        ("{}", "`subject` is required; `action` is required; `resource` is required"),
        (&with("{\"name\":\"call_tool\"}", "[]"), "`action` must be an object, not an array"),
        (&with("\"call_tool\"", "null"), "`action.name` must be a string, not null"),
        (&with("\"call_tool\"", "\"\""), "`action.name` must not be empty"),
        (&with("\"helper\"", "7"), "`subject.id` must be a string, not an integer"),
        (
            &with("\"helper\"", "18446744073709551616"),
            "`subject.id` must be a string, not a number that is no 64-bit integer",
        ),
        (&with("\"Agent\"", "true"), "`subject.type` must be a string, not a boolean"),
        (&with("\"type\":\"Tool\",", ""), "`resource.type` is required"),
        (&with("\"helper\"", "\"helper\",\"properties\":null"), "`subject.properties` must be an object, not null"),
        (&with_context("3"), "`context` must be an object, not an integer"),
        (
            &with_context("null").replace("\"helper\"", "{}").replace("\"calculator\"", "\"\""),
            "`subject.id` must be a string, not an object; `resource.id` must not be empty; \
             `context` must be an object, not null",
        ),
    ] {
        check(&daemon, body, &post(EVALUATION, body), 400, expected);
        check(&daemon, body, &post("/v1/validate", body), 400, expected);
    }
    goes_on(&daemon);
}

#[test]
fn a_batch_that_is_none_is_refused() {
    let daemon = Setup::new().set("http.max_evaluations", 2).start();
    let semantic = "must be `execute_all`, `deny_on_first_deny` or `permit_on_first_permit`";
    for (members, expected) in [
        (json!({"evaluations": {}}), "`evaluations` must be an array, not an object".to_owned()),
        (json!({"evaluations": null}), "`evaluations` must be an array, not null".to_owned()),
        (json!({"evaluations": [{}, {}, {}]}), "`evaluations` has 3 items; at most 2 are taken".to_owned()),
        (json!({"evaluations": [{}], "options": []}), "`options` must be an object, not an array".to_owned()),
        (
            json!({"evaluations": [{}], "options": {"evaluations_semantic": "some"}}),
            format!("`options.evaluations_semantic` {semantic}, not \"some\""),
        ),
        (
            json!({"evaluations": [{}], "options": {"evaluations_semantic": 1}}),
            format!("`options.evaluations_semantic` {semantic}, not 1"),
        ),
    ] {
        let request = Request::post("/access/v1/evaluations").json(&members);
        check(&daemon, &members.to_string(), &request, 400, &expected);
    }
    goes_on(&daemon);
}

#[test]
fn a_strange_question_is_denied_with_the_reason() {
    let daemon = TestDaemon::start();
    let risk = |risk: &str| with("\"calculator\"", &format!("\"x\",\"properties\":{{\"risk\":{risk}}}"));
    let not_long = "`resource.risk` must be a 64-bit integer, not";
    for (body, reason, detail) in [
        (risk("9223372036854775808"), "invalid_properties", format!("{not_long} a number that is no 64-bit integer")),
        (risk("1.5"), "invalid_properties", format!("{not_long} a number that is no 64-bit integer")),
        (risk("\"1\""), "invalid_properties", format!("{not_long} a string")),
        (risk("null"), "invalid_properties", format!("{not_long} null")),
        (
            with("Agent", "no type::"),
            "unknown_type",
            "the schema has no type `no type::`, which the subject has".into(),
        ),
        (with("Agent", "\\u0000"), "unknown_type", "the schema has no type `\0`, which the subject has".into()),
        (with("Tool", "Action"), "unknown_type", "the schema has no type `Action`, which the resource has".into()),
        (with("call_tool", "\\\"\\n"), "unknown_action", "the schema has no action `\"\n`".into()),
    ] {
        let answer = daemon.ask(&post(EVALUATION, body.as_str()));
        let context = context(&answer);
        assert_eq!((&context["reason"], &context["detail"]), (&json!(reason), &json!(detail)), "{body}");
        assert_eq!(answer.json()["decision"], Value::Bool(false), "{body}");
    }
    goes_on(&daemon);
}

#[test]
fn an_id_may_be_any_text_and_names_only_itself() {
    let daemon = TestDaemon::start();
    let long = "x".repeat(1_024);
    for id in
        ["\\u0000", "calculator\\u0000", "\\u001f\\u007f\\u0085", "../../etc", "\\\"", "\u{202e}", "😀", " ", &long]
    {
        let answer = daemon.ask(&post(EVALUATION, with("calculator", id)));
        assert_eq!(context(&answer)["reason"], "forbidden", "{id}");
        let answer = daemon.ask(&post(EVALUATION, with("helper", id)));
        assert_eq!(context(&answer)["reason"], "permitted", "{id}");
    }
    let answer = daemon.ask(&post(EVALUATION, with("helper", &"x".repeat(1_025))));
    assert_eq!((answer.status, answer.text()), (400, "`subject.id` must have at most 1024 bytes"));
    goes_on(&daemon);
}

#[test]
fn what_is_not_declared_as_json_is_not_read_as_json() {
    let daemon = TestDaemon::start();
    let (kind, encoding) =
        ("the content type must be `application/json`", "the body must come without a content encoding");
    let (json, plain) = ("application/json", "text/plain");
    for (content_type, extra, expected) in [
        (Some(plain), None, Some(kind)),
        (Some("application/jsonp"), None, Some(kind)),
        (Some("application/x-www-form-urlencoded"), None, Some(kind)),
        (Some(""), None, Some(kind)),
        (None, None, Some(kind)),
        (Some(json), Some("gzip"), Some(encoding)),
        (Some(json), Some("identity"), None),
        (Some("Application/JSON; charset=UTF-8"), None, None),
    ] {
        for (path, status) in [(EVALUATION, 400), ("/v1/validate", 415)] {
            let mut request = Request::post(path).body(PERMITTED);
            for (name, value) in [("Content-Type", content_type), ("Content-Encoding", extra)] {
                request = value.into_iter().fold(request, |request, value| request.header(name, value));
            }
            match expected {
                Some(expected) => check(&daemon, expected, &request, status, expected),
                None => assert_eq!(daemon.ask(&request).status, 200, "{content_type:?} {extra:?}"),
            }
        }
    }
    check(&daemon, "empty", &post(EVALUATION, ""), 400, "the body is empty");
    let without_body = Request::post(EVALUATION).header("Content-Type", json);
    check(&daemon, "none", &without_body, 400, "the body is empty");
    goes_on(&daemon);
}

#[test]
fn a_body_is_read_up_to_its_bound_and_no_further() {
    let daemon = Setup::new().set("http.max_body_bytes", 4096).start();
    let filled = |length: usize| {
        let mut body = PERMITTED.as_bytes().to_vec();
        body.resize(length, b' ');
        body
    };
    assert_eq!(daemon.ask(&post(EVALUATION, filled(4096))).status, 200);
    let too_large = "the body has more than 4096 bytes";
    for path in [EVALUATION, "/v1/validate"] {
        check(&daemon, "one more", &post(path, filled(4097)), 413, too_large);
        let claimed = post(path, "").header("Content-Length", "999999999999");
        let claimed = String::from_utf8(claimed.bytes()).expect("ASCII").replace("Content-Length: 0\r\n", "");
        let mut connection = daemon.connect();
        connection.send(claimed.as_bytes());
        assert_eq!(connection.answer().status, 413, "a length that is only claimed");
        let mut connection = daemon.connect();
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        connection.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n1001\r\n").as_bytes());
        connection.send(&filled(4097));
        let answer = connection.answer();
        assert_eq!((answer.status, super::message(&answer)), (413, too_large.to_owned()), "in a chunk");
        // What is left of the body is no request of its own, and the connection is as good as before.
        connection.send(b"\r\n0\r\n\r\n");
        assert_eq!(connection.ask(&question()).status, 200);
    }
    goes_on(&daemon);
}

#[test]
fn an_array_of_the_fields_of_an_object_is_not_taken_for_it() {
    let daemon = TestDaemon::start();
    let token = issuer::token("ada", "admin");
    for (method, path, body) in [
        ("POST", "/v1/auth/keys/rotate", json!([true])),
        ("PUT", "/v1/log-level", json!(["debug", null])),
        ("POST", "/v1/bench-results", json!(["run-1", "passed", []])),
        ("POST", "/v1/users", json!(["olga", ["operator"], "a long enough password"])),
        ("POST", "/v1/clients", json!(["bot", ["agent"]])),
        ("POST", "/v1/auth/login", json!(["admin", "wrong"])),
    ] {
        let answer = daemon.ask(&Request::new(method, path).token(&token).json(&body));
        assert_eq!(answer.status, 400, "{method} {path}: {answer}");
    }
}
