//! How `/v1/audit…` speaks HTTP.

use super::{checkpoint_over, grow_to, patient, problem, size};
use crate::harness::{Request, Setup, TestDaemon, issuer};

const IMMUTABLE: Option<&str> = Some("private, max-age=31536000, immutable");
const NO_CACHE: Option<&str> = Some("no-cache");
const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const OCTETS: &str = "application/octet-stream";

/// Routes that a log of 300 records has, and what they answer with.
const ROUTES: [(&str, &str, Option<&str>); 10] = [
    ("/v1/audit", JSON, NO_CACHE),
    ("/v1/audit/log/checkpoint", PLAIN, NO_CACHE),
    ("/v1/audit/log/tile/0/000", OCTETS, IMMUTABLE),
    ("/v1/audit/log/tile/0/001.p/44", OCTETS, IMMUTABLE),
    ("/v1/audit/log/tile/1/000.p/1", OCTETS, IMMUTABLE),
    ("/v1/audit/log/tile/entries/001.p/44", OCTETS, IMMUTABLE),
    ("/v1/audit/entries/0", JSON, IMMUTABLE),
    ("/v1/audit/entries/299/proof", PLAIN, NO_CACHE),
    ("/v1/audit/consistency?from=1&to=300", JSON, None),
    ("/v1/audit/entries", JSON, None),
];

/// A daemon whose log has 300 records, all of them signed.
fn with_300_records(setup: &Setup) -> TestDaemon {
    let daemon = setup.start();
    grow_to(&daemon, 300);
    checkpoint_over(&daemon, 299);
    daemon
}

#[test]
fn every_route_says_what_it_answers_with_and_whether_it_may_be_kept() {
    let daemon = with_300_records(&patient());
    for (path, kind, cache) in ROUTES {
        let answer = daemon.get(path);
        let found = (answer.status, answer.header("content-type"), answer.header("cache-control"));
        assert_eq!(found, (200, Some(kind), cache), "{path}: {answer}");
        assert!(!answer.body.is_empty(), "{path}");
        let head = daemon.ask(&Request::new("HEAD", path));
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        for name in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.header(name), answer.header(name), "{name} of {path}");
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let request = Request::new(method, path);
            assert_eq!(problem(&daemon, &request), "405 method-not-allowed", "{method} {path}");
            assert_eq!(daemon.ask(&request).header("allow"), Some("GET, HEAD"), "{method} {path}");
        }
    }
}

#[test]
fn tiles_beyond_the_checkpoint_and_names_that_are_none_are_not_found() {
    let daemon = with_300_records(&patient());
    for name in [
        "0/001",
        "0/001.p/45",
        "0/002.p/1",
        "1/000",
        "1/000.p/2",
        "2/000.p/1",
        "7/000.p/1",
        "8/000",
        "entries/001",
        "entries/001.p/45",
        "0/x018/x446/x744/x073/x709/x551/615",
        "0/x072/x057/x594/x037/x927/935",
        "entries/x072/x057/x594/x037/x927/936.p/1",
        "0/x018/x446/x744/x073/x709/x551/616",
        "",
        "0",
        "0/",
        "0/0",
        "0/00",
        "0/0000",
        "00/000",
        "0/x000/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/044",
        "0/000.p/",
        "0/000/",
        "-1/000",
        "+0/000",
        "0/+00",
        "0/000.P/1",
        "entries/",
        "data/000",
        "entries/000/x",
        "../checkpoint",
        "0/../0/000",
        "0/000%00",
        "0/000%2f",
        "0/000\u{20}",
    ] {
        // A space cannot be in a request line.
        let path = format!("/v1/audit/log/tile/{}", name.replace(' ', "%20"));
        assert_eq!(problem(&daemon, &Request::get(&path)), "404 not-found", "{path}");
    }
    // What is shorter than a whole tile stays there for those who learnt of it before.
    for width in [1, 2, 43, 44] {
        let tile = daemon.get(&format!("/v1/audit/log/tile/0/001.p/{width}"));
        assert_eq!((tile.status, tile.body.len()), (200, width * 32));
    }
    assert_eq!(daemon.get("/v1/audit/log/tile/0/000.p/255").body.len(), 255 * 32);
    assert_eq!(daemon.get("/v1/audit/log/tile/0/000").body.len(), 256 * 32);
}

#[test]
fn a_tile_is_not_shown_before_a_checkpoint_covers_it() {
    let daemon = patient().set("audit.checkpoint_interval_ms", 3_600_000).start();
    checkpoint_over(&daemon, 2);
    grow_to(&daemon, 10);
    for kind in ["0", "entries"] {
        let path = format!("/v1/audit/log/tile/{kind}/000.p/10");
        assert_eq!(problem(&daemon, &Request::get(&path)), "404 not-found");
    }
    // The record itself is durable, and can be read by whoever was told its index.
    assert_eq!(daemon.get("/v1/audit/entries/9").status, 200);
    checkpoint_over(&daemon, 9);
    assert_eq!(daemon.get("/v1/audit/log/tile/0/000.p/10").status, 200);
    assert_eq!(daemon.get("/v1/audit/log/tile/entries/000.p/10").status, 200);
}

#[test]
fn records_and_proofs_are_found_by_numbers_that_the_log_has() {
    let daemon = with_300_records(&patient());
    for (index, expected) in [
        ("300", "404 not-found"),
        ("18446744073709551615", "404 not-found"),
        ("18446744073709551616", "400 bad-request"),
        ("-1", "400 bad-request"),
        ("x", "400 bad-request"),
        ("1.0", "400 bad-request"),
    ] {
        for path in [format!("/v1/audit/entries/{index}"), format!("/v1/audit/entries/{index}/proof")] {
            assert_eq!(problem(&daemon, &Request::get(&path)), expected, "{path}");
        }
    }
    assert_eq!(size(&daemon), 300, "reading is not recorded");
}

#[test]
fn consistency_is_proven_between_sizes_that_the_log_had() {
    let daemon = with_300_records(&patient());
    for (query, (from, to), empty) in [
        ("from=0&to=0", (0, 0), true),
        ("from=0&to=300", (0, 300), true),
        ("from=0", (0, 300), true),
        ("from=300", (300, 300), true),
        ("from=7&to=7", (7, 7), true),
        ("from=1", (1, 300), false),
        ("from=256&to=257", (256, 257), false),
        ("to=300&from=299", (299, 300), false),
    ] {
        let answer = daemon.get(&format!("/v1/audit/consistency?{query}"));
        assert_eq!(answer.status, 200, "{query}: {answer}");
        let proven = answer.json();
        let found = (proven["from"].as_u64(), proven["to"].as_u64(), proven["proof"].as_array().map(Vec::is_empty));
        assert_eq!(found, (Some(from), Some(to), Some(empty)), "{query}");
    }
    for (query, expected) in [
        ("from=2&to=1", "400 bad-request"),
        ("from=300&to=0", "400 bad-request"),
        ("", "400 bad-request"),
        ("to=3", "400 bad-request"),
        ("from=", "400 bad-request"),
        ("from=-1", "400 bad-request"),
        ("from=x&to=3", "400 bad-request"),
        ("from=1&from=2", "400 bad-request"),
        ("from=1&to=2&size=3", "400 bad-request"),
        ("from=1&TO=2", "400 bad-request"),
        ("from=18446744073709551616", "400 bad-request"),
        ("from=301", "404 not-found"),
        ("from=1&to=301", "404 not-found"),
        ("from=18446744073709551615", "404 not-found"),
        ("from=0&to=18446744073709551615", "404 not-found"),
    ] {
        let path = format!("/v1/audit/consistency?{query}");
        assert_eq!(problem(&daemon, &Request::get(&path)), expected, "{path}");
    }
}

#[test]
fn a_log_without_a_witness_has_no_witnessed_checkpoint() {
    let daemon = patient().start();
    let request = Request::get("/v1/audit/log/checkpoint/witnessed");
    assert_eq!(problem(&daemon, &request), "404 not-found");
}

#[test]
fn the_log_is_read_without_a_belief_in_a_constitution_but_not_with_a_wrong_one() {
    let daemon = with_300_records(&patient());
    let hash = daemon.get("/livez").header("x-constitutional-hash").unwrap().to_owned();
    drop(daemon);
    // What `grow_to` asks states no hash, so there are only the records of the start.
    let daemon = patient().set("constitution.hash_enforcement", "required").start();
    let with = |path: &str, hash: &str| Request::get(path).header("X-Constitutional-Hash", hash);
    daemon.ask(&with("/v1/audit/entries/2/proof", &hash));
    let open = ["/v1/audit/log/checkpoint", "/v1/audit/log/tile/0/000.p/3", "/v1/audit/log/tile/entries/000.p/3"];
    for path in open {
        assert_eq!(daemon.get(path).status, 200, "{path}");
        assert_eq!(problem(&daemon, &with(path, "0000000000000000")), "409 constitution-mismatch", "{path}");
    }
    assert_eq!(problem(&daemon, &Request::get("/v1/audit/log/checkpoint/witnessed")), "404 not-found");
    for path in ["/v1/audit", "/v1/audit/entries", "/v1/audit/entries/0", "/v1/audit/entries/0/proof"] {
        assert_eq!(daemon.get(path).status, 200, "{path}");
        assert_eq!(problem(&daemon, &with(path, "0000000000000000")), "409 constitution-mismatch", "{path}");
        assert_eq!(daemon.ask(&with(path, &hash)).status, 200, "{path}");
    }
    let path = "/v1/audit/consistency?from=1&to=2";
    assert_eq!(daemon.get(path).status, 200);
    assert_eq!(daemon.ask(&with(path, &hash)).status, 200);
}

#[test]
fn the_log_is_shown_to_those_who_may_see_it_however_its_paths_are_written() {
    let daemon = patient().set("http.bind", "0.0.0.0:0").set("auth.decisions", "token").start();
    let others = ["/v1/%61udit/log/checkpoint", "/%76%31/audit/entries/0", "/v1/audit/log/checkpoint/witnessed"];
    let agent = issuer::token("helper", "agent");
    for path in ROUTES.iter().map(|(path, ..)| *path).chain(others) {
        for method in ["GET", "HEAD"] {
            let answer = daemon.ask(&Request::new(method, path).anonymous());
            assert_eq!(answer.status, 401, "{method} {path}: {answer}");
            let answer = daemon.ask(&Request::new(method, path).token(&agent));
            assert_eq!(answer.status, 403, "{method} {path}: {answer}");
        }
        assert_eq!(problem(&daemon, &Request::get(path).anonymous()), "401 unauthenticated", "{path}");
    }
}
