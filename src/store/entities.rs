//! The table `entities`.
//!
//! Every write gives its entity a new version, greater than every version before in the whole store: an entity that is
//! removed and created again never has an old version. See `changes.rs` for the order of versions.

mod cycles;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZeroU16;

use diesel::dsl::now;
use diesel::prelude::*;
use nonzero_ext::nonzero;
use serde::Serialize;
use serde::de::DeserializeOwned;
use smol_str::SmolStr;

use super::changes;
use super::connection::{Connection, DbSession, read, write};
use super::cursor::Cursor;
use super::error::StoreError;
use super::precondition::Precondition;
use super::revisions::{Commit, advance};
use super::schema::entities;
use crate::domain::{Entity, EntityUid};
use cycles::refuse_cycle;

/// An entity and its version.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntity {
    /// The entity.
    pub entity: Entity,
    /// Its version: greater after every write, 1 or more.
    pub version: i64,
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The version that the entity has now.
    pub version: i64,
    /// Whether the entity was not stored before.
    pub created: bool,
    /// The commit of the write.
    pub commit: Commit,
}

/// One part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The entities, in the order of the bytes of their ids.
    pub items: Vec<StoredEntity>,
    /// Where the next part begins, if there is one.
    pub next: Option<Cursor>,
}

/// Ids of one type asked for in one query: SQLite binds at most 32,766 values.
const IDS: usize = 500;
/// Entities stored by one statement.
const ROWS: usize = 1_000;
/// Types asked for in one query: each nests the condition one deeper.
const TYPES: usize = 16;

/// Finds one entity.
pub fn find(conn: &mut Connection, uid: &EntityUid) -> Result<Option<StoredEntity>, StoreError> {
    if !is_storable(conn, uid) {
        return Ok(None);
    }
    let row = entities::table.find((uid.kind.as_str(), uid.id.as_str())).select(Row::as_select());
    row.first(conn).optional()?.map(StoredEntity::try_from).transpose()
}

/// Finds many entities as they are at one moment, and answers in the order asked. The same name may come twice.
pub fn find_many(conn: &mut DbSession, uids: &[EntityUid]) -> Result<Vec<Option<StoredEntity>>, StoreError> {
    let groups = groups(uids.iter().filter(|uid| is_storable(conn, uid)));
    let found = if groups.len() <= TYPES {
        load(conn, &groups)?
    } else {
        read(conn, |conn| groups.chunks(TYPES).map(|part| load(conn, part)).collect::<Result<Vec<_>, _>>())?.concat()
    };
    let found = found.into_iter().map(|stored| (stored.entity.uid.clone(), stored)).collect::<HashMap<_, _>>();
    Ok(uids.iter().map(|uid| found.get(uid).cloned()).collect())
}

/// Whether the database can have an entity of that name: PostgreSQL has no text with a zero character in it.
fn is_storable(conn: &Connection, uid: &EntityUid) -> bool {
    matches!(conn, Connection::Sqlite(_)) || !(uid.kind.contains('\0') || uid.id.contains('\0'))
}

fn check_storable(conn: &Connection, uid: &EntityUid) -> Result<(), StoreError> {
    if is_storable(conn, uid) { Ok(()) } else { Err(StoreError::Unstorable(uid.clone())) }
}

/// The ids by type, in parts that one query can ask for.
fn groups<'a>(uids: impl IntoIterator<Item = &'a EntityUid>) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut wanted = BTreeMap::<&str, BTreeSet<&str>>::new();
    for uid in uids {
        wanted.entry(&uid.kind).or_default().insert(&uid.id);
    }
    let mut groups = Vec::new();
    for (kind, ids) in &wanted {
        let ids = ids.iter().copied().collect::<Vec<_>>();
        groups.extend(ids.chunks(IDS).map(|ids| (*kind, ids.to_vec())));
    }
    groups
}

/// Finds the entities of some types and ids with one query.
fn load(conn: &mut Connection, groups: &[(&str, Vec<&str>)]) -> Result<Vec<StoredEntity>, StoreError> {
    // Without a condition the query would find everything.
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = entities::table.select(Row::as_select()).into_boxed();
    for (kind, ids) in groups {
        query = query.or_filter(entities::type_.eq(*kind).and(entities::id.eq_any(ids)));
    }
    query.load(conn)?.into_iter().map(StoredEntity::try_from).collect()
}

/// Lists the entities of a type, at most `limit` of them, after a cursor that this list gave before.
pub fn list(conn: &mut Connection, kind: &str, after: Option<&Cursor>, limit: NonZeroU16) -> Result<Page, StoreError> {
    let mut query = entities::table.filter(entities::type_.eq(kind)).select(Row::as_select()).into_boxed();
    if let Some(cursor) = after {
        query = query.filter(entities::id.gt(cursor.id_within(kind)?));
    }
    // One more than the limit shows whether there is a next page.
    let rows = query.order(entities::id).limit(i64::from(limit.get()) + 1).load(conn)?;
    let mut items = rows.into_iter().map(StoredEntity::try_from).collect::<Result<Vec<_>, _>>()?;
    let more = items.len() > usize::from(limit.get());
    items.truncate(usize::from(limit.get()));
    let next = items.last().filter(|_| more).map(|last| Cursor::after(&last.entity.uid));
    Ok(Page { items, next })
}

/// Calls `visit` with every stored entity, in pages, ordered by the bytes of type and id. A row that is no valid entity
/// is skipped; a decision that needs it reports the fault.
pub fn visit(conn: &mut Connection, mut visit: impl FnMut(&[Entity])) -> Result<(), StoreError> {
    let limit = nonzero!(1_000_u16);
    let mut after: Option<EntityUid> = None;
    loop {
        let names = names(conn, after.as_ref(), limit)?;
        let Some(last) = names.last() else {
            return Ok(());
        };
        let mut part = Vec::with_capacity(names.len());
        for (kind, ids) in groups(&names) {
            let of_type = entities::table.filter(entities::type_.eq(kind)).filter(entities::id.eq_any(&ids));
            let rows: Vec<Row> = of_type.select(Row::as_select()).load(conn)?;
            part.extend(
                rows.into_iter().filter_map(|row| StoredEntity::try_from(row).ok()).map(|stored| stored.entity),
            );
        }
        visit(&part);
        after = Some(last.clone());
    }
}

/// Names of stored entities, at most `limit` of them, behind a name: in the order of the bytes of their types and ids.
pub fn names(
    conn: &mut Connection,
    after: Option<&EntityUid>,
    limit: NonZeroU16,
) -> Result<Vec<EntityUid>, StoreError> {
    let columns = (entities::type_, entities::id);
    let part = |limit: i64| entities::table.select(columns).order(columns).limit(limit).into_boxed();
    let limit = usize::from(limit.get());
    let mut names: Vec<(String, String)> = Vec::new();
    // Two look-ups in the key's index: a condition on both columns at once would scan all entities of a type.
    if let Some(EntityUid { kind, id }) = after {
        let same = part(rows(limit)).filter(entities::type_.eq(kind.as_str()).and(entities::id.gt(id.as_str())));
        names = same.load(conn)?;
    }
    if names.len() < limit {
        let rest = part(rows(limit - names.len()));
        let rest = match after {
            Some(uid) => rest.filter(entities::type_.gt(uid.kind.as_str())),
            None => rest,
        };
        names.extend(rest.load::<(String, String)>(conn)?);
    }
    Ok(names.into_iter().map(|(kind, id)| EntityUid::new(kind, id)).collect())
}

fn rows(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The types that have stored entities, in byte order. Costs one index look-up for each type, however many entities
/// there are.
pub fn types(conn: &mut Connection) -> Result<Vec<SmolStr>, StoreError> {
    let smallest = entities::table.select(entities::type_).order(entities::type_).limit(1);
    let mut types = Vec::new();
    let mut next = smallest.first::<String>(conn).optional()?;
    while let Some(kind) = next {
        next = smallest.filter(entities::type_.gt(&kind)).first::<String>(conn).optional()?;
        types.push(SmolStr::from(kind));
    }
    Ok(types)
}

/// Stores an entity, in place of one with the same uid.
///
/// [`StoreError::Stale`] or [`StoreError::Exists`] if the precondition fails. `record` is called last before the
/// commit: if it fails, nothing is stored.
pub fn put(
    conn: &mut DbSession,
    entity: &Entity,
    precondition: Precondition,
    record: impl FnOnce(&Written) -> Result<(), StoreError>,
) -> Result<Written, StoreError> {
    check_storable(conn, &entity.uid)?;
    write(conn, |conn| {
        let commit = advance(conn, 1)?;
        let version = commit.after.version;
        let stored = self::version(conn, &entity.uid)?;
        precondition.check(&entity.uid, stored)?;
        let row = NewRow::of(entity, version)?;
        let row = (&row, entities::updated_at.eq(now));
        if stored.is_some() {
            let found = entities::table.find((entity.uid.kind.as_str(), entity.uid.id.as_str()));
            diesel::update(found).set(row).execute(conn)?;
        } else {
            diesel::insert_into(entities::table).values(row).execute(conn)?;
        }
        refuse_cycle(conn, std::slice::from_ref(entity))?;
        changes::of_entities(conn, &commit, [(version, &entity.uid)])?;
        let written = Written { version, created: stored.is_none(), commit };
        record(&written)?;
        Ok(written)
    })
}

/// Stores many entities in one transaction, all or none. The results are in the same order.
///
/// [`StoreError::Twice`] if two of them have one uid. `record` is called last before the commit: if it fails, nothing
/// is stored.
pub fn put_many(
    conn: &mut DbSession,
    batch: &[Entity],
    record: impl FnOnce(&[Written]) -> Result<(), StoreError>,
) -> Result<Vec<Written>, StoreError> {
    let mut names = HashSet::with_capacity(batch.len());
    if let Some(entity) = batch.iter().find(|entity| !names.insert(&entity.uid)) {
        return Err(StoreError::Twice(entity.uid.clone()));
    }
    batch.iter().try_for_each(|entity| check_storable(conn, &entity.uid))?;
    write(conn, |conn| {
        let commit = advance(conn, i64::try_from(batch.len()).map_err(StoreError::unavailable)?)?;
        let mut written = Vec::with_capacity(batch.len());
        for part in batch.chunks(ROWS) {
            // Existing rows are deleted and all are inserted, which takes few statements for many rows.
            let mut stored = HashSet::new();
            for (kind, ids) in groups(part.iter().map(|entity| &entity.uid)) {
                let old = || entities::table.filter(entities::type_.eq(kind)).filter(entities::id.eq_any(&ids));
                let old_ids = old().select(entities::id).load::<String>(conn)?;
                if !old_ids.is_empty() {
                    diesel::delete(old()).execute(conn)?;
                }
                stored.extend(old_ids.into_iter().map(|id| EntityUid::new(kind, id)));
            }
            let first = commit.before.version + 1 + i64::try_from(written.len()).map_err(StoreError::unavailable)?;
            let versions = || (first..).zip(part);
            let rows = versions().map(|(version, entity)| NewRow::of(entity, version));
            insert(conn, &rows.collect::<Result<Vec<_>, _>>()?)?;
            changes::of_entities(conn, &commit, versions().map(|(version, entity)| (version, &entity.uid)))?;
            let created = |entity: &Entity| !stored.contains(&entity.uid);
            written.extend(versions().map(|(version, entity)| Written { version, created: created(entity), commit }));
        }
        refuse_cycle(conn, batch)?;
        record(&written)?;
        Ok(written)
    })
}

/// Removes an entity, and returns the commit. [`StoreError::Missing`] if there is none, whatever the precondition.
/// `record` is called last before the commit: if it fails, nothing is removed.
pub fn remove(
    conn: &mut DbSession,
    uid: &EntityUid,
    precondition: Precondition,
    record: impl FnOnce(&Commit) -> Result<(), StoreError>,
) -> Result<Commit, StoreError> {
    if !is_storable(conn, uid) {
        return Err(StoreError::Missing(uid.clone()));
    }
    write(conn, |conn| {
        let commit = advance(conn, 1)?;
        let stored = version(conn, uid)?;
        if stored.is_none() {
            return Err(StoreError::Missing(uid.clone()));
        }
        precondition.check(uid, stored)?;
        diesel::delete(entities::table.find((uid.kind.as_str(), uid.id.as_str()))).execute(conn)?;
        changes::of_entities(conn, &commit, [(commit.after.version, uid)])?;
        record(&commit)?;
        Ok(commit)
    })
}

fn insert(conn: &mut Connection, rows: &[NewRow<'_>]) -> Result<(), StoreError> {
    let rows = rows.iter().map(|row| (row, entities::updated_at.eq(now)));
    match conn {
        // One statement is kept prepared.
        Connection::Sqlite(conn) => {
            for row in rows {
                diesel::insert_into(entities::table).values(row).execute(conn)?;
            }
        }
        Connection::Postgres(conn) => {
            diesel::insert_into(entities::table).values(rows.collect::<Vec<_>>()).execute(conn)?;
        }
    }
    Ok(())
}

fn version(conn: &mut Connection, uid: &EntityUid) -> Result<Option<i64>, StoreError> {
    let row = entities::table.find((uid.kind.as_str(), uid.id.as_str()));
    Ok(row.select(entities::version).first(conn).optional()?)
}

fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::unavailable)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = entities)]
struct Row {
    type_: String,
    id: String,
    attrs: String,
    parents: String,
    tags: String,
    version: i64,
}

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = entities, primary_key(type_, id))]
struct NewRow<'a> {
    type_: &'a str,
    id: &'a str,
    attrs: String,
    parents: String,
    tags: String,
    version: i64,
}

impl<'a> NewRow<'a> {
    fn of(entity: &'a Entity, version: i64) -> Result<Self, StoreError> {
        Ok(Self {
            type_: &entity.uid.kind,
            id: &entity.uid.id,
            attrs: to_json(&entity.attrs)?,
            parents: to_json(&entity.parents)?,
            tags: to_json(&entity.tags)?,
            version,
        })
    }
}

impl TryFrom<Row> for StoredEntity {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let uid = EntityUid::new(row.type_, row.id);
        let attrs = from_json(&uid, "attrs", &row.attrs)?;
        let parents = from_json(&uid, "parents", &row.parents)?;
        let tags = from_json(&uid, "tags", &row.tags)?;
        Ok(Self { entity: Entity { uid, attrs, parents, tags }, version: row.version })
    }
}

fn from_json<T: DeserializeOwned>(uid: &EntityUid, column: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::DamagedEntity { uid: uid.clone(), detail: format!("`{column}`: {error}") })
}
