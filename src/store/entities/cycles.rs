//! Refuses cycles in the entity hierarchy.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::{from_json, groups, is_storable};
use crate::domain::{Entity, EntityUid, find_cycle_of};
use crate::store::connection::Connection;
use crate::store::error::StoreError;
use crate::store::schema::entities;

/// [`StoreError::Cycle`] if one of the entities just written is its own ancestor among the stored entities. Writers are
/// serialized, so nothing else changes during the check.
pub(super) fn refuse_cycle(conn: &mut Connection, written: &[Entity]) -> Result<(), StoreError> {
    let mut parents: HashMap<EntityUid, Vec<EntityUid>> = HashMap::new();
    for entity in written.iter().filter(|entity| !entity.parents.is_empty()) {
        parents.insert(entity.uid.clone(), entity.parents.clone());
    }
    let of_batch = written.iter().map(|entity| &entity.uid).collect::<HashSet<_>>();
    let mut wanted: HashSet<EntityUid> = parents.values().flatten().cloned().collect();
    while !wanted.is_empty() {
        let unknown = wanted.iter().filter(|uid| !parents.contains_key(*uid) && !of_batch.contains(uid));
        let unknown = unknown.filter(|uid| is_storable(conn, uid)).cloned().collect::<Vec<_>>();
        // An entity that is not stored has no parents.
        parents.extend(unknown.iter().map(|uid| (uid.clone(), Vec::new())));
        wanted.clear();
        for (uid, above) in parents_of(conn, &unknown)? {
            wanted.extend(above.iter().cloned());
            parents.insert(uid, above);
        }
    }
    let edges = parents.iter().map(|(uid, above)| (uid, above.as_slice())).collect();
    find_cycle_of(&edges, of_batch).map_or(Ok(()), |cycle| Err(StoreError::Cycle(cycle)))
}

/// The parents of those of the given entities that are stored.
fn parents_of(conn: &mut Connection, uids: &[EntityUid]) -> Result<Vec<(EntityUid, Vec<EntityUid>)>, StoreError> {
    let mut found = Vec::new();
    for (kind, ids) in groups(uids) {
        let of_type = entities::table.filter(entities::type_.eq(kind)).filter(entities::id.eq_any(&ids));
        for (id, parents) in of_type.select((entities::id, entities::parents)).load::<(String, String)>(conn)? {
            let uid = EntityUid::new(kind, id);
            let parents = from_json(&uid, "parents", &parents)?;
            found.push((uid, parents));
        }
    }
    Ok(found)
}
