//! Which entities the policies look into: one tree of attribute accesses for each root of a decision.
//!
//! The roots are principal, resource, context, and the entities that a policy names itself (`User::"root".limit`).
//! The tree is built from the compiled conditions alone, dead branches included: whatever an evaluation can come to
//! look into is in it. No operator takes an entity out of a set, so that members of sets are never looked into.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use cedar_policy_core::ast::{BinaryOp, Var};
use smol_str::SmolStr;

use super::expression::Node;
use super::rule::{ActionScope, Rule, Scope};
use super::value::{Record, Value};
use super::vocabulary::{Kind, Shape, Vocabulary};
use crate::domain::EntityUid;

/// The accesses to the principal.
pub const PRINCIPAL: NodeId = NodeId(0);
/// The accesses to the resource.
pub const RESOURCE: NodeId = NodeId(1);
/// The accesses to the context.
pub const CONTEXT: NodeId = NodeId(2);

/// How many accesses the policies of one constitution may have, each path counted once for each root.
pub const MAX_NODES: usize = 1 << 18;

/// A node of the access tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(u32);

/// What the policies do with the value at one path.
#[derive(Debug, Default)]
pub struct Access {
    /// Whether attributes or tags are read, where the value is an entity.
    pub reads: bool,
    /// Whether its ancestors are asked for (`in`).
    pub climbs: bool,
    /// The attributes or fields that are used further.
    fields: BTreeMap<SmolStr, NodeId>,
    /// What is done with the values of its tags.
    tags: Option<NodeId>,
}

/// All accesses of all policies.
#[derive(Debug)]
pub struct AccessTree {
    nodes: Vec<Access>,
    named: Vec<NamedEntities>,
}

/// The entities that one policy names and looks into, with the scope outside of which it does not do so.
#[derive(Debug)]
pub struct NamedEntities {
    principal: Scope,
    action: ActionScope,
    resource: Scope,
    /// Each entity with the accesses to it.
    pub entities: Vec<(EntityUid, NodeId)>,
}

/// The policies have more accesses than [`MAX_NODES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the policies look into more than {MAX_NODES} paths of attributes")]
pub struct TooManyAccesses;

impl AccessTree {
    /// The accesses of these policies.
    pub fn new<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Result<Self, TooManyAccesses> {
        let mut builder = Builder::default();
        let mut named = Vec::new();
        for rule in rules {
            for (root, scope) in [(PRINCIPAL, &rule.principal), (RESOURCE, &rule.resource)] {
                if matches!(scope, Scope::In(..)) {
                    builder.mark(root, |access| access.climbs = true);
                }
            }
            if let Some(condition) = &rule.condition {
                builder.visit(&condition.node);
            }
            let entities = std::mem::take(&mut builder.literals);
            if !entities.is_empty() {
                named.push(NamedEntities {
                    principal: rule.principal.clone(),
                    action: rule.action.clone(),
                    resource: rule.resource.clone(),
                    entities: entities.into_iter().map(|(uid, node)| (uid.clone(), node)).collect(),
                });
            }
        }
        if builder.is_full { Err(TooManyAccesses) } else { Ok(Self { nodes: builder.nodes, named }) }
    }

    /// What is done with the value at a node; nothing for a node of another tree.
    #[must_use]
    pub fn at(&self, node: NodeId) -> &Access {
        static NOTHING: Access = Access { reads: false, climbs: false, fields: BTreeMap::new(), tags: None };
        self.nodes.get(node.place()).unwrap_or(&NOTHING)
    }

    /// The entities that policies name and look into.
    pub fn named(&self) -> impl Iterator<Item = &NamedEntities> {
        self.named.iter()
    }

    /// The entities in a value that are looked into, each with the accesses to it.
    pub fn reached<'a>(&self, value: &'a Value, node: NodeId, found: &mut Vec<(&'a EntityUid, NodeId)>) {
        match value {
            Value::Entity(uid) => found.push((uid, node)),
            Value::Record(record) => self.reached_in(record, node, found),
            Value::Bool(_) | Value::Long(_) | Value::Str(_) | Value::Set(_) | Value::Extension(_) => {}
        }
    }

    /// The same for a record, or the attributes of an entity.
    pub fn reached_in<'a>(&self, record: &'a Record, node: NodeId, found: &mut Vec<(&'a EntityUid, NodeId)>) {
        for (name, child) in &self.at(node).fields {
            if let Some(value) = record.get(name) {
                self.reached(value, *child, found);
            }
        }
    }

    /// The same for the tags of an entity.
    pub fn reached_by_tags<'a>(&self, tags: &'a Record, node: NodeId, found: &mut Vec<(&'a EntityUid, NodeId)>) {
        if let Some(child) = self.at(node).tags {
            tags.iter().for_each(|(_, value)| self.reached(value, child, found));
        }
    }

    /// How many references away from its root the farthest entity is that the policies look into: 0 where they look
    /// into none, 1 for the root itself.
    #[must_use]
    pub fn level(&self, vocabulary: &Vocabulary) -> u32 {
        let principals: HashSet<&SmolStr> = vocabulary.actions().flat_map(|action| &action.principals).collect();
        let resources: HashSet<&SmolStr> = vocabulary.actions().flat_map(|action| &action.resources).collect();
        let roots = principals.into_iter().map(|kind| (kind, PRINCIPAL));
        let roots = roots.chain(resources.into_iter().map(|kind| (kind, RESOURCE)));
        let named = self.named.iter().flat_map(|named| &named.entities).map(|(uid, node)| (&uid.kind, *node));
        let of_entities = roots.chain(named).map(|(kind, node)| self.entity_level(kind, node, vocabulary));
        let of_contexts = vocabulary.actions().map(|action| self.record_level(&action.context, CONTEXT, vocabulary));
        of_entities.chain(of_contexts).max().unwrap_or(0)
    }

    fn entity_level(&self, kind: &str, node: NodeId, vocabulary: &Vocabulary) -> u32 {
        let access = self.at(node);
        if !access.reads && !access.climbs {
            return 0;
        }
        let Some(declared) = vocabulary.entity_type(kind) else {
            return 1;
        };
        let attributes = self.record_level(&declared.attrs, node, vocabulary);
        let tags = access.tags.zip(declared.tags.as_ref());
        let tags = tags.map_or(0, |(node, kind)| self.value_level(kind, node, vocabulary));
        1 + attributes.max(tags)
    }

    fn record_level(&self, shape: &Shape, node: NodeId, vocabulary: &Vocabulary) -> u32 {
        let fields = &self.at(node).fields;
        let used = shape.iter().filter_map(|field| Some((&field.kind, *fields.get(&field.name)?)));
        used.map(|(kind, node)| self.value_level(kind, node, vocabulary)).max().unwrap_or(0)
    }

    fn value_level(&self, kind: &Kind, node: NodeId, vocabulary: &Vocabulary) -> u32 {
        match kind {
            Kind::Entity(name) => self.entity_level(name, node, vocabulary),
            Kind::Record(shape) => self.record_level(shape, node, vocabulary),
            Kind::Bool | Kind::Long | Kind::Str | Kind::Set(_) | Kind::Extension(_) => 0,
        }
    }
}

impl NamedEntities {
    /// Whether it takes ancestors to tell if the policy applies to a request.
    #[must_use]
    pub fn needs_ancestors(&self) -> bool {
        matches!(self.principal, Scope::In(..)) || matches!(self.resource, Scope::In(..))
    }

    /// Whether the policy's scope covers a request; `is_in` says whether an entity is in another one.
    pub fn applies(
        &self,
        [principal, action, resource]: [&EntityUid; 3],
        is_in: impl Fn(&EntityUid, &EntityUid) -> bool,
    ) -> bool {
        self.action.covers(action)
            && self.principal.covers(principal, |group| is_in(principal, group))
            && self.resource.covers(resource, |group| is_in(resource, group))
    }
}

/// Where the value of an expression may come from.
#[derive(Clone)]
enum Origin<'a> {
    /// A path from a root.
    Path(NodeId),
    /// An entity that the policy names.
    Named(&'a EntityUid),
    /// A record of literals.
    Constant(&'a Record),
    /// A record that the policy makes.
    Record(Rc<BTreeMap<&'a SmolStr, Vec<Origin<'a>>>>),
}

struct Builder<'a> {
    nodes: Vec<Access>,
    /// The accesses to entities that the policy in hand names.
    literals: BTreeMap<&'a EntityUid, NodeId>,
    /// Whether there were more nodes than there may be.
    is_full: bool,
}

impl Default for Builder<'_> {
    fn default() -> Self {
        let roots = [PRINCIPAL, RESOURCE, CONTEXT].map(|_| Access::default());
        Self { nodes: roots.into(), literals: BTreeMap::new(), is_full: false }
    }
}

impl<'a> Builder<'a> {
    /// Notes all accesses of an expression, and answers where its value may come from, if that can be looked into.
    fn visit(&mut self, expression: &'a Node) -> Vec<Origin<'a>> {
        match expression {
            Node::Constant(value) => constant(value).into_iter().collect(),
            Node::Variable(Var::Principal) => vec![Origin::Path(PRINCIPAL)],
            Node::Variable(Var::Resource) => vec![Origin::Path(RESOURCE)],
            Node::Variable(Var::Context) => vec![Origin::Path(CONTEXT)],
            // What is known of actions is in the schema.
            Node::Variable(Var::Action) => Vec::new(),
            Node::If(parts) => {
                let [test, then, otherwise] = &**parts;
                self.visit(test);
                let mut origins = self.visit(then);
                origins.extend(self.visit(otherwise));
                origins
            }
            Node::Get(operand, name) => {
                let origins = self.visit(operand);
                self.get(origins, name)
            }
            Node::Has(operand, path) => {
                let origins = self.visit(operand);
                path.iter().fold(origins, |origins, name| self.get(origins, name));
                Vec::new()
            }
            Node::Binary(op, operands) => {
                let [left, right] = &**operands;
                let origins = self.visit(left);
                self.visit(right);
                self.binary(*op, origins)
            }
            Node::Record(fields) => {
                let fields = fields.iter().map(|(name, field)| (name, self.visit(field))).collect();
                vec![Origin::Record(Rc::new(fields))]
            }
            Node::And(operands) | Node::Or(operands) | Node::Set(operands) | Node::Call(_, operands) => {
                for operand in operands {
                    self.visit(operand);
                }
                Vec::new()
            }
            Node::Unary(_, operand) | Node::Like(operand, _) | Node::Is(operand, _) => {
                self.visit(operand);
                Vec::new()
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, left: Vec<Origin<'a>>) -> Vec<Origin<'a>> {
        match op {
            BinaryOp::In => {
                self.nodes_of(left).into_iter().for_each(|node| self.mark(node, |access| access.climbs = true));
                Vec::new()
            }
            BinaryOp::HasTag => {
                self.nodes_of(left).into_iter().for_each(|node| self.mark(node, |access| access.reads = true));
                Vec::new()
            }
            BinaryOp::GetTag => self.nodes_of(left).into_iter().map(|node| Origin::Path(self.tag(node))).collect(),
            BinaryOp::Eq
            | BinaryOp::Less
            | BinaryOp::LessEq
            | BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Contains
            | BinaryOp::ContainsAll
            | BinaryOp::ContainsAny => Vec::new(),
        }
    }

    /// The values of an attribute or field.
    fn get(&mut self, origins: Vec<Origin<'a>>, name: &'a SmolStr) -> Vec<Origin<'a>> {
        let mut found = Vec::new();
        for origin in origins {
            match origin {
                Origin::Constant(record) => found.extend(record.get(name).and_then(constant)),
                Origin::Record(fields) => found.extend(fields.get(name).into_iter().flatten().cloned()),
                Origin::Path(node) => found.push(Origin::Path(self.field(node, name))),
                Origin::Named(uid) => {
                    let node = self.literal(uid);
                    found.push(Origin::Path(self.field(node, name)));
                }
            }
        }
        found
    }

    fn nodes_of(&mut self, origins: Vec<Origin<'a>>) -> Vec<NodeId> {
        let node = |origin| match origin {
            Origin::Path(node) => Some(node),
            Origin::Named(uid) => Some(self.literal(uid)),
            Origin::Constant(_) | Origin::Record(_) => None,
        };
        origins.into_iter().filter_map(node).collect()
    }

    fn literal(&mut self, uid: &'a EntityUid) -> NodeId {
        if let Some(node) = self.literals.get(uid) {
            return *node;
        }
        let node = self.add().unwrap_or(CONTEXT);
        self.literals.insert(uid, node);
        node
    }

    fn field(&mut self, node: NodeId, name: &SmolStr) -> NodeId {
        self.mark(node, |access| access.reads = true);
        let known = self.nodes.get(node.place()).and_then(|access| access.fields.get(name)).copied();
        known.unwrap_or_else(|| {
            let field = self.add().unwrap_or(node);
            self.mark(node, |access| {
                access.fields.insert(name.clone(), field);
            });
            field
        })
    }

    fn tag(&mut self, node: NodeId) -> NodeId {
        self.mark(node, |access| access.reads = true);
        let known = self.nodes.get(node.place()).and_then(|access| access.tags);
        known.unwrap_or_else(|| {
            let tag = self.add().unwrap_or(node);
            self.mark(node, |access| access.tags = Some(tag));
            tag
        })
    }

    fn mark(&mut self, node: NodeId, mark: impl FnOnce(&mut Access)) {
        if let Some(access) = self.nodes.get_mut(node.place()) {
            mark(access);
        }
    }

    /// A new node, unless there are too many: then the tree is not used at all.
    fn add(&mut self) -> Option<NodeId> {
        let node = u32::try_from(self.nodes.len()).ok().filter(|_| self.nodes.len() < MAX_NODES);
        if let Some(node) = node {
            self.nodes.push(Access::default());
            Some(NodeId(node))
        } else {
            self.is_full = true;
            None
        }
    }
}

impl NodeId {
    fn place(self) -> usize {
        self.0 as usize
    }
}

/// What can be looked into of a literal.
fn constant(value: &Value) -> Option<Origin<'_>> {
    match value {
        Value::Entity(uid) => Some(Origin::Named(uid)),
        Value::Record(record) => Some(Origin::Constant(record)),
        Value::Bool(_) | Value::Long(_) | Value::Str(_) | Value::Set(_) | Value::Extension(_) => None,
    }
}
