//! Items as the rows of a table.
//!
//! The header is made once, of the keys of the first items: those of the first one in their order, then what others
//! among them have beside. It guarantees that every value of the items stands in the column of its key or is counted
//! as one that has none. Texts stand as they are, nested values as compact JSON; null and missing are both empty.

use super::scan::{Kind, unquote};
use crate::model::{Failure, text};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::ops::Range;

/// The keys of so many items make the header.
const HEAD_ITEMS: usize = 100;
/// The items that make the header are held until they are known. Where they have more bytes than this, those at hand
/// are all.
const HEAD_BYTES: usize = 8 * 1024 * 1024;
/// Most columns, and most keys in one item. An answer with more fails.
const COLUMNS_MAX: usize = 16_384;
/// Most characters kept of a key that has no column.
const SHOWN_MAX: usize = 100;

/// An item at hand: its text, and where its fields are there.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) text: Vec<u8>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    key: Range<usize>,
    value: Range<usize>,
    kind: Kind,
}

impl Row {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
    }

    /// Notes a field; the places are those of its text.
    pub(super) fn note(&mut self, key: Range<usize>, value: Range<usize>, kind: Kind) -> Result<(), Failure> {
        if self.fields.len() == COLUMNS_MAX {
            return Err(too_many());
        }
        self.fields.push(Field { key, value, kind });
        Ok(())
    }

    fn key(&self, field: &Field) -> Cow<'_, str> {
        plain(&self.text[field.key.clone()])
    }

    fn value(&self, field: &Field) -> Cow<'_, [u8]> {
        let raw = &self.text[field.value.clone()];
        match field.kind {
            Kind::Null => Cow::Borrowed(&[]),
            Kind::Text => match plain(raw) {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
            _ => Cow::Borrowed(raw),
        }
    }
}

/// The content of a text with its quotes, without a copy where nothing in it is escaped.
fn plain(raw: &[u8]) -> Cow<'_, str> {
    match raw.get(1..raw.len().saturating_sub(1)) {
        Some(inner) if !inner.contains(&b'\\') => String::from_utf8_lossy(inner),
        _ => Cow::Owned(unquote(raw)),
    }
}

/// Writes rows. One that is made again for the next page, with the columns of the last one, goes on with the table.
pub(super) struct Table<'a> {
    out: csv::Writer<&'a mut dyn io::Write>,
    columns: &'a mut Option<Vec<String>>,
    /// Number of the column with this name.
    places: HashMap<String, usize>,
    /// Items that wait for the header.
    head: Vec<Row>,
    head_bytes: usize,
    /// Which field stands in which column of the row at hand.
    cells: Vec<Option<usize>>,
    /// Values that have no column, and the key of the first of them.
    pub(super) extra: u64,
    pub(super) extra_key: Option<String>,
}

impl<'a> Table<'a> {
    pub(super) fn new(out: &'a mut dyn io::Write, columns: &'a mut Option<Vec<String>>) -> Self {
        let names = columns.iter().flatten().cloned();
        let places: HashMap<String, usize> = names.enumerate().map(|(i, name)| (name, i)).collect();
        let cells = vec![None; places.len()];
        let out = csv::Writer::from_writer(out);
        Self { out, columns, places, head: Vec::new(), head_bytes: 0, cells, extra: 0, extra_key: None }
    }

    /// Takes an item, and leaves an empty one to fill in its place.
    pub(super) fn push(&mut self, row: &mut Row) -> Result<(), Failure> {
        if self.columns.is_some() {
            self.write(row)?;
            row.clear();
            return Ok(());
        }
        self.head_bytes += row.text.len();
        self.head.push(std::mem::take(row));
        if self.head.len() == HEAD_ITEMS || self.head_bytes >= HEAD_BYTES {
            self.begin()?;
        }
        Ok(())
    }

    /// No more items of this page come.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        if !self.head.is_empty() {
            self.begin()?;
        }
        self.out.flush().map_err(|e| super::unwritten(&e))
    }

    /// Settles the columns, and writes the header and the items that waited for it.
    fn begin(&mut self) -> Result<(), Failure> {
        let head = std::mem::take(&mut self.head);
        let mut names: Vec<String> = Vec::new();
        for row in &head {
            for field in &row.fields {
                if let Entry::Vacant(free) = self.places.entry(row.key(field).into_owned()) {
                    names.push(free.key().clone());
                    free.insert(names.len() - 1);
                }
            }
            if names.len() > COLUMNS_MAX {
                return Err(too_many());
            }
        }
        if names.is_empty() {
            return Err(Failure::permanent("answer_items", "the first items have no keys to make a table of"));
        }
        self.cells = vec![None; names.len()];
        self.out.write_record(&names).map_err(|e| unwritten(&e))?;
        *self.columns = Some(names);
        head.iter().try_for_each(|row| self.write(row))
    }

    fn write(&mut self, row: &Row) -> Result<(), Failure> {
        self.cells.fill(None);
        for (i, field) in row.fields.iter().enumerate() {
            let key = row.key(field);
            match self.places.get(key.as_ref()) {
                // Of two values with one key the last counts, as for most readers of JSON.
                Some(&place) => self.cells[place] = Some(i),
                None if field.kind == Kind::Null => {}
                None => {
                    self.extra += 1;
                    self.extra_key.get_or_insert_with(|| text::cut(&text::escape(&key), SHOWN_MAX).into_owned());
                }
            }
        }
        for cell in &self.cells {
            let value = cell.map_or(Cow::Borrowed(&[][..]), |i| row.value(&row.fields[i]));
            self.out.write_field(value).map_err(|e| unwritten(&e))?;
        }
        self.out.write_record(None::<&[u8]>).map_err(|e| unwritten(&e))
    }
}

fn too_many() -> Failure {
    Failure::permanent("answer_items", format!("the items have more keys than {COLUMNS_MAX}"))
}

fn unwritten(error: &csv::Error) -> Failure {
    match error.kind() {
        csv::ErrorKind::Io(io) => super::unwritten(io),
        _ => Failure::permanent("internal", format!("cannot write the table: {error}")),
    }
}
