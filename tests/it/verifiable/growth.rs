//! The log verifies at any size, while it grows, and however its daemon ended.

use super::verifier::Verifier;
use super::{Shelf, checkpoint_over, covered, decide, grow_to, host, patient, printed, served_checkpoint, site, vkey};
use crate::audit::{self, Clients, Exported};
use crate::harness::{Signal, TestDaemon, until};
use crate::tampering::archiving::{old_log, segments_now};

/// Checkpoints that were kept, which whatever the log becomes has to continue.
struct Kept {
    shelf: Shelf,
    files: Vec<String>,
}

impl Kept {
    fn new() -> Self {
        Self { shelf: Shelf::new(), files: Vec::new() }
    }

    fn keep(&mut self, checkpoint: &str) {
        self.files.push(self.shelf.put(&format!("{}-{}", self.files.len(), covered(checkpoint)), checkpoint));
    }

    /// The verifier must accept the log and find all kept checkpoints in it; what it prints.
    #[track_caller]
    fn are_continued_by(&self, verifier: &Verifier, vkey: &str, daemon: &TestDaemon) -> String {
        let site = site(daemon);
        let mut arguments = vec!["log", vkey, &site];
        arguments.extend(self.files.iter().map(String::as_str));
        verifier.accepts(&arguments)
    }

    /// The same by the daemon's own verifier, from a folder that has nothing of this log.
    #[track_caller]
    fn are_continued_by_its_own_word(&self, vkey: &str, daemon: &TestDaemon) {
        let url = host(daemon);
        let mut arguments = vec!["audit", "verify", "--url", &url, "--vkey", vkey];
        arguments.extend(self.files.iter().flat_map(|file| ["--from", file]));
        printed(&patient(), arguments);
    }
}

#[test]
fn the_log_verifies_after_each_of_its_first_records() {
    let Some(verifier) = Verifier::get() else { return };
    let setup = patient();
    let daemon = setup.start();
    let (vkey, mut kept) = (vkey(&setup), Kept::new());
    for _ in 0..14 {
        let index = decide(&daemon);
        kept.keep(&checkpoint_over(&daemon, index));
        let said = kept.are_continued_by(verifier, &vkey, &daemon);
        assert!(said.starts_with(&format!("ok size={} ", index + 1)), "{said}");
        kept.are_continued_by_its_own_word(&vkey, &daemon);
    }
}

#[test]
fn a_log_whose_segments_were_archived_continues_what_was_signed_before() {
    let Some(verifier) = Verifier::get() else { return };
    let setup = patient();
    old_log(&setup, 1_500);
    let daemon = setup.start();
    let (vkey, mut kept) = (vkey(&setup), Kept::new());
    kept.keep(&checkpoint_over(&daemon, decide(&daemon)));
    assert!(daemon.stop().success());
    assert_eq!(segments_now(&setup)[0], 0);

    let setup = setup.set("audit.archive", "closed");
    let daemon = setup.start();
    until("the segments are archived", || segments_now(&setup)[0] > 1_000);
    for _ in 0..2 {
        let index = decide(&daemon);
        kept.keep(&checkpoint_over(&daemon, index));
        let said = kept.are_continued_by(verifier, &vkey, &daemon);
        assert!(said.starts_with(&format!("ok size={} ", index + 1)), "{said}");
        kept.are_continued_by_its_own_word(&vkey, &daemon);
    }
}

#[test]
fn the_log_verifies_on_both_sides_of_every_edge_of_its_tiles() {
    let Some(verifier) = Verifier::get() else { return };
    let setup = patient();
    let mut daemon = setup.start();
    let (vkey, mut kept) = (vkey(&setup), Kept::new());
    let tile = |daemon: &TestDaemon, name: &str| daemon.get(&format!("/v1/audit/log/tile/{name}")).status;
    for (size, there, not_there) in [
        (255, &["0/000.p/255"][..], &["0/000", "1/000.p/1"][..]),
        (256, &["0/000", "0/000.p/255", "1/000.p/1", "entries/000"], &["0/001.p/1", "1/000.p/2"]),
        (257, &["0/001.p/1", "entries/001.p/1", "1/000.p/1"], &["0/001.p/2", "2/000.p/1"]),
        (65_535, &["1/000.p/255", "0/255.p/255"], &["1/000", "0/255", "2/000.p/1"]),
        (65_536, &["1/000", "1/000.p/255", "2/000.p/1", "0/255"], &["0/256.p/1", "1/001.p/1", "3/000.p/1"]),
        (70_401, &["1/001.p/19", "0/275.p/1", "2/000.p/1"], &["1/001.p/20", "2/000.p/2", "0/275"]),
    ] {
        grow_to(&daemon, size);
        kept.keep(&checkpoint_over(&daemon, size - 1));
        let said = kept.are_continued_by(verifier, &vkey, &daemon);
        println!("{}", said.trim_end());
        assert!(said.starts_with(&format!("ok size={size} ")), "{said}");
        for name in there {
            assert_eq!(tile(&daemon, name), 200, "{name} at {size}");
        }
        for name in not_there {
            assert_eq!(tile(&daemon, name), 404, "{name} at {size}");
        }
    }
    for signal in [Signal::TERM, Signal::KILL] {
        daemon.signal(signal);
        daemon.wait();
        daemon = setup.start();
        let index = decide(&daemon);
        kept.keep(&checkpoint_over(&daemon, index));
        println!("{}", kept.are_continued_by(verifier, &vkey, &daemon).trim_end());
        kept.are_continued_by_its_own_word(&vkey, &daemon);
    }
    drop(daemon);
    printed(&setup, ["audit", "verify"]);
}

#[test]
fn the_log_verifies_while_it_grows_and_after_every_restart() {
    let Some(verifier) = Verifier::get() else { return };
    let setup = patient().set("audit.checkpoint_interval_ms", 50);
    let (mut kept, mut answered) = (Kept::new(), Vec::new());
    for signal in [Signal::TERM, Signal::KILL, Signal::KILL] {
        let daemon = setup.start();
        let clients = Clients::start(&daemon, 2, audit::question);
        let vkey = vkey(&setup);
        for _ in 0..2 {
            clients.wait_for(20, 200);
            kept.are_continued_by(verifier, &vkey, &daemon);
            kept.are_continued_by_its_own_word(&vkey, &daemon);
            kept.keep(&served_checkpoint(&daemon));
        }
        daemon.signal(signal);
        daemon.wait();
        answered.extend(clients.end().into_iter().flat_map(|story| story.answered));
    }
    let daemon = setup.start();
    println!("{} answered; {}", answered.len(), kept.are_continued_by(verifier, &vkey(&setup), &daemon).trim_end());
    assert!(daemon.stop().success());
    Exported::from(&setup, 0).holds(0, &answered);
    let mut arguments = vec!["audit", "verify"];
    arguments.extend(kept.files.iter().flat_map(|file| ["--from", file]));
    printed(&setup, arguments);
}
