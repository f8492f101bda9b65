//! From files to chunks of whole records.
//!
//! It guarantees that chunks hold whole records as the `csv` crate would read them, that where they are cut depends on
//! the bytes alone and not on how reads happened to return, that every place is counted from the first byte of a file,
//! and that memory is bounded by the chunk and [`RECORD_MAX`], whatever the file is.
//! It refuses what is no table: binary data, packed data that is damaged, cut off or expands without end, files whose
//! headers differ, and files that change while they are read.
//!
//! Bytes take this way: `disk` reads them, `unpack` unpacks them, `recode` turns encodings that cannot be cut raw into
//! UTF-8, `records` (with `dense`) or `elements` finds where records end, and `source` hands them on. `opening` looks at the head of a
//! file and settles how it is written, with `dialect`.

mod cutter;
mod dense;
mod dialect;
mod disk;
mod elements;
mod opening;
mod recode;
mod records;
mod reject;
mod source;
mod stream;
mod unpack;
mod window;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use source::{Position, Source};

use super::table::{Compression, Format};
use encoding_rs::Encoding;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Longest record, in bytes. A longer one fails the file; most often a quote was not closed.
pub const RECORD_MAX: usize = 16 * 1024 * 1024;
/// Most columns. A file with more fails; most often its line ends are missing.
pub const COLUMNS_MAX: usize = 16_384;
/// Bytes from the start of a file that its dialect and its types are found out from.
pub const SAMPLE_MAX: usize = 512 * 1024;

/// A file to read.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// Where it lies while it is worked on.
    pub path: PathBuf,
    /// Its name as it landed: tells its format, and is the value of `_file`.
    pub name: String,
    /// What messages call it, escaped text.
    pub label: String,
    /// The file, open for reading. Reads are positional, so its cursor does not matter.
    pub file: Arc<File>,
    /// Its size in bytes; another size later on is a change.
    pub size: u64,
}

/// What the configuration says about the files. `None`: it is found out.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// How records are written.
    pub format: Option<Format>,
    /// Between two fields.
    pub delimiter: Option<u8>,
    /// Around fields; `Some(None)`: quotes are plain text.
    pub quote: Option<Option<u8>>,
    /// Encoding of files without a byte order mark.
    pub encoding: Option<&'static Encoding>,
    /// Whether the first record names the columns. `None`: it does.
    pub header: Option<bool>,
    /// How the files are packed. `None`: their first bytes and their names tell.
    pub compression: Option<Compression>,
    /// Most bytes that a packed file may unpack to. `None`: see [`Source::open`].
    pub max_expanded: Option<u64>,
}
