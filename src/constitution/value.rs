//! Cedar's values, laid out for evaluation: comparing and looking up touch no locks and allocate nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::{self, Literal, ValueKind};
use smol_str::SmolStr;

use crate::domain::EntityUid;

/// A Cedar value. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Long(i64),
    /// Text.
    Str(SmolStr),
    /// A reference to an entity.
    Entity(EntityUid),
    /// A set.
    Set(Set),
    /// A record.
    Record(Record),
    /// A value of an extension type: an address, a decimal, a date, a duration.
    Extension(ast::Value),
}

/// A set of values: each once, in order, so that equal sets are equal slices.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Set(Arc<[Value]>);

/// A record: fields in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record(Arc<[(SmolStr, Value)]>);

impl Set {
    /// The items, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `value` is an item.
    #[must_use]
    pub fn contains(&self, value: &Value) -> bool {
        self.0.binary_search(value).is_ok()
    }
}

impl FromIterator<Value> for Set {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Self {
        let mut items: Vec<Value> = items.into_iter().collect();
        items.sort_unstable();
        items.dedup();
        Self(items.into())
    }
}

impl Record {
    /// The field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    /// All fields, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &(SmolStr, Value)> {
        self.0.iter()
    }

    /// These fields, and those of `others` with other names.
    #[must_use]
    pub fn or(self, others: &Self) -> Self {
        if others.0.is_empty() {
            return self;
        }
        if self.0.is_empty() {
            return others.clone();
        }
        let added = others.iter().filter(|(name, _)| self.get(name).is_none());
        self.iter().chain(added).cloned().collect()
    }
}

impl FromIterator<(SmolStr, Value)> for Record {
    fn from_iter<I: IntoIterator<Item = (SmolStr, Value)>>(fields: I) -> Self {
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Self(fields.into())
    }
}

impl Value {
    /// Every entity that this value refers to, at any depth.
    pub fn entities<'a>(&'a self, found: &mut Vec<&'a EntityUid>) {
        match self {
            Self::Entity(uid) => found.push(uid),
            Self::Set(set) => set.iter().for_each(|item| item.entities(found)),
            Self::Record(record) => record.iter().for_each(|(_, field)| field.entities(found)),
            Self::Bool(_) | Self::Long(_) | Self::Str(_) | Self::Extension(_) => {}
        }
    }

    /// The same value as Cedar's own library has it; `None` for an entity type that it could not parse.
    #[must_use]
    pub fn to_cedar(&self) -> Option<ast::Value> {
        Some(match self {
            Self::Bool(value) => ast::Value::from(*value),
            Self::Long(value) => ast::Value::from(*value),
            Self::Str(value) => ast::Value::from(value.clone()),
            Self::Entity(uid) => ast::Value::from(ast::EntityUID::with_eid_and_type(&uid.kind, &uid.id).ok()?),
            Self::Set(set) => ast::Value::set(set.iter().map(Self::to_cedar).collect::<Option<Vec<_>>>()?, None),
            Self::Record(record) => {
                let field = |(name, value): &(SmolStr, Self)| Some((name.clone(), value.to_cedar()?));
                ast::Value::record_arc(Arc::new(record.iter().map(field).collect::<Option<BTreeMap<_, _>>>()?), None)
            }
            Self::Extension(value) => value.clone(),
        })
    }
}

impl From<&ast::EntityUID> for EntityUid {
    fn from(uid: &ast::EntityUID) -> Self {
        let id: &str = uid.eid().as_ref();
        Self::new(uid.entity_type().to_string(), id)
    }
}

impl From<&ast::Value> for Value {
    fn from(value: &ast::Value) -> Self {
        match value.value_kind() {
            ValueKind::Lit(literal) => Self::from(literal),
            ValueKind::Set(set) => Self::Set(set.iter().map(Self::from).collect()),
            ValueKind::Record(fields) => {
                Self::Record(fields.iter().map(|(name, field)| (name.clone(), Self::from(field))).collect())
            }
            ValueKind::ExtensionValue(_) => Self::Extension(value.clone()),
        }
    }
}

impl From<&Literal> for Value {
    fn from(literal: &Literal) -> Self {
        match literal {
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Long(value) => Self::Long(*value),
            Literal::String(value) => Self::Str(value.clone()),
            Literal::EntityUID(uid) => Self::Entity(uid.as_ref().into()),
        }
    }
}
