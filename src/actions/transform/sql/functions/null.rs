//! Missing values, and the greatest and the least of several.

use crate::actions::transform::sql::error::SqlError;
use crate::actions::transform::sql::eval;
use crate::actions::transform::sql::expr::{Comparison, Expr, Kind};
use crate::actions::transform::sql::plan::{Call, coerce};
use crate::actions::transform::sql::types;
use crate::actions::transform::sql::value::{Result as Computed, Value, extent};
use arrow_array::{Array, ArrayRef};
use arrow_ord::ord::make_comparator;
use arrow_schema::{DataType, SortOptions};
use arrow_select::interleave::interleave;
use std::cmp::Ordering;
use std::sync::Arc;

type Planned = Result<Expr, SqlError>;

pub(super) fn coalesce(mut call: Call<'_>) -> Planned {
    call.count(1..=usize::MAX)?;
    let together = types::coalesced(&call.types()).ok_or_else(|| {
        let named: Vec<String> = call.types().iter().map(types::name).collect();
        call.fault(usize::MAX, format!("the values differ in type: {}", named.join(", ")))
    })?;
    call.make_all(&together);
    let at = call.at.clone();
    Ok(Call::becomes(at, Kind::Coalesce(call.arguments), together))
}

pub(super) fn nvl(mut call: Call<'_>) -> Planned {
    call.count(2..=2)?;
    let given = call.types();
    let known: Vec<&DataType> = given.iter().filter(|t| !t.is_null()).collect();
    let plain = |t: &DataType| {
        matches!(t, DataType::Boolean | DataType::Int64 | DataType::Float64 | DataType::Utf8 | DataType::Int32)
    };
    if let Some(i) = given.iter().position(|t| !plain(t) && !t.is_null()) {
        return Err(call.wrong(i, "a bool, an int, a float or a text").hint("coalesce() takes any type"));
    }
    let together = match known.as_slice() {
        [] => DataType::Boolean,
        [one] => (*one).clone(),
        [a, b, ..] if a == b => (*a).clone(),
        [a, b, ..] if a.is_numeric() && b.is_numeric() => {
            types::numeric(a, b).ok_or_else(|| call.fault(0, "the values differ in type"))?
        }
        _ => DataType::Utf8,
    };
    call.make_all(&together);
    let at = call.at.clone();
    Ok(Call::becomes(at, Kind::Coalesce(call.arguments), together))
}

pub(super) fn nvl2(call: Call<'_>) -> Planned {
    call.count(3..=3)?;
    let given = call.types();
    let together = given[1..].iter().try_fold(given[0].clone(), |so_far, next| types::united(&so_far, next));
    let together = together.ok_or_else(|| call.fault(usize::MAX, "the values differ in type"))?;
    let at = call.at.clone();
    let mut arguments = call.arguments.into_iter();
    let mut next = || arguments.next().ok_or_else(|| SqlError::new("nvl2 takes 3 arguments", at.clone()));
    let (tested, known, missing) = (next()?, coerce(next()?, &together), coerce(next()?, &together));
    let tested = coerce(tested, &together);
    let when =
        Expr { at: tested.at.clone(), data_type: DataType::Boolean, kind: Kind::IsNull(Box::new(tested), false) };
    let kind = Kind::Case { operand: None, branches: vec![(when, known)], otherwise: Some(Box::new(missing)) };
    Ok(Call::becomes(at, kind, together))
}

pub(super) fn nullif(mut call: Call<'_>) -> Planned {
    call.count(2..=2)?;
    let mut together = call.compared()?;
    if together.is_null() {
        together = DataType::Utf8;
        call.make_all(&together);
    }
    Ok(call.run(together, |values, rows| {
        let (rows, one) = extent(values, rows);
        let equal = eval::compare_exactly(Comparison::Eq, &values[0], &values[1])?.into_booleans(rows)?;
        let value = values[0].clone().into_column(rows)?;
        Ok(Value::made(arrow_select::nullif::nullif(&value, &equal)?, one))
    }))
}

pub(super) fn greatest(call: Call<'_>) -> Planned {
    outmost(call, Ordering::Greater)
}

pub(super) fn least(call: Call<'_>) -> Planned {
    outmost(call, Ordering::Less)
}

/// The one that lies furthest in a direction, leaving out NULLs.
fn outmost(mut call: Call<'_>, direction: Ordering) -> Planned {
    call.count(1..=usize::MAX)?;
    let together = call.compared()?;
    Ok(call.run(together, move |values, rows| {
        let (rows, one) = extent(values, rows);
        let mut columns = values.iter().map(|v| v.clone().into_column(rows));
        let mut so_far = match columns.next() {
            Some(first) => first?,
            None => return Ok(Value::null(&DataType::Null)),
        };
        for next in columns {
            so_far = further(&so_far, &next?, direction)?;
        }
        Ok(Value::made(so_far, one))
    }))
}

fn further(a: &ArrayRef, b: &ArrayRef, direction: Ordering) -> Computed<ArrayRef> {
    if a.data_type().is_null() {
        return Ok(Arc::clone(a));
    }
    // NULL lies on the near side, whatever the direction.
    let options = SortOptions { descending: false, nulls_first: direction == Ordering::Greater };
    let compare = make_comparator(a, b, options)?;
    let places: Vec<(usize, usize)> =
        (0..a.len()).map(|row| (usize::from(compare(row, row) == direction.reverse()), row)).collect();
    interleave(&[a.as_ref(), b.as_ref()], &places)
}
