//! Conditions, compiled when the constitution is loaded: literals ready, names resolved, nothing left to parse.

use std::sync::Arc;

use cedar_policy_core::ast::{self, BinaryOp, Expr, ExprKind, UnaryOp, Var};
use smol_str::SmolStr;

use super::pattern::Pattern;
use super::value::{Record, Set, Value};

/// How deep a condition may nest: its evaluation recurses. However many `&&` or `||` follow each other, they are one
/// level.
pub const MAX_DEPTH: usize = 128;

/// A compiled expression, with the semantics of Cedar's evaluator, errors included.
#[derive(Debug)]
pub enum Node {
    /// A literal, or a set or record of literals.
    Constant(Value),
    /// A variable of the request.
    Variable(Var),
    /// `if … then … else …`
    If(Box<[Node; 3]>),
    /// `&&`, evaluated left to right, no further than needed.
    And(Vec<Node>),
    /// `||`, likewise.
    Or(Vec<Node>),
    /// An operator with one operand.
    Unary(UnaryOp, Box<Node>),
    /// An operator with two operands, both always evaluated.
    Binary(BinaryOp, Box<[Node; 2]>),
    /// `x.name`
    Get(Box<Node>, SmolStr),
    /// `x has a.b.c`
    Has(Box<Node>, Vec<SmolStr>),
    /// `x like "…"`
    Like(Box<Node>, Pattern),
    /// `x is T`
    Is(Box<Node>, SmolStr),
    /// `[…]`
    Set(Vec<Node>),
    /// `{…}`
    Record(Vec<(SmolStr, Node)>),
    /// A function of an extension.
    Call(ast::Name, Vec<Node>),
}

/// Why an expression could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It nests too deep.
    #[error("nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// It has a part that a static policy does not have.
    #[error("has a part that only templates may have")]
    NotStatic,
}

/// The operands of a chain of one operator, left to right: `a && b && c` nests to the left.
fn chain(expr: &Expr, split: impl Fn(&ExprKind) -> Option<(Arc<Expr>, Arc<Expr>)>) -> Vec<Arc<Expr>> {
    let mut operands = Vec::new();
    let mut rest = split(expr.expr_kind());
    while let Some((left, right)) = rest {
        operands.push(right);
        rest = split(left.expr_kind());
        if rest.is_none() {
            operands.push(left);
        }
    }
    operands.reverse();
    operands
}

/// The conjuncts of a condition, left to right, however they are nested. They correspond to [`Node::operands`] of the
/// compiled node.
pub fn operands(expr: &Expr) -> Vec<Arc<Expr>> {
    let mut rest = vec![Arc::new(expr.clone())];
    let mut operands = Vec::new();
    while let Some(expr) = rest.pop() {
        match expr.expr_kind() {
            ExprKind::And { left, right } => rest.extend([Arc::clone(right), Arc::clone(left)]),
            _ => operands.push(expr),
        }
    }
    operands
}

impl Node {
    /// Appends the conjuncts of the node, left to right.
    pub fn operands<'a>(&'a self, operands: &mut Vec<&'a Self>) {
        match self {
            Self::And(nodes) => nodes.iter().for_each(|node| node.operands(operands)),
            node => operands.push(node),
        }
    }

    /// Compiles an expression of a static policy.
    pub fn compile(expr: &Expr) -> Result<Self, CompileError> {
        Self::at_depth(expr, 0)
    }

    fn at_depth(expr: &Expr, depth: usize) -> Result<Self, CompileError> {
        if depth > MAX_DEPTH {
            return Err(CompileError::TooDeep);
        }
        let node = |inner: &Expr| Self::at_depth(inner, depth + 1);
        let boxed = |inner: &Expr| node(inner).map(Box::new);
        Ok(match expr.expr_kind() {
            ExprKind::Lit(literal) => Self::Constant(literal.into()),
            ExprKind::Var(variable) => Self::Variable(*variable),
            ExprKind::If { test_expr, then_expr, else_expr } => {
                Self::If(Box::new([node(test_expr)?, node(then_expr)?, node(else_expr)?]))
            }
            ExprKind::And { .. } => {
                let split = |expr: &ExprKind| match expr {
                    ExprKind::And { left, right } => Some((Arc::clone(left), Arc::clone(right))),
                    _ => None,
                };
                Self::And(chain(expr, split).iter().map(|operand| node(operand)).collect::<Result<_, _>>()?)
            }
            ExprKind::Or { .. } => {
                let split = |expr: &ExprKind| match expr {
                    ExprKind::Or { left, right } => Some((Arc::clone(left), Arc::clone(right))),
                    _ => None,
                };
                Self::Or(chain(expr, split).iter().map(|operand| node(operand)).collect::<Result<_, _>>()?)
            }
            ExprKind::UnaryApp { op, arg } => Self::Unary(*op, boxed(arg)?),
            ExprKind::BinaryApp { op, arg1, arg2 } => Self::Binary(*op, Box::new([node(arg1)?, node(arg2)?])),
            ExprKind::GetAttr { expr, attr } => Self::Get(boxed(expr)?, attr.clone()),
            ExprKind::HasAttr { expr, attr } => Self::Has(boxed(expr)?, vec![attr.clone()]),
            ExprKind::ExtHasAttr { expr, attrs } => Self::Has(boxed(expr)?, attrs.iter().cloned().collect()),
            ExprKind::Like { expr, pattern } => Self::Like(boxed(expr)?, pattern.into()),
            ExprKind::Is { expr, entity_type } => Self::Is(boxed(expr)?, entity_type.to_string().into()),
            ExprKind::Set(items) => Self::set(items.iter().map(node).collect::<Result<_, _>>()?),
            ExprKind::Record(fields) => {
                let field = |(name, field): (&SmolStr, &Expr)| Ok((name.clone(), node(field)?));
                Self::record(fields.iter().map(field).collect::<Result<_, CompileError>>()?)
            }
            ExprKind::ExtensionFunctionApp { fn_name, args } => {
                Self::Call(fn_name.clone(), args.iter().map(node).collect::<Result<_, _>>()?)
            }
            ExprKind::Slot(_) | ExprKind::Unknown(_) => return Err(CompileError::NotStatic),
        })
    }

    fn constant(&self) -> Option<&Value> {
        if let Self::Constant(value) = self { Some(value) } else { None }
    }

    fn set(items: Vec<Self>) -> Self {
        match items.iter().map(|item| item.constant().cloned()).collect::<Option<Set>>() {
            Some(set) => Self::Constant(Value::Set(set)),
            None => Self::Set(items),
        }
    }

    fn record(fields: Vec<(SmolStr, Self)>) -> Self {
        let constant = |(name, field): &(SmolStr, Self)| Some((name.clone(), field.constant()?.clone()));
        match fields.iter().map(constant).collect::<Option<Record>>() {
            Some(record) => Self::Constant(Value::Record(record)),
            None => Self::Record(fields),
        }
    }
}
