//! SIGKILL under load with everything on that follows the log: checkpoints, tiles, the search index.
//!
//! `ACGS_KILL_ROUNDS` changes how often.

use std::thread;
use std::time::Duration;

use super::case::{Case, Kept, files};
use super::{search_index, tiles};
use crate::audit::{self, Answered, Clients, Exported, question};
use crate::harness::Setup;

fn rounds() -> usize {
    std::env::var("ACGS_KILL_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap())
}

/// Starts the daemon, asks, and kills it at a random moment; what was answered, and the last checkpoint that was shown.
fn kill(setup: &Setup) -> (Vec<Answered>, Kept) {
    let daemon = setup.start();
    let clients = Clients::start(&daemon, 4, question);
    clients.wait_for(1, 200);
    // Some kills come while the log is still being followed up to where it was.
    assert_eq!(daemon.get("/v1/audit/entries/0/proof").status, 200);
    // No event is waited for: the moment has to be a random one.
    thread::sleep(Duration::from_micros(rand::random_range(0..150_000)));
    let shown = daemon.get("/v1/audit/log/checkpoint");
    daemon.kill();
    let answered = clients.end().into_iter().flat_map(|story| story.answered).collect();
    (answered, Kept::read(shown.text().to_owned()))
}

#[test]
fn however_often_it_is_killed_checkpoints_tiles_and_copy_go_on_from_what_was_stored() {
    let setup = audit::setup().in_files().set("audit.checkpoint_interval_ms", 10);
    let case = Case::of(setup.clone(), &files(setup.data_dir().parent().unwrap()));
    let (mut kept, mut answered) = (Vec::<Kept>::new(), Vec::new());
    for _ in 0..rounds() {
        let (new, shown) = kill(&setup);
        answered.extend(new);
        let stored = Kept::newest(&setup);
        assert!(shown.checkpoint.size <= stored.checkpoint.size, "{shown:?} was shown and {stored:?} is stored");
        assert!(kept.last().is_none_or(|before| before.checkpoint.size <= stored.checkpoint.size));
        kept.extend([shown, stored]);
        case.verify_from(&kept, &[]).is_sound("after a kill");
    }
    // A stop copies so many batches at most.
    let size = loop {
        let (status, errors) = setup.start().stop_and_tell();
        assert!(status.success() && !errors.contains("is not copied"), "{errors}");
        let size = Kept::newest(&setup).checkpoint.size;
        if search_index::rows(&setup).len() as u64 == size {
            break size;
        }
    };
    case.verify_from(&kept, &[]).is_sound("at the end");
    let exported = Exported::from(&setup, 0);
    exported.holds(0, &answered);
    assert_eq!(exported.records.len() as u64, size);
    tiles::are_right(&case, size);
    search_index::is_whole(&setup);
    println!("{} answered, {size} recorded, {} checkpoints kept", answered.len(), kept.len());
}

#[test]
fn a_copy_that_is_taken_away_after_a_kill_is_made_again() {
    let setup = audit::setup().in_files().set("audit.checkpoint_interval_ms", 10);
    for round in 0..3 {
        kill(&setup);
        if setup.data_dir().join("acgs-audit.db").exists() {
            search_index::remove(&setup);
        }
        assert!(setup.start().stop().success(), "round {round}");
        search_index::is_whole(&setup);
    }
}
