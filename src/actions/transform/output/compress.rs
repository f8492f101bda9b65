//! Packs bytes as one whole frame. Frames one after the other are a valid file in all four forms, so chunks are packed
//! on all cores; and a file is the same for the same chunks, because no frame holds a time or a name.

use crate::actions::transform::table::Compression;
use crate::model::Failure;
use flate2::write::GzEncoder;
use lzma_rust2::{XzOptions, XzWriter};
use std::io::{self, Write};

/// Level of gzip, 1 to 9: the one that gzip itself takes.
const GZIP_LEVEL: u32 = 6;
/// Level of Zstandard, 1 to 22: the one that zstd itself takes.
const ZSTD_LEVEL: i32 = 3;
/// Level of bzip2, 1 to 9, which is its block in 100 kB: the one that bzip2 itself takes.
const BZIP2_LEVEL: u32 = 9;
/// Level of xz, 0 to 9. Lower than that of xz itself, which takes 94 MiB of memory for each worker.
const XZ_LEVEL: u32 = 2;
/// Largest dictionary of xz: the memory of a worker is about ten times that.
const XZ_DICTIONARY_MAX: u32 = 2 * 1024 * 1024;
/// Smallest dictionary of xz that the format allows.
const XZ_DICTIONARY_MIN: u32 = 4 * 1024;

/// Writes `bytes` at the end of `out` as one whole gzip member, Zstandard frame, bzip2 stream or xz stream.
pub fn compress(bytes: &[u8], how: Compression, out: &mut Vec<u8>) -> Result<(), Failure> {
    let start = out.len();
    pack(bytes, how, out).map_err(|error| {
        out.truncate(start);
        Failure::transient("transform_output", format!("cannot pack the output: {error}"))
    })
}

fn pack(bytes: &[u8], how: Compression, out: &mut Vec<u8>) -> io::Result<()> {
    match how {
        Compression::None => out.extend_from_slice(bytes),
        Compression::Gzip => {
            let mut packer = GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL));
            packer.write_all(bytes)?;
            packer.finish()?;
        }
        Compression::Zstd => {
            let mut packer = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
            packer.include_checksum(true)?;
            let start = out.len();
            out.resize(start + zstd::zstd_safe::compress_bound(bytes.len()), 0);
            let len = packer.compress_to_buffer(bytes, &mut out[start..])?;
            out.truncate(start + len);
        }
        Compression::Bzip2 => {
            let mut packer = bzip2::write::BzEncoder::new(out, bzip2::Compression::new(BZIP2_LEVEL));
            packer.write_all(bytes)?;
            packer.finish()?;
        }
        Compression::Xz => {
            let mut options = XzOptions::with_preset(XZ_LEVEL);
            let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            options.lzma_options.dict_size = size.clamp(XZ_DICTIONARY_MIN, XZ_DICTIONARY_MAX);
            let mut packer = XzWriter::new(out, options)?;
            packer.write_all(bytes)?;
            packer.finish()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Bzip2, Compression::Xz];

    /// What a reader finds in a file of several frames.
    fn unpack(packed: &[u8], how: Compression) -> Vec<u8> {
        let mut out = Vec::new();
        match how {
            Compression::None => out.extend_from_slice(packed),
            Compression::Gzip => drop(flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut out).unwrap()),
            Compression::Zstd => drop(zstd::Decoder::new(packed).unwrap().read_to_end(&mut out).unwrap()),
            Compression::Bzip2 => drop(bzip2::read::MultiBzDecoder::new(packed).read_to_end(&mut out).unwrap()),
            Compression::Xz => drop(lzma_rust2::XzReader::new(packed, true).read_to_end(&mut out).unwrap()),
        }
        out
    }

    #[test]
    fn frames_one_after_the_other_are_one_file() {
        let rows: Vec<u8> = (0..30_000).flat_map(|n| format!("{n},{}\n", n * n % 977).into_bytes()).collect();
        for how in ALL {
            let mut packed = Vec::new();
            for part in [&rows[..], b"", b"x", &rows[..70_000]] {
                compress(part, how, &mut packed).unwrap();
            }
            let want = [&rows[..], b"x", &rows[..70_000]].concat();
            assert_eq!(unpack(&packed, how), want, "{how:?}");
            if how != Compression::None {
                assert!(packed.len() < want.len() / 2, "{how:?} {}", packed.len());
            }
        }
    }

    #[test]
    fn the_same_bytes_are_packed_the_same() {
        let bytes = vec![b'a'; 100_000];
        for how in ALL {
            let (mut first, mut second) = (b"head".to_vec(), b"head".to_vec());
            compress(&bytes, how, &mut first).unwrap();
            compress(&bytes, how, &mut second).unwrap();
            assert!(first.starts_with(b"head"), "{how:?}");
            assert_eq!(first, second, "{how:?}");
        }
    }
}
