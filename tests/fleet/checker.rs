//! Whether what clients saw of a fleet is what they may see.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use crate::history::{Acknowledged, Demand, History, Look, Moment, Stored, Value, Write};

/// A rule that was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An acknowledged write is stored under the acknowledged version, unless the database lost it.
    AcknowledgedIsStored,
    /// A write that was answered with an error status is not stored, neither at once nor later.
    RefusedIsNotStored,
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
    /// Lost data is not shown after this time.
    LostIsForgotten,
    /// A token of lost data is refused after this time.
    LostTokenIsRefused,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How often each rule was broken, with the first case.
    pub broken: BTreeMap<Rule, (usize, String)>,
    /// For each write and each other daemon that showed an older value later: the time from the acknowledgement to the
    /// last such question. First those without an outage of the database, then those with one.
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
    /// Values that were written, or may have been, and lost; each with the time until which it may be shown.
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
        // A lost token demands nothing.
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
    /// When the database was back that had lost the write, if one had; the last time.
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
                if found.is_some() && write.is_refused {
                    outcome.breaks(Rule::RefusedIsNotStored, || format!("{write:?}"));
                }
                if let (None, false, Some(until)) = (found, write.is_refused, history.lost_until(write)) {
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
                // Missing data may be lost data.
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
    /// When the database was back that had lost the shown value, if one had; the last time.
    fn lost_until(&self, look: &Look) -> Option<Moment> {
        let shown = |(write, _): &&(Write, Moment)| write.value == look.value && write.begun <= look.time.1;
        self.lost.iter().filter(shown).map(|(_, until)| *until).max()
    }
}

fn overlap(one: &Range<Moment>, other: &Range<Moment>) -> Moment {
    one.end.min(other.end).saturating_sub(one.start.max(other.start))
}

#[path = "checker_tests.rs"]
mod tests;
