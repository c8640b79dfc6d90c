//! Warms the caches in the background after a start: with the entities of decisions in the hour before, with others as
//! far as there is room for them, and with the verdicts of the most frequent questions.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::thread;

use tokio::sync::{oneshot, watch};

use super::Mailbox;
use super::application_cache::EntityReader;
use super::background::give_way;
use super::database::{Database, NameEntities};
use super::validator::HOTTEST;
use crate::domain::EntityUid;
use crate::ledger::{DiskStorage, Lately, lately};
use crate::store::StoreError;

/// How many entities are read at once.
const PART: NonZeroU16 = NonZeroU16::MIN.saturating_add(499);

/// The most frequent questions before the start, once they are known; shared by all clones.
#[derive(Debug, Clone)]
pub struct Recollection(watch::Receiver<Arc<[Arc<str>]>>);

/// Fills the shelf of entities.
struct Filling {
    entities: EntityReader,
    database: Mailbox<Database>,
}

impl Recollection {
    /// Reads the end of the log on a thread with idle priority, and fills the cache of entities. Needs a running actix
    /// system. If it fails, the caches just stay cold.
    #[must_use]
    pub fn start(storage: DiskStorage, end: u64, entities: EntityReader, database: Mailbox<Database>) -> Self {
        let (recalled, remembered) = oneshot::channel();
        let recall = move || {
            give_way();
            let found = lately(&storage, end).unwrap_or_else(|error| {
                tracing::warn!(%error, "the log cannot be read to warm the caches; they stay cold");
                Lately::default()
            });
            // Without receivers, the daemon is stopping.
            let _ = recalled.send(found);
        };
        if let Err(error) = thread::Builder::new().name("acgs-recall".to_owned()).spawn(recall) {
            tracing::warn!(%error, "the log cannot be read to warm the caches; they stay cold");
            return Self::nothing();
        }
        let (hottest, questions) = watch::channel(Arc::default());
        let filling = Filling { entities, database };
        actix::spawn(async move {
            let Ok(Lately { mut questions, entities }) = remembered.await else { return };
            questions.truncate(HOTTEST);
            if let Err(error) = filling.fill(&entities).await {
                tracing::debug!(%error, "the cache of entities is not filled");
            }
            hottest.send_replace(questions.into());
        });
        Self(questions)
    }

    /// Recalls nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self(watch::channel(Arc::default()).1)
    }

    /// The questions in their canonical form, the most frequent first, after their entities have been cached; `None` if
    /// there are none.
    pub async fn questions(mut self) -> Option<Arc<[Arc<str>]>> {
        self.0.changed().await.ok()?;
        Some(Arc::clone(&self.0.borrow()))
    }
}

impl Filling {
    /// First the entities of recent questions, then others. Page by page, so that at most one of the database's threads
    /// is occupied.
    async fn fill(&self, recent: &[EntityUid]) -> Result<(), StoreError> {
        for part in recent.chunks(PART.get().into()) {
            if self.is_full() {
                return Ok(());
            }
            self.entities.read(part).await?;
        }
        let mut after = None;
        while !self.is_full() {
            let names = self.database.ask(NameEntities { after, limit: PART }).await?;
            self.entities.read(&names).await?;
            after = names.last().cloned();
            if names.len() < usize::from(PART.get()) {
                break;
            }
        }
        Ok(())
    }

    /// Beyond this size, further entities only evict earlier ones.
    fn is_full(&self) -> bool {
        let room = self.entities.room();
        let is_full = |used: usize, room: usize| used >= room - room / 10;
        is_full(room.entries, room.capacity) || is_full(room.bytes, room.max_bytes)
    }
}
