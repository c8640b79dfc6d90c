//! The actor that owns the store: blocking queries on threads of their own, one typed message per query.

pub mod change_feed;
pub mod pool_monitor;
pub mod replica_monitor;

use std::num::{NonZeroU16, NonZeroUsize};
use std::thread;

use actix::prelude::*;

use crate::actors::audit::entity_recorder::EntityRecorder;
use crate::actors::write_ticket::Write;
use smol_str::SmolStr;

use crate::domain::{Entity, EntityUid, Revision};
use crate::store::{Commit, Cursor, Page, Precondition, Store, StoreError, StoredEntity, Written};

/// Runs queries of the store on several threads.
///
/// A query whose caller has given up before it begins is skipped; one that has begun is completed. Writes are answered
/// after the versions of the changed entities were bumped, see [`Store`].
///
/// INVARIANT: no change is committed before its record is durable.
#[derive(Debug)]
pub struct Database {
    store: Store,
    recorder: EntityRecorder,
}

impl Database {
    /// Starts the actor on `threads` threads; each job takes a connection from the store's pool.
    ///
    /// # Panics
    /// Where no actix system runs, or the system has no more threads to give.
    #[must_use]
    pub fn start(store: Store, recorder: EntityRecorder, threads: NonZeroUsize) -> Addr<Self> {
        let thread = || thread::Builder::new().name("acgs-database".to_owned());
        SyncArbiter::start_with_thread_builder(threads.get(), thread, move || Self {
            store: store.clone(),
            recorder: recorder.clone(),
        })
    }
}

impl Actor for Database {
    type Context = SyncContext<Self>;
}

/// Makes a change, unless its caller gave it up before its record was handed in.
impl Handler<Write<Self>> for Database {
    type Result = ();

    fn handle(&mut self, write: Write<Self>, context: &mut Self::Context) {
        write.make(self, context);
    }
}

impl From<MailboxError> for StoreError {
    fn from(error: MailboxError) -> Self {
        match error {
            MailboxError::Timeout => Self::Late,
            MailboxError::Closed => Self::Unavailable { place: None, cause: "it is shut down".into() },
        }
    }
}

/// Finds one stored entity.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Option<StoredEntity>, StoreError>")]
pub struct FindEntity(pub EntityUid);

impl Handler<FindEntity> for Database {
    type Result = Result<Option<StoredEntity>, StoreError>;

    fn handle(&mut self, FindEntity(uid): FindEntity, _: &mut Self::Context) -> Self::Result {
        self.store.find(&uid)
    }
}

/// Asks the database, whatever is stored, whether it answers.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct Probe;

impl Handler<Probe> for Database {
    type Result = Result<(), StoreError>;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> Self::Result {
        self.store.probe()
    }
}

/// Finds many stored entities as they are at one moment, in the order asked.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Vec<Option<StoredEntity>>, StoreError>")]
pub struct FindEntities(pub Vec<EntityUid>);

impl Handler<FindEntities> for Database {
    type Result = Result<Vec<Option<StoredEntity>>, StoreError>;

    fn handle(&mut self, FindEntities(uids): FindEntities, _: &mut Self::Context) -> Self::Result {
        self.store.find_many(&uids)
    }
}

/// Names stored entities, at most `limit` of them, in order.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Vec<EntityUid>, StoreError>")]
pub struct NameEntities {
    /// The name behind which they are; none: from the first on.
    pub after: Option<EntityUid>,
    /// The most names.
    pub limit: NonZeroU16,
}

impl Handler<NameEntities> for Database {
    type Result = Result<Vec<EntityUid>, StoreError>;

    fn handle(&mut self, NameEntities { after, limit }: NameEntities, _: &mut Self::Context) -> Self::Result {
        self.store.names(after.as_ref(), limit)
    }
}

/// Applies the commits of other nodes: everything up to now, or at least up to a revision.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), StoreError>")]
pub enum Follow {
    /// Everything that was committed by now.
    Now,
    /// Everything up to that revision. [`StoreError::Ahead`] if the database has not reached it, [`StoreError::Lost`]
    /// if the database has another history.
    To(Revision),
}

impl Handler<Follow> for Database {
    type Result = Result<(), StoreError>;

    fn handle(&mut self, ask: Follow, _: &mut Self::Context) -> Self::Result {
        match ask {
            Follow::Now => self.store.follow(),
            Follow::To(revision) => self.store.follow_to(&revision),
        }
    }
}

/// Lists the stored entities of a type.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Page, StoreError>")]
pub struct ListEntities {
    /// The type.
    pub kind: String,
    /// The position after which the page begins.
    pub after: Option<Cursor>,
    /// Entities at most.
    pub limit: NonZeroU16,
}

impl Handler<ListEntities> for Database {
    type Result = Result<Page, StoreError>;

    fn handle(&mut self, ask: ListEntities, _: &mut Self::Context) -> Self::Result {
        self.store.list(&ask.kind, ask.after.as_ref(), ask.limit)
    }
}

/// Stores an entity, in place of one of the same name.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Written, StoreError>")]
pub struct PutEntity {
    /// The entity.
    pub entity: Entity,
    /// The preconditions.
    pub precondition: Precondition,
    /// The caller's name in records.
    pub caller: SmolStr,
}

impl Handler<PutEntity> for Database {
    type Result = Result<Written, StoreError>;

    fn handle(&mut self, ask: PutEntity, _: &mut Self::Context) -> Self::Result {
        self.recorder.put(&self.store, &ask.caller, &ask.entity, ask.precondition)
    }
}

/// Stores many entities, all of them or none; answers in the order given.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Vec<Written>, StoreError>")]
pub struct PutEntities {
    /// The entities.
    pub entities: Vec<Entity>,
    /// The caller's name in records.
    pub caller: SmolStr,
}

impl Handler<PutEntities> for Database {
    type Result = Result<Vec<Written>, StoreError>;

    fn handle(&mut self, ask: PutEntities, _: &mut Self::Context) -> Self::Result {
        self.recorder.put_many(&self.store, &ask.caller, &ask.entities)
    }
}

/// Removes an entity, and answers the commit of the removal.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Commit, StoreError>")]
pub struct RemoveEntity {
    /// Which entity.
    pub uid: EntityUid,
    /// The preconditions.
    pub precondition: Precondition,
    /// The caller's name in records.
    pub caller: SmolStr,
}

impl Handler<RemoveEntity> for Database {
    type Result = Result<Commit, StoreError>;

    fn handle(&mut self, ask: RemoveEntity, _: &mut Self::Context) -> Self::Result {
        self.recorder.remove(&self.store, &ask.caller, &ask.uid, ask.precondition)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use crate::actors::Mailbox;
    use crate::actors::audit::testing;
    use crate::domain::Object;
    use crate::settings::RequestRecord;
    use crate::store::StoreOptions;

    /// A question that says when it has begun and is answered when the test lets it be.
    #[derive(Message)]
    #[rtype(result = "Result<(), StoreError>")]
    struct Wait(oneshot::Sender<()>, mpsc::Receiver<()>);

    impl Handler<Wait> for Database {
        type Result = Result<(), StoreError>;

        fn handle(&mut self, Wait(begun, until): Wait, _: &mut Self::Context) -> Self::Result {
            begun.send(()).unwrap();
            let _ = until.recv();
            Ok(())
        }
    }

    fn start(folder: &tempfile::TempDir) -> Addr<Database> {
        let options = StoreOptions {
            target: folder.path().join("acgs.db").into(),
            size: NonZeroU32::MIN,
            max_overflow: 0,
            min_idle: 1,
            pre_ping: false,
            recycle: Duration::from_hours(1),
            health_check: Duration::from_secs(30),
            acquire_timeout: Duration::from_secs(10),
        };
        let recorder = EntityRecorder::new(testing::changes(folder.path()), RequestRecord::Full);
        Database::start(Store::open(&options).unwrap(), recorder, NonZeroUsize::MIN)
    }

    fn user(id: &str) -> Entity {
        let uid = EntityUid::new("User", id);
        Entity { uid, attrs: Object::default(), parents: Vec::new(), tags: Object::default() }
    }

    #[actix::test]
    async fn every_question_gets_its_answer() {
        let folder = tempfile::tempdir().unwrap();
        let database = Mailbox::new(start(&folder), Duration::from_mins(1));
        let (ann, bob) = (user("ann"), user("bob"));
        let put = PutEntity { entity: ann.clone(), precondition: Precondition::absent(), caller: "ann".into() };
        let first = database.ask(put.clone()).await.unwrap();
        assert!(matches!(database.ask(put).await, Err(StoreError::Exists(_))));
        let batch = database.ask(PutEntities { entities: vec![bob.clone()], caller: "ann".into() }).await.unwrap();
        assert_eq!((first.version, batch.len()), (1, 1));

        let found = database.ask(FindEntity(ann.uid.clone())).await.unwrap().unwrap();
        assert_eq!((found.version, &found.entity), (first.version, &ann));
        let found = database.ask(FindEntities(vec![EntityUid::new("User", "x"), bob.uid.clone()])).await.unwrap();
        assert_eq!(found.into_iter().map(|one| one.map(|stored| stored.entity)).collect::<Vec<_>>(), [None, Some(bob)]);

        let list = ListEntities { kind: "User".to_owned(), after: None, limit: NonZeroU16::MIN };
        let page = database.ask(list.clone()).await.unwrap();
        let next = database.ask(ListEntities { after: page.next, ..list }).await.unwrap();
        assert_eq!((page.items.len(), next.items.len(), next.next), (1, 1, None));

        let remove = RemoveEntity { uid: ann.uid, precondition: Precondition::default(), caller: "ann".into() };
        database.ask(remove.clone()).await.unwrap();
        assert!(matches!(database.ask(remove).await, Err(StoreError::Missing(_))));
    }

    #[actix::test]
    async fn an_answer_after_the_deadline_is_late_and_the_question_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let addr = start(&folder);
        let (patient, hasty) = (Mailbox::new(addr.clone(), Duration::from_mins(1)), Mailbox::new(addr, Duration::ZERO));
        let ((begin, begun), (go, until)) = (oneshot::channel(), mpsc::channel());
        let waiting = patient.clone();
        let waiting = actix::spawn(async move { waiting.ask(Wait(begin, until)).await });
        begun.await.unwrap();
        let put = PutEntity { entity: user("ann"), precondition: Precondition::default(), caller: "ann".into() };
        assert!(matches!(hasty.ask(put).await, Err(StoreError::Late)));
        go.send(()).unwrap();
        waiting.await.unwrap().unwrap();
        assert_eq!(patient.ask(FindEntity(user("ann").uid)).await.unwrap(), None);
    }
}
