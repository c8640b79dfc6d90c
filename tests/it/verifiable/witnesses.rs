//! Witnesses that do what they are for: they cosign what only grew.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;

use super::verifier::Verifier;
use super::{Shelf, checkpoint_over, copy_of, covered, decide, decide_many, first_vkey, patient, printed, until, vkey};
use crate::harness::{PATIENCE, Setup, TestDaemon};

/// A running witness. It ends with the test.
pub struct Witness {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// Its submission prefix.
    pub url: String,
    /// Its key.
    pub vkey: String,
}

impl Witness {
    /// Starts one that knows these keys of a log, and waits so long before each answer.
    pub fn start(verifier: &Verifier, name: &str, seed: u8, log: &str, delay_ms: u64) -> Self {
        let seed = format!("{seed:02x}").repeat(32);
        let mut command = verifier.command(&["witness", "127.0.0.1:0", name, &seed, log]);
        let command = command.env("WITNESS_DELAY_MS", delay_ms.to_string());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (tell, lines) = mpsc::channel();
        let said = BufReader::new(child.stdout.take().unwrap());
        // The test may be over before the witness is.
        thread::spawn(move || said.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut witness = Self { child, lines, url: String::new(), vkey: String::new() };
        let said = witness.wait_for("listening ");
        let (address, vkey) = said.split_once(' ').unwrap();
        (witness.url, witness.vkey) = (format!("http://{address}"), vkey.to_owned());
        witness
    }

    /// Waits until it says something that begins so; the rest.
    #[track_caller]
    pub fn wait_for(&self, beginning: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it never said `{beginning}`"));
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }

    /// Waits until it has cosigned at least so many records.
    #[track_caller]
    pub fn wait_for_size(&self, size: u64) -> u64 {
        loop {
            let cosigned = self.wait_for("cosigned ").parse().unwrap();
            if cosigned >= size {
                return cosigned;
            }
        }
    }

    /// Ends it at once.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // Both do nothing where it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// With witnesses, each by its address and key.
pub fn with<'a>(setup: &Setup, witnesses: impl IntoIterator<Item = (&'a str, &'a str)>) -> Setup {
    let mut list = String::new();
    for (url, key) in witnesses {
        write!(list, "{{url=\"{url}\",key=\"{key}\"}},").unwrap();
    }
    setup.clone().set("audit.witness", format_args!("[{list}]"))
}

/// The witnessed checkpoint, if there is one.
#[track_caller]
pub fn witnessed(daemon: &TestDaemon) -> Option<String> {
    let answer = daemon.get("/v1/audit/log/checkpoint/witnessed");
    match answer.status {
        200 => Some(answer.text().to_owned()),
        404 => None,
        _ => panic!("{answer}"),
    }
}

/// Waits for a witnessed checkpoint of at least so many records.
#[track_caller]
pub fn witnessed_over(daemon: &TestDaemon, size: u64) -> String {
    until("a witnessed checkpoint", || witnessed(daemon).filter(|checkpoint| covered(checkpoint) >= size))
}

#[test]
fn a_checkpoint_is_cosigned_and_stays_so_over_restarts_and_without_its_witness() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let log = first_vkey(&setup);
    let witness = Witness::start(verifier, "witness.example/w1", 1, &log, 0);
    let cosigned = |checkpoint: &str| {
        let said = verifier.accepts(&["cosigned", &log, &witness.vkey, &shelf.put("checkpoint", checkpoint)]);
        assert!(said.contains(&format!(" {} ", covered(checkpoint))), "{said}");
    };
    let setup = with(&setup, [(&*witness.url, &*witness.vkey)]);
    let daemon = setup.start();
    for _ in 0..3 {
        let index = decide(&daemon);
        checkpoint_over(&daemon, index);
        witness.wait_for_size(index + 1);
        let shown = witnessed_over(&daemon, index + 1);
        cosigned(&shown);
        let status = daemon.get("/v1/audit").json();
        assert!(status["cosigned"]["size"].as_u64() >= Some(covered(&shown)), "{status}");
    }
    let before = witnessed(&daemon).unwrap();
    assert!(daemon.stop().success());

    // The daemon that starts knows nothing of what its witness saw, and learns it.
    let daemon = setup.start();
    let shown = witnessed(&daemon).expect("it was stored");
    assert!(covered(&shown) >= covered(&before), "{shown}");
    cosigned(&shown);
    let index = decide(&daemon);
    checkpoint_over(&daemon, index);
    let conflict = witness.wait_for("refused 409 ");
    assert!(conflict.starts_with("old size 0 is not "), "{conflict}");
    witness.wait_for_size(index + 1);
    cosigned(&witnessed_over(&daemon, index + 1));
    daemon.kill();

    let daemon = setup.start();
    let index = decide(&daemon);
    checkpoint_over(&daemon, index);
    witness.wait_for_size(index + 1);
    let last = witnessed_over(&daemon, index + 1);
    cosigned(&last);
    let (file, key) = (shelf.put("last", &last), witness.vkey.clone());
    witness.kill();

    // Alone, the daemon goes on as before.
    for _ in 0..3 {
        let index = decide(&daemon);
        assert!(covered(&checkpoint_over(&daemon, index)) > covered(&last));
        assert_eq!(witnessed(&daemon).as_deref(), Some(&*last));
    }
    until("a warning", || daemon.stderr().contains("the witness did not cosign").then_some(()));
    assert!(daemon.stop().success());
    let daemon = setup.start();
    assert_eq!(witnessed(&daemon).as_deref(), Some(&*last));
    verifier.accepts(&["cosigned", &log, &key, &file]);
    drop(daemon);
    printed(&setup, ["audit", "verify", "--from", &file]);
}

#[test]
fn two_witnesses_cosign_the_same_checkpoint() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let log = first_vkey(&setup);
    let [one, two] = [("witness.example/w1", 1), ("witness.example/w2", 2)]
        .map(|(name, seed)| Witness::start(verifier, name, seed, &log, 0));
    let setup = with(&setup, [(&*one.url, &*one.vkey), (&*two.url, &*two.vkey)]);
    let daemon = setup.start();
    let index = decide(&daemon);
    let named_by_both = |checkpoint: &String| {
        checkpoint.contains("— witness.example/w1 ") && checkpoint.contains("— witness.example/w2 ")
    };
    let shown =
        until("two cosignatures", || witnessed(&daemon).filter(|shown| covered(shown) > index).filter(named_by_both));
    let file = shelf.put("checkpoint", &shown);
    for witness in [&one, &two] {
        verifier.accepts(&["cosigned", &log, &witness.vkey, &file]);
    }
    // Where it is the newest one too, the newest one has the cosignatures as well.
    let newest = until("the newest one cosigned", || Some(super::served_checkpoint(&daemon)).filter(named_by_both));
    verifier.accepts(&["cosigned", &log, &two.vkey, &shelf.put("newest", newest)]);
}

#[test]
fn a_witness_that_knows_a_key_cosigns_until_it_signs_no_more() {
    let Some(verifier) = Verifier::get() else { return };
    let (setup, shelf) = (patient(), Shelf::new());
    let log = first_vkey(&setup);
    let witness = Witness::start(verifier, "witness.example/w1", 1, &log, 0);
    let setup = with(&setup, [(&*witness.url, &*witness.vkey)]);
    let daemon = setup.start();
    printed(&setup, ["key", "rotate", "audit"]);
    let index = decide(&daemon);
    let shown = witnessed_over(&daemon, index + 1);
    for key in [&log, &vkey(&setup)] {
        verifier.accepts(&["cosigned", key, &witness.vkey, &shelf.put("checkpoint", &shown)]);
    }
    printed(&setup, ["key", "rotate", "audit"]);
    checkpoint_over(&daemon, decide(&daemon));
    witness.wait_for("refused 403 ");
    let (shown, newest) = (witnessed(&daemon).unwrap(), super::served_checkpoint(&daemon));
    assert!(covered(&shown) < covered(&newest), "{shown} {newest}");
    verifier.accepts(&["cosigned", &log, &witness.vkey, &shelf.put("checkpoint", &shown)]);
}

#[test]
fn a_witness_notices_that_a_log_was_put_back_to_an_earlier_state() {
    let Some(verifier) = Verifier::get() else { return };
    let setup = patient();
    let log = first_vkey(&setup);
    let backup = copy_of(&setup);
    let witness = Witness::start(verifier, "witness.example/w1", 1, &log, 0);
    let [setup, backup] = [setup, backup].map(|setup| with(&setup, [(&*witness.url, &*witness.vkey)]));
    let daemon = setup.start();
    decide_many(&daemon, 20);
    let index = decide(&daemon);
    checkpoint_over(&daemon, index);
    let seen = witness.wait_for_size(index + 1);
    drop(daemon);
    let daemon = backup.start();
    let said = format!("it cosigned a log of `{seen}` records, and this one has fewer");
    until("a warning", || daemon.stderr().contains(&said).then_some(()));
    // Once it is longer again, it still is not the log that the witness saw.
    let longer = loop {
        let index = decide(&daemon);
        if index > seen {
            break checkpoint_over(&daemon, index);
        }
    };
    witness.wait_for("refused 422 ");
    assert_eq!(witnessed(&daemon), None, "{longer}");
}
