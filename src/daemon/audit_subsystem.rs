//! The audit log and everything that follows it, in the order in which it starts and stops.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use nonzero_ext::nonzero;

use super::audit_folder;
use super::error::{DaemonError, system};
use crate::actors::Mailbox;
use crate::actors::audit::change_recorder::ChangeRecorder;
use crate::actors::audit::checkpointer::{CheckpointError, Checkpointer, CheckpointerParts, LogSigner};
use crate::actors::audit::checkpoints::Checkpoints;
use crate::actors::audit::committer::{Committer, FlushPolicy};
use crate::actors::audit::denial_sampler::DenialSampler;
use crate::actors::audit::entity_recorder::EntityRecorder;
use crate::actors::audit::index_status::IndexStatus;
use crate::actors::audit::indexer::{Indexer, IndexerError, IndexerParts};
use crate::actors::audit::journal::Journal;
use crate::actors::audit::pacer::GroupCommitPacer;
use crate::actors::audit::queue::{AuditError, AuditQueue};
use crate::actors::audit::reader::LogReader;
use crate::actors::audit::rollback::{LogRollback, OnRollback};
use crate::actors::audit::searcher::Searcher;
use crate::actors::audit::witnesses::{Witness, Witnesses, WitnessesError};
use crate::actors::decision::registry::recorded;
use crate::auth::stranger::Strangers;
use crate::constitution::{Constitution, Fault};
use crate::domain::Revision;
use crate::http::AuditState;
use crate::ledger::{
    self, DiskStorage, Event, EventKind, KEY_FILE, KeptCheckpoint, KeyError, Keyring, Ledger, LedgerError, Options,
    Recovery, RevisionMark, SeenRevision, is_new, public_keys, seen_revision,
};
use crate::settings::{Durability, LogOrigin, RequestRecord, Settings};
use crate::store::Replicas;

/// The daemon's own name as the caller in records.
pub const DAEMON: &str = "acgs";

/// How long a start waits for the first checkpoint of a new log.
const FIRST_CHECKPOINT: Duration = Duration::from_secs(5);

/// Threads that read the log for auditors, and as many that search its index.
const READERS: NonZeroUsize = nonzero!(2_usize);

/// The file, in the data folder, of the checkpoint kept outside of the log's folder.
const KEPT_CHECKPOINT: &str = "audit-checkpoint";

/// The file, in the data folder, that names the newest committed change of the database.
const REVISION_MARK: &str = "database-revision";

/// The running log.
#[derive(Debug)]
pub(super) struct AuditSubsystem {
    storage: DiskStorage,
    committer: Committer,
    changes: ChangeRecorder,
    /// The mark in that file at the start.
    mark: Option<SeenRevision>,
    checkpointer: Checkpointer,
    witnesses: Witnesses,
    indexer: Indexer,
    recovery: Recovery,
    key: String,
    /// The size of the checkpoint that was found.
    signed: Option<u64>,
    /// The evidence of an accepted rollback of the log.
    accepted: Vec<LogRollback>,
}

impl AuditSubsystem {
    /// Opens the log. Fails if it does not match its checkpoints, or was rolled back.
    pub(super) fn open(settings: &Settings, replicas: Replicas, on_rollback: OnRollback) -> Result<Self, DaemonError> {
        let folder = audit_folder(&settings.data_dir);
        let kept = KeptCheckpoint::at(settings.data_dir.join(KEPT_CHECKPOINT));
        if on_rollback == OnRollback::Refuse {
            refuse_removed(&folder, &kept)?;
        }
        let was_empty = fs::read_dir(&folder).map_or(true, |mut files| files.next().is_none());
        let storage = DiskStorage::create(&folder).map_err(system(&format!("make `{}`", folder.display())))?;
        let (ledger, recovery) = open_ledger(&folder, &storage)?;
        let audit = &settings.audit;
        if let Some(days) = audit.retention_days {
            tracing::warn!(
                days,
                "this version deletes no records: `audit.retention_days` has no effect, and archives are kept"
            );
        }
        let origin = audit.origin.as_ref().map(LogOrigin::as_str);
        let (opened, default_origin) = (ledger.tree().clone(), default_origin());
        let size = opened.size();
        let rolled_back = |found| {
            // A folder that this start has created must not be in the way of a restored log.
            if was_empty && let Err(error) = fs::remove_dir_all(&folder) {
                tracing::warn!(%error, folder = %folder.display(), "remove this folder before you restore the log");
            }
            DaemonError::LogRolledBack { folder: folder.clone(), size, found: Box::new(found) }
        };
        let had_key = folder.join(KEY_FILE).exists();
        let signer = LogSigner::open(CheckpointerParts {
            folder: &folder,
            origin,
            default_origin: &default_origin,
            opened,
            kept,
            on_rollback,
        });
        let signer = signer.map_err(|source| match source {
            CheckpointError::RolledBack(found) => rolled_back(found),
            source => DaemonError::Seal { folder: folder.clone(), source: Box::new(source) },
        })?;
        let mut accepted = signer.accepted().to_vec();
        let (key, origin, newest) = (signer.key(), signer.origin().to_owned(), signer.signed());
        let policy = match audit.durability {
            Durability::Durable => FlushPolicy::Durable(GroupCommitPacer::new(audit.sync_interval)),
            Durability::Async => FlushPolicy::Async(audit.flush_interval),
        };
        let committer = Committer::start(ledger, storage.clone(), policy, audit.max_queue.get());
        let committer = committer.map_err(system("start the audit log's thread"))?;
        let journal = Journal::new(committer.queue());
        let mark_file = settings.data_dir.join(REVISION_MARK);
        let mark = RevisionMark::read(&mark_file);
        let mark_writer =
            RevisionMark::open(&mark_file).map_err(system(&format!("write `{}`", mark_file.display())))?;
        let changes = ChangeRecorder::new(journal.clone(), mark_writer);
        let checkpoints = Checkpoints::default();
        // Before anything is signed or recorded: the search index may show that the log was rolled back.
        let indexer = Indexer::start(IndexerParts {
            storage: storage.clone(),
            options: super::search_options(settings),
            replicas,
            origin,
            queue: committer.queue(),
            opened: size,
            on_rollback,
            checkpoints: checkpoints.clone(),
            archiving: audit.archive,
        });
        let (indexer, found) = indexer.map_err(|error| match error {
            IndexerError::RolledBack(found) => rolled_back(found),
            IndexerError::System(source) => {
                system("start the thread that copies the audit log into the database")(source)
            }
        })?;
        accepted.extend(found);
        if !accepted.is_empty() && !had_key {
            tracing::warn!(key, "the log's key is gone too; a new one was made: tell verifiers and witnesses");
        }
        let interval = audit.checkpoint_interval;
        let checkpointer = Checkpointer::start(signer, committer.queue(), journal, interval, checkpoints);
        let checkpointer = checkpointer.map_err(system("start the thread that signs checkpoints"))?;
        let witnesses = audit.witness.iter().map(|witness| {
            let key = witness.key.to_string();
            Witness::new(&witness.url.to_string(), &key).map_err(|source| DaemonError::Witness { key, source })
        });
        let witnesses = Witnesses::start(witnesses.collect::<Result<_, _>>()?, &storage, &checkpointer.checkpoints());
        let witnesses = witnesses.map_err(|error| match error {
            WitnessesError::Ledger(source) => DaemonError::Ledger { folder, source: Box::new(source) },
            WitnessesError::System(source) => system("start the threads that ask witnesses")(source),
        })?;
        Ok(Self {
            storage,
            committer,
            changes,
            mark,
            checkpointer,
            witnesses,
            indexer,
            recovery,
            key,
            signed: newest,
            accepted,
        })
    }

    /// Whether nothing was ever recorded.
    pub(super) fn is_new(&self) -> bool {
        self.recovery.size == 0 && self.signed.is_none()
    }

    /// The newest revision of the database that is known, from the log as it was opened, to have been committed.
    pub(super) fn seen_revision(&self) -> Result<Option<SeenRevision>, LedgerError> {
        seen_revision(&self.storage, self.recovery.size, self.mark.as_ref())
    }

    /// Records the start: settings, constitution, overridden objections, and the revision of the database. No decision
    /// is made before this record is durable.
    pub(super) fn record_start(
        &self,
        settings: &Settings,
        constitution: &Constitution,
        revision: Revision,
        overridden: &[Fault],
    ) -> Result<(), AuditError> {
        let torn = self.recovery.torn.as_ref().map_or(0, |torn| torn.bytes);
        let start = Event::new(EventKind::Start, DAEMON)
            .name("version", env!("CARGO_PKG_VERSION"))
            .name("key", self.key.as_str())
            .name("found", self.recovery.size)
            .name("signed", self.signed)
            .name("torn_bytes", torn)
            .name("revision", revision.to_string());
        let in_force = settings_event("in_force", settings);
        let mut activated = Event::new(EventKind::Constitution, DAEMON)
            .name("event", "activated")
            .name("hash", constitution.hash().to_string())
            .name("digest", constitution.digest().to_string())
            .name("name", constitution.name())
            .name("version", constitution.version());
        if !overridden.is_empty() {
            activated = activated.name("forced", true).detail("objections", recorded(overridden));
        }
        let accepted = (!self.accepted.is_empty()).then(|| {
            let evidence: Vec<String> = self.accepted.iter().map(ToString::to_string).collect();
            tracing::warn!(?evidence, "accepted an audit log that was rolled back, because of `--accept-rollback log`");
            let event = Event::new(EventKind::Log, DAEMON).name("event", "rollback_accepted");
            event.name("found", self.recovery.size).detail("evidence", evidence)
        });
        let events: Vec<Event> =
            [Some(start), accepted, Some(in_force), Some(activated)].into_iter().flatten().collect();
        self.changes.record_found(&events, revision)?;
        // So there is a checkpoint from the first moment on.
        self.checkpointer.checkpoints().wait_for_any(FIRST_CHECKPOINT);
        Ok(())
    }

    /// The folder's files.
    pub(super) fn storage(&self) -> DiskStorage {
        self.storage.clone()
    }

    /// Where records are handed in.
    pub(super) fn queue(&self) -> AuditQueue {
        self.committer.queue()
    }

    /// Where events are recorded.
    pub(super) fn journal(&self) -> Journal {
        self.changes.journal().clone()
    }

    /// A recorder for changes of the database.
    pub(super) fn changes(&self) -> ChangeRecorder {
        self.changes.clone()
    }

    /// A recorder for changes of entities.
    pub(super) fn recorder(&self, form: RequestRecord) -> EntityRecorder {
        EntityRecorder::new(self.changes(), form)
    }

    /// The checkpoints.
    pub(super) fn checkpoints(&self) -> Checkpoints {
        self.checkpointer.checkpoints()
    }

    /// How far the log is copied into the database.
    pub(super) fn index_status(&self) -> IndexStatus {
        self.indexer.index_status()
    }

    /// The state of HTTP workers that concerns the log. Starts the threads that read and search it; a search ends at
    /// half the deadline of requests.
    pub(super) fn state(&self, deadline: Duration) -> AuditState {
        let reader = LogReader::start(self.storage(), self.checkpoints(), self.index_status(), READERS);
        let searcher = Searcher::start(self.storage(), self.index_status(), deadline / 2, READERS);
        AuditState {
            queue: self.queue(),
            journal: self.journal(),
            checkpoints: self.checkpoints(),
            reader: Mailbox::new(reader, deadline),
            index_status: self.index_status(),
            searcher: Mailbox::new(searcher, deadline),
            denial_sampler: DenialSampler::new(),
            strangers: Strangers::new(),
        }
    }

    /// Records the stop with the database's revision, writes the remaining records, and signs the last checkpoint.
    ///
    /// INVARIANT: the log is closed after the last worker has ended, so that every answer has its record.
    pub(super) fn stop(self, revision: Revision) {
        let stop = Event::new(EventKind::Stop, DAEMON).name("revision", revision.to_string());
        if let Err(error) = self.changes.record_found(&[stop], revision) {
            tracing::error!(%error, "the end of the daemon is not in the audit log");
        }
        self.committer.stop();
        self.checkpointer.stop();
        self.indexer.stop();
        self.witnesses.stop();
    }
}

/// Opens the log, and warns if its end was cut off.
fn open_ledger(folder: &Path, storage: &DiskStorage) -> Result<(Ledger<DiskStorage>, Recovery), DaemonError> {
    let (ledger, recovery) = Ledger::open(storage.clone(), Options::default())
        .map_err(|source| DaemonError::Ledger { folder: folder.to_owned(), source: Box::new(source) })?;
    if let Some(torn) = &recovery.torn {
        tracing::warn!(
            index = torn.index,
            segment = torn.segment,
            offset = torn.offset,
            bytes = torn.bytes,
            "the audit log ended in an incomplete frame, as a crash in mid-write leaves one; it was cut off"
        );
    }
    Ok((ledger, recovery))
}

/// Fails if the log's folder is gone although a kept checkpoint shows that there was one. Nothing is created then: it
/// would be in the way of a restored log.
fn refuse_removed(folder: &Path, kept: &KeptCheckpoint) -> Result<(), DaemonError> {
    let is_gone = !folder.exists()
        || is_new(&DiskStorage::at(folder))
            .map_err(|source| DaemonError::Ledger { folder: folder.to_owned(), source: Box::new(source) })?;
    match kept.read() {
        Ok(Some(checkpoint)) if is_gone => {
            let path = kept.path().to_owned();
            let found = LogRollback::Kept { path, size: checkpoint.size, origin: checkpoint.origin };
            Err(DaemonError::LogRolledBack { folder: folder.to_owned(), size: 0, found: Box::new(found) })
        }
        _ => Ok(()),
    }
}

/// Whether nothing was ever recorded: before the first start, or after one that was killed early.
#[must_use]
pub fn is_unrecorded(settings: &Settings) -> bool {
    ledger::is_unrecorded(&audit_folder(&settings.data_dir))
}

/// Whether the log's keys can be used, and are those of the origin that the settings name. Makes none.
pub fn check_keys(settings: &Settings) -> Result<(), KeyError> {
    let folder = audit_folder(&settings.data_dir);
    if public_keys(&folder)?.is_empty() || (!folder.join(KEY_FILE).exists() && ledger::is_unrecorded(&folder)) {
        return Ok(());
    }
    Keyring::load(&folder)?.check_origin(settings.audit.origin.as_ref().map(LogOrigin::as_str))
}

/// Records the settings in force. Blocks until the record is durable.
pub(super) fn record_settings(journal: &Journal, event: &str, settings: &Settings) -> Result<(), AuditError> {
    journal.record(&[settings_event(event, settings)]).map(drop)
}

/// No value has a password in it.
fn settings_event(event: &str, settings: &Settings) -> Event {
    let values = settings.values().into_iter().map(|(key, value)| (key.to_owned(), value.into()));
    let event = Event::new(EventKind::Settings, DAEMON).name("event", event);
    event.detail("settings", serde_json::Value::Object(values.collect()))
}

/// The default origin of this host's log.
fn default_origin() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
    let name: String = name.chars().filter(is_plain).take(200).collect();
    format!("acgs.local/{}", if name.is_empty() { "localhost" } else { &name })
}
