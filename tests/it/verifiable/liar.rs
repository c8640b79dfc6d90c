//! A log that is shown other than it is: both verifiers notice, wherever it is changed.

use std::net::TcpStream;

use super::server;
use super::verifier::Verifier;
use super::{checkpoint_over, grow_to, patient, vkey};
use crate::harness::{Connection, Request, Setup, TestDaemon};

/// What a lie does to the body of an answer.
type Lie = fn(&mut Vec<u8>);

const LIES: [(&str, Lie); 4] = [
    ("another last bit", |body| *body.last_mut().unwrap() ^= 1),
    ("another bit in the middle", |body| {
        let middle = body.len() / 2;
        body[middle] ^= 1;
    }),
    ("the last byte left out", |body| body.truncate(body.len() - 1)),
    ("nothing at all", Vec::clear),
];

/// Shows what the daemon shows, but lies where a path ends like that; its URL.
fn liar(daemon: &TestDaemon, end: &'static str, lie: Lie) -> String {
    let daemon = daemon.address();
    let address = server::start(move |path| {
        let mut connection = Connection::new(TcpStream::connect(daemon).unwrap()).unwrap();
        let mut answer = connection.ask(&Request::get(path));
        if path.ends_with(end) {
            lie(&mut answer.body);
        }
        server::http(answer.status, answer.header("content-type").unwrap(), &answer.body)
    });
    format!("http://{address}")
}

#[test]
fn a_log_that_is_changed_on_its_way_is_refused_by_both_verifiers() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, auditor) = (patient(), Setup::new());
    let daemon = setup.start();
    grow_to(&daemon, 600);
    checkpoint_over(&daemon, 599);
    let vkey = vkey(&setup);
    let honest = liar(&daemon, "/nowhere", |_| {});
    verifier.accepts(&["log", &vkey, &format!("{honest}/v1/audit")]);
    assert!(auditor.run(["audit", "verify", "--url", &honest, "--vkey", &vkey]).status.success());
    for end in [
        "/log/checkpoint",
        "/tile/entries/000",
        "/tile/entries/002.p/88",
        "/tile/0/000",
        "/tile/0/001",
        "/tile/0/002.p/88",
        "/tile/1/000.p/2",
    ] {
        for (what, lie) in LIES {
            let liar = liar(&daemon, end, lie);
            verifier.refuses(&["log", &vkey, &format!("{liar}/v1/audit")]);
            let output = auditor.run(["audit", "verify", "--url", &liar, "--vkey", &vkey]);
            assert_eq!(output.status.code(), Some(1), "{what} in {end}: {output:?}");
        }
    }
}
