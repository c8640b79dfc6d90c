//! Users, clients, keys and sessions, changed only together with a record in the audit log.
//!
//! Each file has the messages about one noun. A change is answered after it is recorded and committed, and after every
//! worker can see that access was withdrawn.

mod api_keys;
mod clients;
mod committed_withdrawals;
mod grants;
mod logins;
mod pending_withdrawals;
mod people;
mod proofs;
mod provenance;
mod purge;
mod refreshes;
mod revocations;
mod second_factor;
mod sessions;
mod signing;
mod uptime;
mod withdrawal;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use actix::{Actor, Addr, Handler, MailboxError, Message, SyncArbiter, SyncContext};
use parking_lot::Mutex;
use smol_str::SmolStr;
use time::OffsetDateTime;

pub use api_keys::{
    AddApiKey, ApiKeyMade, FindApiKey, FoundApiKey, ListApiKeys, NewApiKey, NextKeyExpiry, RevokeApiKey, TouchApiKeys,
};
pub use clients::{AddClient, ClientMade, HasClient, ListClients, NewClient, RemoveClient, SetClient};
pub use grants::{Grant, GrantClient};
pub use logins::{LogIn, LoginOrigin, RefuseLogin};
pub use pending_withdrawals::{PendingWithdrawals, SettleWithdrawals};
pub use people::{AddUser, By, ChangePassword, FindUser, ListUsers, NewUser, RemoveUser, SetUser};
pub use proofs::{ClientProof, ProveClient};
pub use provenance::Provenance;
use provenance::{Ended, end_made_by};
pub use purge::PurgeExpired;
pub use refreshes::Refresh;
pub use revocations::RevokeToken;
pub use second_factor::{ConfirmEnrolment, Enrol, Enrolment, RemoveSecondFactor};
pub use sessions::{EndAllSessions, EndSession, EndSessionOf, ListSessions};
pub use signing::{RotateSigningKey, SigningKeyAge, open_keys};
pub use uptime::StoreUptime;
pub use withdrawal::Withdrawn;

use crate::actors::active::InForce;
use crate::actors::audit::change_recorder::ChangeRecorder;
use crate::actors::audit::queue::AuditError;
use crate::actors::identity::denylist::Denylist;
use crate::actors::identity::trust::Trust;
use crate::actors::write_ticket::Write;
use crate::auth::granter::Excess;
use crate::domain::Revision;
use crate::ledger::{Event, EventKind};
use crate::store::{Connection, Store, StoreError, changes, ended_tokens, revisions, users};

/// How long tokens last, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Of an access token.
    pub access: i64,
    /// Of a refresh token, and so of an unused session.
    pub refresh: i64,
    /// Seconds after the first use of a refresh token in which the same successor is given again.
    pub grace: i64,
}

/// Manages users, clients, keys and sessions, on several threads.
///
/// INVARIANT: a withdrawal is denied in [`Trust`] first, then recorded, then committed, then answered.
#[derive(Debug, Clone)]
pub struct Directory {
    store: Store,
    changes: ChangeRecorder,
    trust: Trust,
    lifetimes: Lifetimes,
    in_force: InForce,
    rotating: Arc<Mutex<()>>,
    pending: PendingWithdrawals,
    made: committed_withdrawals::CommittedWithdrawals,
    uptime: uptime::Counted,
}

/// Why something about people, clients or keys was not done.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be recorded, so it is not done.
    #[error("it cannot be recorded: {0}")]
    Unrecorded(#[from] AuditError),
    /// Nothing is known under that name.
    #[error("there is no {0}")]
    Missing(String),
    /// The request is invalid.
    #[error("{0}")]
    Refused(String),
    /// The grant is invalid (RFC 6749, `invalid_grant`); the text reveals no more than the caller may know.
    #[error("{0}")]
    BadGrant(&'static str),
    /// The client's proof is invalid, or the client may not do this.
    #[error("the client is not known by that credential")]
    BadClient,
    /// The grant exceeds the caller's own rights.
    #[error(transparent)]
    Exceeds(#[from] Excess),
    /// More is asked for than the grant has.
    #[error("the scope goes beyond what was granted")]
    BadScope,
    /// Something of the system failed.
    #[error("{0}")]
    Failed(String),
    /// No answer in time, or never.
    #[error("there was no answer in time")]
    Late,
}

impl From<MailboxError> for DirectoryError {
    fn from(_: MailboxError) -> Self {
        Self::Late
    }
}

impl Directory {
    /// The directory over a store. Its functions block.
    #[must_use]
    pub fn new(store: Store, changes: ChangeRecorder, trust: Trust, lifetimes: Lifetimes, in_force: InForce) -> Self {
        let (rotating, pending, made) =
            (Arc::default(), PendingWithdrawals::default(), committed_withdrawals::CommittedWithdrawals::default());
        let uptime = uptime::Counted::default();
        Self { store, changes, trust, lifetimes, in_force, rotating, pending, made, uptime }
    }

    /// Starts the actor on `threads` threads.
    ///
    /// # Panics
    /// Where no actix system runs, or the system has no more threads to give.
    #[must_use]
    pub fn start(self, threads: NonZeroUsize) -> Addr<Self> {
        let thread = || thread::Builder::new().name("acgs-directory".to_owned());
        SyncArbiter::start_with_thread_builder(threads.get(), thread, move || self.clone())
    }

    /// Whose credentials count.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Reads withdrawals and signing keys that other nodes may have changed.
    pub fn recall(&self) -> Result<(), DirectoryError> {
        // A concurrent rotation must not be overwritten with older keys.
        let _turn = self.rotating.lock();
        if let Some(keys) = signing::stored_keys(&self.store, self.lifetimes.access)? {
            self.trust.set_own(keys);
        }
        self.recall_denied()
    }

    /// Loads all committed withdrawals into the denied ids, expired ones too, since the wall clock may be wrong.
    pub fn recall_denied(&self) -> Result<(), DirectoryError> {
        let denied = self.store.query(|conn| ended_tokens::denied(conn, i64::MIN))?;
        self.trust.denied().add(denied.into_iter().map(|(id, until)| (id.into(), until)), Instant::now());
        Ok(())
    }

    /// Whether there is any user.
    pub fn has_users(&self) -> Result<bool, DirectoryError> {
        Ok(!self.store.query(|conn| users::list(conn, None, std::num::NonZeroU16::MIN))?.items.is_empty())
    }

    /// Records an event without a revision: one that changes nothing in the database, or a change that may be lost with
    /// an older database without harm, such as the use of an assertion.
    fn record_use<T>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<(T, Event), DirectoryError>,
    ) -> Result<T, DirectoryError> {
        self.settle()?;
        self.store.transaction(|conn| {
            let (done, event) = job(conn)?;
            self.record(event)?;
            Ok(done)
        })
    }

    /// Makes a change and records it, as the last step before the commit. A change without events is not recorded, and
    /// may be lost with an older database without harm. Pending withdrawals are made first.
    fn change<T>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<(T, Vec<Event>), DirectoryError>,
    ) -> Result<T, DirectoryError> {
        self.settle()?;
        self.record_and_commit(job).map(|(done, _)| done)
    }

    /// Like [`Self::change`], without making pending withdrawals first; answers also the revision of the change, `None`
    /// if it was not recorded.
    fn record_and_commit<T>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<(T, Vec<Event>), DirectoryError>,
    ) -> Result<(T, Option<Revision>), DirectoryError> {
        change(&self.store, &self.changes, job)
    }

    /// Records an event that changes nothing in the database.
    fn record(&self, event: Event) -> Result<(), DirectoryError> {
        self.changes.journal().record(&[event]).map(drop).map_err(DirectoryError::from)
    }
}

fn change<T>(
    store: &Store,
    changes: &ChangeRecorder,
    job: impl FnOnce(&mut Connection) -> Result<(T, Vec<Event>), DirectoryError>,
) -> Result<(T, Option<Revision>), DirectoryError> {
    let (done, recorded) = store.transaction(|conn| {
        let before = revisions::newest(conn)?;
        let (done, events) = job(conn)?;
        if events.is_empty() {
            return Ok((done, None));
        }
        let commit = changes::revise(conn, before)?;
        Ok::<_, DirectoryError>((done, Some((commit, changes.record(events, &commit)?))))
    })?;
    let revision = recorded.map(|(commit, recorded)| {
        store.note(&commit);
        changes.committed(recorded);
        commit.after
    });
    Ok((done, revision))
}

/// Seconds that a withdrawn token is denied beyond its lifetime: clocks differ.
const GRACE: i64 = 120;

/// Makes a change, unless its caller gave it up before its record was handed in.
impl Handler<Write<Self>> for Directory {
    type Result = ();

    fn handle(&mut self, write: Write<Self>, context: &mut Self::Context) {
        write.make(self, context);
    }
}

impl Actor for Directory {
    type Context = SyncContext<Self>;
}

/// Records an event that is about no stored thing, such as a refusal.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DirectoryError>")]
pub struct RecordEvent(pub Event);

impl actix::Handler<RecordEvent> for Directory {
    type Result = Result<(), DirectoryError>;

    fn handle(&mut self, RecordEvent(event): RecordEvent, _: &mut Self::Context) -> Self::Result {
        self.record(event)
    }
}

/// An event of the kind `auth`.
#[must_use]
pub fn event(caller: &str, what: &str) -> Event {
    Event::new(EventKind::Auth, caller).name("event", what)
}

/// The event that a withdrawal is in force but cannot be recorded yet; it is recorded under its own name later.
fn delayed(caller: &str, withdrawal: &str) -> Event {
    event(caller, "withdrawal_delayed").name("withdrawal", withdrawal)
}

/// Ends sessions of a user or client, and everything that it made and that ends with it.
fn end_access(
    conn: &mut Connection,
    sessions: impl IntoIterator<Item = String>,
    owner: &str,
    now: i64,
) -> Result<Ended, DirectoryError> {
    let sessions = deny_sessions(sessions, now);
    for (id, until) in &sessions {
        ended_tokens::deny(conn, id, *until)?;
    }
    let mut ended = end_made_by(conn, owner, now)?;
    ended.ids.extend(sessions);
    Ok(ended)
}

/// The ids by which sessions are denied, until their tokens would have lapsed anyhow.
fn deny_sessions(sessions: impl IntoIterator<Item = String>, now: i64) -> Vec<(SmolStr, i64)> {
    let until = denied_until(now);
    sessions.into_iter().map(|id| (Denylist::session(&id), until)).collect()
}

/// Until when tokens that exist now are denied, in Unix seconds. The setting of their lifetime may have been greater
/// when they were made, so it is not used.
fn denied_until(now: i64) -> i64 {
    now + ended_tokens::HELD_S
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// A new id: a `UUIDv7`, so ids are in the order of their making.
fn new_id() -> String {
    crate::ledger::new_id(OffsetDateTime::now_utc()).hyphenated().to_string()
}
