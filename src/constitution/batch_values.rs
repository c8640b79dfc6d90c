//! Values that the questions of a batch share: each is converted by the schema and stored once, however many items
//! contain it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

use smol_str::SmolStr;

use super::coerce::{Misfit, Required};
use super::value::{Record, Value};
use super::vocabulary::{Action, EntityType, Vocabulary};
use crate::domain::{self, Entity, EntityUid, Evaluation, Member, Object, Party, excerpt};

/// The values of one batch; clones share them.
///
/// INVARIANT: they are used for one attempt to decide a batch under one constitution. If an entity changes meanwhile,
/// the attempt is void, so one value per uid suffices.
#[derive(Debug, Clone, Default)]
pub struct BatchValues(Rc<RefCell<Values>>);

#[derive(Debug, Default)]
struct Values {
    contexts: HashMap<(usize, SmolStr, bool), Held<Object, Record>>,
    actions: HashMap<(usize, SmolStr), Held<domain::Action, Option<Field>>>,
    properties: HashMap<usize, Held<Party, Record>>,
    entities: HashMap<EntityUid, Result<StoredValues, Misfit>>,
}

/// A declared field and its value.
type Field = (SmolStr, Value);

/// A member's value. The member is held so that its identity is not reused.
type Held<T, V> = (Member<T>, Result<V, Misfit>);

/// Attributes and tags of a stored entity.
#[derive(Debug, Clone, Default)]
pub(super) struct StoredValues {
    pub(super) attrs: Record,
    pub(super) tags: Record,
}

/// The cached value of a member, or a new one.
fn get_or<K: Hash + Eq, T, V: Clone>(
    known: &mut HashMap<K, Held<T, V>>,
    key: K,
    member: &Member<T>,
    make: impl FnOnce() -> Result<V, Misfit>,
) -> Result<V, Misfit> {
    known.entry(key).or_insert_with(|| (member.clone(), make())).1.clone()
}

/// The context of a question, with the action's properties as `context.action`.
pub(super) fn context(
    values: Option<&BatchValues>,
    vocabulary: &Vocabulary,
    action: &Action,
    evaluation: &Evaluation,
) -> Result<Record, Misfit> {
    let has_properties = !evaluation.action.properties.is_empty();
    let omitted = has_properties.then_some("action");
    let check =
        || vocabulary.record_without(omitted, "context", &evaluation.context, &action.context, Required::Demanded);
    let key = (evaluation.context.identity(), evaluation.action.name.clone(), has_properties);
    let context = match values {
        None => check(),
        Some(values) => get_or(&mut values.0.borrow_mut().contexts, key, &evaluation.context, check),
    }?;
    if !has_properties {
        return Ok(context);
    }
    let check = || vocabulary.member("context", "action", &evaluation.action.properties, &action.context);
    let key = (evaluation.action.identity(), evaluation.action.name.clone());
    let own = match values {
        None => check(),
        Some(values) => get_or(&mut values.0.borrow_mut().actions, key, &evaluation.action, check),
    }?;
    Ok(match own {
        None => context,
        Some(own) => context.iter().cloned().chain([own]).collect(),
    })
}

/// The properties of a principal or resource in a question.
pub(super) fn properties(
    values: Option<&BatchValues>,
    vocabulary: &Vocabulary,
    role: &'static str,
    party: &Member<Party>,
    declared: &EntityType,
) -> Result<Record, Misfit> {
    let check = || vocabulary.record(role, &party.properties, &declared.attrs, Required::Waived);
    match values {
        None => check(),
        Some(values) => get_or(&mut values.0.borrow_mut().properties, party.identity(), party, check),
    }
}

/// Attributes and tags of a stored entity.
pub(super) fn stored(
    values: Option<&BatchValues>,
    vocabulary: &Vocabulary,
    entity: &Entity,
    declared: &EntityType,
) -> Result<StoredValues, Misfit> {
    let check = || {
        let owner = entity.uid.to_string();
        let owner = excerpt(&owner);
        let attrs = vocabulary.record(&owner, &entity.attrs, &declared.attrs, Required::Waived)?;
        let tags = match &declared.tags {
            Some(kind) => vocabulary.tags(&owner, &entity.tags, kind)?,
            None => Record::default(),
        };
        Ok(StoredValues { attrs, tags })
    };
    let Some(values) = values else { return check() };
    let mut values = values.0.borrow_mut();
    if let Some(known) = values.entities.get(&entity.uid) {
        return known.clone();
    }
    let made = check();
    values.entities.insert(entity.uid.clone(), made.clone());
    made
}
