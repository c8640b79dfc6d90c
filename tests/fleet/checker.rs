//! Whether what clients saw of a fleet is what they may see.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use crate::history::{Acknowledged, Demand, History, Look, Moment, Stored, Value, Write};

/// A rule that was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// What was acknowledged is stored, as the version that was said, unless the database lost it.
    AcknowledgedIsStored,
    /// What is shown was written, and not only after it was shown.
    ShownIsWritten,
    /// What a daemon shows is no older than what it acknowledged itself before.
    OwnWritesAreKnown,
    /// What others acknowledged is known after so much time, that of outages of the database not counted.
    OthersAreKnownInTime,
    /// What is shown is no older than the token.
    AtLeastTheToken,
    /// Where everything is demanded, what is shown is no older than what anybody acknowledged before.
    FullIsNewest,
    /// What the database lost is shown no more after so much time.
    LostIsForgotten,
    /// A token of what the database lost is refused after so much time.
    LostTokenIsRefused,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How often each rule was broken, with the first case.
    pub broken: BTreeMap<Rule, (usize, String)>,
    /// For each write and each other daemon that showed something older later: from the acknowledgement to the last such
    /// question. First without those that an outage of the database fell into, then these.
    pub late: (Vec<Duration>, Vec<Duration>),
}

impl Outcome {
    fn breaks(&mut self, rule: Rule, case: impl FnOnce() -> String) {
        self.broken.entry(rule).or_insert_with(|| (0, case())).0 += 1;
    }
}

/// What is known of one cell.
struct Cell {
    /// What was stored, in its order.
    stored: Vec<Stored>,
    /// Who wrote it, by its place in `stored`.
    writers: Vec<Option<Write>>,
    places: HashMap<Value, Vec<usize>>,
    /// By node and place: when something that stands there or later was first acknowledged by that node.
    first_by: Vec<Vec<Moment>>,
    /// The same by any node.
    first: Vec<Moment>,
    /// What was written, or may have been, and the database lost; and until when it may be shown.
    lost: Vec<(Write, Moment)>,
}

/// Checks everything.
pub fn check(history: &History, bound: Duration) -> Outcome {
    let mut outcome = Outcome::default();
    let nodes = 1 + history
        .writes
        .iter()
        .map(|write| write.node)
        .chain(history.looks.iter().map(|look| look.node))
        .max()
        .unwrap_or(0);
    let mut cells: HashMap<usize, Cell> = HashMap::new();
    for cell in history.stored.iter().map(|stored| stored.cell).chain(history.writes.iter().map(|write| write.cell)) {
        cells.entry(cell).or_insert_with(|| Cell::new(cell, nodes, history, &mut outcome));
    }
    let mut late: HashMap<(i64, usize), Late> = HashMap::new();
    let kept: HashSet<(i64, u64)> = history.stored.iter().map(|stored| (stored.version, stored.nonce)).collect();
    let lost = |write: &Write| Some((write.acknowledged?.key(), history.lost_until(write)?));
    let lost: HashMap<(i64, u64), Moment> = history.writes.iter().filter_map(lost).collect();
    for look in &history.looks {
        // Nothing is demanded by a token that is lost.
        if let Demand::AtLeast(token) = look.demand
            && !kept.contains(&(token.version, token.nonce))
        {
            let until = lost.get(&(token.version, token.nonce)).copied().unwrap_or(Moment::MAX);
            if look.time.0 > until.saturating_add(moments(bound)) {
                outcome.breaks(Rule::LostTokenIsRefused, || format!("{look:?}"));
            }
            continue;
        }
        match cells.get(&look.cell) {
            Some(cell) => cell.check(look, history, bound, &mut outcome, &mut late),
            None if look.value.is_some() => outcome.breaks(Rule::ShownIsWritten, || format!("{look:?}")),
            None => {}
        }
    }
    for Late { time, in_outage } in late.into_values() {
        if in_outage { outcome.late.1.push(time) } else { outcome.late.0.push(time) }
    }
    outcome.late.0.sort_unstable();
    outcome.late.1.sort_unstable();
    outcome
}

impl History {
    /// When the database was there again that lost the write, if one did; the last time.
    fn lost_until(&self, write: &Write) -> Option<Moment> {
        let may_be_lost = |loss: &&Range<Moment>| {
            let acknowledged = write.acknowledged.map_or(Moment::MAX, |answer| answer.at);
            acknowledged >= loss.start && write.begun <= loss.end
        };
        self.losses.iter().filter(may_be_lost).map(|loss| loss.end).max()
    }
}

impl Acknowledged {
    fn key(&self) -> (i64, u64) {
        (self.version, self.nonce)
    }
}

fn moments(time: Duration) -> Moment {
    Moment::try_from(time.as_nanos()).unwrap_or(Moment::MAX)
}

/// How long a daemon was seen not to know of a write.
#[derive(Default)]
struct Late {
    time: Duration,
    in_outage: bool,
}

impl Cell {
    fn new(cell: usize, nodes: usize, history: &History, outcome: &mut Outcome) -> Self {
        let mut stored: Vec<Stored> = history.stored.iter().filter(|stored| stored.cell == cell).copied().collect();
        stored.sort_unstable_by_key(|stored| stored.version);
        let mut writers = vec![None; stored.len()];
        let mut places: HashMap<Value, Vec<usize>> = HashMap::new();
        for (place, stored) in stored.iter().enumerate() {
            places.entry(stored.value).or_default().push(place);
        }
        let mut lost = Vec::new();
        for write in history.writes.iter().filter(|write| write.cell == cell) {
            let place = if let Some(answer) = write.acknowledged {
                let found = stored.binary_search_by_key(&answer.version, |stored| stored.version).ok();
                let found = found.filter(|place| {
                    let stored = &stored[*place];
                    (stored.value, stored.nonce) == (write.value, answer.nonce)
                });
                match (found, history.lost_until(write)) {
                    (None, Some(until)) => lost.push((*write, until)),
                    (None, None) => outcome.breaks(Rule::AcknowledgedIsStored, || format!("{write:?}")),
                    (Some(_), _) => {}
                }
                found
            } else {
                // Removals look all the same.
                let found = write.value.and_then(|_| places.get(&write.value)?.first().copied());
                if let (None, Some(until)) = (found, history.lost_until(write)) {
                    lost.push((*write, until));
                }
                found
            };
            if let Some(place) = place {
                writers[place] = Some(*write);
            }
        }
        let first = |by: &dyn Fn(&Write) -> bool| {
            let mut first = vec![Moment::MAX; stored.len() + 1];
            for place in (0..stored.len()).rev() {
                let writer = writers[place].as_ref().filter(|write| by(write));
                let at = writer.and_then(|write| write.acknowledged).map_or(Moment::MAX, |answer| answer.at);
                first[place] = at.min(first[place + 1]);
            }
            first
        };
        let first_by = (0..nodes).map(|node| first(&|write| write.node == node)).collect();
        let first = first(&|_| true);
        Self { stored, writers, places, first_by, first, lost }
    }

    fn check(
        &self,
        look: &Look,
        history: &History,
        bound: Duration,
        outcome: &mut Outcome,
        late: &mut HashMap<(i64, usize), Late>,
    ) {
        let (asked, answered) = look.time;
        if let Some(until) = self.lost_until(look) {
            match look.value {
                Some(_) if asked > until.saturating_add(moments(bound)) => {
                    return outcome.breaks(Rule::LostIsForgotten, || format!("{look:?}"));
                }
                // That nothing is stored may be what was lost.
                None if asked > until.saturating_add(moments(bound)) => {}
                Some(_) | None => return,
            }
        }
        let begun = |place: &usize| self.writers[*place].is_none_or(|write| write.begun <= answered);
        let shown = self.places.get(&look.value).and_then(|places| places.iter().rev().find(|place| begun(place)));
        // What comes after what is shown is not known to who shows it.
        let next = match (shown, look.value) {
            (Some(place), _) => place + 1,
            // It is not stored at the beginning.
            (None, None) => 0,
            (None, Some(_)) => return outcome.breaks(Rule::ShownIsWritten, || format!("{look:?}")),
        };
        let case = || format!("{look:?} does not know {:?}", self.writers[next..].iter().flatten().next());
        if self.first_by[look.node][next] < asked {
            outcome.breaks(Rule::OwnWritesAreKnown, case);
        }
        match look.demand {
            Demand::Full if self.first[next] < asked => outcome.breaks(Rule::FullIsNewest, case),
            Demand::AtLeast(token) if self.stored.get(next).is_some_and(|stored| stored.version <= token.version) => {
                outcome.breaks(Rule::AtLeastTheToken, case);
            }
            _ => {}
        }
        if self.first[next] >= asked {
            return;
        }
        for (stored, write) in self.stored[next..].iter().zip(&self.writers[next..]) {
            let Some((write, answer)) = write.and_then(|write| Some((write, write.acknowledged?))) else { continue };
            if answer.at >= asked || write.node == look.node {
                continue;
            }
            let unknown = answer.at..asked;
            let outage = history.outages.iter().map(|outage| overlap(outage, &unknown)).sum::<Moment>();
            let time = Duration::from_nanos(asked - answer.at);
            if time.saturating_sub(Duration::from_nanos(outage)) > bound {
                outcome.breaks(Rule::OthersAreKnownInTime, || format!("{look:?} does not know {write:?}"));
            }
            let known = late.entry((stored.version, look.node)).or_default();
            if time > known.time {
                *known = Late { time, in_outage: outage > 0 };
            }
        }
    }
}

impl Cell {
    /// When the database was there again that lost what is shown, where it was lost; the last time.
    fn lost_until(&self, look: &Look) -> Option<Moment> {
        let shown = |(write, _): &&(Write, Moment)| write.value == look.value && write.begun <= look.time.1;
        self.lost.iter().filter(shown).map(|(_, until)| *until).max()
    }
}

fn overlap(one: &Range<Moment>, other: &Range<Moment>) -> Moment {
    one.end.min(other.end).saturating_sub(one.start.max(other.start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Token;

    const BOUND: Duration = Duration::from_micros(1);

    fn write(node: usize, value: Value, begun: Moment, acknowledged: Option<(Moment, i64)>) -> Write {
        let acknowledged = acknowledged.map(|(at, version)| Acknowledged { at, version, nonce: nonce(version) });
        Write { node, cell: 0, value, begun, acknowledged }
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

    /// Like the history, but the database was put back at 400 to what it was at 250, and node 1 wrote another value then.
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
}
