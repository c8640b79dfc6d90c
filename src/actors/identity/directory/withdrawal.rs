//! Withdrawals: changes that take access away. They are in force at once, even if they cannot be recorded or stored
//! yet.
//!
//! A withdrawal is denied in memory first, then recorded and committed. If the log or the database cannot be written,
//! it stays denied in memory (it is *pending*); a `withdrawal_delayed` record is written first when the log can be
//! written again, and the withdrawal itself is made before any other change of callers. Other nodes learn of it by its
//! commit. A committed withdrawal that the database loses is pending again; see
//! [`committed_withdrawals`](super::committed_withdrawals).

use parking_lot::MutexGuard;
use smol_str::SmolStr;

use super::{Directory, DirectoryError};
use crate::auth::scope::Roles;
use crate::ledger::Event;
use crate::store::Connection;

/// How far a withdrawal had come when it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withdrawn<T> {
    /// Recorded and committed.
    Recorded(T),
    /// In force on this node only, in memory; it is recorded and committed as soon as that is possible.
    Pending,
}

impl<T> Withdrawn<T> {
    /// Converts the result of a recorded withdrawal.
    pub fn map<U>(self, other: impl FnOnce(T) -> U) -> Withdrawn<U> {
        match self {
            Self::Recorded(done) => Withdrawn::Recorded(other(done)),
            Self::Pending => Withdrawn::Pending,
        }
    }
}

/// Whether new roles add no scope to the stored ones.
pub(super) fn are_less(new: Roles, stored: &str) -> bool {
    stored.parse::<Roles>().is_ok_and(|stored| stored.scopes().contains_all(new.scopes()))
}

/// The members of a user or client that a change sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sets {
    /// Whether it is disabled.
    pub(super) disabled: bool,
    pub(super) roles: bool,
}

/// A change that takes access away.
pub(super) trait Withdrawal: Clone + Send + Sync + 'static {
    /// The result of the change.
    type Done;

    /// The ids that are denied before the change is committed.
    fn names(&self, directory: &Directory) -> Vec<SmolStr>;

    /// The event for a withdrawal that is in force but cannot be recorded yet.
    fn delayed(&self) -> Event;

    /// Makes the change in the database.
    fn apply(
        &self,
        directory: &Directory,
        conn: &mut Connection,
        now: i64,
    ) -> Result<Applied<Self::Done>, DirectoryError>;

    /// A lock to be held while the change is made, if it needs one.
    fn turn<'d>(&self, _: &'d Directory) -> Option<MutexGuard<'d, ()>> {
        None
    }

    /// Called after the commit.
    fn committed(&self, _: &Directory, _: &Self::Done) {}

    /// The part to make again if the database loses this change, which was made by [`Directory::grant`]; `None` if it
    /// took nothing away.
    fn taking(&self) -> Option<Self> {
        Some(self.clone())
    }

    /// The members of a user or client that it sets.
    fn sets(&self) -> Sets {
        Sets::default()
    }

    /// The change without these members, which still ends the same access.
    fn without(self, _: Sets) -> Self {
        self
    }
}

/// The result of a change that is not committed yet.
pub(super) struct Applied<T> {
    pub(super) done: T,
    /// The ids to deny, each with its expiry in Unix seconds.
    pub(super) ids: Vec<(SmolStr, i64)>,
    pub(super) events: Vec<Event>,
}
