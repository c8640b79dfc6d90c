//! What a decision reads: the request, checked against the schema, and the entities it reaches.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use smol_str::SmolStr;

use super::coerce::{Misfit, Required};
use super::value::{Record, Value};
use super::vocabulary::{Action, EntityType, Vocabulary};
use crate::domain::{Entity, EntityUid, Evaluation, Json, Object, Party, Reason, Verdict};
use crate::settings::RequestProperties;

/// How many entities one decision may read; more is a runaway hierarchy.
pub const MAX_ENTITIES: usize = 4096;

/// What is known of one entity.
#[derive(Debug, Default)]
pub struct Data {
    /// Its attributes.
    pub attrs: Record,
    /// Its tags.
    pub tags: Record,
    /// The entities it is in, directly or not.
    pub ancestors: HashSet<EntityUid>,
}

/// Everything that the conditions of one decision may read.
#[derive(Debug)]
pub struct Facts {
    principal: Value,
    action: Value,
    resource: Value,
    context: Value,
    subject: Option<Data>,
    object: Option<Data>,
    others: HashMap<EntityUid, Data>,
    actions: Arc<Vocabulary>,
}

/// The facts of one decision while their entities are being read: ask for [`wanted`](Self::wanted), then
/// [`supply`](Self::supply) each, until nothing is wanted.
#[derive(Debug)]
pub struct Gathering {
    vocabulary: Arc<Vocabulary>,
    level: u32,
    subject: EntityUid,
    action: EntityUid,
    resource: EntityUid,
    context: Record,
    properties: Vec<(EntityUid, Record)>,
    known: HashMap<EntityUid, Known>,
    wanted: Vec<EntityUid>,
}

/// An entity that has been asked for.
#[derive(Debug)]
struct Known {
    /// From here on, how many more references may be followed; `None` for a mere ancestor.
    reach: Option<u32>,
    found: Option<Found>,
}

#[derive(Debug, Default)]
struct Found {
    attrs: Record,
    tags: Record,
    parents: Vec<EntityUid>,
}

impl Gathering {
    /// Checks a request against the schema; a misfit is the verdict.
    pub fn start(
        vocabulary: &Arc<Vocabulary>,
        level: u32,
        mode: RequestProperties,
        evaluation: &Evaluation,
    ) -> Result<Self, Box<Verdict>> {
        let action = known_action(vocabulary, evaluation)?;
        let subject = known_type(vocabulary, "subject", &evaluation.subject, action, &action.principals)?;
        let resource = known_type(vocabulary, "resource", &evaluation.resource, action, &action.resources)?;
        let context = match with_action(&evaluation.context, &evaluation.action.properties) {
            None => vocabulary.record("context", &evaluation.context, &action.context, Required::Demanded),
            Some(context) => vocabulary.record("context", &context, &action.context, Required::Demanded),
        };
        let context = context.map_err(|misfit| invalid(&misfit))?;
        let mut properties = Vec::new();
        if mode == RequestProperties::Merge {
            for (owner, party, declared) in
                [("subject", &evaluation.subject, subject), ("resource", &evaluation.resource, resource)]
            {
                if !party.properties.is_empty() {
                    let record = vocabulary.record(owner, &party.properties, &declared.attrs, Required::Waived);
                    properties.push((party.uid.clone(), record.map_err(|misfit| invalid(&misfit))?));
                }
            }
        }
        let mut gathering = Self {
            vocabulary: Arc::clone(vocabulary),
            level,
            subject: evaluation.subject.uid.clone(),
            action: action.uid.clone(),
            resource: evaluation.resource.uid.clone(),
            context,
            properties,
            known: HashMap::new(),
            wanted: Vec::new(),
        };
        gathering.want_roots();
        Ok(gathering)
    }

    /// The entities to look up next, each once; empty when all are there.
    #[must_use]
    pub fn wanted(&self) -> &[EntityUid] {
        &self.wanted
    }

    /// How many entities were asked for so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.known.len()
    }

    /// Gives what the store has of the entities that [`wanted`](Self::wanted) named, in that order.
    pub fn supply<'a>(&mut self, entities: impl IntoIterator<Item = Option<&'a Entity>>) -> Result<(), Box<Verdict>> {
        for (uid, entity) in std::mem::take(&mut self.wanted).into_iter().zip(entities) {
            let found = match entity {
                Some(entity) => self.read(&uid, entity).map_err(|misfit| invalid(&misfit))?,
                None => Found::default(),
            };
            let found = self.with_properties(&uid, found);
            let reach = self.known.get_mut(&uid).and_then(|known| {
                known.found = Some(found);
                known.reach
            });
            self.follow(&uid, reach);
        }
        if self.known.len() > MAX_ENTITIES {
            let detail = format!("the decision reads more than {MAX_ENTITIES} entities");
            return Err(Box::new(Verdict::deny(Reason::Unavailable, detail)));
        }
        Ok(())
    }

    /// The facts, once nothing more is wanted.
    #[must_use]
    pub fn finish(mut self) -> Facts {
        let reached = self.known.iter().filter(|(_, known)| known.reach.is_some()).map(|(uid, _)| uid.clone());
        let mut others: HashMap<EntityUid, Data> = HashMap::new();
        for uid in reached.collect::<Vec<_>>() {
            let ancestors = self.ancestors(&uid);
            if let Some(found) = self.known.get_mut(&uid).and_then(|known| known.found.as_mut()) {
                let attrs = std::mem::take(&mut found.attrs);
                others.insert(uid, Data { attrs, tags: std::mem::take(&mut found.tags), ancestors });
            }
        }
        let subject = others.remove(&self.subject);
        let object = others.remove(&self.resource);
        Facts {
            principal: Value::Entity(self.subject),
            action: Value::Entity(self.action),
            resource: Value::Entity(self.resource),
            context: Value::Record(self.context),
            subject,
            object,
            others,
            actions: self.vocabulary,
        }
    }

    /// Where no policy reads any entity (level 0), there is nothing to look up; else principal, resource and
    /// whatever the context refers to.
    fn want_roots(&mut self) {
        let Some(reach) = self.level.checked_sub(1) else {
            return;
        };
        let context = Value::Record(self.context.clone());
        let mut roots = vec![&self.subject, &self.resource];
        context.entities(&mut roots);
        for uid in roots.into_iter().cloned().collect::<Vec<_>>() {
            self.want(uid, Some(reach));
        }
    }

    fn want(&mut self, uid: EntityUid, reach: Option<u32>) {
        match self.known.get_mut(&uid) {
            None => {
                self.known.insert(uid.clone(), Known { reach, found: None });
                self.wanted.push(uid);
            }
            Some(known) if known.reach < reach => {
                let ancestor_only = known.reach.is_none();
                known.reach = reach;
                if ancestor_only && known.found.take().is_some() {
                    // It was read for its parents alone: its attributes are wanted after all.
                    self.wanted.push(uid);
                } else if known.found.is_some() {
                    self.follow(&uid, reach);
                }
            }
            Some(_) => {}
        }
    }

    /// Wants what a found entity leads to: its parents, and, within reach, what its attributes refer to.
    fn follow(&mut self, uid: &EntityUid, reach: Option<u32>) {
        let Some(found) = self.known.get(uid).and_then(|known| known.found.as_ref()) else {
            return;
        };
        let parents = found.parents.clone();
        let mut references = Vec::new();
        if reach.is_some_and(|reach| reach > 0) {
            found.attrs.iter().chain(found.tags.iter()).for_each(|(_, value)| value.entities(&mut references));
        }
        let references: Vec<EntityUid> = references.into_iter().cloned().collect();
        for parent in parents {
            self.want(parent, None);
        }
        for reference in references {
            self.want(reference, reach.and_then(|reach| reach.checked_sub(1)));
        }
    }

    /// Reads a stored entity as the schema declares its type. Mere ancestors have no attributes that a policy could
    /// reach, nor has a type that the schema does not know.
    fn read(&self, uid: &EntityUid, entity: &Entity) -> Result<Found, Misfit> {
        let parents = entity.parents.clone();
        let reached = self.known.get(uid).is_some_and(|known| known.reach.is_some());
        let Some(declared) = self.vocabulary.entity_type(&uid.kind).filter(|_| reached) else {
            return Ok(Found { parents, ..Found::default() });
        };
        let owner = uid.to_string();
        let attrs = self.vocabulary.record(&owner, &entity.attrs, &declared.attrs, Required::Waived)?;
        let tags = match &declared.tags {
            Some(kind) => self.vocabulary.tags(&owner, &entity.tags, kind)?,
            None => Record::default(),
        };
        Ok(Found { attrs, tags, parents })
    }

    fn with_properties(&self, uid: &EntityUid, mut found: Found) -> Found {
        for (_, properties) in self.properties.iter().filter(|(owner, _)| owner == uid) {
            found.attrs = found.attrs.or(properties);
        }
        found
    }

    /// Every entity that `uid` is in. Cycles end at what was seen.
    fn ancestors(&self, uid: &EntityUid) -> HashSet<EntityUid> {
        let mut ancestors = HashSet::new();
        let mut queue = VecDeque::from([uid]);
        while let Some(uid) = queue.pop_front() {
            let found = self.known.get(uid).and_then(|known| known.found.as_ref());
            for parent in found.into_iter().flat_map(|found| &found.parents) {
                if ancestors.insert(parent.clone()) {
                    queue.push_back(parent);
                }
            }
        }
        ancestors
    }
}

fn known_action<'a>(vocabulary: &'a Vocabulary, evaluation: &Evaluation) -> Result<&'a Action, Box<Verdict>> {
    let name = &evaluation.action.name;
    vocabulary
        .action(name)
        .ok_or_else(|| Box::new(Verdict::deny(Reason::UnknownAction, format!("the schema has no action `{name}`"))))
}

fn known_type<'a>(
    vocabulary: &'a Vocabulary,
    role: &str,
    party: &Party,
    action: &Action,
    applies_to: &HashSet<SmolStr>,
) -> Result<&'a EntityType, Box<Verdict>> {
    let kind = &party.uid.kind;
    let unknown = |detail| Box::new(Verdict::deny(Reason::UnknownType, detail));
    let Some(declared) = vocabulary.entity_type(kind) else {
        return Err(unknown(format!("the schema has no type `{kind}`, which the {role} has")));
    };
    if !applies_to.contains(kind) {
        let name = &action.uid.id;
        return Err(unknown(format!("action `{name}` does not apply to a {role} of type `{kind}`")));
    }
    vocabulary.enumerated(&party.uid).map_err(unknown)?;
    Ok(declared)
}

/// The context with the action's properties as `context.action`; `None` where there is nothing to put in.
fn with_action(context: &Object, properties: &Object) -> Option<Object> {
    if properties.is_empty() {
        return None;
    }
    let mut context = context.clone();
    context.insert("action", Json::Object(properties.clone()));
    Some(context)
}

#[expect(clippy::unnecessary_box_returns, reason = "errors of this size are boxed where they are made")]
fn invalid(misfit: &Misfit) -> Box<Verdict> {
    Box::new(Verdict::deny(Reason::InvalidProperties, misfit.to_string()))
}

impl Facts {
    /// The subject of the request.
    #[must_use]
    pub fn principal(&self) -> &Value {
        &self.principal
    }

    /// The action of the request.
    #[must_use]
    pub fn action(&self) -> &Value {
        &self.action
    }

    /// The resource of the request.
    #[must_use]
    pub fn resource(&self) -> &Value {
        &self.resource
    }

    /// The context of the request.
    #[must_use]
    pub fn context(&self) -> &Value {
        &self.context
    }

    /// What is known of an entity: nothing, where it is absent; `None` where it was not asked for.
    #[must_use]
    pub fn data(&self, uid: &EntityUid) -> Option<&Data> {
        if matches!(&self.principal, Value::Entity(principal) if principal == uid) {
            return self.subject.as_ref();
        }
        match (&self.resource, &self.object) {
            (Value::Entity(resource), Some(object)) if resource == uid => Some(object),
            _ => self.others.get(uid),
        }
    }

    /// Whether `uid` is an action that the schema knows.
    #[must_use]
    pub fn is_action(&self, uid: &EntityUid) -> bool {
        self.actions.action_of(uid).is_some()
    }

    /// Whether `uid` is `group` or in it, directly or not.
    #[must_use]
    pub fn is_member(&self, uid: &EntityUid, group: &EntityUid) -> bool {
        if uid == group {
            return true;
        }
        match self.data(uid) {
            Some(data) => data.ancestors.contains(group),
            None => self.actions.action_of(uid).is_some_and(|action| action.ancestors.contains(group)),
        }
    }
}
