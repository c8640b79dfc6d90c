//! Warms the caches in the background after a start: with the entities of decisions in the hour before, with others as
//! far as there is room for them, and with the verdicts of the most frequent questions.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use nonzero_ext::nonzero;
use tokio::sync::{oneshot, watch};

use crate::actors::Mailbox;
use crate::actors::background::set_idle_priority;
use crate::actors::cache::application_cache::EntityReader;
use crate::actors::database::{Database, NameEntities};
use crate::actors::decision::validator::HOTTEST;
use crate::domain::EntityUid;
use crate::ledger::{DiskStorage, RecentActivity, recent_activity};
use crate::store::StoreError;

/// How many entities are read at once.
const BATCH: NonZeroU16 = nonzero!(500_u16);

/// The most frequent questions before the start, once they are known; shared by all clones.
#[derive(Debug, Clone)]
pub struct CacheWarmer {
    hottest: watch::Sender<Option<Arc<[Arc<str>]>>>,
    /// How many workers have not got the questions yet.
    waiting: Arc<AtomicUsize>,
}

/// Fills the cache of entities.
struct Filling {
    entities: EntityReader,
    database: Mailbox<Database>,
}

impl CacheWarmer {
    /// Reads the end of the log on a thread with idle priority, and fills the cache of entities. Needs a running actix
    /// system. If it fails, the caches just stay cold. The questions are kept until so many workers have got them.
    #[must_use]
    pub fn start(
        storage: DiskStorage,
        end: u64,
        entities: EntityReader,
        database: Mailbox<Database>,
        workers: usize,
    ) -> Self {
        let (recalled, remembered) = oneshot::channel();
        let recall = move || {
            set_idle_priority();
            let found = recent_activity(&storage, end).unwrap_or_else(|error| {
                tracing::warn!(%error, "the log cannot be read to warm the caches; they stay cold");
                RecentActivity::default()
            });
            // Without receivers, the daemon is stopping.
            let _ = recalled.send(found);
        };
        if let Err(error) = thread::Builder::new().name("acgs-warmer".to_owned()).spawn(recall) {
            tracing::warn!(%error, "the log cannot be read to warm the caches; they stay cold");
            return Self::nothing();
        }
        let warmer = Self::awaited_by(workers);
        let hottest = warmer.hottest.clone();
        let filling = Filling { entities, database };
        actix::spawn(async move {
            let RecentActivity { mut questions, entities } = remembered.await.unwrap_or_default();
            questions.truncate(HOTTEST);
            if let Err(error) = filling.fill(&entities).await {
                tracing::debug!(%error, "the cache of entities is not filled");
            }
            hottest.send_replace(Some(questions.into()));
        });
        warmer
    }

    fn awaited_by(workers: usize) -> Self {
        Self { hottest: watch::Sender::new(None), waiting: Arc::new(AtomicUsize::new(workers)) }
    }

    /// Recalls nothing.
    #[must_use]
    pub fn nothing() -> Self {
        let nothing = Self::awaited_by(0);
        nothing.hottest.send_replace(Some(Arc::default()));
        nothing
    }

    /// The questions in their canonical form, the most frequent first, after their entities have been cached. Each
    /// worker asks once; the last one that asks gets them without a copy being kept.
    pub async fn questions(self) -> Arc<[Arc<str>]> {
        let mut known = self.hottest.subscribe();
        let questions = known.wait_for(Option::is_some).await.map(|known| known.clone());
        if self.waiting.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) == Ok(1) {
            self.hottest.send_replace(Some(Arc::default()));
        }
        questions.ok().flatten().unwrap_or_default()
    }
}

impl Filling {
    /// First the entities of recent questions, then others. Page by page, so that at most one of the database's threads
    /// is occupied.
    async fn fill(&self, recent: &[EntityUid]) -> Result<(), StoreError> {
        for part in recent.chunks(BATCH.get().into()) {
            if self.is_full() {
                return Ok(());
            }
            self.entities.read(part).await?;
        }
        let mut after = None;
        while !self.is_full() {
            let names = self.database.ask(NameEntities { after, limit: BATCH }).await?;
            self.entities.read(&names).await?;
            after = names.last().cloned();
            if names.len() < usize::from(BATCH.get()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn no_question_is_kept_once_all_workers_have_them() {
        let warmer = CacheWarmer::awaited_by(2);
        let questions: Arc<[Arc<str>]> = Arc::from([Arc::from("a question")]);
        let kept = Arc::downgrade(&questions);
        warmer.hottest.send_replace(Some(questions));
        for _ in 0..2 {
            assert_eq!(warmer.clone().questions().await.len(), 1);
        }
        assert!(kept.upgrade().is_none());
        assert!(warmer.clone().questions().await.is_empty());
        assert!(CacheWarmer::nothing().questions().await.is_empty());
    }
}
