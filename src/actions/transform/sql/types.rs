//! Which types meet: the type that two values are brought to before they are compared, joined or computed with.
//!
//! The rules are those of `DataFusion` 55, so that a statement means the same in both engines.

use arrow_arith::numeric;
use arrow_array::{ArrayRef, Datum, new_empty_array};
use arrow_cast::can_cast_types;
use arrow_schema::{ArrowError, DataType, IntervalUnit, TimeUnit};
use sqlparser::ast::BinaryOperator;

/// Most digits of a decimal.
pub(super) const DIGITS_MAX: u8 = 38;
/// Places of a decimal whose type names none.
pub(super) const PLACES_DEFAULT: i8 = 10;
/// The type of an interval.
pub(super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// An operator of arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl Arithmetic {
    pub(super) fn of(op: &BinaryOperator) -> Option<Self> {
        Some(match op {
            BinaryOperator::Plus => Self::Add,
            BinaryOperator::Minus => Self::Sub,
            BinaryOperator::Multiply => Self::Mul,
            BinaryOperator::Divide => Self::Div,
            BinaryOperator::Modulo => Self::Rem,
            _ => return None,
        })
    }

    /// Computes; an overflow is an error.
    pub(super) fn run(self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Add => numeric::add(left, right),
            Self::Sub => numeric::sub(left, right),
            Self::Mul => numeric::mul(left, right),
            Self::Div => numeric::div(left, right),
            Self::Rem => numeric::rem(left, right),
        }
    }

    /// The type of the result, if these types can be computed with as they are.
    fn result(self, left: &DataType, right: &DataType) -> Option<DataType> {
        let (left, right) = (new_empty_array(left), new_empty_array(right));
        self.run(&left, &right).ok().map(|array| array.data_type().clone())
    }

    /// The types that both sides are brought to, and the type of the result.
    pub(super) fn types(self, left: &DataType, right: &DataType) -> Option<(DataType, DataType, DataType)> {
        use DataType::{Date32, Duration, Int64, Null};
        if (left, right) == (&Null, &Null) {
            return Some((Int64, Int64, Int64));
        }
        if left.is_null() || right.is_null() {
            let other = if left.is_null() { right } else { left };
            let result = self.result(other, other)?;
            return Some((other.clone(), other.clone(), result));
        }
        if self == Self::Sub && (left, right) == (&Date32, &Date32) {
            return Some((Date32, Date32, Int64));
        }
        if let Some(result) = self.result(left, right) {
            return Some((left.clone(), right.clone(), result));
        }
        let days = matches!(self, Self::Add | Self::Sub);
        let (to_left, to_right) = match (left, right) {
            // A whole number beside a date is a count of days.
            (Date32, days_right) if days && days_right.is_integer() => return Some((Date32, Int64, Date32)),
            (days_left, Date32) if self == Self::Add && days_left.is_integer() => return Some((Int64, Date32, Date32)),
            (DataType::Timestamp(unit, zone), Duration(_)) => {
                (DataType::Timestamp(*unit, zone.clone()), Duration(*unit))
            }
            (Duration(_), DataType::Timestamp(unit, zone)) => {
                (Duration(*unit), DataType::Timestamp(*unit, zone.clone()))
            }
            _ => match temporal(left, right) {
                Some(both) if days => (both.clone(), both),
                Some(_) => return None,
                None => decimals(left, right).or_else(|| {
                    let both = numbers(left, right)?;
                    Some((both.clone(), both))
                })?,
            },
        };
        let result = self.result(&to_left, &to_right)?;
        Some((to_left, to_right, result))
    }
}

/// A decimal beside another or beside a whole number keeps its own type; beside a float both are floats.
fn decimals(left: &DataType, right: &DataType) -> Option<(DataType, DataType)> {
    match (left, right) {
        (DataType::Decimal128(..), DataType::Decimal128(..)) => Some((left.clone(), right.clone())),
        (DataType::Decimal128(..), whole) if whole.is_integer() => Some((left.clone(), as_decimal(whole)?)),
        (whole, DataType::Decimal128(..)) if whole.is_integer() => Some((as_decimal(whole)?, right.clone())),
        _ => None,
    }
}

/// The decimal that holds every value of a type of numbers; a float loses what is behind the 15th place.
fn as_decimal(number: &DataType) -> Option<DataType> {
    use DataType::{Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    Some(match number {
        Int8 | UInt8 => Decimal128(3, 0),
        Int16 | UInt16 => Decimal128(5, 0),
        Int32 | UInt32 => Decimal128(10, 0),
        Int64 | UInt64 => Decimal128(20, 0),
        Float32 => Decimal128(14, 7),
        Float64 => Decimal128(30, 15),
        Decimal128(..) => number.clone(),
        _ => return None,
    })
}

/// The narrowest type of whole numbers or floats that holds both.
fn numbers(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    if !left.is_numeric() || !right.is_numeric() {
        return None;
    }
    Some(match (left, right) {
        (Float64, _) | (_, Float64) => Float64,
        (Float32, _) | (_, Float32) => Float32,
        (UInt64, Int8 | Int16 | Int32 | Int64) | (Int8 | Int16 | Int32 | Int64, UInt64) => Decimal128(20, 0),
        (UInt64, _) | (_, UInt64) => UInt64,
        (Int64, _) | (_, Int64) | (UInt32, Int8 | Int16 | Int32) | (Int8 | Int16 | Int32, UInt32) => Int64,
        (UInt32, _) | (_, UInt32) => UInt32,
        (Int32, _) | (_, Int32) | (UInt16, Int8 | Int16) | (Int8 | Int16, UInt16) => Int32,
        (UInt16, _) | (_, UInt16) => UInt16,
        (Int16, _) | (_, Int16) | (Int8, UInt8) | (UInt8, Int8) => Int16,
        (Int8, _) | (_, Int8) => Int8,
        (UInt8, UInt8) => UInt8,
        _ => return None,
    })
}

/// Two numbers that are compared: a decimal wins over a float.
pub(super) fn numeric(left: &DataType, right: &DataType) -> Option<DataType> {
    if !left.is_numeric() || !right.is_numeric() {
        return None;
    }
    if left == right {
        return Some(left.clone());
    }
    if matches!(left, DataType::Decimal128(..)) || matches!(right, DataType::Decimal128(..)) {
        let (DataType::Decimal128(p1, s1), DataType::Decimal128(p2, s2)) = (as_decimal(left)?, as_decimal(right)?)
        else {
            return None;
        };
        let places = s1.max(s2);
        let whole = (i16::from(p1) - i16::from(s1)).max(i16::from(p2) - i16::from(s2));
        let digits = (whole + i16::from(places)).clamp(1, i16::from(DIGITS_MAX));
        return Some(DataType::Decimal128(u8::try_from(digits).ok()?, places));
    }
    numbers(left, right)
}

/// Days, timestamps and spans of time.
fn temporal(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Date32, Duration, Interval, Timestamp};
    Some(match (left, right) {
        (Timestamp(a, zone_a), Timestamp(b, zone_b)) => {
            Timestamp(finer(*a, *b), zone_a.clone().or_else(|| zone_b.clone()))
        }
        (Timestamp(..), Date32) | (Date32, Timestamp(..)) => Timestamp(TimeUnit::Nanosecond, None),
        (Interval(_) | Duration(_), Interval(_) | Duration(_)) => INTERVAL,
        (Date32, whole) | (whole, Date32) if whole.is_integer() => Date32,
        _ => return None,
    })
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match (a, b) {
        (Nanosecond, _) | (_, Nanosecond) => Nanosecond,
        (Microsecond, _) | (_, Microsecond) => Microsecond,
        (Millisecond, _) | (_, Millisecond) => Millisecond,
        (Second, Second) => Second,
    }
}

/// NULL takes every type.
fn null(left: &DataType, right: &DataType) -> Option<DataType> {
    match (left, right) {
        (DataType::Null, other) | (other, DataType::Null) => Some(other.clone()),
        _ => None,
    }
}

/// Text beside a day or a time is read as one.
fn text_as_time(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Date32, Timestamp, Utf8};
    match (left, right) {
        (Utf8, Date32) | (Date32, Utf8) => Some(Date32),
        (Utf8, Timestamp(_, zone)) | (Timestamp(_, zone), Utf8) => Some(Timestamp(TimeUnit::Nanosecond, zone.clone())),
        _ => None,
    }
}

/// Text beside a number.
fn text_and_number(left: &DataType, right: &DataType, as_text: bool) -> Option<DataType> {
    let number = match (left, right) {
        (DataType::Utf8, number) | (number, DataType::Utf8) if number.is_numeric() => number,
        _ => return None,
    };
    Some(if as_text { DataType::Utf8 } else { number.clone() })
}

/// The type in which two values are compared: text beside a number is read as a number.
pub(super) fn compared(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right {
        return Some(left.clone());
    }
    numeric(left, right)
        .or_else(|| temporal(left, right))
        .or_else(|| null(left, right))
        .or_else(|| text_and_number(left, right, false))
        .or_else(|| text_as_time(left, right))
}

/// The type that holds both branches of a CASE: a number beside text becomes text.
pub(super) fn united(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right {
        return Some(left.clone());
    }
    numeric(left, right)
        .or_else(|| temporal(left, right))
        .or_else(|| null(left, right))
        .or_else(|| text_and_number(left, right, true))
        .or_else(|| text_as_time(left, right))
}

/// The type of the first value that is not NULL, as `coalesce` finds it.
pub(super) fn coalesced(types: &[DataType]) -> Option<DataType> {
    let known: Vec<&DataType> = types.iter().filter(|t| !t.is_null()).collect();
    let Some((&first, others)) = known.split_first() else { return types.first().cloned() };
    let kinds: Vec<u8> = known.iter().filter_map(|t| kind(t)).collect();
    if kinds.windows(2).any(|pair| pair[0] != pair[1]) {
        return None;
    }
    others.iter().try_fold(first.clone(), |so_far, next| {
        if so_far == **next {
            return Some(so_far);
        }
        numeric(&so_far, next).or_else(|| temporal(&so_far, next)).or_else(|| text_and_number(&so_far, next, false))
    })
}

/// Kinds that `coalesce` never mixes; text is of none.
fn kind(data_type: &DataType) -> Option<u8> {
    match data_type {
        DataType::Utf8 => None,
        DataType::Boolean => Some(0),
        number if number.is_numeric() => Some(1),
        _ => Some(2),
    }
}

/// Whether a value of one type may be asked to become another by CAST.
pub(super) fn castable(from: &DataType, to: &DataType) -> bool {
    from == to || can_cast_types(from, to)
}

/// The name of a type in messages: as SQL and the configuration call it.
pub(super) fn name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "bool".into(),
        DataType::Int64 => "int".into(),
        DataType::Float64 => "float".into(),
        DataType::Utf8 => "text".into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(..) => "timestamp".into(),
        DataType::Interval(_) => "interval".into(),
        DataType::Duration(_) => "duration".into(),
        DataType::Null => "NULL".into(),
        DataType::Int8 => "tinyint".into(),
        DataType::Int16 => "smallint".into(),
        DataType::Int32 => "integer of 32 bits".into(),
        DataType::UInt8 => "unsigned tinyint".into(),
        DataType::UInt16 => "unsigned smallint".into(),
        DataType::UInt32 => "unsigned integer of 32 bits".into(),
        DataType::UInt64 => "unsigned int".into(),
        DataType::Float32 => "real".into(),
        DataType::Decimal128(digits, places) => format!("decimal({digits},{places})"),
        other => other.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataType::{Boolean, Date32, Decimal128, Float64, Int32, Int64, Null, Utf8};

    const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
    const NANOS: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);

    #[test]
    fn arithmetic_finds_its_types() {
        let types = |op: Arithmetic, left: &DataType, right: &DataType| op.types(left, right).map(|t| t.2);
        assert_eq!(types(Arithmetic::Add, &Int64, &Int64), Some(Int64));
        assert_eq!(types(Arithmetic::Mul, &Int32, &Int64), Some(Int64));
        assert_eq!(types(Arithmetic::Div, &Int64, &Float64), Some(Float64));
        assert_eq!(types(Arithmetic::Mul, &Decimal128(10, 2), &Int64), Some(Decimal128(31, 2)));
        assert_eq!(types(Arithmetic::Div, &Decimal128(10, 2), &Int64), Some(Decimal128(14, 6)));
        assert_eq!(types(Arithmetic::Add, &Decimal128(10, 2), &Float64), Some(Float64));
        assert_eq!(types(Arithmetic::Add, &Null, &Null), Some(Int64));
        assert_eq!(types(Arithmetic::Add, &Null, &Float64), Some(Float64));
        assert_eq!(types(Arithmetic::Sub, &Date32, &Date32), Some(Int64));
        assert_eq!(types(Arithmetic::Add, &Date32, &Int64), Some(Date32));
        assert_eq!(types(Arithmetic::Add, &MICROS, &INTERVAL), Some(MICROS));
        assert_eq!(types(Arithmetic::Sub, &MICROS, &Date32), Some(DataType::Duration(TimeUnit::Nanosecond)));
        assert_eq!(types(Arithmetic::Add, &Utf8, &Int64), None);
        assert_eq!(types(Arithmetic::Mul, &Date32, &Int64), None);
        assert_eq!(types(Arithmetic::Add, &Boolean, &Boolean), None);
    }

    #[test]
    fn compared_and_united_differ_where_text_meets_a_number() {
        assert_eq!(compared(&Utf8, &Int64), Some(Int64));
        assert_eq!(united(&Utf8, &Int64), Some(Utf8));
        assert_eq!(compared(&Int64, &Float64), Some(Float64));
        assert_eq!(compared(&Decimal128(12, 2), &Int64), Some(Decimal128(22, 2)));
        assert_eq!(compared(&Decimal128(12, 2), &Float64), Some(Decimal128(30, 15)));
        assert_eq!(compared(&MICROS, &Utf8), Some(NANOS));
        assert_eq!(compared(&MICROS, &Date32), Some(NANOS));
        assert_eq!(compared(&Boolean, &Int64), None);
        assert_eq!(united(&Null, &Boolean), Some(Boolean));
    }

    #[test]
    fn coalesce_keeps_kinds_apart() {
        assert_eq!(coalesced(&[Null, Int64, Float64]), Some(Float64));
        assert_eq!(coalesced(&[Null, Null]), Some(Null));
        assert_eq!(coalesced(&[Utf8, Int64]), Some(Int64));
        assert_eq!(coalesced(&[Date32, Utf8]), None);
        assert_eq!(coalesced(&[Int64, Boolean]), None);
        assert_eq!(coalesced(&[Date32, MICROS]), Some(NANOS));
    }
}
