//! Values that stand in the text, and the names of types.

use super::{Planned, Planner, constant, fold};
use crate::actions::transform::sql::cast;
use crate::actions::transform::sql::error::SqlError;
use crate::actions::transform::sql::expr::Kind;
use crate::actions::transform::sql::types::{self, DIGITS_MAX, PLACES_DEFAULT};
use crate::actions::transform::sql::value::{Value, failed};
use arrow_array::{BooleanArray, Float64Array, Int64Array, IntervalMonthDayNanoArray, NullArray, StringArray};
use arrow_cast::parse::{IntervalParseConfig, IntervalUnit, parse_interval_month_day_nano_config};
use arrow_schema::{DataType, TimeUnit};
use sqlparser::ast::{self, ExactNumberInfo, TimezoneInfo, UnaryOperator};
use std::ops::Range;
use std::sync::Arc;

impl Planner<'_> {
    /// A value as it is written.
    pub(super) fn literal(&self, value: &ast::ValueWithSpan) -> Planned {
        use ast::Value as V;
        let at = self.text.range(value.span).unwrap_or(0..self.text.sql().len());
        match &value.value {
            V::Number(digits, false) => Self::number(digits, false, at),
            V::SingleQuotedString(text) | V::EscapedStringLiteral(text) => Ok(text_of(text, at)),
            V::DollarQuotedString(text) => Ok(text_of(&text.value, at)),
            V::Boolean(value) => Ok(constant(Value::of(BooleanArray::from(vec![*value])), at)),
            V::Null => Ok(constant(Value::of(NullArray::new(1)), at)),
            V::Placeholder(name) => Err(SqlError::new(format!("nothing is put in for a placeholder: {name}"), at)),
            other => Err(SqlError::new(format!("the value is not supported: {other}"), at)),
        }
    }

    /// A number: whole ones have 64 bits, others are floats.
    pub(super) fn number(digits: &str, negative: bool, at: Range<usize>) -> Planned {
        let sign = if negative { "-" } else { "" };
        let plain = format!("{sign}{}", digits.replace('_', ""));
        if let Ok(whole) = plain.parse::<i64>() {
            return Ok(constant(Value::of(Int64Array::from(vec![whole])), at));
        }
        let is_whole = digits.bytes().all(|b| b.is_ascii_digit() || b == b'_');
        match plain.parse::<f64>() {
            Ok(float) if !is_whole => Ok(constant(Value::of(Float64Array::from(vec![float])), at)),
            _ if is_whole => Err(SqlError::new(format!("the whole number has more than 64 bits: {plain}"), at)
                .hint("write it as a decimal: `CAST('…' AS DECIMAL(38,0))`")),
            _ => Err(SqlError::new(format!("the number cannot be read: {plain}"), at)),
        }
    }

    /// `DATE '2024-05-01'` and the like.
    pub(super) fn typed(&self, typed: &ast::TypedString) -> Planned {
        let at = self.text.range(typed.value.span).unwrap_or(0..self.text.sql().len());
        let Some(text) = typed.value.value.clone().into_string() else {
            return Err(SqlError::new("a text was expected here", at));
        };
        let to = data_type(&typed.data_type, &at)?;
        let value = text_of(&text, at.clone());
        let planned = self.cast_to(value, &to, false, at.clone());
        if planned.literal().is_some() {
            return Ok(planned);
        }
        Err(SqlError::new(format!("cannot be made {}: {text:?}", cast::with_article(&to)), at))
    }

    /// `INTERVAL '3 days'`, `INTERVAL '3' DAY`, `INTERVAL 3 DAY`.
    pub(super) fn interval(&self, interval: &ast::Interval, negative: bool) -> Planned {
        let at = self.at(&interval.value);
        let refused = interval.leading_precision.is_some()
            || interval.last_field.is_some()
            || interval.fractional_seconds_precision.is_some();
        let amount = if refused { None } else { amount(&interval.value, negative) };
        let Some(mut spelled) = amount else {
            return Err(SqlError::new("the interval cannot be read", at).hint("for example `INTERVAL '3 days'`"));
        };
        if let Some(unit) = &interval.leading_field {
            spelled = format!("{spelled} {unit}");
        }
        let config = IntervalParseConfig::new(IntervalUnit::Second);
        match parse_interval_month_day_nano_config(&spelled, config) {
            Ok(value) => Ok(constant(Value::of(IntervalMonthDayNanoArray::from(vec![value])), at)),
            Err(_) => Err(SqlError::new(format!("the interval cannot be read: {spelled:?}"), at)
                .hint("for example `INTERVAL '3 days'` or `INTERVAL '1 month 2 hours'`")),
        }
    }

    /// `-` before a number, an interval or an expression.
    pub(super) fn negative(&self, op: UnaryOperator, inner: &ast::Expr) -> Planned {
        let from = |at: Range<usize>| self.sign_before(at);
        match inner {
            ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Number(digits, false), span }) => {
                let at = from(self.text.range(*span).unwrap_or(0..0));
                Self::number(digits, true, at)
            }
            ast::Expr::Interval(interval) => self.interval(interval, true),
            _ => {
                let value = self.plan(inner)?;
                let data_type = value.data_type.clone();
                let at = from(value.at.clone());
                let signed = data_type.is_signed_integer()
                    || matches!(
                        data_type,
                        DataType::Float32
                            | DataType::Float64
                            | DataType::Decimal128(..)
                            | DataType::Interval(_)
                            | DataType::Null
                    );
                if !signed {
                    return Err(SqlError::new(
                        format!("{op} stands before a number, not before {}", cast::with_article(&data_type)),
                        at,
                    ));
                }
                if data_type.is_null() {
                    return Ok(value);
                }
                let text: Arc<str> = Arc::from(self.text.excerpt(&at));
                let named = types::name(&data_type);
                let run = move |values: &[Value], _: usize| {
                    let beyond = |_| failed(format!("the result is beyond the range of {named}"));
                    let made = arrow_arith::numeric::neg(values[0].array()).map_err(beyond)?;
                    Ok(Value::made(made, values[0].is_one()))
                };
                Ok(fold(Kind::Call { arguments: vec![value], run: Arc::new(run), text }, data_type, at))
            }
        }
    }

    /// With the sign that stands before it.
    pub(super) fn sign_before(&self, at: Range<usize>) -> Range<usize> {
        let tokens = self.text.tokens();
        let before = tokens.partition_point(|(_, token)| token.start < at.start).checked_sub(1);
        before.and_then(|i| tokens.get(i)).map_or(at.clone(), |(_, sign)| sign.start..at.end)
    }
}

fn text_of(text: &str, at: Range<usize>) -> super::Expr {
    constant(Value::of(StringArray::from(vec![text])), at)
}

fn amount(value: &ast::Expr, negative: bool) -> Option<String> {
    let spelled = match value {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) | ast::Value::Number(text, false) => text.clone(),
            _ => return None,
        },
        ast::Expr::UnaryOp { op: UnaryOperator::Minus, expr } => return amount(expr, !negative),
        ast::Expr::UnaryOp { op: UnaryOperator::Plus, expr } => return amount(expr, negative),
        _ => return None,
    };
    Some(if negative { format!("-{spelled}") } else { spelled })
}

/// The type that a name in SQL stands for.
pub(super) fn data_type(named: &ast::DataType, at: &Range<usize>) -> Result<DataType, SqlError> {
    use ast::DataType as T;
    let unsupported = || {
        SqlError::new(format!("the type is not supported: {named}"), at.clone())
            .hint("there are TEXT, INT, BIGINT, DOUBLE, DECIMAL(digits, places), BOOLEAN, DATE and TIMESTAMP")
    };
    Ok(match named {
        T::Boolean | T::Bool => DataType::Boolean,
        T::TinyInt(_) => DataType::Int8,
        T::SmallInt(_) | T::Int2(_) => DataType::Int16,
        T::Int(_) | T::Integer(_) | T::Int4(_) => DataType::Int32,
        T::BigInt(_) | T::Int8(_) => DataType::Int64,
        T::TinyIntUnsigned(_) => DataType::UInt8,
        T::SmallIntUnsigned(_) | T::Int2Unsigned(_) => DataType::UInt16,
        T::IntUnsigned(_) | T::IntegerUnsigned(_) | T::Int4Unsigned(_) => DataType::UInt32,
        T::BigIntUnsigned(_) | T::Int8Unsigned(_) => DataType::UInt64,
        T::Float(_) | T::Real | T::Float4 => DataType::Float32,
        T::Double(ExactNumberInfo::None) | T::DoublePrecision | T::Float8 => DataType::Float64,
        T::Varchar(None) | T::Char(_) | T::Text | T::String(_) => DataType::Utf8,
        T::Date => DataType::Date32,
        T::Timestamp(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            let unit = match precision {
                Some(0) => TimeUnit::Second,
                Some(3) => TimeUnit::Millisecond,
                Some(6) => TimeUnit::Microsecond,
                None | Some(9) => TimeUnit::Nanosecond,
                Some(_) => return Err(unsupported().hint("a timestamp has 0, 3, 6 or 9 places")),
            };
            DataType::Timestamp(unit, None)
        }
        T::Timestamp(..) => return Err(SqlError::engine("time zones", Some(at.clone()))),
        T::Numeric(info) | T::Decimal(info) => decimal(info).ok_or_else(|| {
            unsupported()
                .hint(format!("a decimal has 1 to {DIGITS_MAX} digits, of which at most all are behind the point"))
        })?,
        T::Varchar(Some(_)) => return Err(unsupported().hint("write TEXT, and left(x, n) to cut it")),
        _ => return Err(unsupported()),
    })
}

fn decimal(info: &ExactNumberInfo) -> Option<DataType> {
    let (digits, places) = match *info {
        ExactNumberInfo::None => (DIGITS_MAX, PLACES_DEFAULT),
        ExactNumberInfo::Precision(digits) => (u8::try_from(digits).ok()?, 0),
        ExactNumberInfo::PrecisionAndScale(digits, places) => (u8::try_from(digits).ok()?, i8::try_from(places).ok()?),
    };
    let fits = (1..=DIGITS_MAX).contains(&digits) && (0..=digits).contains(&places.unsigned_abs()) && places >= 0;
    fits.then_some(DataType::Decimal128(digits, places))
}
