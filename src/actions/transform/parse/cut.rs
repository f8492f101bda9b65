//! Cutting delimited text into records and fields: the structure of a chunk, without a look at what the fields mean.
//!
//! It guarantees the reading of the `csv` crate, to which a property test holds it. What it hands on is regular: every
//! row has the same number of fields. A record that has another number is padded, cut or set apart, as the table says.
//! It never stores more than one row beyond its limit, whatever a record holds.

use super::block::{BLOCK, Block};
use super::span::Span;
use crate::actions::transform::table::Ragged;

/// The bytes that structure a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    /// Between two fields.
    pub(super) delimiter: u8,
    /// Around a field.
    pub(super) quote: Option<u8>,
}

/// What a record must look like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// What structures it.
    pub(super) marks: Marks,
    /// Fields of a record.
    pub(super) fields: usize,
    /// What becomes of a record with another number of fields.
    pub(super) ragged: Ragged,
}

/// Why a record does not fall into the fields of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    /// It has this many.
    Count(usize),
    /// The quote that opens this field, from 1, is never closed.
    Unclosed(usize),
    /// It is no JSON object; where in the line, and why.
    Json(usize, &'static str),
    /// It is a chunk over the bytes that can be addressed; no source hands one on.
    TooLong,
}

/// A record that does not fall into the fields of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Odd {
    /// Where it starts.
    pub(super) start: u32,
    /// Why.
    pub(super) why: Oddity,
}

/// The rows that were found.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The fields of the rows of a piece, row by row.
    pub(super) spans: Vec<Span>,
    /// Where rows start, over all pieces.
    pub(super) starts: Vec<u32>,
    /// Records that are no rows, over all pieces.
    pub(super) odd: Vec<Odd>,
    /// Whether there was an empty line.
    pub(super) has_gaps: bool,
}

impl Rows {
    /// Sets the record at `start` apart, with what of its fields was stored behind the first `spans`.
    #[expect(clippy::cast_possible_truncation, reason = "offsets are at most OFFSET_MAX")]
    pub(super) fn set_apart(&mut self, start: usize, spans: usize, why: Oddity) {
        self.spans.truncate(spans);
        self.odd.push(Odd { start: start as u32, why });
    }
}

/// Finds rows from `from` on, where a record starts, until there are about `cells` fields of them, and at least one
/// row. `PLAIN`: there is no quote and no CR in the text. Answers where the next record starts; at the end of the text,
/// its length.
pub(super) fn cut<const PLAIN: bool>(bytes: &[u8], from: usize, shape: Shape, cells: usize, rows: &mut Rows) -> usize {
    rows.spans.clear();
    let Shape { marks, .. } = shape;
    let quote = marks.quote.filter(|_| !PLAIN);
    let mut record = Record { rows, shape, start: from, field: from, column: 0, whole: 0, quotes: Quotes::default() };
    let mut at = from;
    while at < bytes.len() {
        let (block, valid) = Block::load(bytes, at);
        let separators = block.equal(marks.delimiter);
        let lines = block.equal(b'\n') | if PLAIN { 0 } else { block.equal(b'\r') };
        let quotes = quote.map_or(0, |quote| block.equal(quote));
        let mut left = valid;
        loop {
            let is_open = !PLAIN && record.quotes.open;
            let found = left & if is_open { quotes } else { separators | lines | quotes };
            if found == 0 {
                break;
            }
            let bit = found.trailing_zeros();
            left = if PLAIN { found & (found - 1) } else { left & ((u64::MAX << bit) << 1) };
            let p = at + bit as usize;
            if !PLAIN && (quotes >> bit) & 1 == 1 {
                record.quote(p, bytes.get(p + 1).copied() == quote);
                continue;
            }
            let ends_record = (lines >> bit) & 1 == 1;
            if ends_record && record.is_empty(p) {
                record.skip(p);
                continue;
            }
            record.end_field::<PLAIN>(p);
            if ends_record {
                record.end(p + 1);
            }
        }
        at += BLOCK;
        if record.whole > 0 && record.rows.spans.len() >= cells {
            let (whole, next) = (record.whole, record.start);
            rows.spans.truncate(whole);
            return next;
        }
    }
    record.finish::<PLAIN>(bytes.len());
    bytes.len()
}

/// The record that is being read.
struct Record<'a> {
    rows: &'a mut Rows,
    shape: Shape,
    /// Where it starts.
    start: usize,
    /// Where its current field starts.
    field: usize,
    /// How many fields came before that.
    column: usize,
    /// Fields of the rows before it.
    whole: usize,
    quotes: Quotes,
}

/// The quotes of the current field.
#[derive(Clone, Copy, Debug, Default)]
struct Quotes {
    /// Whether it starts with one.
    any: bool,
    /// Whether they are open.
    open: bool,
    /// Whether there were two in a row inside.
    doubled: bool,
    /// Where the last one inside stands.
    last: usize,
}

impl Record<'_> {
    /// Takes a quote; `again`: the next byte is one as well.
    #[inline]
    fn quote(&mut self, p: usize, again: bool) {
        let quotes = &mut self.quotes;
        if !quotes.open {
            // Behind the closing quote, and within a bare field, it is text.
            if p == self.field {
                *quotes = Quotes { any: true, open: true, doubled: false, last: p };
            }
        } else if quotes.doubled && quotes.last == p {
            // The second of two.
        } else if again {
            quotes.doubled = true;
            quotes.last = p + 1;
        } else {
            quotes.open = false;
            quotes.last = p;
        }
    }

    /// Whether a line end at `p` makes an empty line.
    #[inline]
    fn is_empty(&self, p: usize) -> bool {
        self.column == 0 && p == self.field
    }

    /// Takes a line end that ends no record.
    fn skip(&mut self, p: usize) {
        self.rows.has_gaps = true;
        self.start = p + 1;
        self.field = p + 1;
    }

    /// Takes a delimiter or a line end.
    #[inline]
    fn end_field<const PLAIN: bool>(&mut self, p: usize) {
        if self.column < self.shape.fields {
            let quotes = self.quotes;
            self.rows.spans.push(if PLAIN || !quotes.any {
                Span::bare(self.field, p)
            } else if quotes.last + 1 == p && !quotes.doubled {
                Span::quoted(self.field + 1, quotes.last)
            } else {
                Span::escaped(self.field, p)
            });
        }
        self.column += 1;
        self.field = p + 1;
        if !PLAIN {
            self.quotes.any = false;
        }
    }

    /// Takes the end of the record; the next one starts at `next`, or behind line ends there.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "offsets are at most OFFSET_MAX")]
    fn end(&mut self, next: usize) {
        if self.column == self.shape.fields || self.fits() {
            self.rows.starts.push(self.start as u32);
            self.whole = self.rows.spans.len();
        } else {
            self.rows.set_apart(self.start, self.whole, Oddity::Count(self.column));
        }
        self.start = next;
        self.column = 0;
    }

    /// Makes a row of a record with another number of fields, if that is allowed.
    #[cold]
    fn fits(&mut self) -> bool {
        let may = match self.shape.ragged {
            Ragged::Bad => false,
            Ragged::Pad => self.column < self.shape.fields,
            Ragged::Fit => true,
        };
        if may {
            self.rows.spans.resize(self.whole + self.shape.fields, Span::ABSENT);
        }
        may
    }

    /// Takes the end of the text.
    fn finish<const PLAIN: bool>(&mut self, end: usize) {
        if self.quotes.open {
            self.rows.set_apart(self.start, self.whole, Oddity::Unclosed(self.column + 1));
        } else if self.column > 0 || self.field < end {
            self.end_field::<PLAIN>(end);
            self.end(end);
        }
    }
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
