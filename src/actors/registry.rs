//! Which constitution is in force: swapped whole in every validator, or not at all.

use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AtomicResponse, Context, Handler, MailboxError, Message, Recipient, WrapFuture};
use futures_util::future::join_all;

use super::active::{Active, InForce};
use super::validator::Activate;
use crate::constitution::Faults;
use crate::domain::{ConstitutionDigest, ConstitutionalHash};
use crate::settings;

/// Why a reload was not answered with a swap.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReloadError {
    /// The bundle has faults. The constitution before it is still in force.
    #[error("the constitution has faults")]
    Faulty(Faults),
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
}

impl Registry {
    /// A registry with a constitution in force that was loaded from these settings.
    #[must_use]
    pub fn new(settings: settings::Constitution, active: Active) -> Self {
        Self { settings, in_force: InForce::new(active), validators: Vec::new() }
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
#[derive(Debug, Default, Message)]
#[rtype(result = "Result<Reloaded, ReloadError>")]
pub struct Reload {
    /// New settings; none: those from before.
    pub settings: Option<settings::Constitution>,
}

impl Handler<Reload> for Registry {
    // INVARIANT: one reload at a time: the mailbox waits, so that two cannot leave validators with different ones.
    type Result = AtomicResponse<Self, Result<Reloaded, ReloadError>>;

    fn handle(&mut self, reload: Reload, _: &mut Self::Context) -> Self::Result {
        let settings = reload.settings.unwrap_or_else(|| self.settings.clone());
        let (in_force, validators) = (self.in_force.clone(), self.validators.clone());
        let swap = async move {
            let loading = settings.clone();
            let loaded = tokio::task::spawn_blocking(move || Active::load(&loading)).await;
            let loaded = loaded.map_err(|error| ReloadError::Unanswered(error.to_string()))?;
            let new = Arc::new(loaded.map_err(ReloadError::Faulty)?);
            let old = in_force.get();
            let given = validators.iter().map(|validator| validator.send(Activate(Arc::clone(&new))));
            // A validator that is gone decides nothing any more.
            drop(join_all(given).await);
            in_force.set(Arc::clone(&new));
            let named = |active: &Active| (active.constitution.hash(), active.constitution.digest());
            Ok::<_, ReloadError>((settings, Reloaded { old: named(&old), new: named(&new) }))
        };
        AtomicResponse::new(Box::pin(swap.into_actor(self).map(|swapped, registry, _| {
            let (settings, reloaded) = swapped?;
            registry.settings = settings;
            Ok(reloaded)
        })))
    }
}
