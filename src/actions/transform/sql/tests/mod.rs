//! Whole statements: held against the answers of `DataFusion`, and against the rules of their own.

use super::*;
use crate::actions::transform::table::{Column, ColumnType, Table};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use std::sync::Arc;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 123_456_789).unwrap()
}

mod agreement;
mod mistakes;
mod rules;

/// A table with the rows it has.
struct Rows {
    table: Table,
    columns: Vec<ArrayRef>,
}

impl Rows {
    fn new(columns: Vec<(&str, ColumnType, ArrayRef)>) -> Self {
        let rows = columns[0].2.len();
        let mut arrays: Vec<ArrayRef> = columns.iter().map(|(_, _, array)| Arc::clone(array)).collect();
        arrays.push(Arc::new(StringArray::from(vec!["a.csv"; rows])));
        arrays.push(Arc::new((0..rows).map(|i| Some(i64::try_from(i).unwrap() + 2)).collect::<Int64Array>()));
        let columns = columns.into_iter().map(|(name, kind, _)| Column { name: name.into(), kind }).collect();
        Self { table: Table { columns }, columns: arrays }
    }

    fn ints(columns: &[(&str, &[Option<i64>])]) -> Self {
        let column = |values: &[Option<i64>]| -> ArrayRef { Arc::new(values.iter().copied().collect::<Int64Array>()) };
        Self::new(columns.iter().map(|(name, values)| (*name, ColumnType::Int, column(values))).collect())
    }

    fn program(&self, sql: &str, checks: &[&str]) -> Result<Program, SqlError> {
        let checks = checks.iter().map(|c| parse_check(c)).collect::<Result<Vec<_>, _>>()?;
        let statement = if sql.is_empty() { None } else { Some(parse(sql)?) };
        Program::new(statement.as_ref(), &checks, &self.table, now())
    }

    fn batch(&self, program: &Program) -> RecordBatch {
        let schema = Arc::new(self.table.schema().project(program.inputs()).unwrap());
        let columns = program.inputs().iter().map(|i| Arc::clone(&self.columns[*i])).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(self.columns[0].len()));
        RecordBatch::try_new_with_options(schema, columns, &rows).unwrap()
    }

    fn run(&self, sql: &str) -> Result<RecordBatch, String> {
        let program = self.program(sql, &[]).map_err(|e| e.to_string())?;
        program.run(&self.batch(&program)).map_err(|e| reason(&e))
    }

    /// The first column of a result.
    #[track_caller]
    fn first(&self, sql: &str) -> Vec<Json> {
        let batch = self.run(sql).unwrap();
        (0..batch.num_rows()).map(|row| cell(batch.column(0), row)).collect()
    }

    #[track_caller]
    fn refused(&self, sql: &str) -> (String, String) {
        let error = self.program(sql, &[]).unwrap_err();
        let at = error.at.clone().map_or(String::new(), |at| sql[at].to_owned());
        (error.message, at)
    }
}

/// A value as the answers spell it.
fn cell(array: &ArrayRef, row: usize) -> Json {
    if array.is_null(row) {
        return Json::Null;
    }
    match array.data_type() {
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
        DataType::Int8 => json!(array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => json!(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => match array.as_primitive::<Float32Type>().value(row) {
            nan if nan.is_nan() => json!("nan"),
            value => json!(format!("{:08x}", value.to_bits())),
        },
        DataType::Float64 => match array.as_primitive::<Float64Type>().value(row) {
            nan if nan.is_nan() => json!("nan"),
            value => json!(format!("{:016x}", value.to_bits())),
        },
        DataType::Decimal128(..) => json!(array.as_primitive::<Decimal128Type>().value(row).to_string()),
        DataType::Date32 => json!(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(TimeUnit::Second, _) => json!(array.as_primitive::<TimestampSecondType>().value(row)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            json!(array.as_primitive::<TimestampMillisecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            json!(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            json!(array.as_primitive::<TimestampNanosecondType>().value(row))
        }
        other => panic!("no column has this type: {other}"),
    }
}

/// The table that the answers are about.
fn agreed_rows(table: &Json) -> Rows {
    let column = |c: &Json| {
        let values = c["values"].as_array().unwrap();
        let (kind, array): (ColumnType, ArrayRef) = match c["type"].as_str().unwrap() {
            "int" => (ColumnType::Int, Arc::new(values.iter().map(Json::as_i64).collect::<Int64Array>())),
            "text" => (ColumnType::Text, Arc::new(values.iter().map(Json::as_str).collect::<StringArray>())),
            "bool" => (ColumnType::Bool, Arc::new(values.iter().map(Json::as_bool).collect::<BooleanArray>())),
            "date" => {
                let days = values.iter().map(|v| v.as_i64().map(|days| i32::try_from(days).unwrap()));
                (ColumnType::Date, Arc::new(days.collect::<Date32Array>()))
            }
            "timestamp" => {
                let times = values.iter().map(Json::as_i64).collect::<TimestampMicrosecondArray>();
                (ColumnType::Timestamp, Arc::new(times))
            }
            "decimal" => {
                let digits = values.iter().map(|v| v.as_i64().map(i128::from)).collect::<Decimal128Array>();
                let kind = ColumnType::Decimal { precision: 12, scale: 2 };
                (kind, Arc::new(digits.with_precision_and_scale(12, 2).unwrap()))
            }
            "float" => {
                let bits = |s: &str| match s {
                    "nan" => f64::NAN,
                    bits => f64::from_bits(u64::from_str_radix(bits, 16).unwrap()),
                };
                let floats = values.iter().map(|v| v.as_str().map(bits)).collect::<Float64Array>();
                (ColumnType::Float, Arc::new(floats))
            }
            other => panic!("unknown type: {other}"),
        };
        (c["name"].as_str().unwrap().to_owned(), kind, array)
    };
    let columns: Vec<_> = table.as_array().unwrap().iter().map(column).collect();
    Rows::new(columns.iter().map(|(name, kind, array)| (name.as_str(), *kind, Arc::clone(array))).collect())
}
