//! The stored entities that the decisions of a request read, in the form in which they are recorded.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::actors::cache::application_cache::Read;
use crate::domain::{Entity, EntityUid};
use crate::ledger::EntitySet;

/// The most bytes of text in the entity sets of one request, each set counted once. More could not be recorded.
const MAX_BYTES: usize = 8 << 20;

/// The entity sets of one request.
#[derive(Debug)]
pub(super) struct EntitySets {
    /// Sets by the uids of their entities; `None` for a single decision, which shares its set with no other.
    known: Option<HashMap<Vec<EntityUid>, Arc<EntitySet>>>,
    bytes: usize,
}

/// The entity sets exceed [`MAX_BYTES`].
#[derive(Debug, thiserror::Error)]
#[error("the entities that the request reads have more than {MAX_BYTES} bytes")]
pub(super) struct TooMuch;

impl EntitySets {
    pub(super) fn new(is_batch: bool) -> Self {
        Self { known: is_batch.then(HashMap::new), bytes: 0 }
    }

    /// The set of those entities that are stored, ordered by uid; `None` if none is.
    pub(super) fn of(&mut self, reads: &[Read]) -> Result<Option<Arc<EntitySet>>, TooMuch> {
        let stored = reads.iter().filter_map(|read| read.entity.as_ref());
        let stored: BTreeMap<&EntityUid, &Entity> = stored.map(|stored| (&stored.entity.uid, &stored.entity)).collect();
        if stored.is_empty() {
            return Ok(None);
        }
        let Some(known) = &mut self.known else { return text(&stored, MAX_BYTES).map(|text| Some(set(text))) };
        let names = stored.keys().map(|uid| (*uid).clone()).collect::<Vec<_>>();
        if let Some(known) = known.get(&names) {
            return Ok(Some(Arc::clone(known)));
        }
        let text = text(&stored, MAX_BYTES - self.bytes)?;
        self.bytes += text.len();
        let set = set(text);
        known.insert(names, Arc::clone(&set));
        Ok(Some(set))
    }
}

fn set(text: String) -> Arc<EntitySet> {
    Arc::new(EntitySet::new(text))
}

fn text(stored: &BTreeMap<&EntityUid, &Entity>, limit: usize) -> Result<String, TooMuch> {
    let mut text = String::new();
    for entity in stored.values() {
        text.push_str(&serde_json::to_string(entity).unwrap_or_default());
        text.push('\n');
        if text.len() > limit {
            return Err(TooMuch);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Json, Object};
    use crate::store::{StoredEntity, Versions};

    fn read(versions: &Versions, id: usize, bytes: Option<usize>) -> Read {
        let uid = EntityUid::new("Document", id.to_string());
        let stamp = versions.stamp(&uid);
        let entity = bytes.map(|bytes| {
            let attrs = Object::from_members(vec![("text".into(), Json::Str("x".repeat(bytes).into()))]).unwrap();
            let entity = Entity { uid, attrs, parents: Vec::new(), tags: Object::NOTHING };
            Arc::new(StoredEntity { entity, version: 1 })
        });
        Read { entity, stamp, is_queried: true }
    }

    #[test]
    fn items_that_read_the_same_share_one_set_and_all_sets_together_have_a_bound() {
        let (mut sets, versions) = (EntitySets::new(true), Versions::at_version(1));
        let read = |id, bytes| read(&versions, id, bytes);
        let large = read(0, Some(1 << 20));
        let first = sets.of(&[large.clone(), read(1, None)]).unwrap().unwrap();
        for id in 2..1_000 {
            assert!(Arc::ptr_eq(&first, &sets.of(&[read(id, None), large.clone()]).unwrap().unwrap()));
        }
        assert!(sets.of(&[read(1, None)]).unwrap().is_none());
        let each = (2..20).map(|id| sets.of(&[large.clone(), read(id, Some(10))]).is_ok());
        assert_eq!(each.filter(|ok| *ok).count(), 6, "the first one had 1 MiB, and so has each of these");
        let mut alone = EntitySets::new(false);
        let eight: Vec<_> = (0..8).map(|id| read(id, Some(1 << 20))).collect();
        assert!(alone.of(&eight).is_err() && alone.of(&eight[..7]).is_ok());
    }
}
