//! After a start all caches are empty. In the background they are filled: with the entities that were asked about in the
//! hour before, or all there are where there is room for them, and with the verdicts of the hottest questions.

use std::io;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::thread;

use tokio::sync::{oneshot, watch};

use super::Mailbox;
use super::application_cache::EntityReader;
use super::background::give_way;
use super::database::{Database, NameEntities};
use crate::domain::EntityUid;
use crate::ledger::{DiskStorage, Lately, lately};
use crate::store::StoreError;

/// How many entities are read at once.
const PART: NonZeroU16 = NonZeroU16::MIN.saturating_add(499);

/// The hottest questions of before the start, for who waits for them; shared by all clones.
#[derive(Debug, Clone)]
pub struct Recollection(watch::Receiver<Arc<[Arc<str>]>>);

/// Fills the shelf of entities.
struct Filling {
    entities: EntityReader,
    database: Mailbox<Database>,
}

impl Recollection {
    /// Reads the log up to its end on a thread that gives way to all others, and fills the shelf of entities. Needs a
    /// running actix system.
    pub fn start(
        storage: DiskStorage,
        end: u64,
        entities: EntityReader,
        database: Mailbox<Database>,
    ) -> io::Result<Self> {
        let (recalled, remembered) = oneshot::channel();
        thread::Builder::new().name("acgs-recall".to_owned()).spawn(move || {
            give_way();
            let found = lately(&storage, end).unwrap_or_else(|error| {
                tracing::warn!(%error, "what was asked before the start is not known");
                Lately::default()
            });
            // Where nobody waits any more, the daemon stops.
            let _ = recalled.send(found);
        })?;
        let (hottest, questions) = watch::channel(Arc::default());
        let filling = Filling { entities, database };
        actix::spawn(async move {
            let Ok(Lately { questions, entities }) = remembered.await else { return };
            if let Err(error) = filling.fill(entities).await {
                tracing::debug!(%error, "the cache of entities is not filled");
            }
            hottest.send_replace(questions.into());
        });
        Ok(Self(questions))
    }

    /// Recalls nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self(watch::channel(Arc::default()).1)
    }

    /// The questions in their canonical form, those first that were asked most often, once the entities are at hand
    /// that they are about; none where there are none.
    pub async fn questions(mut self) -> Option<Arc<[Arc<str>]>> {
        self.0.changed().await.ok()?;
        Some(Arc::clone(&self.0.borrow()))
    }
}

impl Filling {
    /// One part after the other, so that at most one of the database's threads is kept from who waits for an answer.
    async fn fill(&self, recent: Vec<EntityUid>) -> Result<(), StoreError> {
        let wanted = match self.all().await? {
            Some(all) => all,
            None => recent,
        };
        for part in wanted.chunks(PART.get().into()) {
            if self.is_full() {
                break;
            }
            self.entities.read(part).await?;
        }
        Ok(())
    }

    /// The names of all stored entities; none where there are more than there is room for.
    async fn all(&self) -> Result<Option<Vec<EntityUid>>, StoreError> {
        let capacity = self.entities.room().capacity;
        let mut names = Vec::new();
        while names.len() <= capacity {
            let after = names.last().cloned();
            let part = self.database.ask(NameEntities { after, limit: PART }).await?;
            let is_last = part.len() < usize::from(PART.get());
            names.extend(part);
            if is_last {
                break;
            }
        }
        Ok((names.len() <= capacity).then_some(names))
    }

    /// What is read beyond that only drives out what was read before.
    fn is_full(&self) -> bool {
        let room = self.entities.room();
        let is_full = |used: usize, room: usize| used >= room - room / 10;
        is_full(room.entries, room.capacity) || is_full(room.bytes, room.max_bytes)
    }
}
