//! Gathers the entities of a decision, in rounds: only those that the policies read.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock};

use smol_str::SmolStr;

use super::access::{Access, AccessTree, CONTEXT, NodeId, PRINCIPAL, RESOURCE};
use super::batch_values::{self, BatchValues, StoredValues};
use super::coerce::Misfit;
use super::facts::{Data, Facts};
use super::undeclared;
use super::value::{Record, Value};
use super::vocabulary::{Action, EntityType, Vocabulary};
use crate::domain::{Entity, EntityUid, Evaluation, Party, Reason, Verdict, excerpt, suggestion};
use crate::settings::RequestProperties;

/// The most entities that one decision may read; more indicate a runaway hierarchy.
pub const MAX_ENTITIES: usize = 4096;

/// The facts of one decision while its entities are being read. Read the entities in [`wanted`](Self::wanted) and pass
/// them to [`supply`](Self::supply), until nothing is wanted.
#[derive(Debug)]
pub struct Gathering {
    vocabulary: Arc<Vocabulary>,
    tree: Arc<AccessTree>,
    subject: EntityUid,
    action: EntityUid,
    resource: EntityUid,
    context: Value,
    properties: Vec<(EntityUid, Record)>,
    known: HashMap<EntityUid, Known>,
    wanted: Vec<EntityUid>,
    /// Whether entities named by policies were requested for the second kind of policies, too: those whose scope needs
    /// ancestors.
    has_named: bool,
    /// The values shared by the questions of a batch; `None` for a single question.
    values: Option<BatchValues>,
    /// A note on members of the request that may be misspelt.
    note: Option<String>,
}

/// An entity that has been requested.
#[derive(Debug, Default)]
struct Known {
    /// The accesses to it; none if it is only an ancestor.
    accesses: Vec<NodeId>,
    /// Whether its ancestors are needed.
    climbs: bool,
    found: Option<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// Attributes and tags, if they were requested.
    values: Option<(Record, Record)>,
    parents: Vec<EntityUid>,
}

impl Gathering {
    /// Checks a request against the schema. If it does not fit, the error is the verdict.
    pub fn start(
        vocabulary: &Arc<Vocabulary>,
        tree: &Arc<AccessTree>,
        mode: RequestProperties,
        evaluation: &Evaluation,
        values: Option<&BatchValues>,
    ) -> Result<Self, Box<Verdict>> {
        let action = known_action(vocabulary, evaluation)?;
        let subject = known_type(vocabulary, "subject", &evaluation.subject, action, &action.principals)?;
        let resource = known_type(vocabulary, "resource", &evaluation.resource, action, &action.resources)?;
        let context = batch_values::context(values, vocabulary, action, evaluation);
        let note = undeclared::note(mode, evaluation, (action, subject, resource));
        let context = context.map_err(|misfit| invalid_request(&misfit, note.as_deref()))?;
        let mut properties = Vec::new();
        if mode == RequestProperties::Merge {
            for (owner, party, declared) in
                [("subject", &evaluation.subject, subject), ("resource", &evaluation.resource, resource)]
            {
                if !party.properties.is_empty() {
                    let record = batch_values::properties(values, vocabulary, owner, party, declared);
                    properties.push((party.uid.clone(), record.map_err(|misfit| invalid(&misfit))?));
                }
            }
        }
        let mut gathering = Self {
            vocabulary: Arc::clone(vocabulary),
            tree: Arc::clone(tree),
            subject: evaluation.subject.uid.clone(),
            action: action.uid.clone(),
            resource: evaluation.resource.uid.clone(),
            context: Value::Record(context),
            properties,
            known: HashMap::new(),
            wanted: Vec::new(),
            has_named: false,
            values: values.cloned(),
            note,
        };
        gathering.want_roots();
        gathering.check_size()?;
        Ok(gathering)
    }

    /// The entities to be read next, without duplicates; empty when all are there.
    #[must_use]
    pub fn wanted(&self) -> &[EntityUid] {
        &self.wanted
    }

    /// The number of entities requested so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.known.len()
    }

    /// Adds the entities that [`wanted`](Self::wanted) named, in that order; `None` for one that is not stored.
    pub fn supply<'a>(&mut self, entities: impl IntoIterator<Item = Option<&'a Entity>>) -> Result<(), Box<Verdict>> {
        for (uid, entity) in std::mem::take(&mut self.wanted).into_iter().zip(entities) {
            let found = self.read(&uid, entity).map_err(|misfit| invalid(&misfit))?;
            let Some(known) = self.known.get_mut(&uid) else {
                continue;
            };
            known.found = Some(found);
            let (accesses, climbs) = (known.accesses.clone(), known.climbs);
            for node in accesses {
                self.follow(&uid, node);
            }
            if climbs {
                self.want_parents(&uid);
            }
        }
        if self.wanted.is_empty() && !self.has_named {
            self.want_named_by_groups();
        }
        self.check_size()
    }

    fn check_size(&self) -> Result<(), Box<Verdict>> {
        if self.known.len() <= MAX_ENTITIES {
            return Ok(());
        }
        let detail = format!("the decision reads more than {MAX_ENTITIES} entities");
        Err(Box::new(Verdict::deny(Reason::Unavailable, detail)))
    }

    /// The facts, when nothing more is wanted.
    #[must_use]
    pub fn finish(mut self) -> Facts {
        let data = |known: Known| {
            let Found { values, parents } = known.found?;
            let ((attrs, tags), is_reached) = (values.unwrap_or_default(), !known.accesses.is_empty());
            Some(Data { attrs, tags, is_reached, climbs: known.climbs, parents, ancestors: OnceLock::new() })
        };
        let subject = self.known.remove(&self.subject).and_then(data);
        let object = self.known.remove(&self.resource).and_then(data);
        let others = self.known.into_iter().filter_map(|(uid, known)| Some((uid, data(known)?))).collect();
        Facts {
            principal: Value::Entity(self.subject),
            action: Value::Entity(self.action),
            resource: Value::Entity(self.resource),
            context: self.context,
            subject,
            object,
            others,
            actions: self.vocabulary,
            note: self.note,
        }
    }

    /// Requests principal and resource, and the entities in the context and in policies, as far as policies read them.
    fn want_roots(&mut self) {
        let tree = Arc::clone(&self.tree);
        self.want(self.subject.clone(), PRINCIPAL);
        self.want(self.resource.clone(), RESOURCE);
        let mut reached = Vec::new();
        tree.reached(&self.context, CONTEXT, &mut reached);
        self.want_all(owned(reached));
        let request = [&self.subject, &self.action, &self.resource];
        let applying = tree.named().filter(|named| !named.needs_ancestors());
        let applying = applying.filter(|named| named.applies(request, |_, _| false));
        self.want_all(applying.flat_map(|named| named.entities.iter().cloned()).collect());
        if self.wanted.is_empty() {
            self.want_named_by_groups();
        }
    }

    /// Requests the entities named by policies whose scope needs ancestors, but only by those that match: each of
    /// 10,000 policies may name another entity for another group.
    fn want_named_by_groups(&mut self) {
        self.has_named = true;
        let tree = Arc::clone(&self.tree);
        let mut by_groups = tree.named().filter(|named| named.needs_ancestors()).peekable();
        if by_groups.peek().is_none() {
            return;
        }
        let request = [&self.subject, &self.action, &self.resource];
        let above = [self.ancestors(&self.subject), self.ancestors(&self.resource)];
        let is_in = |uid: &EntityUid, group: &EntityUid| {
            let [of_subject, of_resource] = &above;
            uid == group || (if *uid == self.subject { of_subject } else { of_resource }).contains(group)
        };
        let applying = by_groups.filter(|named| named.applies(request, is_in));
        let wanted = applying.flat_map(|named| named.entities.iter().cloned()).collect();
        self.want_all(wanted);
    }

    fn want_all(&mut self, reached: Vec<(EntityUid, NodeId)>) {
        for (uid, node) in reached {
            self.want(uid, node);
        }
    }

    /// Requests an entity for the accesses at one node.
    fn want(&mut self, uid: EntityUid, node: NodeId) {
        let Access { reads, climbs, .. } = *self.tree.at(node);
        // The attributes of actions come from the schema.
        let is_action = || uid.kind.ends_with("Action") && self.vocabulary.action_of(&uid).is_some();
        if !(reads || climbs) || is_action() {
            return;
        }
        // The decision is denied for reading too much, so further entities do not matter.
        let is_full = self.known.len() > MAX_ENTITIES;
        let known = match self.known.entry(uid.clone()) {
            Entry::Vacant(_) if is_full => return,
            Entry::Vacant(vacant) => {
                vacant.insert(Known { accesses: vec![node], climbs, found: None });
                return self.wanted.push(uid);
            }
            Entry::Occupied(known) => known.into_mut(),
        };
        if known.accesses.contains(&node) {
            return;
        }
        known.accesses.push(node);
        let climbs = climbs && !known.climbs;
        known.climbs |= climbs;
        match &known.found {
            // It was read for its parents only; now its attributes are needed.
            Some(found) if reads && found.values.is_none() => {
                known.found = None;
                self.wanted.push(uid);
            }
            Some(_) => {
                self.follow(&uid, node);
                if climbs {
                    self.want_parents(&uid);
                }
            }
            None => {}
        }
    }

    /// Requests the ancestors of an entity that was found.
    fn want_parents(&mut self, uid: &EntityUid) {
        let mut below = vec![uid.clone()];
        while let Some(uid) = below.pop() {
            let found = self.known.get(&uid).and_then(|known| known.found.as_ref());
            for parent in found.map(|found| found.parents.clone()).unwrap_or_default() {
                let is_full = self.known.len() > MAX_ENTITIES;
                match self.known.entry(parent.clone()) {
                    Entry::Vacant(_) if is_full => return,
                    Entry::Vacant(vacant) => {
                        vacant.insert(Known { climbs: true, ..Known::default() });
                        self.wanted.push(parent);
                    }
                    Entry::Occupied(mut known) if !known.get().climbs => {
                        known.get_mut().climbs = true;
                        below.push(parent);
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
    }

    /// Requests the entities to which the accesses of one node lead from an entity that was found.
    fn follow(&mut self, uid: &EntityUid, node: NodeId) {
        let found = self.known.get(uid).and_then(|known| known.found.as_ref());
        let Some((attrs, tags)) = found.and_then(|found| found.values.as_ref()) else {
            return;
        };
        let mut reached = Vec::new();
        self.tree.reached_in(attrs, node, &mut reached);
        self.tree.reached_by_tags(tags, node, &mut reached);
        self.want_all(owned(reached));
    }

    /// Converts a stored entity by its type's declaration. Attributes are left out if only its parents are needed, or
    /// if the schema does not know its type.
    fn read(&self, uid: &EntityUid, entity: Option<&Entity>) -> Result<Found, Misfit> {
        let parents = entity.map(|entity| entity.parents.clone()).unwrap_or_default();
        let is_read =
            self.known.get(uid).is_some_and(|known| known.accesses.iter().any(|node| self.tree.at(*node).reads));
        if !is_read {
            return Ok(Found { values: None, parents });
        }
        let (mut attrs, mut tags) = (Record::default(), Record::default());
        if let (Some(entity), Some(declared)) = (entity, self.vocabulary.entity_type(&uid.kind)) {
            let values = batch_values::stored(self.values.as_ref(), &self.vocabulary, entity, declared)?;
            StoredValues { attrs, tags } = values;
        }
        for (_, properties) in self.properties.iter().filter(|(owner, _)| owner == uid) {
            attrs = attrs.or(properties);
        }
        Ok(Found { values: Some((attrs, tags)), parents })
    }

    /// All ancestors of `uid` among the entities that were found. Cycles are tolerated.
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

fn owned(reached: Vec<(&EntityUid, NodeId)>) -> Vec<(EntityUid, NodeId)> {
    reached.into_iter().map(|(uid, node)| (uid.clone(), node)).collect()
}

fn known_action<'a>(vocabulary: &'a Vocabulary, evaluation: &Evaluation) -> Result<&'a Action, Box<Verdict>> {
    let name = &evaluation.action.name;
    vocabulary.action(name).ok_or_else(|| {
        let near = suggestion(name, vocabulary.action_names());
        Box::new(Verdict::deny(Reason::UnknownAction, format!("the schema has no action `{}`{near}", excerpt(name))))
    })
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
        let near = suggestion(kind, vocabulary.type_names());
        return Err(unknown(format!("the schema has no type `{}`, which the {role} has{near}", excerpt(kind))));
    };
    if !applies_to.contains(kind) {
        let name = &action.uid.id;
        return Err(unknown(format!("action `{name}` does not apply to a {role} of type `{kind}`")));
    }
    vocabulary.enumerated(&party.uid).map_err(unknown)?;
    Ok(declared)
}

fn invalid(misfit: &Misfit) -> Box<Verdict> {
    Box::new(Verdict::deny(Reason::InvalidProperties, misfit.to_string()))
}

/// The verdict on members that the caller sent, with a note on possible misspellings.
fn invalid_request(misfit: &Misfit, note: Option<&str>) -> Box<Verdict> {
    match note {
        None => invalid(misfit),
        Some(note) => Box::new(Verdict::deny(Reason::InvalidProperties, format!("{misfit}; {note}"))),
    }
}
