//! The columns of a result as they can be written: one type of text, and no two columns of one name.

use super::failure;
use crate::actions::transform::sql::SqlError;
use crate::model::Failure;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::HashSet;
use std::sync::Arc;

/// The columns as they are written.
pub(super) fn columns(schema: &Schema) -> Result<Schema, SqlError> {
    let mut names = HashSet::new();
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        if !names.insert(field.name()) {
            return Err(failure::twice(field.name()));
        }
        let kind = match field.data_type() {
            DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
            DataType::Dictionary(_, value) => value.as_ref().clone(),
            DataType::Interval(_) | DataType::Duration(_) => {
                let error = SqlError::whole(format!("a span of time cannot be written: {}", field.name()));
                return Err(error.hint("its seconds are date_part('epoch', x)"));
            }
            kind if kind.is_nested() || is_binary(kind) => {
                let error = SqlError::whole(format!("a column of this type cannot be written: {}", field.name()));
                return Err(error.hint("make text of it, for example with string_agg() or encode()"));
            }
            other => other.clone(),
        };
        fields.push(Field::new(field.name(), kind, true));
    }
    Ok(Schema::new(fields))
}

fn is_binary(kind: &DataType) -> bool {
    use DataType as T;
    matches!(kind, T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_))
}

/// A batch with the columns of [`columns`].
pub(super) fn plain(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Failure> {
    let safe = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |(array, field): (&ArrayRef, &Arc<Field>)| {
        let is_plain = array.data_type() == field.data_type();
        if is_plain { Ok(Arc::clone(array)) } else { cast_with_options(array, field.data_type(), &safe) }
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(cast).collect::<Result<Vec<_>, _>>();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let plain = columns.and_then(|c| RecordBatch::try_new_with_options(Arc::clone(schema), c, &options));
    plain.map_err(|error| failure::arrow(&error))
}
