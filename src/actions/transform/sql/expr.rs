//! Expressions whose types are settled: what a statement becomes before it meets rows.

use super::types::Arithmetic;
use super::value::{Result, Value};
use arrow_schema::DataType;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    NotEq,
    Less,
    LessEq,
    Greater,
    GreaterEq,
    Distinct,
    NotDistinct,
}

/// A function on values and the number of rows.
pub(super) type Run = dyn Fn(&[Value], usize) -> Result<Value> + Send + Sync;

/// A typed expression and the part of the text it came from.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) kind: Kind,
    pub(super) data_type: DataType,
    pub(super) at: Range<usize>,
}

/// What an expression computes.
#[derive(Clone)]
pub(super) enum Kind {
    /// A column of the table; of the batch, once the program is whole.
    Column(usize),
    Literal(Value),
    /// With the text it came from, for messages.
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>, Arc<str>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// All of them; later ones only where the earlier ones do not decide.
    And(Vec<Expr>),
    /// Any of them; later ones only where the earlier ones do not decide.
    Or(Vec<Expr>),
    Not(Box<Expr>),
    /// IS NULL, or IS NOT NULL if `false`.
    IsNull(Box<Expr>, bool),
    /// IS TRUE or IS FALSE, or the opposite if the last is `false`.
    IsTruth(Box<Expr>, bool, bool),
    Between {
        value: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
    },
    In {
        value: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    /// A cast, and whether what cannot be cast is NULL.
    Cast {
        value: Box<Expr>,
        or_null: bool,
        text: Arc<str>,
    },
    Concat(Vec<Expr>),
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    /// The first that is not NULL.
    Coalesce(Vec<Expr>),
    Call {
        arguments: Vec<Expr>,
        run: Arc<Run>,
        text: Arc<str>,
    },
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(i) => write!(f, "Column({i})"),
            Self::Literal(value) => write!(f, "Literal({:?})", value.array()),
            Self::Call { text, .. } => write!(f, "Call({text})"),
            other => {
                let mut list = f.debug_list();
                other.children().for_each(|child| {
                    list.entry(child);
                });
                list.finish()
            }
        }
    }
}

impl Kind {
    /// The expressions it is made of.
    pub(super) fn children(&self) -> Box<dyn Iterator<Item = &Expr> + '_> {
        match self {
            Self::Column(_) | Self::Literal(_) => Box::new(std::iter::empty()),
            Self::Arithmetic(_, a, b, _) | Self::Compare(_, a, b) => Box::new([&**a, &**b].into_iter()),
            Self::Not(a) | Self::IsNull(a, _) | Self::IsTruth(a, ..) | Self::Cast { value: a, .. } => {
                Box::new(std::iter::once(&**a))
            }
            Self::And(list) | Self::Or(list) | Self::Concat(list) | Self::Coalesce(list) => Box::new(list.iter()),
            Self::Between { value, low, high, .. } => Box::new([&**value, &**low, &**high].into_iter()),
            Self::In { value, list, .. } => Box::new(std::iter::once(&**value).chain(list)),
            Self::Case { operand, branches, otherwise } => {
                let operand = operand.iter().map(|e| &**e);
                let branches = branches.iter().flat_map(|(when, then)| [when, then]);
                Box::new(operand.chain(branches).chain(otherwise.iter().map(|e| &**e)))
            }
            Self::Call { arguments, .. } => Box::new(arguments.iter()),
        }
    }

    fn children_mut(&mut self) -> Box<dyn Iterator<Item = &mut Expr> + '_> {
        match self {
            Self::Column(_) | Self::Literal(_) => Box::new(std::iter::empty()),
            Self::Arithmetic(_, a, b, _) | Self::Compare(_, a, b) => Box::new([&mut **a, &mut **b].into_iter()),
            Self::Not(a) | Self::IsNull(a, _) | Self::IsTruth(a, ..) | Self::Cast { value: a, .. } => {
                Box::new(std::iter::once(&mut **a))
            }
            Self::And(list) | Self::Or(list) | Self::Concat(list) | Self::Coalesce(list) => Box::new(list.iter_mut()),
            Self::Between { value, low, high, .. } => Box::new([&mut **value, &mut **low, &mut **high].into_iter()),
            Self::In { value, list, .. } => Box::new(std::iter::once(&mut **value).chain(list)),
            Self::Case { operand, branches, otherwise } => {
                let operand = operand.iter_mut().map(|e| &mut **e);
                let branches = branches.iter_mut().flat_map(|(when, then)| [when, then]);
                Box::new(operand.chain(branches).chain(otherwise.iter_mut().map(|e| &mut **e)))
            }
            Self::Call { arguments, .. } => Box::new(arguments.iter_mut()),
        }
    }
}

impl Expr {
    /// The value, if it is the same for every row.
    pub(super) fn literal(&self) -> Option<&Value> {
        match &self.kind {
            Kind::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// Gives the columns other numbers.
    pub(super) fn renumber(&mut self, number: &dyn Fn(usize) -> usize) {
        if let Kind::Column(column) = &mut self.kind {
            *column = number(*column);
        }
        self.kind.children_mut().for_each(|child| child.renumber(number));
    }

    /// Names the columns it reads.
    pub(super) fn columns(&self, found: &mut dyn FnMut(usize)) {
        if let Kind::Column(column) = self.kind {
            found(column);
        }
        self.kind.children().for_each(|child| child.columns(found));
    }
}
