//! The checker finds each rule that is broken, and nothing in a history that keeps them.

use super::*;
use crate::history::Token;

const BOUND: Duration = Duration::from_micros(1);

fn write(node: usize, value: Value, begun: Moment, acknowledged: Option<(Moment, i64)>) -> Write {
    let acknowledged = acknowledged.map(|(at, version)| Acknowledged { at, version, nonce: nonce(version) });
    Write { node, cell: 0, value, begun, acknowledged, is_refused: false }
}

fn nonce(version: i64) -> u64 {
    version.unsigned_abs() * 7
}

fn at_least(version: i64) -> Demand {
    Demand::AtLeast(Token { version, incarnation: 1, nonce: nonce(version) })
}

fn look(node: usize, demand: Demand, value: Value, asked: Moment) -> Look {
    Look { node, demand, cell: 0, value, time: (asked, asked + 10) }
}

/// Cell 0: 1 by node 0, then 2 by node 1, then it is removed by node 0, then 3 by node 1, who gets no answer.
fn history(look: Look) -> History {
    let stored = [(11, Some(1)), (12, Some(2)), (14, None), (15, Some(3))];
    let stored = stored.map(|(version, value)| Stored { version, nonce: nonce(version), cell: 0, value });
    let writes = vec![
        write(0, Some(1), 0, Some((100, 11))),
        write(1, Some(2), 150, Some((200, 12))),
        write(0, None, 250, Some((300, 14))),
        write(1, Some(3), 10_000, None),
    ];
    History { writes, looks: vec![look], stored: stored.to_vec(), outages: Vec::new(), losses: Vec::new() }
}

fn broken(history: &History) -> Vec<Rule> {
    check(history, BOUND).broken.into_keys().collect()
}

#[track_caller]
fn is_right(look: Look) {
    assert_eq!(broken(&history(look)), [], "{look:?}");
}

#[track_caller]
fn breaks(look: Look, rules: &[Rule]) {
    assert_eq!(broken(&history(look)), rules, "{look:?}");
}

#[test]
fn what_is_right_breaks_no_rule() {
    is_right(look(0, Demand::Usual, None, 0));
    is_right(look(0, Demand::Usual, Some(1), 101));
    // Node 0 need not know yet what node 1 wrote, nor may it know only what is acknowledged.
    is_right(look(0, Demand::Usual, Some(1), 290));
    is_right(look(0, Demand::Usual, Some(2), 160));
    is_right(look(1, Demand::Usual, Some(2), 1_299));
    is_right(look(1, Demand::Usual, Some(3), 10_000));
    is_right(look(1, Demand::Usual, None, 20_000));
    // A question that was put before the acknowledgement may be answered with what there was.
    is_right(look(1, Demand::Full, Some(1), 200));
    is_right(look(1, at_least(12), Some(2), 200));
    is_right(look(1, at_least(14), Some(3), 10_000));
}

#[test]
fn a_daemon_that_does_not_know_its_own_write_is_found() {
    breaks(look(0, Demand::Usual, None, 101), &[Rule::OwnWritesAreKnown]);
    breaks(look(1, Demand::Usual, Some(1), 201), &[Rule::OwnWritesAreKnown]);
    breaks(look(0, Demand::Usual, Some(2), 301), &[Rule::OwnWritesAreKnown]);
}

#[test]
fn a_daemon_that_does_not_know_in_time_what_another_wrote_is_found() {
    is_right(look(1, Demand::Usual, Some(2), 1_300));
    breaks(look(1, Demand::Usual, Some(2), 1_301), &[Rule::OthersAreKnownInTime]);
    // While the database does not answer, nobody can know.
    let mut history = history(look(1, Demand::Usual, Some(2), 1_400));
    history.outages = vec![0..350, 1_350..2_000];
    assert_eq!(broken(&history), []);
    history.outages = vec![0..350, 1_351..2_000];
    assert_eq!(broken(&history), [Rule::OthersAreKnownInTime]);
    let outcome = check(&history, BOUND);
    assert_eq!(outcome.late, (Vec::new(), vec![Duration::from_nanos(1_100)]));
}

#[test]
fn what_is_older_than_its_token_is_found() {
    breaks(look(1, at_least(14), Some(2), 250), &[Rule::AtLeastTheToken]);
    breaks(look(0, at_least(12), Some(1), 101), &[Rule::AtLeastTheToken]);
}

#[test]
fn what_is_not_the_newest_although_that_is_demanded_is_found() {
    breaks(look(1, Demand::Full, Some(2), 301), &[Rule::FullIsNewest]);
    breaks(look(0, Demand::Full, Some(1), 201), &[Rule::FullIsNewest]);
}

#[test]
fn what_nobody_wrote_is_found() {
    breaks(look(0, Demand::Usual, Some(4), 400), &[Rule::ShownIsWritten]);
    // Nor is it shown before it is written.
    breaks(look(0, Demand::Usual, Some(2), 100), &[Rule::ShownIsWritten]);
    breaks(Look { cell: 5, ..look(0, Demand::Usual, Some(1), 400) }, &[Rule::ShownIsWritten]);
    is_right(Look { cell: 5, ..look(0, Demand::Usual, None, 400) });
}

#[test]
fn an_acknowledged_write_that_is_not_stored_is_found() {
    let right = history(look(0, Demand::Usual, Some(1), 101));
    for lost in 0..3 {
        let mut history = right.clone();
        history.stored.remove(lost);
        assert!(broken(&history).contains(&Rule::AcknowledgedIsStored), "{lost}");
    }
    let mut history = right.clone();
    history.stored.remove(3);
    assert_eq!(broken(&history), []);
    let mut history = right;
    history.stored[0].value = Some(9);
    assert!(broken(&history).contains(&Rule::AcknowledgedIsStored));
}

#[test]
fn a_refused_write_that_takes_effect_is_found() {
    let mut history = history(look(0, Demand::Usual, Some(1), 101));
    history.writes[3].is_refused = true;
    assert_eq!(broken(&history), [Rule::RefusedIsNotStored]);
    history.stored.remove(3);
    assert_eq!(broken(&history), []);
    history.looks = vec![look(1, Demand::Usual, Some(3), 10_100)];
    assert_eq!(broken(&history), [Rule::ShownIsWritten]);
}

/// Like the history above, but at 400 the database was restored to its state at 250, and node 1 then wrote another
/// value.
fn with_a_loss(look: Look) -> History {
    let mut history = history(look);
    history.stored.truncate(2);
    history.writes.truncate(3);
    history.stored.push(Stored { version: 14, nonce: 1, cell: 0, value: Some(4) });
    history.writes.push(write(1, Some(3), 350, None));
    let other = Acknowledged { at: 600, version: 14, nonce: 1 };
    history.writes.push(Write { acknowledged: Some(other), ..write(1, Some(4), 500, None) });
    history.losses.push(250..400);
    history
}

#[test]
fn what_the_database_lost_may_be_missing_and_be_shown_for_a_moment() {
    let right = |look: Look| assert_eq!(broken(&with_a_loss(look)), [], "{look:?}");
    let lost = |look: Look, rule: Rule| assert_eq!(broken(&with_a_loss(look)), [rule], "{look:?}");
    for value in [None, Some(3)] {
        right(look(0, Demand::Usual, value, 360));
        right(look(0, Demand::Usual, value, 1_400));
    }
    lost(look(0, Demand::Usual, Some(3), 1_401), Rule::LostIsForgotten);
    right(look(0, Demand::Usual, Some(2), 410));
    right(look(1, Demand::Full, Some(4), 700));
    lost(look(1, Demand::Usual, Some(2), 601), Rule::OwnWritesAreKnown);
    right(look(0, at_least(14), Some(2), 1_400));
    lost(look(0, at_least(14), Some(4), 1_401), Rule::LostTokenIsRefused);
    let mut early = with_a_loss(look(1, Demand::Usual, Some(4), 700));
    early.losses = Vec::from([301..400_u64; 1]);
    assert!(broken(&early).contains(&Rule::AcknowledgedIsStored), "it was there when the copy was made");
}
