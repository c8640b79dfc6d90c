//! Which types of entities are stored at all, so that a question about others needs no query.

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use smol_str::SmolStr;

/// The entity types that have stored entities, or had some since the store was opened; shared by all clones.
///
/// INVARIANT: a type is inserted before the commit of its first entity, and stays. So where a type is not in, no entity
/// of it was committed at that moment. A reader takes the stamp of the entity (see [`Versions`](super::Versions))
/// before it looks here: an entity created later bumps that stamp after it inserted the type, so "not stored" is never
/// taken for current once the creation is answered. A type that is in without need costs a query and nothing else.
#[derive(Debug, Clone, Default)]
pub struct StoredTypes(Arc<ArcSwap<HashSet<SmolStr>>>);

impl StoredTypes {
    /// Whether entities of that type may be stored. Waits for nothing.
    #[must_use]
    pub fn contains(&self, kind: &str) -> bool {
        self.0.load().contains(kind)
    }

    /// Whether nothing was ever stored, as far as is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// Adds types of entities that are, or are about to be, stored.
    pub fn insert<'a>(&self, kinds: impl IntoIterator<Item = &'a SmolStr>) {
        let known = self.0.load();
        let new = kinds.into_iter().filter(|kind| !known.contains(*kind)).collect::<HashSet<_>>();
        if !new.is_empty() {
            self.0.rcu(|known| known.iter().chain(new.iter().copied()).cloned().collect::<HashSet<_>>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_known_to_every_clone_once_it_is_inserted() {
        let types = StoredTypes::default();
        let other = types.clone();
        assert!(!other.contains("User"));
        types.insert(&["User".into(), "Team".into()]);
        types.insert(&["User".into(), "Document".into()]);
        assert!(["User", "Team", "Document"].iter().all(|kind| other.contains(kind)));
        assert!(!other.contains("user"));
    }

    #[test]
    fn types_inserted_at_once_by_many_are_all_kept() {
        let types = StoredTypes::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let types = &types;
                scope.spawn(move || (0..50).for_each(|n| types.insert(&[SmolStr::from(format!("T{thread}_{n}"))])));
            }
        });
        assert!((0..4).all(|thread| (0..50).all(|n| types.contains(&format!("T{thread}_{n}")))));
    }
}
