//! Operators: arithmetic, comparison, logic, patterns.

use super::{Expr, Planned, Planner, coerce, constant, differ, fold};
use crate::actions::transform::sql::cast;
use crate::actions::transform::sql::error::SqlError;
use crate::actions::transform::sql::expr::{Comparison, Kind};
use crate::actions::transform::sql::functions::{date, pattern};
use crate::actions::transform::sql::types::{self, Arithmetic};
use crate::actions::transform::sql::value::Value;
use arrow_array::ArrayRef;
use arrow_schema::DataType;
use sqlparser::ast::{self, BinaryOperator, UnaryOperator};
use std::sync::Arc;

impl Planner<'_> {
    /// A chain of binary operators, from its leftmost value on: so that a long one is no deep one.
    pub(super) fn chain(&self, expr: &ast::Expr) -> Planned {
        let mut links = Vec::new();
        let mut leftmost = expr;
        while let ast::Expr::BinaryOp { left, op, right } = leftmost {
            links.push((op, right));
            leftmost = left;
        }
        let mut so_far = self.plan(leftmost)?;
        for (op, right) in links.into_iter().rev() {
            let right = self.plan(right)?;
            so_far = self.binary(so_far, op, right)?;
        }
        Ok(so_far)
    }

    fn binary(&self, left: Expr, op: &BinaryOperator, right: Expr) -> Planned {
        use BinaryOperator as B;
        let at = left.at.start..right.at.end;
        if let Some(op) = Arithmetic::of(op) {
            return self.arithmetic(op, left, right);
        }
        let comparison = match op {
            B::Eq => Comparison::Eq,
            B::NotEq => Comparison::NotEq,
            B::Lt => Comparison::Less,
            B::LtEq => Comparison::LessEq,
            B::Gt => Comparison::Greater,
            B::GtEq => Comparison::GreaterEq,
            B::Spaceship => Comparison::NotDistinct,
            B::And => return logic(left, right, true),
            B::Or => return logic(left, right, false),
            B::StringConcat => return Self::concatenated(left, right),
            B::PGRegexMatch => return pattern::matches(self, left, right, pattern::Wanted::MATCH),
            B::PGRegexIMatch => return pattern::matches(self, left, right, pattern::Wanted::MATCH_ANY_CASE),
            B::PGRegexNotMatch => return pattern::matches(self, left, right, pattern::Wanted::NO_MATCH),
            B::PGRegexNotIMatch => return pattern::matches(self, left, right, pattern::Wanted::NO_MATCH_ANY_CASE),
            B::BitwiseAnd
            | B::BitwiseOr
            | B::PGBitwiseXor
            | B::BitwiseXor
            | B::PGBitwiseShiftLeft
            | B::PGBitwiseShiftRight => {
                return Err(SqlError::engine("operators on bits", Some(at)));
            }
            other => return Err(SqlError::new(format!("the operator is not supported: {other}"), at)),
        };
        Self::compared(comparison, left, right)
    }

    fn arithmetic(&self, op: Arithmetic, left: Expr, right: Expr) -> Planned {
        let at = left.at.start..right.at.end;
        let Some((to_left, to_right, result)) = op.types(&left.data_type, &right.data_type) else {
            let text = left.data_type == DataType::Utf8 || right.data_type == DataType::Utf8;
            let error = differ(&left, &right, "computed with");
            return Err(if text && op == Arithmetic::Add { error.hint("texts are joined with ||") } else { error });
        };
        let text: Arc<str> = Arc::from(self.text.excerpt(&at));
        if let Some(run) = date::days(op, &to_left, &to_right) {
            let arguments = vec![coerce(left, &to_left), coerce(right, &to_right)];
            return Ok(fold(Kind::Call { arguments, run, text }, result, at));
        }
        let (left, right) = (Box::new(coerce(left, &to_left)), Box::new(coerce(right, &to_right)));
        Ok(fold(Kind::Arithmetic(op, left, right, text), result, at))
    }

    fn compared(op: Comparison, left: Expr, right: Expr) -> Planned {
        let at = left.at.start..right.at.end;
        let (left, right) = together(left, right)?;
        if left.data_type == types::INTERVAL {
            return Err(SqlError::engine("a comparison of intervals", Some(at)));
        }
        Ok(fold(Kind::Compare(op, Box::new(left), Box::new(right)), DataType::Boolean, at))
    }

    fn concatenated(left: Expr, right: Expr) -> Planned {
        let at = left.at.start..right.at.end;
        let is_text = |e: &Expr| e.data_type == DataType::Utf8;
        if !is_text(&left) && !is_text(&right) {
            return Err(differ(&left, &right, "joined with ||").hint("one of them must be a text; CAST one"));
        }
        let mut list = match left.kind {
            Kind::Concat(list) => list,
            kind => vec![coerce(Expr { kind, data_type: left.data_type, at: left.at }, &DataType::Utf8)],
        };
        list.push(coerce(right, &DataType::Utf8));
        Ok(fold(Kind::Concat(list), DataType::Utf8, at))
    }

    pub(super) fn unary(&self, op: UnaryOperator, inner: &ast::Expr) -> Planned {
        match op {
            UnaryOperator::Minus => self.negative(op, inner),
            UnaryOperator::Plus => {
                let value = self.plan(inner)?;
                let fits = value.data_type.is_numeric() || value.data_type == types::INTERVAL;
                if fits {
                    return Ok(value);
                }
                let found = cast::with_article(&value.data_type);
                Err(SqlError::new(format!("+ stands before a number, not before {found}"), value.at))
            }
            UnaryOperator::Not => {
                let value = self.condition(inner, "what stands behind NOT")?;
                let at = self.sign_before(value.at.clone());
                Ok(fold(Kind::Not(Box::new(value)), DataType::Boolean, at))
            }
            other => Err(SqlError::new(format!("the operator is not supported: {other}"), self.at(inner))),
        }
    }

    pub(super) fn is(&self, expr: &ast::Expr) -> Planned {
        use ast::Expr as E;
        let truth = |inner: &ast::Expr, truth: bool, wanted: bool| {
            let value = self.condition(inner, "what is asked for its truth")?;
            let at = value.at.clone();
            Ok(fold(Kind::IsTruth(Box::new(value), truth, wanted), DataType::Boolean, at))
        };
        let null = |value: Expr, wanted: bool| {
            let at = value.at.clone();
            Ok(fold(Kind::IsNull(Box::new(value), wanted), DataType::Boolean, at))
        };
        match expr {
            E::IsNull(inner) => null(self.plan(inner)?, true),
            E::IsNotNull(inner) => null(self.plan(inner)?, false),
            E::IsUnknown(inner) => null(self.condition(inner, "what is asked for its truth")?, true),
            E::IsNotUnknown(inner) => null(self.condition(inner, "what is asked for its truth")?, false),
            E::IsTrue(inner) => truth(inner, true, true),
            E::IsFalse(inner) => truth(inner, false, true),
            E::IsNotTrue(inner) => truth(inner, true, false),
            E::IsNotFalse(inner) => truth(inner, false, false),
            E::IsDistinctFrom(left, right) => Self::compared(Comparison::Distinct, self.plan(left)?, self.plan(right)?),
            E::IsNotDistinctFrom(left, right) => {
                Self::compared(Comparison::NotDistinct, self.plan(left)?, self.plan(right)?)
            }
            other => Err(self.refuse(other)),
        }
    }

    pub(super) fn between(&self, expr: &ast::Expr) -> Planned {
        let ast::Expr::Between { expr: value, negated, low, high } = expr else { return Err(self.refuse(expr)) };
        let value = self.plan(value)?;
        let (low, high) = (aligned(&value, self.plan(low)?), aligned(&value, self.plan(high)?));
        let at = value.at.start..high.at.end;
        let low_type =
            types::compared(&value.data_type, &low.data_type).ok_or_else(|| differ(&value, &low, "compared"))?;
        let high_type =
            types::compared(&value.data_type, &high.data_type).ok_or_else(|| differ(&value, &high, "compared"))?;
        let all = types::compared(&low_type, &high_type).ok_or_else(|| differ(&low, &high, "compared"))?;
        let [value, low, high] = [value, low, high].map(|e| Box::new(coerce(e, &all)));
        Ok(fold(Kind::Between { value, low, high, negated: *negated }, DataType::Boolean, at))
    }

    pub(super) fn in_list(&self, value: &ast::Expr, list: &[ast::Expr], negated: bool) -> Planned {
        let value = self.plan(value)?;
        let list = list.iter().map(|e| Ok(aligned(&value, self.plan(e)?))).collect::<Result<Vec<_>, _>>()?;
        let together = list.iter().try_fold(value.data_type.clone(), |so_far, item| {
            types::compared(&so_far, &item.data_type).ok_or_else(|| differ(&value, item, "compared"))
        })?;
        let at = value.at.start..list.last().map_or(value.at.end, |e| e.at.end);
        let value = Box::new(coerce(value, &together));
        let list = list.into_iter().map(|e| coerce(e, &together)).collect();
        Ok(fold(Kind::In { value, list, negated }, DataType::Boolean, at))
    }

    pub(super) fn like(&self, expr: &ast::Expr) -> Planned {
        let (negated, any, value, pattern, escape, any_case) = match expr {
            ast::Expr::Like { negated, any, expr, pattern, escape_char } => {
                (*negated, *any, expr, pattern, escape_char, false)
            }
            ast::Expr::ILike { negated, any, expr, pattern, escape_char } => {
                (*negated, *any, expr, pattern, escape_char, true)
            }
            other => return Err(self.refuse(other)),
        };
        let (value, pattern) = (self.plan(value)?, self.plan(pattern)?);
        let at = value.at.start..pattern.at.end;
        if any {
            return Err(SqlError::new("LIKE ANY is not supported", at));
        }
        let backslash = escape.as_ref().is_none_or(|e| e.value.clone().into_string().as_deref() == Some("\\"));
        if !backslash {
            return Err(SqlError::new("the escape of LIKE is the backslash, no other character", at));
        }
        for side in [&value, &pattern] {
            if !matches!(side.data_type, DataType::Utf8 | DataType::Null) {
                let found = cast::with_article(&side.data_type);
                return Err(SqlError::new(format!("LIKE takes a text, not {found}"), side.at.clone())
                    .hint("CAST it: `CAST(x AS TEXT) LIKE …`"));
            }
        }
        let arguments = vec![coerce(value, &DataType::Utf8), coerce(pattern, &DataType::Utf8)];
        let run = move |values: &[Value], _: usize| {
            use arrow_string::like::{ilike, like, nilike, nlike};
            let made = match (negated, any_case) {
                (false, false) => like(&values[0], &values[1]),
                (false, true) => ilike(&values[0], &values[1]),
                (true, false) => nlike(&values[0], &values[1]),
                (true, true) => nilike(&values[0], &values[1]),
            }?;
            let made: ArrayRef = Arc::new(made);
            Ok(Value::made(made, values.iter().all(Value::is_one)))
        };
        let text = Arc::from(self.text.excerpt(&at));
        Ok(fold(Kind::Call { arguments, run: Arc::new(run), text }, DataType::Boolean, at))
    }
}

/// Two values in the type in which they are compared.
fn together(left: Expr, right: Expr) -> Result<(Expr, Expr), SqlError> {
    let right = aligned(&left, right);
    let left = aligned(&right, left);
    let both = types::compared(&left.data_type, &right.data_type).ok_or_else(|| differ(&left, &right, "compared"))?;
    Ok((coerce(left, &both), coerce(right, &both)))
}

/// What a timestamp is compared with, in the unit of the timestamp if nothing is lost by it: in nanoseconds, as types
/// alone would have it, the year 9999 does not exist.
pub(super) fn aligned(value: &Expr, other: Expr) -> Expr {
    let unit = &value.data_type;
    if !matches!(unit, DataType::Timestamp(..)) || other.data_type == *unit {
        return other;
    }
    match (&other.data_type, other.literal()) {
        (DataType::Date32, _) => coerce(other, unit),
        (DataType::Utf8 | DataType::Timestamp(..), Some(literal)) => match cast::exactly(literal, unit) {
            Some(same) => constant(same, other.at),
            None => other,
        },
        _ => other,
    }
}

/// AND or OR; a chain of the same is one list.
fn logic(left: Expr, right: Expr, and: bool) -> Planned {
    let at = left.at.start..right.at.end;
    for side in [&left, &right] {
        if !matches!(side.data_type, DataType::Boolean | DataType::Null) {
            let op = if and { "AND" } else { "OR" };
            let found = cast::with_article(&side.data_type);
            return Err(SqlError::new(format!("{op} takes true or false, not {found}"), side.at.clone()));
        }
    }
    let (left, right) = (coerce(left, &DataType::Boolean), coerce(right, &DataType::Boolean));
    // A chain of the same operator is one list.
    let mut list = match (left.kind, and) {
        (Kind::And(list), true) | (Kind::Or(list), false) => list,
        (kind, _) => vec![Expr { kind, data_type: left.data_type, at: left.at }],
    };
    list.push(right);
    let kind = if and { Kind::And(list) } else { Kind::Or(list) };
    Ok(fold(kind, DataType::Boolean, at))
}
