//! Which constitution is in force: swapped whole in every validator, or not at all.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use actix::{Actor, AtomicResponse, Context, Handler, MailboxError, Message, Recipient, WrapFuture};
use futures_util::future::join_all;
use smol_str::SmolStr;

use crate::actors::active::{Active, InForce};
use crate::actors::audit::journal::Journal;
use crate::actors::audit::queue::AuditError;
use crate::actors::decision::validator::Activate;
use crate::constitution::{Fault, Faults, Misfits};
use crate::domain::{ConstitutionDigest, ConstitutionalHash};
use crate::ledger::{Event, EventKind};
use crate::settings;
use crate::store::Store;

/// Why a reload was not answered with a swap.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReloadError {
    /// The bundle has faults. The constitution before it is still in force.
    #[error("the constitution has faults")]
    Faulty(Faults),
    /// Test cases of the bundle fail, or stored entities do not fit its schema, and the reload was not forced. The
    /// previous constitution stays in force.
    #[error("test cases fail, or stored entities do not fit its schema (`--force` overrides this)")]
    Objected(Faults),
    /// The settings have faults. The settings and the constitution stay as they were.
    #[error("the settings have faults")]
    Settings(Vec<String>),
    /// The stored entities could not be checked against the schema, and the reload was not forced. The previous
    /// constitution stays in force.
    #[error("stored entities cannot be checked against the new schema: {0}")]
    Unchecked(String),
    /// It cannot be saved in the data folder, which replays need. The previous constitution stays in force.
    #[error("the new constitution cannot be saved in {0}")]
    Unsaved(String),
    /// It cannot be recorded. The previous constitution stays in force.
    #[error("the new constitution cannot be recorded: {0}")]
    Unrecorded(AuditError),
    /// The registry has ended or did not answer in time. The new constitution may yet come into force.
    #[error("the outcome of the reload is unknown, and the constitution may still come into force: {0}")]
    Unanswered(String),
}

impl From<MailboxError> for ReloadError {
    fn from(error: MailboxError) -> Self {
        Self::Unanswered(error.to_string())
    }
}

/// The result of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Hash and digest before.
    pub old: (ConstitutionalHash, ConstitutionDigest),
    /// Hash and digest now.
    pub new: (ConstitutionalHash, ConstitutionDigest),
    /// The keys of settings that were changed, but take effect only after a restart.
    pub restart_required: Vec<&'static str>,
}

/// Settings that were read again.
#[derive(Debug)]
pub struct Reread {
    /// Those of the constitution.
    pub constitution: settings::Constitution,
    /// The keys of settings that were changed, but take effect only after a restart.
    pub restart_required: Vec<&'static str>,
}

/// Whether a valid constitution with objections (failing cases, or stored entities that do not fit) is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnObjections {
    /// The constitution is refused.
    Refuse,
    /// The constitution comes into force, and its record contains the objections.
    Override,
}

/// Reads the settings again; the error is every fault. The argument is the caller's name.
#[derive(Clone)]
pub struct SettingsReader(Arc<ReadSettings>);

/// The function that reads the settings.
type ReadSettings = dyn Fn(&str) -> Result<Reread, Vec<String>> + Send + Sync;

impl SettingsReader {
    /// A reader that calls `read`, which may block.
    pub fn new(read: impl Fn(&str) -> Result<Reread, Vec<String>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

impl fmt::Debug for SettingsReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SettingsReader")
    }
}

/// Owns which constitution is in force.
#[derive(Debug)]
pub struct Registry {
    in_force: InForce,
    validators: Vec<Recipient<Activate>>,
    archive: ConstitutionArchive,
}

/// Where a constitution is kept and its coming into force is recorded.
#[derive(Debug, Clone)]
pub struct ConstitutionArchive {
    /// The folder of copies by digest.
    pub kept: PathBuf,
    /// The way of events into the audit log.
    pub journal: Journal,
    /// The entities, which must fit the schema.
    pub store: Store,
    /// The settings, which name the constitution's folder.
    pub settings: SettingsReader,
}

impl Registry {
    /// A registry with `active` in force.
    #[must_use]
    pub fn new(active: Active, archive: ConstitutionArchive) -> Self {
        Self { in_force: InForce::new(active), validators: Vec::new(), archive }
    }

    /// A view of the constitution in force.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        self.in_force.clone()
    }
}

impl Actor for Registry {
    type Context = Context<Self>;
}

/// Registers a validator, which is given the constitution in force and every later one.
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

/// Reads the settings and the bundle again, and swaps the constitution. Answered when every validator has it.
///
/// INVARIANT: a constitution is archived and recorded before it comes into force.
#[derive(Debug, Message)]
#[rtype(result = "Result<Reloaded, ReloadError>")]
pub struct Reload {
    /// The caller's name in records.
    pub caller: SmolStr,
    /// Whether objections refuse it.
    pub on_objections: OnObjections,
}

impl Handler<Reload> for Registry {
    // INVARIANT: one reload at a time: the mailbox waits, so that two cannot leave validators with different ones.
    type Result = AtomicResponse<Self, Result<Reloaded, ReloadError>>;

    fn handle(&mut self, reload: Reload, _: &mut Self::Context) -> Self::Result {
        let (in_force, validators, archive) = (self.in_force.clone(), self.validators.clone(), self.archive.clone());
        let swap = async move {
            let old = in_force.get();
            let before = old.names();
            let loaded = tokio::task::spawn_blocking(move || archive.load(&reload, &old)).await;
            let loaded = loaded.unwrap_or_else(|error| Err(ReloadError::Unanswered(error.to_string())));
            let (new, restart_required) = loaded.inspect_err(|error| {
                let why = error.in_one_line();
                tracing::error!("the constitution stays as it was: {why}");
                in_force.refuse(why);
            })?;
            let new = Arc::new(new);
            let given = validators.iter().map(|validator| validator.send(Activate(Arc::clone(&new))));
            // A validator that is gone decides nothing any more.
            drop(join_all(given).await);
            in_force.set(Arc::clone(&new));
            tracing::info!(hash = %new.names().0, digest = %new.names().1, "constitution reloaded");
            Ok::<_, ReloadError>(Reloaded { old: before, new: new.names(), restart_required })
        };
        AtomicResponse::new(Box::pin(swap.into_actor(self)))
    }
}

/// The most faults of a refused constitution that are recorded.
const MAX_RECORDED_FAULTS: usize = 20;

/// The most faults of a refused constitution in one message.
const MAX_TOLD_FAULTS: usize = 5;

impl ReloadError {
    /// The error and its first faults, in one line.
    fn in_one_line(&self) -> String {
        let faults: Vec<String> = match self {
            Self::Faulty(faults) | Self::Objected(faults) => faults.0.iter().map(ToString::to_string).collect(),
            Self::Settings(faults) => faults.clone(),
            Self::Unchecked(_) | Self::Unsaved(_) | Self::Unrecorded(_) | Self::Unanswered(_) => Vec::new(),
        };
        if faults.is_empty() {
            return self.to_string();
        }
        let told = faults.iter().take(MAX_TOLD_FAULTS).map(String::as_str).collect::<Vec<_>>().join("; ");
        let more = faults.len().saturating_sub(MAX_TOLD_FAULTS);
        if more > 0 { format!("{self}: {told}; and {more} more") } else { format!("{self}: {told}") }
    }
}

/// The faults to be recorded, at most 20.
#[must_use]
pub fn recorded(faults: &[Fault]) -> Vec<String> {
    faults.iter().take(MAX_RECORDED_FAULTS).map(ToString::to_string).collect()
}

impl ConstitutionArchive {
    /// Loads the constitution that is to come into force, compares it with the entities, archives and records it. A
    /// refusal is recorded too. Also returns the keys of settings that require a restart.
    fn load(&self, reload: &Reload, in_force: &Active) -> Result<(Active, Vec<&'static str>), ReloadError> {
        let reread = (self.settings.0)(&reload.caller).map_err(ReloadError::Settings)?;
        let old = in_force.names();
        let event = |what| {
            let event = Event::new(EventKind::Constitution, &reload.caller).name("event", what);
            event.name("old_hash", old.0.to_string()).name("old_digest", old.1.to_string())
        };
        let refuse = |faults: &[Fault]| {
            if let Err(error) = self.journal.record(&[event("refused").detail("faults", recorded(faults))]) {
                tracing::error!(%error, "the refusal of a constitution is not in the audit log");
            }
        };
        let (active, bundle) = Active::load(&reread.constitution).map_err(|faults| {
            refuse(&faults.0);
            ReloadError::Faulty(faults)
        })?;
        let objections = self.objections(&active, in_force, reload.on_objections)?;
        if !objections.is_empty() && reload.on_objections == OnObjections::Refuse {
            refuse(&objections);
            return Err(ReloadError::Objected(Faults(objections)));
        }
        bundle.keep(&self.kept).map_err(|error| {
            let folder = self.kept.display();
            tracing::error!(%error, %folder, "the new constitution cannot be saved; the one before stays in force");
            ReloadError::Unsaved(format!("`{folder}`: {error}"))
        })?;
        let (hash, digest) = active.names();
        let mut reloaded = event("reloaded").name("hash", hash.to_string()).name("digest", digest.to_string());
        if !objections.is_empty() {
            tracing::warn!(caller = %reload.caller, count = objections.len(), "a reload overrides objections");
            reloaded = reloaded.name("forced", true).detail("objections", recorded(&objections));
        }
        let written = self.journal.record(&[reloaded]);
        written.map_err(ReloadError::Unrecorded)?;
        Ok((active.in_place_of(in_force), reread.restart_required))
    }

    /// The objections to a valid constitution. The stored entities fit the schema in force, so they are checked only
    /// against a different one.
    fn objections(&self, new: &Active, old: &Active, on_objections: OnObjections) -> Result<Vec<Fault>, ReloadError> {
        let mut objections = new.objections.clone();
        if !new.constitution.has_schema_of(&old.constitution) {
            let mut misfits = Misfits::default();
            let compared = self.store.visit(|entities| misfits.check(&new.constitution, entities));
            match compared {
                Ok(()) => objections.extend(misfits.objections()),
                Err(error) if on_objections == OnObjections::Refuse => {
                    return Err(ReloadError::Unchecked(error.to_string()));
                }
                Err(error) => {
                    objections.push(Fault::of_file(
                        "schema.cedarschema",
                        format!("stored entities were not checked against it: {error}"),
                    ));
                }
            }
        }
        Ok(objections)
    }
}
