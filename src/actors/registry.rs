//! Which constitution is in force: swapped whole in every validator, or not at all.

use std::path::PathBuf;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AtomicResponse, Context, Handler, MailboxError, Message, Recipient, WrapFuture};
use futures_util::future::join_all;
use smol_str::SmolStr;

use super::active::{Active, InForce};
use super::journal::Journal;
use super::validator::Activate;
use crate::constitution::Faults;
use crate::domain::{ConstitutionDigest, ConstitutionalHash};
use crate::ledger::{Event, EventKind};
use crate::settings;

/// Why a reload was not answered with a swap.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReloadError {
    /// The bundle has faults. The constitution before it is still in force.
    #[error("the constitution has faults")]
    Faulty(Faults),
    /// It cannot be kept or recorded. The constitution before it is still in force.
    #[error("the new constitution cannot be {0}")]
    Unrecorded(String),
    /// The registry has ended or did not answer in time. The new constitution may yet come into force.
    #[error("the constitution could not be swapped: {0}")]
    Unanswered(String),
}

impl From<MailboxError> for ReloadError {
    fn from(error: MailboxError) -> Self {
        Self::Unanswered(error.to_string())
    }
}

/// What a reload changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloaded {
    /// Hash and digest before.
    pub old: (ConstitutionalHash, ConstitutionDigest),
    /// Hash and digest now.
    pub new: (ConstitutionalHash, ConstitutionDigest),
}

/// Owns which constitution is in force.
#[derive(Debug)]
pub struct Registry {
    settings: settings::Constitution,
    in_force: InForce,
    validators: Vec<Recipient<Activate>>,
    books: Books,
}

/// Where a constitution is kept and its coming into force is recorded.
#[derive(Debug, Clone)]
pub struct Books {
    /// The folder of copies by digest.
    pub kept: PathBuf,
    /// The way of events into the audit log.
    pub journal: Journal,
}

impl Registry {
    /// A registry with a constitution in force that was loaded from these settings.
    #[must_use]
    pub fn new(settings: settings::Constitution, active: Active, books: Books) -> Self {
        Self { settings, in_force: InForce::new(active), validators: Vec::new(), books }
    }

    /// A view of what is in force.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        self.in_force.clone()
    }
}

impl Actor for Registry {
    type Context = Context<Self>;
}

/// Makes a validator one of those that get every new constitution, beginning with the one in force.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Register(pub Recipient<Activate>);

impl Handler<Register> for Registry {
    type Result = ();

    fn handle(&mut self, Register(validator): Register, _: &mut Self::Context) {
        validator.do_send(Activate(self.in_force.get()));
        self.validators.push(validator);
    }
}

/// Reads the bundle again, perhaps by new settings, and swaps it in. Answered when every validator has it.
///
/// INVARIANT: what comes into force was kept and recorded before.
#[derive(Debug, Message)]
#[rtype(result = "Result<Reloaded, ReloadError>")]
pub struct Reload {
    /// Who asks for it.
    pub caller: SmolStr,
    /// New settings; none: those from before.
    pub settings: Option<settings::Constitution>,
}

impl Handler<Reload> for Registry {
    // INVARIANT: one reload at a time: the mailbox waits, so that two cannot leave validators with different ones.
    type Result = AtomicResponse<Self, Result<Reloaded, ReloadError>>;

    fn handle(&mut self, reload: Reload, _: &mut Self::Context) -> Self::Result {
        let settings = reload.settings.unwrap_or_else(|| self.settings.clone());
        let (in_force, validators, books) = (self.in_force.clone(), self.validators.clone(), self.books.clone());
        let swap = async move {
            let (loading, old) = (settings.clone(), in_force.get());
            let before = old.names();
            let loaded = tokio::task::spawn_blocking(move || books.load(&loading, &reload.caller, before)).await;
            let new = Arc::new(loaded.map_err(|error| ReloadError::Unanswered(error.to_string()))??);
            let given = validators.iter().map(|validator| validator.send(Activate(Arc::clone(&new))));
            // A validator that is gone decides nothing any more.
            drop(join_all(given).await);
            in_force.set(Arc::clone(&new));
            Ok::<_, ReloadError>((settings, Reloaded { old: before, new: new.names() }))
        };
        AtomicResponse::new(Box::pin(swap.into_actor(self).map(|swapped, registry, _| {
            let (settings, reloaded) = swapped?;
            registry.settings = settings;
            Ok(reloaded)
        })))
    }
}

/// The most faults of a refused constitution that are recorded.
const MAX_RECORDED_FAULTS: usize = 20;

impl Books {
    /// Loads, keeps and records what is to come into force. That it is refused is recorded too.
    fn load(
        &self,
        settings: &settings::Constitution,
        caller: &str,
        old: (ConstitutionalHash, ConstitutionDigest),
    ) -> Result<Active, ReloadError> {
        let event = |what| {
            let event = Event::new(EventKind::Constitution, caller).name("event", what);
            event.name("old_hash", old.0.to_string()).name("old_digest", old.1.to_string())
        };
        let (active, bundle) = Active::load(settings).map_err(|faults| {
            let told = faults.0.iter().take(MAX_RECORDED_FAULTS).map(ToString::to_string).collect::<Vec<_>>();
            if let Err(error) = self.journal.record(&[event("refused").detail("faults", told)]) {
                tracing::error!(%error, "the refusal of a constitution is not in the audit log");
            }
            ReloadError::Faulty(faults)
        })?;
        bundle.keep(&self.kept).map_err(|error| {
            tracing::error!(%error, folder = %self.kept.display(), "a constitution cannot be kept");
            ReloadError::Unrecorded("kept".to_owned())
        })?;
        let (hash, digest) = active.names();
        let reloaded = event("reloaded").name("hash", hash.to_string()).name("digest", digest.to_string());
        let recorded = self.journal.record(&[reloaded]);
        recorded.map_err(|error| ReloadError::Unrecorded(format!("recorded: {error}")))?;
        Ok(active)
    }
}
