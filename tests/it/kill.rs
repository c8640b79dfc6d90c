//! SIGKILL under load, again and again over the same data folder: every answered decision is in the log, once.
//!
//! `ACGS_KILL_ROUNDS` changes how often.

use crate::audit;
use crate::audit::{Exported, kill_under_load, verify};

const CLIENTS: u64 = 4;

fn rounds() -> usize {
    std::env::var("ACGS_KILL_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap())
}

#[test]
fn every_answered_decision_is_in_the_log_once_however_often_the_daemon_is_killed() {
    let setup = audit::setup();
    let (mut answered, mut size, mut torn) = (Vec::new(), 0, 0);
    for _ in 0..rounds() {
        let new = kill_under_load(&setup, CLIENTS);
        torn += usize::from(!verify(&setup).stderr.is_empty());
        let exported = Exported::from(&setup, size);
        exported.holds(size, &new);
        size += exported.records.len() as u64;
        answered.extend(new);
    }
    assert!(setup.start().stop().success());
    verify(&setup);
    let exported = Exported::from(&setup, 0);
    exported.holds(0, &answered);
    println!("{} answered, {} recorded, {torn} torn tails", answered.len(), exported.records.len());
}

#[test]
fn an_asynchronous_log_loses_at_most_its_newest_records() {
    // One worker, so that there is one order in which answers left.
    let setup = audit::setup().set("audit.durability", "async").set("http.workers", 1);
    let (mut kept, mut size, mut lost) = (Vec::new(), 0, 0);
    for _ in 0..rounds().div_ceil(5) {
        let new = kill_under_load(&setup, CLIENTS);
        verify(&setup);
        let exported = Exported::from(&setup, size);
        size += exported.records.len() as u64;
        let (here, gone): (Vec<_>, Vec<_>) = new.into_iter().partition(|one| exported.place(&one.id).is_some());
        let newest_kept = here.iter().map(|one| one.ticks.0).max().unwrap_or_default();
        let older: Vec<_> = gone.iter().filter(|one| one.ticks.1 < newest_kept).collect();
        assert!(older.is_empty(), "lost, though what was asked after their answers is there: {older:?}");
        lost += gone.len();
        kept.extend(here);
    }
    assert!(setup.start().stop().success());
    verify(&setup);
    let exported = Exported::from(&setup, 0);
    assert!(kept.iter().all(|one| exported.place(&one.id).is_some()), "lost by a later start");
    println!("{} kept, {lost} lost", kept.len());
}
