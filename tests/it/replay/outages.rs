//! A log that cannot be written for a while: what it had no room for is recorded once more.

use std::collections::HashMap;

use super::archive::{Archive, Writers, decisions, replay, why_undecided};
use super::world::{Callers, Chance};
use crate::audit::{Clients, Exported, Story, verify};
use crate::faults::disk::{EIO, Faults};

#[test]
fn what_a_decision_read_is_in_the_log_although_it_was_lost_at_first() {
    let Some(faults) = Faults::new() else { return };
    let archive = Archive::new();
    let setup = faults.within(archive.setup.clone());
    let daemon = setup.start();
    let (writers, turns) = Writers::start(&daemon, 1, 5);
    (0..40).for_each(|_| turns.send(()).unwrap());
    writers.finish(turns);
    // Nothing is written meanwhile, so that what is read is the same before and after.
    let callers = Callers::default();
    let clients = Clients::start(&daemon, 4, move |number| Chance::ask(number % 97, &callers));
    for outage in 0..3 {
        if outage > 0 {
            clients.wait_for(60, 200);
        }
        faults.set(&format!("write error {EIO} audit"));
        clients.wait_for(20, 503);
        faults.clear();
    }
    clients.wait_for(60, 200);
    let stories = clients.end();
    assert!(daemon.stop().success());
    verify(&setup);
    let exported = Exported::from(&setup, 0);
    let answered = |story: &Story| story.answered.len();
    exported.holds(0, stories.iter().flat_map(|story| &story.answered));
    assert!(decisions(&exported).any(|record| record["entities"].is_string()));
    let replayed = replay(&setup, &[]);
    assert_eq!(replayed.different, HashMap::new());
    let expected = decisions(&exported).filter_map(why_undecided).count();
    assert_eq!(replayed.undecided.len(), expected, "{:?}", replayed.undecided);
    let refused: usize = stories.iter().map(|story| story.refused.len()).sum();
    println!("{} answered, {refused} refused", stories.iter().map(answered).sum::<usize>());
}
