//! What becomes of an answer: whether it is the one that was asked for, what is in it, where the next page is.
//!
//! An answer is read once, from its beginning to its end, in memory that does not grow with it. JSON is looked at only
//! where something depends on it. It guarantees that an answer which is let through is whole: JSON that breaks off, has
//! something behind it or lacks the items is a failure and never a shorter output.
//!
//! That a body is not what was expected is a failure of the class `transient`: with a status that says "good" it is most
//! often a page of a proxy or of a server in trouble, which is gone a minute later. Items of a shape that the output
//! cannot have are `permanent`: the configuration does not fit the server.

mod items;
mod link;
mod pages;
mod pointer;
mod scan;
mod table;
#[cfg(test)]
mod tests;

pub use pages::{Position, Seen, first, next};
pub use pointer::Pointer;

use super::spec::{Expect, Form, Paging, Write};
use crate::model::{Failure, text};
use items::{Ear, Sink};
use memchr::memmem::Finder;
use scan::{Refused, Scanner};
use std::io::{self, BufRead};
use table::{Row, Table};

/// Pieces of output are gathered until they have this size, in bytes.
const BUFFER: usize = 64 * 1024;
/// Bytes shown of a body before and behind the place where it stops being JSON.
const BEFORE: usize = 40;
/// See [`BEFORE`].
const BEHIND: usize = 80;

/// What is asked of an answer.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What makes it good; its status is not looked at here.
    pub expect: &'a Expect,
    /// How it is written.
    pub write: &'a Write,
    /// How the next page is found, if there may be one.
    pub paging: Option<&'a Paging>,
}

impl About<'_> {
    /// Whether the body has to be JSON for what is asked.
    #[must_use]
    pub fn needs_json(&self) -> bool {
        let by_field = matches!(self.paging, Some(Paging::Cursor { .. }));
        self.expect.json || self.expect.key.is_some() || by_field || self.needs_items()
    }

    fn needs_items(&self) -> bool {
        self.write.form != Form::Body || self.counts_pages()
    }

    /// Whether pages are asked for by a number, so that nothing but their content says whether there are more.
    fn counts_pages(&self) -> bool {
        matches!(self.paging, Some(Paging::Number { .. } | Paging::Offset { .. }))
    }
}

/// What was found in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Bytes of the body.
    pub bytes: u64,
    /// Items; none: they were not looked for.
    pub items: Option<u64>,
    /// Where the next page is, if a field of the JSON says it and is not empty.
    pub cursor: Option<String>,
    /// Values of items that stand in no column of the table, because the first items did not have their key.
    pub extra_keys: u64,
    /// The key of the first of them, safe to show.
    pub extra_key: Option<String>,
    /// Hash of the body, where pages are asked for by a number: a server that does not know the parameter sends the same
    /// page again and again.
    pub digest: Option<[u8; 32]>,
}

/// Reads an answer to its end, checks it and writes its items to `out`: as lines, or as the rows of a table. With
/// [`Form::Body`] nothing is written. `columns` are those of the table: the first page that has items sets them and
/// writes the header; hand the same ones in for each further page. The failure's message may hold a piece of the body.
pub fn examine(
    body: &mut dyn BufRead,
    about: &About<'_>,
    columns: &mut Option<Vec<String>>,
    out: Option<&mut dyn io::Write>,
) -> Result<Page, Failure> {
    let mut buffered = out.map(|out| io::BufWriter::with_capacity(BUFFER, out));
    let sink = match (&mut buffered, about.write.form) {
        (Some(out), Form::Ndjson) => Sink::Lines(out),
        (Some(out), Form::Csv) => Sink::Table(Box::new(Table::new(out, columns)), Row::default()),
        _ => Sink::Count,
    };
    let page = read(body, about, sink)?;
    if let Some(out) = &mut buffered {
        io::Write::flush(out).map_err(|e| unwritten(&e))?;
    }
    Ok(page)
}

fn read(body: &mut dyn BufRead, about: &About<'_>, sink: Sink<'_>) -> Result<Page, Failure> {
    let cursor = match about.paging {
        Some(Paging::Cursor { field, .. }) => Some(pointer(field)?),
        _ => None,
    };
    let key = about.expect.key.as_deref().map(pointer).transpose()?;
    let items = if about.needs_items() { Some(pointer(&about.write.items)?) } else { None };
    let mut document =
        about.needs_json().then(|| (Scanner::new(), Ear::new(key, cursor, items, sink), Place::default()));
    let mut search = about.expect.contains.as_deref().map(Search::new);
    let mut hash = about.counts_pages().then(blake3::Hasher::new);
    let mut page = Page::default();
    loop {
        let piece = match body.fill_buf() {
            Ok([]) => break,
            Ok(piece) => piece,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(unread(&e)),
        };
        if let Some((scanner, ear, place)) = &mut document
            && let Err((good, refused)) = scanner.feed(piece, ear)
        {
            place.pass(&piece[..good]);
            let behind = piece[good..].to_vec();
            let used = piece.len();
            body.consume(used);
            return Err(place.blame(refused, behind, body));
        }
        if let Some((_, _, place)) = &mut document {
            place.pass(piece);
        }
        if let Some(search) = &mut search {
            search.feed(piece);
        }
        if let Some(hash) = &mut hash {
            hash.update(piece);
        }
        let used = piece.len();
        page.bytes += used as u64;
        body.consume(used);
    }
    if let Some((mut scanner, mut ear, place)) = document {
        if let Err(refused) = scanner.finish(&mut ear) {
            return Err(place.blame(refused, Vec::new(), body));
        }
        finish(ear, about, &mut page)?;
    }
    page.digest = hash.map(|h| *h.finalize().as_bytes());
    if page.bytes < about.expect.min_bytes {
        let message = format!("the body has fewer bytes than {}: {}", about.expect.min_bytes, page.bytes);
        return Err(Failure::transient("answer_small", message));
    }
    if let Some(search) = search.filter(|s| !s.found) {
        let wanted = String::from_utf8_lossy(search.finder.needle());
        let message = format!("the body does not hold the text \"{}\"", shown(&wanted));
        return Err(Failure::transient("answer_contains", message));
    }
    Ok(page)
}

/// The document is whole: what was found in it.
fn finish(ear: Ear<'_>, about: &About<'_>, page: &mut Page) -> Result<(), Failure> {
    if let Some(key) = about.expect.key.as_deref().filter(|_| !ear.has_key) {
        return Err(Failure::transient("answer_key", format!("the answer has no value at the key \"{}\"", shown(key))));
    }
    if about.needs_items() {
        if !ear.has_items() {
            // Not an empty page: an error that was sent as a good answer would end the pages without a word.
            let message = format!("the answer has no items at the key \"{}\"", shown(&about.write.items));
            return Err(Failure::transient("answer_items", message));
        }
        page.items = Some(ear.items);
    }
    page.cursor = ear.cursor;
    if let Sink::Table(mut table, _) = ear.sink {
        table.finish()?;
        page.extra_keys = table.extra;
        page.extra_key = table.extra_key.take();
    }
    Ok(())
}

fn pointer(text: &str) -> Result<Pointer, Failure> {
    Pointer::parse(text)
        .ok_or_else(|| Failure::permanent("answer_pointer", format!("not a JSON pointer: \"{}\"", shown(text))))
}

fn shown(text: &str) -> String {
    text::cut(&text::escape(text), 200).into_owned()
}

fn unread(error: &io::Error) -> Failure {
    Failure::transient("answer_read", format!("cannot read the body: {}", shown(&error.to_string())))
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::transient("output_write", format!("cannot write the output: {error}"))
}

/// Looks for a text in pieces that may be cut within it.
struct Search<'a> {
    finder: Finder<'a>,
    /// The last bytes so far, one fewer than the text has.
    tail: Vec<u8>,
    found: bool,
}

impl<'a> Search<'a> {
    fn new(text: &'a str) -> Self {
        Self { finder: Finder::new(text), tail: Vec::new(), found: text.is_empty() }
    }

    fn feed(&mut self, piece: &[u8]) {
        if self.found {
            return;
        }
        let keep = self.finder.needle().len() - 1;
        let across = piece.len().min(keep);
        self.tail.extend_from_slice(&piece[..across]);
        self.found = self.finder.find(&self.tail).is_some() || self.finder.find(piece).is_some();
        if piece.len() > keep {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - keep..]);
        } else {
            self.tail.drain(..self.tail.len().saturating_sub(keep));
        }
    }
}

/// How far a body was read.
#[derive(Default)]
struct Place {
    bytes: u64,
    lines: u64,
    /// Where the line at hand begins.
    line_at: u64,
    /// The last bytes, at most [`BEFORE`].
    tail: Vec<u8>,
}

impl Place {
    fn pass(&mut self, piece: &[u8]) {
        for at in memchr::memchr_iter(b'\n', piece) {
            self.lines += 1;
            self.line_at = self.bytes + at as u64 + 1;
        }
        self.bytes += piece.len() as u64;
        self.tail.extend_from_slice(&piece[piece.len().saturating_sub(BEFORE)..]);
        self.tail.drain(..self.tail.len().saturating_sub(BEFORE));
    }

    /// The failure of a body that was refused here.
    fn blame(&self, refused: Refused, mut behind: Vec<u8>, body: &mut dyn BufRead) -> Failure {
        let why = match refused {
            Refused::NotJson(why) => why,
            Refused::Deep => {
                let message = format!("the JSON is nested deeper than {} at byte {}", scan::DEPTH_MAX, self.bytes);
                return Failure::permanent("answer_deep", message);
            }
            Refused::Listener(failure) => return *failure,
        };
        while behind.len() < BEHIND {
            // What cannot be read is not shown.
            let Ok(piece @ [_, ..]) = body.fill_buf() else { break };
            behind.extend_from_slice(piece);
            let used = piece.len();
            body.consume(used);
        }
        behind.truncate(BEHIND);
        let constant = format!("the body is not JSON: {why}");
        let place = format!("line {}, column {}, byte {}", self.lines + 1, self.bytes - self.line_at + 1, self.bytes);
        let mut failure =
            Failure::transient("answer_not_json", format!("{constant}, at {place}: \"{}\"", self.excerpt(&behind)));
        failure.constant = constant;
        failure
    }

    /// The bytes around this place, safe to show, without the halves of characters at the ends.
    fn excerpt(&self, behind: &[u8]) -> String {
        let is_cut = self.bytes > self.tail.len() as u64;
        let halves = if is_cut { self.tail.iter().take(3).take_while(|&&b| b & 0xc0 == 0x80).count() } else { 0 };
        let mut raw = self.tail[halves..].to_vec();
        raw.extend_from_slice(behind);
        if let Err(e) = std::str::from_utf8(&raw)
            && e.error_len().is_none()
        {
            raw.truncate(e.valid_up_to());
        }
        let more = if behind.len() == BEHIND { "…" } else { "" };
        format!("{}{}{more}", if is_cut { "…" } else { "" }, text::bytes(&raw))
    }
}
