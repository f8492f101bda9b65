//! Files and sources for tests.

use super::{Declared, InputFile, Source};
use crate::actions::transform::chunk::Chunk;
use crate::model::Failure;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// A folder of input files.
pub(super) struct Files(tempfile::TempDir);

impl Files {
    /// An empty folder.
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Adds a file with this content.
    pub(super) fn add(&self, name: &str, raw: &[u8]) -> InputFile {
        let path = self.0.path().join(name);
        std::fs::write(&path, raw).unwrap();
        InputFile {
            file: Arc::new(File::open(&path).unwrap()),
            path,
            name: name.into(),
            label: format!("/inbox/{name}"),
            size: raw.len() as u64,
        }
    }
}

/// All chunks of a source.
pub(super) fn chunks(source: &mut Source) -> Result<Vec<Chunk>, Failure> {
    let mut all = Vec::new();
    while let Some(chunk) = source.next(Vec::new())? {
        all.push(chunk);
    }
    Ok(all)
}

/// The bytes of the chunks of one file with this content, and the source after the last.
pub(super) fn read(name: &str, raw: &[u8], declared: &Declared, chunk: usize) -> Result<(Vec<Chunk>, Source), Failure> {
    let files = Files::new();
    let mut source = Source::open(vec![files.add(name, raw)], declared, chunk)?;
    let all = chunks(&mut source)?;
    Ok((all, source))
}

/// Why one file with this content cannot be read to its end.
pub(super) fn failure(name: &str, raw: &[u8]) -> Failure {
    match read(name, raw, &Declared::default(), 1024) {
        Ok((chunks, _)) => panic!("{name} was read: {chunks:?}"),
        Err(failure) => failure,
    }
}

/// The text of chunks, put together.
pub(super) fn joined(chunks: &[Chunk]) -> Vec<u8> {
    chunks.iter().flat_map(|c| c.bytes.iter().copied()).collect()
}

/// A gzip member.
pub(super) fn gzip(raw: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(raw).unwrap();
    out.finish().unwrap()
}

/// A bzip2 stream.
pub(super) fn bzip2(raw: &[u8]) -> Vec<u8> {
    let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    out.write_all(raw).unwrap();
    out.finish().unwrap()
}

/// An xz stream.
pub(super) fn xz(raw: &[u8]) -> Vec<u8> {
    let mut out = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    out.write_all(raw).unwrap();
    out.finish().unwrap()
}

/// A zstd frame.
pub(super) fn zstd(raw: &[u8]) -> Vec<u8> {
    let mut out = zstd::Encoder::new(Vec::new(), 1).unwrap();
    out.include_checksum(true).unwrap(); // without one, damage may read as other text
    out.write_all(raw).unwrap();
    out.finish().unwrap()
}
