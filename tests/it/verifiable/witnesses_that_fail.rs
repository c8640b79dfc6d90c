//! Witnesses that hang, talk nonsense or sign something else: nothing waits for them, and the log says which they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::server::{self, http};
use super::verifier::Verifier;
use super::witnesses::{Witness, with, witnessed, witnessed_over};
use super::{Shelf, checkpoint_over, covered, decide, first_vkey, patient, until};

const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers to `POST /add-checkpoint` that are no cosignatures.
fn nonsense() -> Vec<Vec<u8>> {
    let conflict = |size: &str| http(409, "text/x.tlog.size", size.as_bytes());
    vec![
        Vec::new(),
        b"220 mail.example ESMTP\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort".to_vec(),
        http(200, PLAIN, b""),
        http(200, PLAIN, b"\n\n\n"),
        http(200, PLAIN, b"hello\n"),
        http(200, PLAIN, &[0xff; 100]),
        http(200, PLAIN, &vec![b'x'; 1 << 20]),
        http(200, PLAIN, "— w AAAA\n".as_bytes()),
        http(500, PLAIN, b"broken"),
        http(301, PLAIN, b"elsewhere"),
        conflict("0\n"),
        conflict("-1\n"),
        conflict("18446744073709551615\n"),
        conflict("many\n"),
    ]
}

/// A verifier key of a witness of that name, whose private half nobody has.
fn key(name: &str) -> String {
    let public = [&[4][..], &[7; 32]].concat();
    let id = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(&public).finalize();
    let id = u32::from_be_bytes(id[..4].try_into().unwrap());
    format!("{name}+{id:08x}+{}", STANDARD.encode(public))
}

#[test]
fn a_witness_that_talks_nonsense_is_named_in_the_log_and_holds_up_neither_decisions_nor_others() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let log = first_vkey(&setup);
    let good = Witness::start(verifier, "witness.example/good", 1, &log, 0);
    let fools: Vec<(String, String)> = nonsense()
        .into_iter()
        .enumerate()
        .map(|(nth, answer)| {
            let address = server::start(move |_| answer.clone());
            (format!("http://{address}"), key(&format!("witness.example/fool{nth}.")))
        })
        .collect();
    let all = fools.iter().map(|(url, key)| (&**url, &**key)).chain([(&*good.url, &*good.vkey)]);
    let setup = with(&setup, all);
    let daemon = setup.start();
    let mut shown = String::new();
    for _ in 0..3 {
        let index = decide(&daemon);
        checkpoint_over(&daemon, index);
        shown = witnessed_over(&daemon, index + 1);
        verifier.accepts(&["cosigned", &log, &good.vkey, &shelf.put("checkpoint", &shown)]);
    }
    for (_, key) in &fools {
        let name = key.split('+').next().unwrap();
        let named = |line: &&str| line.contains("the witness did not cosign") && line.contains(name);
        let line = until(name, || daemon.stderr().lines().find(named).map(str::to_owned));
        println!("{line}");
    }
    assert!(!daemon.stderr().contains("panicked"));
    assert_eq!(shown.matches("— ").count(), 2, "one signature of the log, one of the good witness: {shown}");
    assert!(daemon.stop().success());
}

#[test]
fn a_signature_of_another_key_is_none() {
    let Some(verifier) = Verifier::get() else { return };
    let setup = patient();
    let log = first_vkey(&setup);
    // Whoever answers has the name that is expected, but not the key.
    let [expected, other] = [1, 2].map(|seed| Witness::start(verifier, "witness.example/w1", seed, &log, 0));
    let setup = with(&setup, [(&*other.url, &*expected.vkey)]);
    let daemon = setup.start();
    let index = decide(&daemon);
    checkpoint_over(&daemon, index);
    until("a warning", || daemon.stderr().contains("no signature of its key").then_some(()));
    let newest = checkpoint_over(&daemon, decide(&daemon));
    assert!(!newest.contains("witness.example"), "{newest}");
    assert_eq!(witnessed(&daemon), None);
    assert!(daemon.stop().success());
}

#[test]
fn a_witness_that_hangs_delays_no_decision_no_checkpoint_no_other_witness_and_no_stop() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let log = first_vkey(&setup);
    let hung = Witness::start(verifier, "witness.example/hung", 1, &log, 3_600_000);
    let good = Witness::start(verifier, "witness.example/good", 2, &log, 0);
    let setup = with(&setup, [(&*hung.url, &*hung.vkey), (&*good.url, &*good.vkey)]);
    let daemon = setup.start();
    for _ in 0..5 {
        let index = decide(&daemon);
        assert!(covered(&checkpoint_over(&daemon, index)) > index);
        let shown = witnessed_over(&daemon, index + 1);
        verifier.accepts(&["cosigned", &log, &good.vkey, &shelf.put("checkpoint", shown)]);
    }
    until("a warning", || daemon.stderr().contains("witness.example/hung").then_some(()));
    decide(&daemon);
    assert!(daemon.stop().success());
    // Nor does a start wait for it.
    let daemon = setup.start();
    let index = decide(&daemon);
    witnessed_over(&daemon, index + 1);
    assert!(daemon.stop().success());
}
