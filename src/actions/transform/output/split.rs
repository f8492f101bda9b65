//! Rows apart by the value of a column, and names for the files that they go to.

use super::failure;
use crate::model::{Failure, text};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::DataType;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

/// Most parts that the rows of one batch may fall into: as many as an attempt may have outputs.
pub const PARTS_MAX: usize = 1000;
/// Most bytes of the name of a part. A file name has 255, and something stands before and behind it.
pub const PART_NAME_MAX: usize = 120;

/// The rows of each value of a column, in the order of the batch; values in the order of their first row. The value is
/// its text as CSV has it, or `None` for NULL. The batches still have the column.
///
/// Fails where there are more than [`PARTS_MAX`] values.
pub fn by_column(batch: &RecordBatch, column: usize) -> Result<Vec<(Option<String>, RecordBatch)>, Failure> {
    let rows = batch.num_rows();
    let values = texts(batch, column)?;
    let mut parts: Vec<(Option<&str>, Vec<u32>)> = Vec::new();
    let mut found: HashMap<Option<&str>, usize> = HashMap::new();
    let mut last = 0;
    for row in 0..rows {
        let value = values.is_valid(row).then(|| values.value(row));
        // Rows of one value come together more often than not.
        if parts.get(last).is_none_or(|(of, _)| *of != value) {
            last = *found.entry(value).or_insert(parts.len());
            if last == parts.len() {
                if last == PARTS_MAX {
                    return Err(too_many(batch, column));
                }
                parts.push((value, Vec::new()));
            }
        }
        let row =
            u32::try_from(row).map_err(|_| Failure::permanent("transform_output", "a batch of over 2^32 rows"))?;
        parts[last].1.push(row);
    }
    if let [(value, _)] = parts.as_slice() {
        return Ok(vec![(value.map(str::to_owned), batch.clone())]);
    }
    let take = |(value, rows): (Option<&str>, Vec<u32>)| {
        let rows = UInt32Array::from(rows);
        let part = arrow_select::take::take_record_batch(batch, &rows).map_err(|error| failure(&error))?;
        Ok((value.map(str::to_owned), part))
    };
    parts.into_iter().map(take).collect()
}

/// The column as text, each value as CSV has it.
fn texts(batch: &RecordBatch, column: usize) -> Result<StringArray, Failure> {
    let array = batch
        .columns()
        .get(column)
        .ok_or_else(|| Failure::permanent("transform_output", format!("no column to split by: {}", column + 1)))?;
    let array = super::column::plain(array).map_err(|error| failure(&error))?;
    if *array.data_type() == DataType::Utf8 {
        return Ok(array.as_string().clone());
    }
    super::column::texts(&Arc::clone(&array)).map_err(|error| failure(&error))
}

fn too_many(batch: &RecordBatch, column: usize) -> Failure {
    let schema = batch.schema_ref();
    let name = text::cut(&text::escape(schema.field(column).name()), 60).into_owned();
    let most = text::count(PARTS_MAX as u64);
    Failure::permanent(
        "too_many_parts",
        format!("more than {most} values to split by; take a column with fewer: {name}"),
    )
}

/// The name of a part, for use in a file name.
///
/// Distinct values have distinct names, on file systems that tell upper and lower case apart. A name holds no `/`, no
/// control or invisible character, does not start with a dot, has 1 to [`PART_NAME_MAX`] bytes, and is the value itself
/// where that is a plain word. What cannot stand is written as `%` and two digits; a longer name ends in `%~` and a
/// digest of the value. NULL is `null`, an empty text `empty`; values that read so have their first letter written out.
#[must_use]
pub fn part_name(value: Option<&str>) -> String {
    let Some(value) = value else { return "null".into() };
    if value.is_empty() {
        return "empty".into();
    }
    let mut name = String::with_capacity(value.len());
    let is_word = matches!(value, "null" | "empty");
    for (at, c) in value.char_indices() {
        let is_end = at == 0 || at + c.len_utf8() == value.len();
        let hidden = (at == 0 && (c == '.' || is_word)) || (is_end && c.is_whitespace());
        if hidden || matches!(c, '/' | '\\' | '%') || !text::is_shown(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(name, "%{byte:02X}");
            }
        } else {
            name.push(c);
        }
        if name.len() > PART_NAME_MAX {
            return cut(&name, value);
        }
    }
    name
}

/// A name that is too long, with a digest in place of its end.
fn cut(name: &str, value: &str) -> String {
    /// Digits of the digest: 128 bits.
    const DIGITS: usize = 32;
    let mut end = PART_NAME_MAX - DIGITS - "%~".len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    // Not within `%XX`.
    if let Some(at) = name[..end].rfind('%').filter(|at| end - at < 3) {
        end = at;
    }
    format!("{}%~{}", &name[..end], &blake3::hash(value.as_bytes()).to_hex()[..DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Float64Array, Int64Array};
    use proptest::prelude::*;

    fn batch(values: ArrayRef) -> RecordBatch {
        let rows = Int64Array::from_iter_values(0..values.len() as i64);
        RecordBatch::try_from_iter([("row", Arc::new(rows) as ArrayRef), ("value", values)]).unwrap()
    }

    /// Each value with its rows.
    fn parts(values: ArrayRef) -> Vec<(Option<String>, Vec<i64>)> {
        let rows =
            |part: &RecordBatch| part.column(0).as_primitive::<arrow_array::types::Int64Type>().values().to_vec();
        let parts = by_column(&batch(values), 1).unwrap();
        parts.iter().map(|(value, part)| (value.clone(), rows(part))).collect()
    }

    #[test]
    fn rows_keep_their_order_and_values_that_of_their_first_row() {
        let values = StringArray::from(vec![Some("b"), Some("a"), None, Some("b"), Some(""), None, Some("a")]);
        let want = [(Some("b"), vec![0, 3]), (Some("a"), vec![1, 6]), (None, vec![2, 5]), (Some(""), vec![4])];
        assert_eq!(parts(Arc::new(values)), want.map(|(v, rows)| (v.map(str::to_owned), rows)));
        let floats = Float64Array::from(vec![Some(1.0), Some(0.5), Some(1.0), None]);
        let want = [(Some("1.0"), vec![0, 2]), (Some("0.5"), vec![1]), (None, vec![3])];
        assert_eq!(parts(Arc::new(floats)), want.map(|(v, rows)| (v.map(str::to_owned), rows)));
        assert_eq!(parts(Arc::new(Int64Array::from(vec![7, 7]))), [(Some("7".to_owned()), vec![0, 1])]);
        assert_eq!(parts(Arc::new(Int64Array::from(Vec::<i64>::new()))), []);
    }

    #[test]
    fn more_values_than_outputs_are_refused() {
        let most = PARTS_MAX as i64;
        assert_eq!(parts(Arc::new(Int64Array::from_iter_values(0..most))).len(), PARTS_MAX);
        let failure = by_column(&batch(Arc::new(Int64Array::from_iter_values(0..=most))), 1).unwrap_err();
        assert_eq!(failure.code, "too_many_parts");
        assert_eq!(failure.message, "more than 1,000 values to split by; take a column with fewer: value");
        assert!(by_column(&batch(Arc::new(Int64Array::from(vec![1]))), 9).is_err());
    }

    #[test]
    fn names_of_parts_are_safe_and_readable() {
        let named = |value| part_name(Some(value));
        assert_eq!(named("Seoul"), "Seoul");
        assert_eq!(named("부산 2026"), "부산 2026");
        assert_eq!(named("a/b\\c"), "a%2Fb%5Cc");
        assert_eq!(named(".."), "%2E.");
        assert_eq!(named("50%"), "50%25");
        assert_eq!(named("a\n\0\u{202e}"), "a%0A%00%E2%80%AE");
        assert_eq!(named(" a "), "%20a%20");
        assert_eq!((part_name(None).as_str(), named("null").as_str()), ("null", "%6Eull"));
        assert_eq!((named("").as_str(), named("empty").as_str()), ("empty", "%65mpty"));
        let long = "가".repeat(100);
        assert!(named(&long).starts_with("가가") && named(&long).len() <= PART_NAME_MAX);
        assert_ne!(named(&long), part_name(Some(&format!("{long}나"))));
        let escaped = "/".repeat(100);
        assert_eq!(named(&escaped).matches("%2F").count(), 28);
        let most = "a".repeat(PART_NAME_MAX);
        assert_eq!(named(&most), most);
    }

    proptest! {
        #[test]
        fn distinct_values_have_distinct_names(a in "(?s).{0,60}", b in "(?s)[a./% \\\\]{0,6}", n in 0_usize..40) {
            let long = a.repeat(1 + n % 5);
            let (both, longer) = (format!("{a}{b}"), format!("{long}x"));
            let values = [part_name(Some(&a)), part_name(Some(&long)), a, b, long, both, longer];
            for one in &values {
                let name = part_name(Some(one));
                prop_assert!(!name.is_empty() && name.len() <= PART_NAME_MAX);
                prop_assert!(!name.contains('/') && !name.starts_with('.') && name.chars().all(text::is_shown));
                prop_assert_ne!(&name, "null");
                for other in &values {
                    prop_assert_eq!(one == other, name == part_name(Some(other)), "{:?} {:?}", one, other);
                }
            }
        }
    }
}
