//! The path of a decision without HTTP: validators and request caches on threads of their own, one application cache,
//! one database.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use acgs::actors::Mailbox;
use acgs::actors::active::Active;
use acgs::actors::audit::change_recorder::ChangeRecorder;
use acgs::actors::audit::committer::{Committer, FlushPolicy};
use acgs::actors::audit::entity_recorder::EntityRecorder;
use acgs::actors::audit::journal::Journal;
use acgs::actors::audit::pacer::GroupCommitPacer;
use acgs::actors::cache::application_cache::{ApplicationCache, EntityCacheOptions};
use acgs::actors::cache::request_cache::{RequestCache, RequestCacheOptions};
use acgs::actors::database::{Database, PutEntities, PutEntity, RemoveEntity};
use acgs::actors::decision::registry::{ConstitutionArchive, Register, Registry, Reread, SettingsReader};
use acgs::actors::decision::validator::{Decide, DecideError, Decided, Purpose, Validator};
use acgs::constitution::Constitution;
use acgs::domain::{Consistency, Evaluation};
use acgs::ledger::{DiskStorage, Ledger, Options, RevisionMark};
use acgs::settings::{RequestRecord, Settings};
use acgs::store::{Precondition, Store, StoreError, StoreOptions};
use actix::{Actor, Addr, Arbiter};
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

use super::archive::{self, Write};

/// So long that nothing is late on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Entries per cache; none: off.
#[derive(Debug, Clone, Copy)]
pub struct Capacities {
    /// Of each request cache.
    pub requests: usize,
    /// Of the application cache.
    pub entities: usize,
}

/// Some workers over one store.
pub struct Workers {
    /// The constitution they decide under.
    pub constitution: Arc<Constitution>,
    database: Mailbox<Database>,
    validators: Vec<Addr<Validator>>,
    arbiters: Vec<Arbiter>,
    folder: tempfile::TempDir,
}

impl Workers {
    /// Starts them over an empty store.
    pub fn start(count: usize, capacities: Capacities) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = archive::constitution().display().to_string();
        let settings =
            [("ACGS_CONSTITUTION__PATH".to_owned(), path), ("ACGS_CONSTITUTION__EXPECTED_HASH".into(), String::new())];
        let settings = Settings::load(folder.path(), None, settings.into_iter()).unwrap().settings;
        let (active, _) = Active::load(&settings.constitution).unwrap();
        let store = Store::open(&StoreOptions {
            target: folder.path().join("acgs.db").into(),
            size: NonZeroU32::new(2).unwrap(),
            max_overflow: 0,
            min_idle: 2,
            pre_ping: false,
            recycle: Duration::from_hours(1),
            health_check: Duration::from_secs(30),
            acquire_timeout: PATIENCE,
        });
        let store = store.unwrap();
        let storage = DiskStorage::create(folder.path().join("audit")).unwrap();
        let (ledger, _) = Ledger::open(storage.clone(), Options::default()).unwrap();
        let committer =
            Committer::start(ledger, storage, FlushPolicy::Durable(GroupCommitPacer::new(Duration::ZERO)), 1_000)
                .unwrap();
        let journal = Journal::new(committer.queue());
        let mark = RevisionMark::open(&folder.path().join("database-revision")).unwrap();
        let recorder = EntityRecorder::new(ChangeRecorder::new(journal.clone(), mark), RequestRecord::Full);
        let database = Database::start(store.clone(), recorder, NonZeroUsize::new(2).unwrap());
        let database = Mailbox::new(database, PATIENCE);
        let entities = ApplicationCache::start(
            database.clone(),
            PATIENCE,
            EntityCacheOptions {
                capacity: NonZeroUsize::new(capacities.entities),
                max_bytes: NonZeroUsize::MAX,
                ttl: PATIENCE,
            },
            store.versions().clone(),
            store.types().clone(),
        );
        let constitution = Arc::clone(&active.constitution);
        let constitution_settings = settings.constitution;
        let settings = SettingsReader::new(move |_| {
            Ok(Reread { constitution: constitution_settings.clone(), restart_required: Vec::new() })
        });
        let archive =
            ConstitutionArchive { kept: folder.path().join("constitutions"), journal, store: store.clone(), settings };
        let registry = Registry::new(active, archive);
        let in_force = registry.in_force();
        let registry = registry.start();
        let arbiters: Vec<Arbiter> = (0..count).map(|_| Arbiter::new()).collect();
        let start = |arbiter: &Arbiter| {
            let (registry, entities, versions) = (registry.clone(), entities.clone(), store.versions().clone());
            let (active, (tell, told)) = (in_force.get(), mpsc::channel());
            arbiter.spawn_fn(move || {
                let capacity = NonZeroUsize::new(capacities.requests);
                let options = RequestCacheOptions { capacity, max_bytes: NonZeroUsize::MAX, ttl: PATIENCE };
                let cache = RequestCache::new(options, versions).start();
                let validator = Validator::start(active, cache, entities, None, Arc::default(), Arc::default());
                registry.do_send(Register(validator.clone().recipient()));
                tell.send(validator).unwrap();
            });
            told.recv().unwrap()
        };
        let validators = arbiters.iter().map(start).collect();
        Self { constitution, database, validators, arbiters, folder }
    }

    /// Writes, and returns when the write is acknowledged.
    pub async fn write(&self, write: &Write) {
        match write {
            Write::Put(entities) => match &**entities {
                [entity] => {
                    let put = PutEntity {
                        entity: entity.clone(),
                        precondition: Precondition::default(),
                        caller: "test".into(),
                    };
                    self.database.ask(put).await.unwrap();
                }
                _ => drop(
                    self.database.ask(PutEntities { entities: entities.clone(), caller: "test".into() }).await.unwrap(),
                ),
            },
            Write::Remove(uid) => {
                let remove =
                    RemoveEntity { uid: uid.clone(), precondition: Precondition::default(), caller: "test".into() };
                match self.database.ask(remove).await {
                    Ok(_) | Err(StoreError::Missing(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Asks one worker.
    pub async fn ask(&self, worker: usize, questions: &[Evaluation], stop_at: Option<bool>) -> Vec<Decided> {
        let decide = Decide {
            evaluations: questions.into(),
            stop_at,
            consistency: Consistency::Usual,
            purpose: Purpose::Answer,
            deadline: Instant::now() + PATIENCE,
        };
        self.validators[worker].send(decide).await.unwrap().unwrap().decided
    }

    /// Asks one worker for all decisions until a deadline.
    pub async fn decide(
        &self,
        worker: usize,
        questions: &[Evaluation],
        consistency: Consistency,
        deadline: Instant,
    ) -> Result<Vec<Decided>, DecideError> {
        let (evaluations, purpose) = (questions.into(), Purpose::Answer);
        let decide = Decide { evaluations, stop_at: None, consistency, purpose, deadline };
        self.validators[worker].send(decide).await.unwrap().map(|decisions| decisions.decided)
    }

    /// From now on, reading entities from the database fails.
    pub fn break_store(&self) {
        let path = self.folder.path().join("acgs.db");
        let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        connection.batch_execute("ALTER TABLE entities RENAME TO gone").unwrap();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for arbiter in self.arbiters.drain(..) {
            arbiter.stop();
            drop(arbiter.join());
        }
    }
}
