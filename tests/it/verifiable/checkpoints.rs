//! Checkpoints, and what `acgs audit verify` holds against them: from the same machine and from another.

use std::net::TcpListener;

use super::until;
use super::verifier::Verifier;
use super::{
    Shelf, checkpoint_over, copy_of, covered, decide, decide_many, first_vkey, host, patient, printed, refused, site,
    vkey,
};
use crate::harness::Setup;

#[test]
fn the_stored_checkpoint_is_the_served_one_and_verifies_under_the_logs_key_alone() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let daemon = setup.start();
    let served = checkpoint_over(&daemon, decide(&daemon));
    let vkey = vkey(&setup);
    let stored = String::from_utf8(printed(&setup, ["audit", "checkpoint"])).unwrap();
    assert_eq!(stored, served);
    assert!(daemon.stop().success());
    let last = String::from_utf8(printed(&setup, ["audit", "checkpoint"])).unwrap();
    // The record of the stop is signed too.
    assert_eq!(covered(&last), covered(&served) + 1);
    for checkpoint in [&served, &last] {
        let file = shelf.put("checkpoint", checkpoint);
        let (origin, size) = (vkey.split('+').next().unwrap(), covered(checkpoint));
        assert!(verifier.accepts(&["checkpoint", &vkey, &file]).starts_with(&format!("{origin} {size} ")));
        verifier.refuses(&["checkpoint", &first_vkey(&patient()), &file]);
        let larger = checkpoint.replace(&format!("\n{size}\n"), &format!("\n{}\n", size + 1));
        verifier.refuses(&["checkpoint", &vkey, &shelf.put("larger", larger)]);
    }
}

#[test]
fn a_log_is_verified_from_afar_with_nothing_but_its_key_and_kept_checkpoints() {
    let (setup, auditor, shelf) = (patient(), Setup::new(), Shelf::new());
    let daemon = setup.start();
    let (vkey, url) = (vkey(&setup), host(&daemon));
    let old = shelf.put("old", checkpoint_over(&daemon, decide(&daemon)));
    let newest = checkpoint_over(&daemon, decide(&daemon));
    let newer = shelf.put("newer", &newest);
    let expected = format!("ok: {} records of {}, root ", covered(&newest), vkey.split('+').next().unwrap());
    for (kept, url) in [
        (&[][..], &url),
        (&[&old][..], &url),
        (&[&old, &newer][..], &url),
        (&[&newer, &old, &old][..], &format!("{url}/")),
    ] {
        let mut arguments = vec!["audit", "verify", "--url", url, "--vkey", &vkey];
        arguments.extend(kept.iter().flat_map(|file| ["--from", file]));
        let said = String::from_utf8(printed(&auditor, arguments)).unwrap();
        assert!(said.starts_with(&expected), "{said}");
    }
    assert!(!auditor.data_dir().exists(), "an auditor needs no data folder");
}

#[test]
fn an_auditor_from_afar_needs_no_belief_in_a_constitution() {
    let setup = patient().set("constitution.hash_enforcement", "required");
    let (daemon, auditor) = (setup.start(), Setup::new());
    until("a checkpoint", || (daemon.get("/v1/audit/log/checkpoint").status == 200).then_some(()));
    printed(&auditor, ["audit", "verify", "--url", &host(&daemon), "--vkey", &vkey(&setup)]);
}

#[test]
fn a_foreign_key_a_foreign_checkpoint_and_silence_are_told_apart() {
    let (setup, foreign, auditor, shelf) = (patient(), patient(), Setup::new(), Shelf::new());
    let daemon = setup.start();
    let (vkey, foreign_vkey) = (vkey(&setup), first_vkey(&foreign));
    let (url, served) = (host(&daemon), checkpoint_over(&daemon, decide(&daemon)));
    let foreign = shelf.put("foreign", printed(&foreign, ["audit", "checkpoint"]));
    let text = served.split_once("\n\n").unwrap().0;
    let unsigned = shelf.put("unsigned", format!("{text}\n\n"));
    let damaged = shelf.put("damaged", served.replacen("\n\n", "\n", 1));
    // A port that was taken and given back has nobody listening.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = format!("http://{silent}");
    let remote = ["audit", "verify", "--url", &url, "--vkey", &vkey];
    for (arguments, code) in [
        (vec!["audit", "verify", "--url", &url, "--vkey", &foreign_vkey], 1),
        ([&remote[..], &["--from", &foreign]].concat(), 1),
        ([&remote[..], &["--from", &foreign, "--vkey", &foreign_vkey]].concat(), 1),
        ([&remote[..], &["--from", &unsigned]].concat(), 1),
        ([&remote[..], &["--from", &damaged]].concat(), 1),
        ([&remote[..], &["--from", "/nowhere"]].concat(), 74),
        (vec!["audit", "verify", "--url", &silent, "--vkey", &vkey], 74),
        (vec!["audit", "verify", "--url", &url], 2),
        (vec!["audit", "verify", "--url", &url, "--vkey", "nonsense"], 2),
    ] {
        let said = refused(&auditor, arguments.iter().copied(), code);
        assert!(!said.trim().is_empty() && !said.contains("panicked"), "{arguments:?}: {said}");
    }
}

#[test]
fn two_futures_of_one_log_are_told_apart_though_one_key_signs_both() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, auditor, shelf) = (patient(), Setup::new(), Shelf::new());
    let vkey = first_vkey(&setup);
    let fork = copy_of(&setup);
    let (daemon, forked) = (setup.start(), fork.start());
    // Both sign as many records, and one signs more.
    let (same, other) = (checkpoint_over(&daemon, decide(&daemon)), checkpoint_over(&forked, decide(&forked)));
    assert_eq!(covered(&same), covered(&other));
    decide_many(&daemon, 10);
    let later = checkpoint_over(&daemon, decide(&daemon));
    for (shown, foreign) in [(&daemon, &other), (&forked, &same), (&forked, &later)] {
        let foreign = shelf.put("foreign", foreign);
        verifier.refuses(&["log", &vkey, &site(shown), &foreign]);
        refused(&auditor, ["audit", "verify", "--url", &host(shown), "--vkey", &vkey, "--from", &foreign], 1);
    }
    drop((daemon, forked));
    let (other, later) = (shelf.put("other", other), shelf.put("later", later));
    refused(&setup, ["audit", "verify", "--from", &other], 1);
    refused(&fork, ["audit", "verify", "--from", &later], 1);
    printed(&setup, ["audit", "verify", "--from", &later]);
    printed(&fork, ["audit", "verify", "--from", &other]);
}

#[test]
fn a_log_that_was_put_back_to_an_earlier_state_is_not_what_its_later_checkpoint_says() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, auditor, shelf) = (patient(), Setup::new(), Shelf::new());
    let vkey = first_vkey(&setup);
    let backup = copy_of(&setup);
    let daemon = setup.start();
    decide_many(&daemon, 20);
    let later = shelf.put("later", checkpoint_over(&daemon, decide(&daemon)));
    drop(daemon);
    refused(&backup, ["audit", "verify", "--from", &later], 1);
    // To the daemon it is a log like any other: only what was kept elsewhere knows better.
    let daemon = backup.start();
    checkpoint_over(&daemon, decide(&daemon));
    verifier.refuses(&["log", &vkey, &site(&daemon), &later]);
    refused(&auditor, ["audit", "verify", "--url", &host(&daemon), "--vkey", &vkey, "--from", &later], 1);
    verifier.accepts(&["log", &vkey, &site(&daemon)]);
}
