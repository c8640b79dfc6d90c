//! People, clients and keys: what is stored of them, changed only with a record in the audit log.
//!
//! Each file has the messages about one noun. An answer leaves after the change is recorded and committed, and after
//! every worker knows what was withdrawn.

mod api_keys;
mod clients;
mod grants;
mod housekeeping;
mod logins;
mod people;
mod provenance;
mod refreshes;
mod revocations;
mod second_factor;
mod sessions;
mod signing;
mod uptime;
mod withdrawal;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use actix::{Actor, Addr, Handler, MailboxError, Message, SyncArbiter, SyncContext};
use smol_str::SmolStr;
use time::OffsetDateTime;

pub use api_keys::{
    AddApiKey, ApiKeyMade, FindApiKey, FoundApiKey, ListApiKeys, NewApiKey, RevokeApiKey, TouchApiKeys,
};
pub use clients::{
    AddClient, ClientMade, ClientProof, HasClient, ListClients, NewClient, ProveClient, RemoveClient, SetClient,
};
pub use grants::{Grant, GrantClient};
pub use housekeeping::KeepHouse;
pub use logins::{Attempt, LogIn, RefuseLogin};
pub use people::{AddUser, By, ChangePassword, FindUser, ListUsers, NewUser, RemoveUser, SetUser};
pub use provenance::Provenance;
use provenance::{Ended, end_made_by};
pub use refreshes::Refresh;
pub use revocations::RevokeToken;
pub use second_factor::{ConfirmEnrolment, Enrol, Enrolment, RemoveSecondFactor};
pub use sessions::{EndAllSessions, EndSession, ListSessions};
pub use signing::{RotateSigningKey, open_keys};
pub use uptime::StoreUptime;
pub use withdrawal::{OwedWithdrawals, SettleWithdrawals, Withdrawn};

use super::active::InForce;
use super::audit_queue::AuditError;
use super::change_recorder::ChangeRecorder;
use super::denied::Denied;
use super::trust::Trust;
use super::write_ticket::Write;
use crate::auth::granter::Excess;
use crate::ledger::{Event, EventKind};
use crate::store::{Connection, Store, StoreError, ended_tokens, revisions, users};

/// How long tokens last, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Of an access token.
    pub access: i64,
    /// Of a refresh token, and so of a session that nobody uses.
    pub refresh: i64,
    /// After the use of a refresh token, in which its successor is given again.
    pub grace: i64,
}

/// Answers questions about people, clients and keys, several at a time.
///
/// INVARIANT: what is withdrawn is among the denied of [`Trust`] at once, then recorded, then committed, then answered.
#[derive(Debug, Clone)]
pub struct Directory {
    store: Store,
    changes: ChangeRecorder,
    trust: Trust,
    lifetimes: Lifetimes,
    in_force: InForce,
    rotating: Arc<Mutex<()>>,
    owed: OwedWithdrawals,
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
    /// What was asked for makes no sense.
    #[error("{0}")]
    Refused(String),
    /// The grant is not good (RFC 6749, `invalid_grant`); the text says no more than the caller may know.
    #[error("{0}")]
    BadGrant(&'static str),
    /// The client is not who it says it is, or may not do this.
    #[error("the client is not known by that credential")]
    BadClient,
    /// More is to be given than the caller has.
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
        let (rotating, owed, uptime) = (Arc::default(), OwedWithdrawals::default(), uptime::Counted::default());
        Self { store, changes, trust, lifetimes, in_force, rotating, owed, uptime }
    }

    /// Starts the actor on so many threads.
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

    /// Reads again what others may have withdrawn, and the keys that they may have put into force.
    pub fn recall(&self) -> Result<(), DirectoryError> {
        // Who rotates meanwhile puts newer ones into force.
        let _turn = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = signing::stored_keys(&self.store, self.lifetimes.access)? {
            self.trust.set_own(keys);
        }
        self.recall_denied()
    }

    /// Denies what was withdrawn before this process began: all of it, since the wall clock may be wrong.
    pub fn recall_denied(&self) -> Result<(), DirectoryError> {
        let denied = self.store.query(|conn| ended_tokens::denied(conn, i64::MIN))?;
        self.trust.denied().add(denied.into_iter().map(|(id, until)| (id.into(), until)), Instant::now());
        Ok(())
    }

    /// Whether there is any user.
    pub fn has_users(&self) -> Result<bool, DirectoryError> {
        Ok(!self.store.query(|conn| users::list(conn, None, std::num::NonZeroU16::MIN))?.items.is_empty())
    }

    /// Records what needs nothing of the database, or what nobody would miss in an older one, such as that an assertion was
    /// used: it gets no revision.
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

    /// Changes what is stored, together with its record: the record comes last before the commit. A change without a record
    /// is one that nobody would miss. Withdrawals that are owed come before it.
    fn change<T>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<(T, Vec<Event>), DirectoryError>,
    ) -> Result<T, DirectoryError> {
        self.settle()?;
        self.record_and_commit(job)
    }

    /// The same, also where withdrawals are owed.
    fn record_and_commit<T>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<(T, Vec<Event>), DirectoryError>,
    ) -> Result<T, DirectoryError> {
        change(&self.store, &self.changes, job)
    }

    /// Records what changes nothing.
    fn record(&self, event: Event) -> Result<(), DirectoryError> {
        self.changes.journal().record(&[event]).map(drop).map_err(DirectoryError::from)
    }
}

fn change<T>(
    store: &Store,
    changes: &ChangeRecorder,
    job: impl FnOnce(&mut Connection) -> Result<(T, Vec<Event>), DirectoryError>,
) -> Result<T, DirectoryError> {
    let (done, recorded) = store.transaction(|conn| {
        let before = revisions::newest(conn)?;
        let (done, events) = job(conn)?;
        if events.is_empty() {
            return Ok((done, None));
        }
        let commit = revisions::revise(conn, before)?;
        Ok::<_, DirectoryError>((done, Some((commit, changes.record(events, &commit)?))))
    })?;
    if let Some((commit, recorded)) = recorded {
        store.note(&commit);
        changes.committed(recorded);
    }
    Ok(done)
}

/// Seconds that a withdrawn token is denied beyond its lifetime: clocks differ.
const GRACE: i64 = 120;

/// A change that may be given up until its record is handed in.
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

/// Says that something was withdrawn that is recorded as it should be later, under its own name.
fn delayed(caller: &str, withdrawal: &str) -> Event {
    event(caller, "withdrawal_delayed").name("withdrawal", withdrawal)
}

/// Ends sessions of a user or client, and all that it made and that does not outlast it.
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
    sessions.into_iter().map(|id| (Denied::session(&id), until)).collect()
}

/// Until when tokens that were made by now are denied, in Unix seconds. The setting may have been greater when they were
/// made, so it is not asked.
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
