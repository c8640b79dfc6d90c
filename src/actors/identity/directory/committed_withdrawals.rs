//! Withdrawals that were committed, kept in memory to be made again if the database loses them.
//!
//! A database that is restored, or fails over without its newest changes, lacks the newest withdrawals. Those that this
//! process made are then pending again: they are denied in memory at once, and recorded and committed in the new
//! incarnation of the database before any other change of callers. Nothing that was granted is granted again.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use smol_str::SmolStr;

use super::withdrawal::{Applied, Sets, Withdrawal};
use super::{Directory, DirectoryError, event, now};
use crate::domain::Revision;
use crate::ledger::Event;
use crate::store::{Connection, HistoryRelation, StoreError, ended_tokens, revisions};

/// The most withdrawals that are kept; the oldest are dropped first.
const CAPACITY: usize = 4096;

/// How long a withdrawal is kept: longer than the time between two daily backups.
const RETENTION: Duration = Duration::from_hours(48);

/// The newest committed withdrawals of this process, in the order of their commits: at most [`CAPACITY`], each for at
/// most [`RETENTION`]; shared by all clones.
#[derive(Debug, Clone, Default)]
pub(super) struct CommittedWithdrawals(Arc<State>);

#[derive(Default)]
struct State {
    made: Mutex<VecDeque<CommittedWithdrawal>>,
    /// Held while lost withdrawals are moved to the pending ones, so that no other change is made meanwhile.
    moving: Mutex<()>,
}

/// A committed withdrawal.
#[derive(Clone)]
pub(super) struct CommittedWithdrawal {
    /// The ids that are denied while it is not committed.
    names: Vec<SmolStr>,
    /// The ids that it denied with its commit, each with its expiry in Unix seconds.
    ids: Vec<(SmolStr, i64)>,
    /// The revision of its commit.
    revision: Revision,
    /// An incarnation of the database that contains it.
    incarnation: i64,
    at: Instant,
    change: Arc<dyn Repeat>,
}

/// A withdrawal of any kind that can be made again.
trait Repeat: Send + Sync {
    /// Makes it again.
    fn repeat(&self, directory: &Directory, lost: &CommittedWithdrawal) -> Result<(), DirectoryError>;

    /// The withdrawal without the members that a later change has set.
    fn without(&self, later: Sets) -> Arc<dyn Repeat>;
}

impl<W: Withdrawal> Repeat for W {
    fn repeat(&self, directory: &Directory, lost: &CommittedWithdrawal) -> Result<(), DirectoryError> {
        directory.make_again(self, lost)
    }

    fn without(&self, later: Sets) -> Arc<dyn Repeat> {
        Arc::new(Withdrawal::without(self.clone(), later))
    }
}

impl CommittedWithdrawal {
    pub(super) fn new(
        change: impl Withdrawal,
        names: Vec<SmolStr>,
        ids: Vec<(SmolStr, i64)>,
        revision: Revision,
    ) -> Self {
        let (incarnation, at) = (revision.incarnation, Instant::now());
        Self { names, ids, revision, incarnation, at, change: Arc::new(change) }
    }

    /// All ids that are denied while it is not committed.
    pub(super) fn denied(&self) -> Vec<SmolStr> {
        self.names.iter().chain(self.ids.iter().map(|(id, _)| id)).cloned().collect()
    }

    /// Makes the withdrawal again.
    pub(super) fn repeat(&self, directory: &Directory) -> Result<(), DirectoryError> {
        self.change.repeat(directory, self)
    }

    fn is_old(&self, at: Instant) -> bool {
        at.saturating_duration_since(self.at) > RETENTION
    }
}

impl CommittedWithdrawals {
    /// Adds a withdrawal.
    pub(super) fn add(&self, withdrawal: CommittedWithdrawal) {
        let mut made = self.lock();
        while made.len() >= CAPACITY || made.front().is_some_and(|first| first.is_old(withdrawal.at)) {
            made.pop_front();
        }
        made.push_back(withdrawal);
    }

    /// Takes note that the user or client with these names has since been changed: the later change counts.
    pub(super) fn change(&self, names: &[SmolStr], later: Sets) {
        if later != Sets::default() {
            for earlier in self.lock().iter_mut().filter(|earlier| earlier.names == names) {
                earlier.change = earlier.change.without(later);
            }
        }
    }

    /// The revisions that may not be in this incarnation of the database.
    fn unsure(&self, incarnation: i64) -> Vec<Revision> {
        self.lock().iter().filter(|made| made.incarnation != incarnation).map(|made| made.revision).collect()
    }

    /// Removes and answers the withdrawals with these revisions, in order. Of the others, `present` are in this
    /// incarnation.
    fn take(
        &self,
        lost: &HashSet<Revision>,
        present: &HashSet<Revision>,
        incarnation: i64,
    ) -> Vec<CommittedWithdrawal> {
        let mut made = self.lock();
        let (lost, mut kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut *made).into_iter().partition(|made| lost.contains(&made.revision));
        for made in kept.iter_mut().filter(|made| present.contains(&made.revision)) {
            made.incarnation = incarnation;
        }
        *made = kept.into();
        lost
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<CommittedWithdrawal>> {
        self.0.made.lock()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl DirectoryError {
    /// Whether a withdrawal found nothing to change: its user, client or key is not in the database, or has more rights
    /// there than the caller had.
    fn is_void(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Exceeds(_) | Self::Store(StoreError::Absent(_)))
    }
}

impl Directory {
    /// Moves the withdrawals that the database has lost to the pending ones, before all others, and answers their
    /// number. Does nothing while the database has no new incarnation.
    pub fn requeue_lost(&self) -> Result<usize, DirectoryError> {
        let _moving = self.made.0.moving.lock();
        let incarnation = self.store.versions().followed().incarnation;
        let unsure = self.made.unsure(incarnation);
        if unsure.is_empty() {
            return Ok(0);
        }
        let relation = self.store.query(|conn| {
            unsure.iter().map(|revision| revisions::relation_to(conn, revision)).collect::<Result<Vec<_>, _>>()
        })?;
        let (present, lost): (Vec<_>, Vec<_>) =
            unsure.into_iter().zip(relation).partition(|(_, relation)| *relation == HistoryRelation::Contains);
        let set =
            |of: Vec<(Revision, HistoryRelation)>| of.into_iter().map(|(revision, _)| revision).collect::<HashSet<_>>();
        let lost = self.made.take(&set(lost), &set(present), incarnation);
        // INVARIANT: no id of a lost withdrawal is ever absent from the denied ones.
        self.trust.denied().add_lost(lost.iter().flat_map(CommittedWithdrawal::denied));
        let count = lost.len();
        self.pending.push_lost(lost);
        Ok(count)
    }

    /// Makes a withdrawal again, which the database has lost.
    fn make_again<W: Withdrawal>(&self, withdrawal: &W, lost: &CommittedWithdrawal) -> Result<(), DirectoryError> {
        let now = now();
        let _turn = withdrawal.turn(self);
        let ((done, ids), revision) = self.record_and_commit(|conn| {
            let (done, mut ids, events) = match withdrawal.apply(self, conn, now) {
                Ok(Applied { done, ids, events }) => (Some(done), ids, events),
                Err(error) if error.is_void() => (None, Vec::new(), vec![event("acgs", "withdrawal_repeated")]),
                Err(error) => return Err(error),
            };
            deny_lost(conn, lost, &mut ids, now)?;
            let is_needed = done.is_some() || !ids.is_empty();
            let repeats = |event: Event| event.name("repeats", lost.revision.to_string());
            let events = events.into_iter().filter(|_| is_needed).map(repeats).collect();
            Ok(((done, ids), events))
        })?;
        self.trust.denied().add(ids.iter().cloned(), Instant::now());
        if let Some(done) = done {
            withdrawal.committed(self, &done);
        }
        if let Some(revision) = revision {
            self.made.add(CommittedWithdrawal {
                ids,
                revision,
                incarnation: revision.incarnation,
                at: Instant::now(),
                ..lost.clone()
            });
        }
        Ok(())
    }
}

/// Denies the ids that the lost withdrawal denied and that have not expired, besides `ids`: tokens of sessions that the
/// database does not know are valid otherwise.
fn deny_lost(
    conn: &mut Connection,
    lost: &CommittedWithdrawal,
    ids: &mut Vec<(SmolStr, i64)>,
    now: i64,
) -> Result<(), DirectoryError> {
    for (id, until) in lost.ids.iter().filter(|(_, until)| *until > now) {
        if !ids.iter().any(|(known, _)| known == id) {
            ended_tokens::deny(conn, id, *until)?;
            ids.push((id.clone(), *until));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::identity::directory::EndSession;

    fn at(version: i64) -> Revision {
        Revision { incarnation: 1, version, nonce: version }
    }

    fn made(version: i64) -> CommittedWithdrawal {
        let change = EndSession { session: version.to_string(), caller: String::new() };
        CommittedWithdrawal::new(change, Vec::new(), Vec::new(), at(version))
    }

    fn versions(made: &CommittedWithdrawals) -> Vec<i64> {
        made.lock().iter().map(|made| made.revision.version).collect()
    }

    #[test]
    fn the_newest_withdrawals_are_kept_for_two_days() {
        let all = CommittedWithdrawals::default();
        let most = i64::try_from(CAPACITY).unwrap();
        (0..=most).for_each(|version| all.add(made(version)));
        assert_eq!(versions(&all), (1..=most).collect::<Vec<_>>());
        let later = made(most + 1);
        all.add(CommittedWithdrawal { at: later.at + RETENTION + Duration::from_mins(1), ..later });
        assert_eq!(versions(&all), [most + 1]);
    }

    #[test]
    fn lost_withdrawals_are_taken_once_and_the_others_are_not_in_doubt_again() {
        let all = CommittedWithdrawals::default();
        (1..=4).for_each(|version| all.add(made(version)));
        assert!(all.unsure(1).is_empty());
        assert_eq!(all.unsure(2), [at(1), at(2), at(3), at(4)]);
        let taken = all.take(&HashSet::from([at(3), at(4)]), &HashSet::from([at(1)]), 2);
        assert_eq!(taken.iter().map(|made| made.revision).collect::<Vec<_>>(), [at(3), at(4)]);
        assert_eq!((versions(&all), all.unsure(2)), (vec![1, 2], vec![at(2)]));
    }
}
