//! Batches on the disk, for tables that a statement reads more than once.

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Bytes that are read or written at once.
const BUFFER: usize = 1024 * 1024;

/// Batches that are written one after the other.
pub(super) struct Spool {
    writer: StreamWriter<BufWriter<File>>,
}

impl Spool {
    /// An empty spool in a file without a name: nothing is left of it, whatever happens.
    pub(super) fn new(scratch: &Path, schema: &SchemaRef) -> Result<Self, ArrowError> {
        let file = tempfile::tempfile_in(scratch)?;
        Ok(Self { writer: StreamWriter::try_new(BufWriter::with_capacity(BUFFER, file), schema)? })
    }

    /// Adds a batch.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.writer.write(batch)
    }

    /// What was written, to be read any number of times.
    pub(super) fn finish(mut self) -> Result<Arc<File>, ArrowError> {
        self.writer.finish()?;
        let file = self.writer.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Arc::new(file))
    }
}

/// The batches of a file from its start.
pub(super) type Batches = StreamReader<BufReader<Cursor>>;

/// Reads a spool from its start, whoever else reads it.
pub(super) fn read(file: &Arc<File>) -> Result<Batches, ArrowError> {
    let cursor = Cursor { file: Arc::clone(file), at: 0 };
    StreamReader::try_new(BufReader::with_capacity(BUFFER, cursor), None)
}

/// A place in a file of its own.
pub(super) struct Cursor {
    file: Arc<File>,
    at: u64,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
