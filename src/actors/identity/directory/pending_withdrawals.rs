//! Withdrawals that are in force in memory and not committed yet.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use actix::{Handler, Message};
use parking_lot::{Mutex, MutexGuard};
use smol_str::SmolStr;

use super::committed_withdrawals::CommittedWithdrawal;
use super::withdrawal::{Applied, Withdrawal, Withdrawn};
use super::{Directory, DirectoryError, now};
use crate::actors::audit::queue::AuditError;
use crate::store::StoreError;

/// The most withdrawals that may be pending, apart from those that the database has lost. A further one is answered
/// with an error, although it is in force in memory.
const MAX_PENDING: usize = 1024;

/// Withdrawals that are in force in memory and not committed yet, the oldest first; shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct PendingWithdrawals(Arc<Pending>);

#[derive(Default)]
struct Pending {
    waiting: Mutex<VecDeque<PendingWithdrawal>>,
    count: AtomicUsize,
}

/// Retries a withdrawal in the database.
type Commit = Box<dyn Fn(&Directory) -> Result<(), DirectoryError> + Send>;

struct PendingWithdrawal {
    names: Vec<SmolStr>,
    commit: Commit,
    is_lost: bool,
}

impl PendingWithdrawals {
    /// The number of pending withdrawals.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<PendingWithdrawal>> {
        self.0.waiting.lock()
    }

    fn push(&self, withdrawal: PendingWithdrawal) -> bool {
        let mut waiting = self.lock();
        let has_room = waiting.iter().filter(|waiting| !waiting.is_lost).count() < MAX_PENDING;
        if has_room {
            waiting.push_back(withdrawal);
            self.0.count.store(waiting.len(), Ordering::Release);
        }
        has_room
    }

    /// Adds withdrawals that the database has lost before all others, since they were made before them.
    pub(super) fn push_lost(&self, lost: Vec<CommittedWithdrawal>) {
        let mut waiting = self.lock();
        for lost in lost.into_iter().rev() {
            let names = lost.denied();
            let commit = Box::new(move |directory: &Directory| lost.repeat(directory));
            waiting.push_front(PendingWithdrawal { names, commit, is_lost: true });
        }
        self.0.count.store(waiting.len(), Ordering::Release);
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("count", &self.count).finish_non_exhaustive()
    }
}

impl DirectoryError {
    /// Whether the same change may succeed later.
    fn is_passing(&self) -> bool {
        match self {
            // The caller of an abandoned change was told that the change was not made.
            Self::Unrecorded(error) => *error != AuditError::Abandoned,
            Self::Late => true,
            Self::Store(error) => matches!(
                error,
                StoreError::Busy(_)
                    | StoreError::Late
                    | StoreError::Undone
                    | StoreError::Unavailable { .. }
                    | StoreError::Uncertain(_)
                    | StoreError::Unrecorded(_)
            ),
            Self::Missing(_)
            | Self::Refused(_)
            | Self::BadGrant(_)
            | Self::BadClient
            | Self::BadScope
            | Self::Exceeds(_)
            | Self::Failed(_) => false,
        }
    }
}

impl Directory {
    /// Takes access away at once, and records and commits it if possible.
    pub(super) fn withdraw<W: Withdrawal>(&self, withdrawal: W) -> Result<Withdrawn<W::Done>, DirectoryError> {
        let denied = self.trust.denied();
        let names = withdrawal.names(self);
        let held = denied.add_uncommitted(names.iter().cloned());
        let error = match self.commit(&withdrawal, Some(&withdrawal)) {
            Ok(done) => {
                denied.remove_uncommitted(&held);
                return Ok(Withdrawn::Recorded(done));
            }
            Err(error) => error,
        };
        if !error.is_passing() {
            denied.remove_uncommitted(&held);
            return Err(error);
        }
        // A concurrent withdrawal of the same ids may have removed them.
        denied.add_uncommitted(names.iter().cloned());
        let delayed = withdrawal.delayed();
        let commit = move |directory: &Self| directory.commit(&withdrawal, Some(&withdrawal)).map(drop);
        if !self.pending.push(PendingWithdrawal { names, commit: Box::new(commit), is_lost: false }) {
            return Err(error);
        }
        tracing::warn!(
            %error,
            "access was withdrawn in memory only; recording and storing the withdrawal is retried every second"
        );
        if let Err(error) = self.changes.journal().record_first(&[delayed]) {
            tracing::error!(%error, "a withdrawal is in force in memory, but cannot be queued for the audit log");
        }
        Ok(Withdrawn::Pending)
    }

    /// Makes a change that ends access and grants some besides: if it fails, it is not pending.
    pub(super) fn grant<W: Withdrawal>(&self, change: &W) -> Result<W::Done, DirectoryError> {
        self.settle()?;
        self.commit(change, change.taking().as_ref())
    }

    /// Makes a change; `taken` is its part to make again if the database loses it.
    fn commit<W: Withdrawal>(&self, withdrawal: &W, taken: Option<&W>) -> Result<W::Done, DirectoryError> {
        let (now, names) = (now(), withdrawal.names(self));
        let _turn = withdrawal.turn(self);
        let ((done, ids), revision) = self.record_and_commit(|conn| {
            let Applied { done, ids, events } = withdrawal.apply(self, conn, now)?;
            Ok(((done, ids), events))
        })?;
        self.trust.denied().add(ids.iter().cloned(), Instant::now());
        withdrawal.committed(self, &done);
        self.made.change(&names, withdrawal.sets());
        if let (Some(taken), Some(revision)) = (taken, revision) {
            self.made.add(CommittedWithdrawal::new(taken.clone(), names, ids, revision));
        }
        Ok(done)
    }

    /// Makes the pending withdrawals, in order; those that the database has lost are pending, too. An error means that
    /// one of them cannot be made yet.
    pub fn settle(&self) -> Result<(), DirectoryError> {
        self.requeue_lost()?;
        if self.pending.count() == 0 {
            return Ok(());
        }
        let mut waiting = self.pending.lock();
        while let Some(next) = waiting.front() {
            let is_held = match (next.commit)(self) {
                Ok(()) => {
                    tracing::info!("a withdrawal that was in force in memory only is now recorded and stored");
                    false
                }
                Err(error) if error.is_passing() => return Err(error),
                Err(error) if next.is_lost => {
                    tracing::error!(
                        %error, ids = ?next.names,
                        "a withdrawal that the database has lost cannot be made again; it is in force until this \
                         daemon ends: repeat it"
                    );
                    true
                }
                Err(error) => {
                    tracing::error!(
                        %error, ids = ?next.names,
                        "a withdrawal that was in force in memory only cannot be made and is dropped; what it ended may \
                         be valid again: check it, and repeat the withdrawal"
                    );
                    false
                }
            };
            let settled = waiting.pop_front().map(|settled| settled.names).unwrap_or_default();
            self.pending.0.count.store(waiting.len(), Ordering::Release);
            if is_held {
                continue;
            }
            let removable = settled.into_iter().filter(|name| !waiting.iter().any(|other| other.names.contains(name)));
            self.trust.denied().remove_uncommitted(&removable.collect::<Vec<_>>());
        }
        Ok(())
    }

    /// The pending withdrawals.
    #[must_use]
    pub fn pending(&self) -> PendingWithdrawals {
        self.pending.clone()
    }
}

/// Makes the pending withdrawals.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DirectoryError>")]
pub struct SettleWithdrawals;

impl Handler<SettleWithdrawals> for Directory {
    type Result = Result<(), DirectoryError>;

    fn handle(&mut self, SettleWithdrawals: SettleWithdrawals, _: &mut Self::Context) -> Self::Result {
        self.settle()
    }
}
