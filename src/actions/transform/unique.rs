//! Columns that no two rows may agree in: a first pass over the input that finds the rows that repeat an earlier one.

use super::engine::{Feed, Settled, each};
use super::input::Source;
use super::output::unique::{Duplicate, Duplicates, Finder, Keys};
use super::sink::{Sink, Write};
use crate::model::{Desk, Failure};
use std::iter::Peekable;
use std::path::Path;
use std::sync::Mutex;

pub(super) use super::output::unique::Place;

/// Memory for keys, in bytes; more of them go to files.
pub(super) const KEYS: usize = 64 * 1024 * 1024;

struct Gather<'a> {
    finder: Finder,
    desk: &'a dyn Desk,
}

impl Write<Result<Keys, Failure>> for Gather<'_> {
    fn write(&mut self, keys: Result<Keys, Failure>) -> Result<(), Failure> {
        self.finder.add(keys?, &|| self.desk.check())
    }
}

/// Finds the rows that repeat an earlier one. Rows that cannot be read are not looked at.
pub(super) fn find(
    settled: &Settled,
    source: Source,
    threads: usize,
    scratch: &Path,
    desk: &dyn Desk,
) -> Result<Duplicates, Failure> {
    let sink = Sink::new(Gather { finder: Finder::new(scratch, KEYS), desk }, 0, (threads * 2 + 1) as u64);
    let feed = Mutex::new(Feed::new(source, None));
    each(&feed, &sink, (threads, &settled.layout), desk, |taken, parser| {
        let chunk = match taken.chunk {
            Ok(chunk) => chunk,
            Err(failure) => return (Err(failure), Vec::new()),
        };
        let mut keys = Keys::default();
        let file = u32::try_from(chunk.file).unwrap_or(u32::MAX);
        let mut from = Some(0);
        while let Some(at) = from {
            let parsed = parser.parse(&chunk, at);
            if let Err(failure) =
                keys.add(parsed.batch(), &settled.unique, |row| Place { file, byte: parsed.byte(row) })
            {
                return (Err(failure), Vec::new());
            }
            from = parsed.rest();
        }
        keys.sort();
        (Ok(keys), chunk.bytes)
    });
    let Gather { finder, .. } = sink.end()?;
    finder.finish(&|| desk.check())
}

/// Takes the repeats that stand before `end`.
pub(super) fn before(duplicates: &mut Peekable<Duplicates>, end: Place) -> Result<Vec<Duplicate>, Failure> {
    let mut found = Vec::new();
    let is_due = |next: &Result<Duplicate, Failure>| next.as_ref().map_or(true, |repeat| repeat.place < end);
    while let Some(repeat) = duplicates.next_if(is_due) {
        found.push(repeat?);
    }
    Ok(found)
}
