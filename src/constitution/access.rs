//! The entities whose attributes policies read: a tree of attribute accesses for each root of a decision.
//!
//! The roots are principal, resource, context, and the entities that a policy names itself (`User::"root".limit`). The
//! tree is built from the compiled conditions alone, dead branches included, and contains every access that an
//! evaluation can make. No operator takes an entity out of a set, so the attributes of set members are never read.

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

/// The most accesses of the policies of one constitution; each path counts once per root.
pub const MAX_NODES: usize = 1 << 18;

/// The index of a node in the access tree. Nodes are valid only for the tree that made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(u32);

/// How the policies use the value at one path.
#[derive(Debug, Default)]
pub struct Access {
    /// Whether they read attributes or tags, if the value is an entity.
    pub reads: bool,
    /// Whether they need its ancestors (`in`).
    pub climbs: bool,
    /// The attributes or fields that are accessed further.
    fields: BTreeMap<SmolStr, NodeId>,
    /// The accesses to the values of its tags.
    tags: Option<NodeId>,
}

/// All accesses of all policies.
#[derive(Debug)]
pub struct AccessTree {
    nodes: Vec<Access>,
    named: Vec<NamedEntities>,
}

/// The entities that one policy names and reads. It reads them only for requests within its scope.
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
#[error("the policies read more than {MAX_NODES} attribute paths")]
pub struct TooManyAccesses;

impl AccessTree {
    /// Builds the tree for these policies.
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

    /// The access at a node; an empty one for a node of another tree.
    #[must_use]
    pub fn at(&self, node: NodeId) -> &Access {
        static NOTHING: Access = Access { reads: false, climbs: false, fields: BTreeMap::new(), tags: None };
        self.nodes.get(node.place()).unwrap_or(&NOTHING)
    }

    /// The named entities of each policy that has some.
    pub fn named(&self) -> impl Iterator<Item = &NamedEntities> {
        self.named.iter()
    }

    /// Appends the entities in a value that policies read, each with the accesses to it.
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

    /// The greatest number of references from a root to an entity that policies read: 0 if they read none, 1 for the
    /// root itself.
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
    /// Whether the policy's scope can be matched only with the ancestors of principal or resource.
    #[must_use]
    pub fn needs_ancestors(&self) -> bool {
        matches!(self.principal, Scope::In(..)) || matches!(self.resource, Scope::In(..))
    }

    /// Whether the policy's scope matches a request. `is_in` says whether an entity is a descendant of another one.
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

/// The possible origin of an expression's value.
#[derive(Clone)]
enum Origin<'a> {
    /// A path from a root.
    Path(NodeId),
    /// An entity that the policy names.
    Named(&'a EntityUid),
    /// A record of literals.
    Constant(&'a Record),
    /// A record constructed by the policy.
    Record(Rc<BTreeMap<&'a SmolStr, Vec<Origin<'a>>>>),
}

struct Builder<'a> {
    nodes: Vec<Access>,
    /// The accesses to entities that the current policy names.
    literals: BTreeMap<&'a EntityUid, NodeId>,
    /// Whether the limit on nodes was exceeded.
    is_full: bool,
}

impl Default for Builder<'_> {
    fn default() -> Self {
        let roots = [PRINCIPAL, RESOURCE, CONTEXT].map(|_| Access::default());
        Self { nodes: roots.into(), literals: BTreeMap::new(), is_full: false }
    }
}

impl<'a> Builder<'a> {
    /// Adds all accesses of an expression, and returns the possible origins of its value that can be accessed further.
    fn visit(&mut self, expression: &'a Node) -> Vec<Origin<'a>> {
        match expression {
            Node::Constant(value) => constant(value).into_iter().collect(),
            Node::Variable(Var::Principal) => vec![Origin::Path(PRINCIPAL)],
            Node::Variable(Var::Resource) => vec![Origin::Path(RESOURCE)],
            Node::Variable(Var::Context) => vec![Origin::Path(CONTEXT)],
            // The attributes of actions come from the schema.
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

    /// Adds a node; `None` beyond the limit, in which case the tree is discarded.
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

/// The origin of a literal, if it can be accessed further.
fn constant(value: &Value) -> Option<Origin<'_>> {
    match value {
        Value::Entity(uid) => Some(Origin::Named(uid)),
        Value::Record(record) => Some(Origin::Constant(record)),
        Value::Bool(_) | Value::Long(_) | Value::Str(_) | Value::Set(_) | Value::Extension(_) => None,
    }
}
