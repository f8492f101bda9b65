//! What is looked for in a document while it flows by: a key, a cursor, the items.

use super::pointer::{Pointer, Track};
use super::scan::{Kind, Listener, unquote};
use super::table::{Row, Table};
use crate::model::{Failure, text};
use std::io;

/// Longest item that is written, in bytes without white space: what readers of our outputs take as one record. A longer
/// one fails the answer.
pub(super) const ITEM_MAX: usize = 16 * 1024 * 1024;
/// Longest cursor, in bytes as it stands in the document. A longer one fails the answer: no server takes it in a URL.
const CURSOR_MAX: usize = 16 * 1024;

/// Where items go.
pub(super) enum Sink<'a> {
    /// Nowhere: they are counted.
    Count,
    /// A line each.
    Lines(&'a mut dyn io::Write),
    /// A row each.
    Table(Box<Table<'a>>, Row),
}

/// What the items were found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Not there so far.
    Nothing,
    /// The array at this depth, which is not at its end.
    Open(usize),
    /// All of them were there.
    Whole,
}

/// Listens to one document.
pub(super) struct Ear<'a> {
    key: Option<Track>,
    cursor_at: Option<Track>,
    items_at: Option<Track>,
    /// The open arrays, with the index of the next element, and objects.
    levels: Vec<Option<u64>>,
    /// The text of the key at hand, as far as it may be one that is looked for.
    name: Vec<u8>,
    name_max: usize,
    is_name: bool,
    /// Whether the key was there, and its value not null.
    pub(super) has_key: bool,
    pub(super) cursor: Option<String>,
    /// The text of the cursor at hand.
    cursor_text: Option<Vec<u8>>,
    found: Found,
    pub(super) items: u64,
    /// Bytes of the item at hand so far; none: there is none.
    item: Option<usize>,
    pub(super) sink: Sink<'a>,
    /// Where the key and the value of the field at hand begin, and where the key ends.
    field: (usize, usize, usize),
}

impl<'a> Ear<'a> {
    pub(super) fn new(key: Option<Pointer>, cursor: Option<Pointer>, items: Option<Pointer>, sink: Sink<'a>) -> Self {
        Self {
            key: key.map(Track::new),
            cursor_at: cursor.map(Track::new),
            items_at: items.map(Track::new),
            levels: Vec::new(),
            name: Vec::new(),
            name_max: 0,
            is_name: false,
            has_key: false,
            cursor: None,
            cursor_text: None,
            found: Found::Nothing,
            items: 0,
            item: None,
            sink,
            field: (0, 0, 0),
        }
    }

    /// Whether the items were there.
    pub(super) fn has_items(&self) -> bool {
        self.found == Found::Whole
    }

    fn tracks(&mut self) -> impl Iterator<Item = &mut Track> {
        [&mut self.key, &mut self.cursor_at, &mut self.items_at].into_iter().flatten()
    }

    /// Whether the place is that of the fields of an item.
    fn is_field(&self) -> bool {
        matches!(self.found, Found::Open(depth) if self.levels.len() == depth + 2 && self.levels.last() == Some(&None))
    }

    fn is_item(&self) -> bool {
        matches!(self.found, Found::Open(depth) if self.levels.len() == depth + 1)
    }

    fn row(&mut self) -> Option<&mut Row> {
        match &mut self.sink {
            Sink::Table(_, row) => Some(row),
            _ => None,
        }
    }

    /// The items are at this place.
    fn begin_items(&mut self, kind: Kind, depth: usize) -> Result<(), Failure> {
        if self.found != Found::Nothing {
            return Err(Failure::permanent("answer_items", "the answer has its items twice"));
        }
        self.found = match kind {
            Kind::Array => Found::Open(depth),
            // Some servers write an empty list so.
            Kind::Null => Found::Whole,
            other => {
                let message = format!("the items of the answer are not an array but {}", said(other));
                return Err(Failure::permanent("answer_items", message));
            }
        };
        Ok(())
    }

    fn begin_item(&mut self, kind: Kind) -> Result<(), Failure> {
        self.items += 1;
        match &mut self.sink {
            Sink::Count => return Ok(()),
            Sink::Table(_, row) if kind == Kind::Object => row.clear(),
            Sink::Table(..) => {
                let message = format!("item {} is not an object but {}", text::count(self.items), said(kind));
                return Err(Failure::permanent("answer_items", message));
            }
            Sink::Lines(_) => {}
        }
        self.item = Some(0);
        Ok(())
    }

    fn end_item(&mut self) -> Result<(), Failure> {
        self.item = None;
        match &mut self.sink {
            Sink::Count => Ok(()),
            Sink::Lines(out) => out.write_all(b"\n").map_err(|e| super::unwritten(&e)),
            Sink::Table(table, row) => table.push(row),
        }
    }
}

impl Listener for Ear<'_> {
    fn begin(&mut self, kind: Kind) -> Result<(), Failure> {
        let depth = self.levels.len();
        if let Some(Some(next)) = self.levels.last_mut() {
            let index = *next;
            *next += 1;
            self.tracks().for_each(|track| track.enter_index(depth - 1, index));
        }
        if self.is_item() {
            self.begin_item(kind)?;
        } else if self.is_field() {
            self.field.2 = self.row().map_or(0, |row| row.text.len());
        }
        let is_at = |track: &Option<Track>| track.as_ref().is_some_and(|t| t.is_at(depth));
        if is_at(&self.key) {
            self.has_key = kind != Kind::Null;
        }
        if is_at(&self.cursor_at) {
            self.cursor = None;
            match kind {
                Kind::Null => {}
                Kind::Text | Kind::Number => self.cursor_text = Some(Vec::new()),
                other => {
                    let message = format!("the cursor of the next page is neither text nor number but {}", said(other));
                    return Err(Failure::permanent("pages_cursor", message));
                }
            }
        }
        if is_at(&self.items_at) {
            self.begin_items(kind, depth)?;
        }
        match kind {
            Kind::Array => self.levels.push(Some(0)),
            Kind::Object => self.levels.push(None),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, kind: Kind) -> Result<(), Failure> {
        if matches!(kind, Kind::Array | Kind::Object) {
            self.levels.pop();
        }
        let depth = self.levels.len();
        if let Some(raw) = self.cursor_text.take() {
            let cursor = if kind == Kind::Text { unquote(&raw) } else { String::from_utf8_lossy(&raw).into_owned() };
            self.cursor = Some(cursor).filter(|c| !c.is_empty());
        }
        if self.found == Found::Open(depth) {
            self.found = Found::Whole;
        } else if self.is_item() {
            self.end_item()?;
        } else if self.is_field() {
            let (key, key_end, value) = self.field;
            if let Some(row) = self.row() {
                row.note(key..key_end, value..row.text.len(), kind)?;
            }
        }
        self.tracks().for_each(|track| track.leave(depth));
        Ok(())
    }

    fn key_begin(&mut self) {
        if self.is_field() {
            self.field.0 = self.row().map_or(0, |row| row.text.len());
        }
        let depth = self.levels.len() - 1;
        self.name_max = self.tracks().map(|track| track.longest(depth)).max().unwrap_or(0);
        self.name.clear();
        self.is_name = true;
    }

    fn key_end(&mut self) {
        self.is_name = false;
        if self.is_field() {
            self.field.1 = self.row().map_or(0, |row| row.text.len());
        }
        if self.name_max > 0 && self.name.len() <= self.name_max {
            let name = unquote(&self.name);
            let depth = self.levels.len() - 1;
            self.tracks().for_each(|track| track.enter_key(depth, &name));
        }
    }

    fn text(&mut self, text: &[u8]) -> Result<(), Failure> {
        if self.is_name && self.name.len() <= self.name_max {
            // One byte too many says that it is none of those looked for.
            let room = (self.name_max + 1 - self.name.len()).min(text.len());
            self.name.extend_from_slice(&text[..room]);
        }
        if let Some(cursor) = &mut self.cursor_text {
            if cursor.len() + text.len() > CURSOR_MAX {
                let message = format!("the cursor of the next page is longer than {CURSOR_MAX} bytes");
                return Err(Failure::permanent("pages_cursor", message));
            }
            cursor.extend_from_slice(text);
        }
        if let Some(size) = &mut self.item {
            *size += text.len();
            if *size > ITEM_MAX {
                let message = format!("item {} is longer than {ITEM_MAX} bytes", text::count(self.items));
                return Err(Failure::permanent("answer_items", message));
            }
            match &mut self.sink {
                Sink::Count => {}
                Sink::Lines(out) => out.write_all(text).map_err(|e| super::unwritten(&e))?,
                Sink::Table(_, row) => row.text.extend_from_slice(text),
            }
        }
        Ok(())
    }
}

fn said(kind: Kind) -> &'static str {
    match kind {
        Kind::Object => "an object",
        Kind::Array => "an array",
        Kind::Text => "a text",
        Kind::Number => "a number",
        Kind::Truth => "true or false",
        Kind::Null => "null",
    }
}
