//! `sum` of whole numbers that does not wrap: it is summed up in 38 digits, and what is no whole number of 64 bits in the
//! end is an error.

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, FieldRef};
use datafusion::common::{Result as Planned, ScalarValue};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};
use std::sync::Arc;

/// What whole numbers are summed up in: more of them than any file has rows fit into it.
const WIDE: DataType = DataType::Decimal128(38, 0);

/// The function.
pub(super) fn function() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(CheckedSum { inner: Sum::new() }))
}

/// `sum`, with that of `DataFusion` for everything but whole numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum {
    inner: Sum,
}

/// The field of a result, wide if it holds whole numbers.
fn widened(field: &FieldRef) -> FieldRef {
    if field.data_type().is_integer() { Arc::new(Field::new(field.name(), WIDE, true)) } else { Arc::clone(field) }
}

/// The same arguments for a wide sum; `None` where the values are no whole numbers.
fn wide<'a>(args: &AccumulatorArgs<'a>) -> Option<AccumulatorArgs<'a>> {
    let field = widened(&args.return_field);
    (field.data_type() != args.return_field.data_type())
        .then(|| AccumulatorArgs { return_field: field, ..args.clone() })
}

fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, to, &CastOptions { safe: false, ..CastOptions::default() })
}

fn overflow() -> ArrowError {
    ArrowError::ArithmeticOverflow("a sum is too large for a whole number of 64 bits".into())
}

/// A wide sum as the type of the result.
fn narrow(sums: &ArrayRef, kind: &DataType) -> Planned<ArrayRef> {
    let narrow = cast_with_options(sums, kind, &CastOptions { safe: true, ..CastOptions::default() })?;
    if narrow.null_count() > sums.null_count() {
        return Err(overflow().into());
    }
    Ok(narrow)
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Planned<DataType> {
        self.inner.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Planned<Box<dyn Accumulator>> {
        match wide(&args) {
            Some(wide) => Ok(Box::new(One { inner: self.inner.accumulator(wide)?, kind: args.return_type().clone() })),
            None => self.inner.accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Planned<Vec<FieldRef>> {
        self.inner.state_fields(StateFieldsArgs { return_field: widened(&args.return_field), ..args })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Planned<Box<dyn GroupsAccumulator>> {
        match wide(&args) {
            Some(wide) => {
                let inner = self.inner.create_groups_accumulator(wide)?;
                Ok(Box::new(Many { inner, kind: args.return_type().clone() }))
            }
            None => self.inner.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Planned<Box<dyn Accumulator>> {
        match wide(&args) {
            // Distinct values of a frame that moves are summed up in 64 bits only.
            Some(wide) if !args.is_distinct => {
                let inner = self.inner.create_sliding_accumulator(wide)?;
                Ok(Box::new(One { inner, kind: args.return_type().clone() }))
            }
            _ => self.inner.create_sliding_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// One sum.
#[derive(Debug)]
struct One {
    inner: Box<dyn Accumulator>,
    kind: DataType,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Planned<()> {
        let wide = values.iter().map(|array| cast(array, &WIDE)).collect::<Result<Vec<_>, _>>()?;
        self.inner.update_batch(&wide)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Planned<()> {
        let wide = values.iter().map(|array| cast(array, &WIDE)).collect::<Result<Vec<_>, _>>()?;
        self.inner.retract_batch(&wide)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Planned<ScalarValue> {
        let sum = self.inner.evaluate()?.to_array()?;
        ScalarValue::try_from_array(&narrow(&sum, &self.kind)?, 0)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn state(&mut self) -> Planned<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Planned<()> {
        self.inner.merge_batch(states)
    }
}

/// A sum for each group.
struct Many {
    inner: Box<dyn GroupsAccumulator>,
    kind: DataType,
}

impl GroupsAccumulator for Many {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Planned<()> {
        let wide = values.iter().map(|array| cast(array, &WIDE)).collect::<Result<Vec<_>, _>>()?;
        self.inner.update_batch(&wide, groups, filter, count)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Planned<ArrayRef> {
        narrow(&self.inner.evaluate(emit)?, &self.kind)
    }

    fn state(&mut self, emit: EmitTo) -> Planned<Vec<ArrayRef>> {
        self.inner.state(emit)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Planned<()> {
        self.inner.merge_batch(states, groups, count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Planned<Vec<ArrayRef>> {
        let wide = values.iter().map(|array| cast(array, &WIDE)).collect::<Result<Vec<_>, _>>()?;
        self.inner.convert_to_state(&wide, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
