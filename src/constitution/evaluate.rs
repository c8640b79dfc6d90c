//! Evaluates compiled conditions. Cedar's semantics to the letter; a property test compares the two.

use std::borrow::Cow;

use cedar_policy_core::ast::{self, BinaryOp, UnaryOp, Var};
use cedar_policy_core::evaluator::binary_relation;
use cedar_policy_core::extensions::Extensions;
use smol_str::SmolStr;

use super::expression::Node;
use super::facts::{Data, Facts};
use super::value::{Record, Set, Value};
use crate::domain::EntityUid;

/// Why a condition has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// An attribute, tag or field that is not there.
    #[error("`{0}` does not exist")]
    Absent(SmolStr),
    /// An entity that should not be read according to validation.
    #[error("entity `{0}` was not read")]
    Unread(EntityUid),
    /// An operand of a type that the operator does not take.
    #[error("an operand is not {0}")]
    Type(&'static str),
    /// An integer beyond 64 bits.
    #[error("integer overflow")]
    Overflow,
    /// A function of an extension refused its arguments.
    #[error("`{0}` failed")]
    Call(String),
}

type Outcome<T> = Result<T, EvaluationError>;

impl Node {
    /// Whether the condition holds.
    pub fn holds(&self, facts: &Facts) -> Outcome<bool> {
        match self {
            Self::And(operands) => {
                for operand in operands {
                    if !operand.holds(facts)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(operands) => {
                for operand in operands {
                    if operand.holds(facts)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::If(parts) => {
                let [test, then, otherwise] = &**parts;
                if test.holds(facts)? { then.holds(facts) } else { otherwise.holds(facts) }
            }
            Self::Unary(UnaryOp::Not, operand) => Ok(!operand.holds(facts)?),
            Self::Unary(UnaryOp::IsEmpty, operand) => Ok(set(&*operand.value(facts)?)?.is_empty()),
            Self::Binary(op, operands) if is_test(*op) => {
                let [left, right] = &**operands;
                test(*op, &*left.value(facts)?, &*right.value(facts)?, facts)
            }
            Self::Has(operand, path) => has(&*operand.value(facts)?, path, facts),
            Self::Like(operand, pattern) => match &*operand.value(facts)? {
                Value::Str(text) => Ok(pattern.matches(text)),
                _ => Err(EvaluationError::Type("a string")),
            },
            Self::Is(operand, kind) => Ok(entity(&*operand.value(facts)?)?.kind == *kind),
            Self::Constant(_)
            | Self::Variable(_)
            | Self::Unary(UnaryOp::Neg, _)
            | Self::Binary(..)
            | Self::Get(..)
            | Self::Set(_)
            | Self::Record(_)
            | Self::Call(..) => match &*self.value(facts)? {
                Value::Bool(value) => Ok(*value),
                _ => Err(EvaluationError::Type("a boolean")),
            },
        }
    }

    fn value<'a>(&'a self, facts: &'a Facts) -> Outcome<Cow<'a, Value>> {
        Ok(match self {
            Self::Constant(value) => Cow::Borrowed(value),
            Self::Variable(Var::Principal) => Cow::Borrowed(facts.principal()),
            Self::Variable(Var::Action) => Cow::Borrowed(facts.action()),
            Self::Variable(Var::Resource) => Cow::Borrowed(facts.resource()),
            Self::Variable(Var::Context) => Cow::Borrowed(facts.context()),
            Self::If(parts) => {
                let [test, then, otherwise] = &**parts;
                if test.holds(facts)? { then.value(facts)? } else { otherwise.value(facts)? }
            }
            Self::Get(operand, name) => get(operand.value(facts)?, name, facts)?,
            Self::Unary(UnaryOp::Neg, operand) => {
                let negated = long(&*operand.value(facts)?)?.checked_neg();
                Cow::Owned(Value::Long(negated.ok_or(EvaluationError::Overflow)?))
            }
            Self::Binary(op, operands) if !is_test(*op) => {
                let [left, right] = &**operands;
                let (left, right) = (left.value(facts)?, right.value(facts)?);
                match op {
                    BinaryOp::GetTag => Cow::Owned(tag(&left, &right, facts)?.clone()),
                    _ => Cow::Owned(Value::Long(arithmetic(*op, long(&left)?, long(&right)?)?)),
                }
            }
            Self::Set(items) => {
                let items = items.iter().map(|item| item.value(facts).map(Cow::into_owned));
                Cow::Owned(Value::Set(items.collect::<Outcome<Set>>()?))
            }
            Self::Record(fields) => {
                let field = |(name, field): &(SmolStr, Self)| Ok((name.clone(), field.value(facts)?.into_owned()));
                Cow::Owned(Value::Record(fields.iter().map(field).collect::<Outcome<Record>>()?))
            }
            Self::Call(function, arguments) => Cow::Owned(call(function, arguments, facts)?),
            Self::And(_)
            | Self::Or(_)
            | Self::Unary(..)
            | Self::Binary(..)
            | Self::Has(..)
            | Self::Like(..)
            | Self::Is(..) => Cow::Owned(Value::Bool(self.holds(facts)?)),
        })
    }
}

fn is_test(op: BinaryOp) -> bool {
    match op {
        BinaryOp::Eq
        | BinaryOp::Less
        | BinaryOp::LessEq
        | BinaryOp::In
        | BinaryOp::Contains
        | BinaryOp::ContainsAll
        | BinaryOp::ContainsAny
        | BinaryOp::HasTag => true,
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::GetTag => false,
    }
}

fn test(op: BinaryOp, left: &Value, right: &Value, facts: &Facts) -> Outcome<bool> {
    Ok(match op {
        BinaryOp::Eq => left == right,
        BinaryOp::In => is_in(entity(left)?, right, facts)?,
        BinaryOp::Contains => set(left)?.contains(right),
        BinaryOp::ContainsAll => {
            let (all, of) = (set(left)?, set(right)?);
            of.iter().all(|item| all.contains(item))
        }
        BinaryOp::ContainsAny => {
            let (any, of) = (set(left)?, set(right)?);
            of.iter().any(|item| any.contains(item))
        }
        BinaryOp::HasTag => {
            let (uid, name) = (entity(left)?, text(right)?);
            look(uid, facts)?.is_some_and(|data| data.tags.get(name).is_some())
        }
        BinaryOp::Less | BinaryOp::LessEq => match (left, right) {
            (Value::Long(left), Value::Long(right)) if op == BinaryOp::Less => left < right,
            (Value::Long(left), Value::Long(right)) => left <= right,
            (Value::Extension(left), Value::Extension(right)) => {
                match binary_relation(op, left, right, Extensions::all_available()).as_ref().map(Value::from) {
                    Ok(Value::Bool(related)) => related,
                    _ => return Err(EvaluationError::Type("comparable")),
                }
            }
            _ => return Err(EvaluationError::Type("an integer")),
        },
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::GetTag => {
            return Err(EvaluationError::Type("a test"));
        }
    })
}

fn arithmetic(op: BinaryOp, left: i64, right: i64) -> Outcome<i64> {
    match op {
        BinaryOp::Add => left.checked_add(right),
        BinaryOp::Sub => left.checked_sub(right),
        _ => left.checked_mul(right),
    }
    .ok_or(EvaluationError::Overflow)
}

fn is_in(uid: &EntityUid, group: &Value, facts: &Facts) -> Outcome<bool> {
    match group {
        Value::Entity(group) => {
            climb(uid, facts)?;
            Ok(facts.is_member(uid, group))
        }
        Value::Set(groups) => {
            climb(uid, facts)?;
            // Cedar checks the type of every item before any membership.
            let groups = groups.iter().map(entity).collect::<Outcome<Vec<_>>>()?;
            Ok(groups.into_iter().any(|group| facts.is_member(uid, group)))
        }
        _ => Err(EvaluationError::Type("an entity or a set of entities")),
    }
}

/// The data of an entity; `None` for an action. An entity that was not requested is not considered absent, since a
/// conclusion from that would be a guess.
fn look<'a>(uid: &EntityUid, facts: &'a Facts) -> Outcome<Option<&'a Data>> {
    match facts.data(uid) {
        None if !facts.is_action(uid) => Err(EvaluationError::Unread(uid.clone())),
        data => Ok(data),
    }
}

/// Fails unless the ancestors of an entity were gathered.
fn climb(uid: &EntityUid, facts: &Facts) -> Outcome<()> {
    match look(uid, facts)? {
        Some(Data { climbs: false, .. }) => Err(EvaluationError::Unread(uid.clone())),
        _ => Ok(()),
    }
}

fn has(value: &Value, path: &[SmolStr], facts: &Facts) -> Outcome<bool> {
    let mut current = value;
    for name in path {
        let next = match current {
            Value::Record(record) => record.get(name),
            Value::Entity(uid) => look(uid, facts)?.and_then(|data| data.attrs.get(name)),
            _ => return Err(EvaluationError::Type("a record or an entity")),
        };
        let Some(next) = next else {
            return Ok(false);
        };
        current = next;
    }
    Ok(true)
}

fn get<'a>(value: Cow<'a, Value>, name: &SmolStr, facts: &'a Facts) -> Outcome<Cow<'a, Value>> {
    let absent = || EvaluationError::Absent(name.clone());
    let attribute = |uid: &EntityUid| look(uid, facts)?.and_then(|data| data.attrs.get(name)).ok_or_else(absent);
    match value {
        Cow::Borrowed(Value::Record(record)) => record.get(name).map(Cow::Borrowed).ok_or_else(absent),
        Cow::Owned(Value::Record(record)) => record.get(name).cloned().map(Cow::Owned).ok_or_else(absent),
        Cow::Borrowed(Value::Entity(uid)) => attribute(uid).map(Cow::Borrowed),
        Cow::Owned(Value::Entity(uid)) => attribute(&uid).map(Cow::Borrowed),
        _ => Err(EvaluationError::Type("a record or an entity")),
    }
}

fn tag<'a>(owner: &Value, name: &Value, facts: &'a Facts) -> Outcome<&'a Value> {
    let (uid, name) = (entity(owner)?, text(name)?);
    look(uid, facts)?.and_then(|data| data.tags.get(name)).ok_or_else(|| EvaluationError::Absent(name.clone()))
}

fn call(function: &ast::Name, arguments: &[Node], facts: &Facts) -> Outcome<Value> {
    let failed = || EvaluationError::Call(function.to_string());
    let argument = |node: &Node| node.value(facts)?.to_cedar().ok_or_else(failed);
    let arguments = arguments.iter().map(argument).collect::<Outcome<Vec<_>>>()?;
    let function = Extensions::all_available().func(function).map_err(|_| failed())?;
    match function.call(&arguments) {
        Ok(ast::PartialValue::Value(value)) => Ok(Value::from(&value)),
        Ok(ast::PartialValue::Residual(_)) | Err(_) => Err(failed()),
    }
}

fn entity(value: &Value) -> Outcome<&EntityUid> {
    if let Value::Entity(uid) = value { Ok(uid) } else { Err(EvaluationError::Type("an entity")) }
}

fn set(value: &Value) -> Outcome<&Set> {
    if let Value::Set(set) = value { Ok(set) } else { Err(EvaluationError::Type("a set")) }
}

fn long(value: &Value) -> Outcome<i64> {
    if let Value::Long(value) = value { Ok(*value) } else { Err(EvaluationError::Type("an integer")) }
}

fn text(value: &Value) -> Outcome<&SmolStr> {
    if let Value::Str(text) = value { Ok(text) } else { Err(EvaluationError::Type("a string")) }
}
