//! From the tree of the parser to typed expressions.
//!
//! Every kind of expression is either planned or refused by name: nothing is passed over. What has the same value for
//! every row is computed here, once.

mod call;
mod literal;
mod operator;

pub(super) use call::Call;

use super::cast;
use super::error::SqlError;
use super::eval::Frame;
use super::expr::{Expr, Kind};
use super::scope::Scope;
use super::text::Text;
use super::types;
use super::value::Value;
use arrow_schema::DataType;
use chrono::{DateTime, Utc};
use sqlparser::ast::{self, CastKind, Spanned};
use sqlparser::tokenizer::Token;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::Arc;

/// A planned expression, or what is wrong with it.
pub(super) type Planned = Result<Expr, SqlError>;

/// Most expressions inside one another, chains of binary operators left out: those are planned one by one.
const DEPTH_MAX: usize = 100;

/// Plans the expressions of one text.
pub(super) struct Planner<'a> {
    pub(super) text: &'a Text,
    pub(super) scope: &'a Scope,
    pub(super) now: DateTime<Utc>,
    /// Names of columns as they stand in the text, and the columns they mean.
    names: RefCell<Vec<(Range<usize>, usize)>>,
    depth: Cell<usize>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(text: &'a Text, scope: &'a Scope, now: DateTime<Utc>) -> Self {
        Self { text, scope, now, names: RefCell::new(Vec::new()), depth: Cell::new(0) }
    }

    /// The names of columns that were met, with their places.
    pub(super) fn names(self) -> Vec<(Range<usize>, usize)> {
        self.names.into_inner()
    }

    /// A condition: `true`, `false` or NULL.
    pub(super) fn condition(&self, expr: &ast::Expr, what: &str) -> Planned {
        let planned = self.plan(expr)?;
        if matches!(planned.data_type, DataType::Boolean | DataType::Null) {
            return Ok(coerce(planned, &DataType::Boolean));
        }
        let found = cast::with_article(&planned.data_type);
        Err(SqlError::new(format!("{what} must be true or false, not {found}"), planned.at)
            .hint("compare it with something, for example `> 0` or `IS NOT NULL`"))
    }

    /// Plans an expression.
    pub(super) fn plan(&self, expr: &ast::Expr) -> Planned {
        if self.depth.get() >= DEPTH_MAX {
            return Err(SqlError::new(
                format!("the expression is nested too deeply: more than {DEPTH_MAX} levels"),
                self.at(expr),
            ));
        }
        self.depth.set(self.depth.get() + 1);
        let planned = self.plan_one(expr);
        self.depth.set(self.depth.get() - 1);
        planned
    }

    fn plan_one(&self, expr: &ast::Expr) -> Planned {
        use ast::Expr as E;
        match expr {
            E::Identifier(name) => self.column(name),
            E::CompoundIdentifier(names) => self.qualified(names),
            E::Value(value) => self.literal(value),
            E::TypedString(typed) => self.typed(typed),
            E::Interval(interval) => self.interval(interval, false),
            E::Nested(inner) => self.plan(inner).map(|mut planned| {
                planned.at = self.in_parentheses(planned.at);
                planned
            }),
            E::BinaryOp { .. } => self.chain(expr),
            E::UnaryOp { op, expr } => self.unary(*op, expr),
            E::Case { .. } => self.case(expr),
            E::Cast { .. } => self.cast(expr),
            E::Function(function) => self.function(function),
            E::IsNull(_)
            | E::IsNotNull(_)
            | E::IsTrue(_)
            | E::IsFalse(_)
            | E::IsNotTrue(_)
            | E::IsNotFalse(_)
            | E::IsUnknown(_)
            | E::IsNotUnknown(_)
            | E::IsDistinctFrom(..)
            | E::IsNotDistinctFrom(..) => self.is(expr),
            E::Between { .. } => self.between(expr),
            E::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            E::Like { .. } | E::ILike { .. } => self.like(expr),
            E::Extract { .. }
            | E::Ceil { .. }
            | E::Floor { .. }
            | E::Position { .. }
            | E::Substring { .. }
            | E::Trim { .. } => self.keyword_call(expr),
            _ => Err(self.refuse(expr)),
        }
    }

    /// Where an expression stands, as far as the parser knows.
    pub(super) fn at(&self, expr: &ast::Expr) -> Range<usize> {
        self.text.range(expr.span()).unwrap_or(0..self.text.sql().len())
    }

    fn refuse(&self, expr: &ast::Expr) -> SqlError {
        use ast::Expr as E;
        let at = Some(self.at(expr));
        match expr {
            E::Subquery(_) | E::Exists { .. } | E::InSubquery { .. } => SqlError::engine("a subquery", at),
            E::SimilarTo { .. } => SqlError::engine("SIMILAR TO", at),
            E::AtTimeZone { .. } => SqlError::engine("AT TIME ZONE", at),
            E::Overlay { .. } => SqlError::engine("OVERLAY", at),
            E::Array(_) | E::CompoundFieldAccess { .. } | E::Map(_) | E::Struct { .. } | E::Dictionary(_) => {
                SqlError::engine("arrays, maps and structs", at)
            }
            E::AnyOp { .. } | E::AllOp { .. } => SqlError::engine("ANY and ALL", at),
            E::Tuple(_) => SqlError::new("a list of values stands only behind IN", self.at(expr)),
            E::Wildcard(_) | E::QualifiedWildcard(..) => {
                SqlError::new("* stands only in the list behind SELECT", self.at(expr))
            }
            _ => SqlError::new(
                format!("the expression is not supported: {}", self.text.excerpt(&self.at(expr))),
                self.at(expr),
            ),
        }
    }

    fn column(&self, name: &ast::Ident) -> Planned {
        let column = self.scope.column(name, self.text)?;
        Ok(self.column_at(column, self.text.range(name.span).unwrap_or(0..0)))
    }

    fn qualified(&self, names: &[ast::Ident]) -> Planned {
        let column = self.scope.qualified(names, self.text)?;
        let at = |ident: Option<&ast::Ident>| ident.and_then(|i| self.text.range(i.span)).unwrap_or(0..0);
        let mut planned = self.column_at(column, at(names.last()));
        planned.at = at(names.first()).start..planned.at.end;
        Ok(planned)
    }

    fn column_at(&self, column: usize, at: Range<usize>) -> Expr {
        self.names.borrow_mut().push((at.clone(), column));
        Expr { kind: Kind::Column(column), data_type: self.scope.schema.field(column).data_type().clone(), at }
    }

    /// CASE, whose conditions are compared with an operand or are true by themselves.
    fn case(&self, expr: &ast::Expr) -> Planned {
        let ast::Expr::Case { operand, conditions, else_result, case_token, end_token } = expr else {
            return Err(self.refuse(expr));
        };
        let at = self.text.range(case_token.0.span.union(&end_token.0.span)).unwrap_or_else(|| self.at(expr));
        let operand = operand.as_ref().map(|e| self.plan(e)).transpose()?;
        let mut whens = Vec::with_capacity(conditions.len());
        let mut thens = Vec::with_capacity(conditions.len());
        for branch in conditions {
            whens.push(if let Some(operand) = &operand {
                operator::aligned(operand, self.plan(&branch.condition)?)
            } else {
                self.condition(&branch.condition, "a condition behind WHEN")?
            });
            thens.push(self.plan(&branch.result)?);
        }
        let otherwise = else_result.as_ref().map(|e| self.plan(e)).transpose()?;
        let operand = match operand {
            None => None,
            Some(operand) => {
                let together = whens.iter().try_fold(operand.data_type.clone(), |so_far, when| {
                    types::compared(&so_far, &when.data_type).ok_or_else(|| differ(&operand, when, "compared"))
                })?;
                whens = whens.into_iter().map(|when| coerce(when, &together)).collect();
                Some(Box::new(coerce(operand, &together)))
            }
        };
        let (first, others) = match &otherwise {
            Some(expr) => (expr, thens.as_slice()),
            None => thens.split_first().ok_or_else(|| SqlError::new("CASE needs a branch", at.clone()))?,
        };
        let together = others.iter().try_fold(first.data_type.clone(), |so_far, then| {
            types::united(&so_far, &then.data_type).ok_or_else(|| differ(first, then, "branches of one CASE"))
        })?;
        let branches = whens.into_iter().zip(thens.into_iter().map(|then| coerce(then, &together))).collect();
        let otherwise = otherwise.map(|expr| Box::new(coerce(expr, &together)));
        Ok(fold(Kind::Case { operand, branches, otherwise }, together, at))
    }

    fn cast(&self, expr: &ast::Expr) -> Planned {
        let ast::Expr::Cast { kind, expr: inner, data_type, array, format } = expr else {
            return Err(self.refuse(expr));
        };
        let value = self.plan(inner)?;
        let at = match kind {
            CastKind::DoubleColon => value.at.start..self.after_type(value.at.end),
            _ => self.call_around(&value.at),
        };
        if *array || format.is_some() {
            return Err(SqlError::new("CAST has no FORMAT and no ARRAY", at));
        }
        let to = literal::data_type(data_type, &at)?;
        if !types::castable(&value.data_type, &to) {
            return Err(SqlError::new(
                format!("{} cannot be made {}", cast::with_article(&value.data_type), cast::with_article(&to)),
                at,
            ));
        }
        let or_null = matches!(kind, CastKind::TryCast | CastKind::SafeCast);
        // A number is a count of seconds, whatever the unit of the timestamp.
        let seconds = DataType::Timestamp(arrow_schema::TimeUnit::Second, None);
        let value = match &to {
            DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, _)
                if !or_null && value.data_type == DataType::Int64 =>
            {
                self.cast_to(value, &seconds, false, at.clone())
            }
            _ => value,
        };
        Ok(self.cast_to(value, &to, or_null, at))
    }

    /// A CAST that somebody wrote.
    pub(super) fn cast_to(&self, value: Expr, to: &DataType, or_null: bool, at: Range<usize>) -> Expr {
        if value.data_type == *to {
            return Expr { at, ..value };
        }
        let text = Arc::from(self.text.excerpt(&at));
        fold(Kind::Cast { value: Box::new(value), or_null, text }, to.clone(), at)
    }

    /// From the name of a call to its closing parenthesis, around what stands inside.
    pub(super) fn call_around(&self, inner: &Range<usize>) -> Range<usize> {
        let tokens = self.text.tokens();
        let mut start = tokens.partition_point(|(_, at)| at.start < inner.start);
        let mut depth = 0_usize;
        while start > 0 {
            start -= 1;
            match tokens[start].0 {
                Token::RParen => depth += 1,
                Token::LParen if depth == 0 => break,
                Token::LParen => depth -= 1,
                _ => {}
            }
        }
        let named = start > 0 && matches!(tokens[start - 1].0, Token::Word(_));
        let from = tokens.get(if named { start - 1 } else { start }).map_or(inner.start, |(_, at)| at.start);
        from..self.closing(start).unwrap_or(inner.end)
    }

    /// The end of the parenthesis that this token opens.
    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (token, at) in self.text.tokens().get(open..)? {
            match token {
                Token::LParen => depth += 1,
                Token::RParen if depth <= 1 => return Some(at.end),
                Token::RParen => depth -= 1,
                _ => {}
            }
        }
        None
    }

    /// With the parentheses right around it.
    fn in_parentheses(&self, at: Range<usize>) -> Range<usize> {
        let tokens = self.text.tokens();
        let before = tokens.partition_point(|(_, token)| token.start < at.start).checked_sub(1);
        let after = tokens.partition_point(|(_, token)| token.start < at.end);
        match (before.and_then(|i| tokens.get(i)), tokens.get(after)) {
            (Some((Token::LParen, open)), Some((Token::RParen, close))) => open.start..close.end,
            _ => at,
        }
    }

    /// The end of the type behind `::`.
    fn after_type(&self, end: usize) -> usize {
        let tokens = self.text.tokens();
        let mut i = tokens.partition_point(|(_, at)| at.start < end);
        if matches!(tokens.get(i), Some((Token::DoubleColon, _))) {
            i += 1;
        }
        let named = tokens.get(i).map_or(end, |(_, at)| at.end);
        match tokens.get(i + 1) {
            Some((Token::LParen, _)) => self.closing(i + 1).unwrap_or(named),
            _ => named,
        }
    }
}

/// Two expressions whose types do not go together.
pub(super) fn differ(left: &Expr, right: &Expr, how: &str) -> SqlError {
    let (a, b) = (types::name(&left.data_type), types::name(&right.data_type));
    let at = left.at.start.min(right.at.start)..left.at.end.max(right.at.end);
    SqlError::new(format!("cannot be {how}: {a} and {b}"), at).hint("CAST one of them, for example `CAST(x AS TEXT)`")
}

/// The same value in another type, where that was nobody's wish but follows from what it meets.
pub(super) fn coerce(value: Expr, to: &DataType) -> Expr {
    if value.data_type == *to {
        return value;
    }
    let at = value.at.clone();
    fold(Kind::Cast { value: Box::new(value), or_null: false, text: Arc::from("") }, to.clone(), at)
}

/// An expression; if no row is needed to compute it, its value. What fails does so when a row asks for it.
pub(super) fn fold(kind: Kind, data_type: DataType, at: Range<usize>) -> Expr {
    let constant =
        !matches!(kind, Kind::Column(_) | Kind::Literal(_)) && kind.children().all(|c| c.literal().is_some());
    let expr = Expr { kind, data_type, at };
    if !constant {
        return expr;
    }
    match expr.value(&Frame::new(&[], 1)).and_then(|value| value.into_column(1)) {
        Ok(value) => Expr { kind: Kind::Literal(Value::one(value)), ..expr },
        Err(_) => expr,
    }
}

/// A value that is known.
pub(super) fn constant(value: Value, at: Range<usize>) -> Expr {
    Expr { data_type: value.array().data_type().clone(), kind: Kind::Literal(value), at }
}
