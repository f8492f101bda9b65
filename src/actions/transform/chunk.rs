//! The pieces that a table is cut into, and what is wrong with a row.

/// Whole records of one file, in its order.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Its number over all files, from 0 without gaps: the order of the output.
    pub seq: u64,
    /// Which input file, from 0.
    pub file: usize,
    /// The records, in the encoding of the dialect; the last one may lack its line end only at the end of the file.
    pub bytes: Vec<u8>,
    /// Line of the first byte, 1-based. Lines end with LF, CRLF or a CR alone.
    pub line: u64,
    /// Offset of the first byte in the file; where that is compressed or was decoded by the source, in what came out.
    pub byte: u64,
}

/// A row that is not processed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its first line, 1-based.
    pub line: u64,
    /// Where it starts, as [`Chunk::byte`].
    pub byte: u64,
    /// Column number, 1-based, where one is at fault.
    pub column: Option<usize>,
    /// What is wrong, in one line: lower case, no full stop, the value last.
    pub reason: String,
    /// The same without values: what bad rows of one cause share.
    pub constant: String,
    /// The record as it stood in the file, decoded, without its line end; at most [`BadRow::RAW_MAX`] bytes.
    pub raw: String,
    /// Its fields as they stood, for the rejects; empty where it does not fall into fields.
    pub fields: Vec<String>,
}

impl BadRow {
    /// Most bytes of a record that the rejects show.
    pub const RAW_MAX: usize = 64 * 1024;
}
