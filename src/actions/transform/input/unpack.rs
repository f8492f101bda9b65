//! Unpacks gzip, zstd, bzip2 and xz, with any number of members, frames or streams behind each other.
//!
//! It guarantees that a stream that is cut off or damaged fails with how far it came, that a small file cannot unpack
//! to more than is allowed, and that a decoder never needs more memory than [`DICTIONARY_MAX`] and a little. Zero bytes
//! behind the last gzip member are padding, as tapes have it; anything else there is damage.

use super::InputFile;
use super::disk::Disk;
use super::reject::refuse;
use crate::actions::transform::table::Compression;
use crate::model::{Failure, text};
use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};

/// Packed bytes read at once.
const PACKED: usize = 256 * 1024;
/// Most bytes that a decoder may look back, the largest that `xz -9` and `zstd --ultra` or `--long` ask for. A file
/// that asks for more is refused: whoever packed it could else choose how much memory we take.
const DICTIONARY_MAX: u32 = 128 * 1024 * 1024;
/// Memory of an xz decoder, in KiB: its dictionary and a MiB for its tables.
const XZ_MEMORY_KIB: u32 = DICTIONARY_MAX / 1024 + 1024;
/// A packed file may unpack to this many bytes for each of its own, unless it stays below [`EXPANDED_FREE`].
const EXPANSION_MAX: u64 = 200;
/// Unpacked bytes that are no reason for suspicion.
const EXPANDED_FREE: u64 = 1024 * 1024 * 1024;
/// First bytes of a file that tell how it is packed.
const MAGIC: usize = 10;

type Packed = BufReader<Disk>;

/// A file as it reads when it is unpacked.
pub(super) struct Unpacked {
    decoder: Decoder,
    how: Compression,
    /// Bytes that came out.
    out: u64,
    out_max: u64,
    declared_max: bool,
    ended: bool,
}

enum Decoder {
    Plain(Disk),
    /// `None`: between two calls only.
    Gzip(Option<Box<GzDecoder<Packed>>>),
    Zstd(Box<zstd::Decoder<'static, Packed>>),
    Bzip2(Box<MultiBzDecoder<Packed>>),
    Xz(Box<XzReader<Packed>>),
}

impl Unpacked {
    /// A file at its first byte. How it is packed is declared, or its first bytes tell; a name that says otherwise is
    /// an error. `max`: bytes that may come out.
    pub(super) fn open(input: &InputFile, declared: Option<Compression>, max: Option<u64>) -> Result<Self, Failure> {
        let disk = Disk::open(input)?;
        let found = by_content(&disk.peek(0, MAGIC)?);
        let wanted = declared.unwrap_or_else(|| match Compression::by_extension(OsStr::new(&input.name)) {
            Compression::None => found,
            named => named,
        });
        if wanted != found && wanted != Compression::None && disk.size() > 0 {
            let code = format!("not_{}", name(wanted));
            let what = match found {
                Compression::None => "its first bytes are those of another kind of file".to_owned(),
                found => format!("it is {}", name(found)),
            };
            let by = if declared.is_some() { "the configuration" } else { "its name" };
            return Err(refuse(disk.label(), &code, format!("not {}, as {by} says: {what}", name(wanted))));
        }
        let default = (disk.size().saturating_mul(EXPANSION_MAX)).max(EXPANDED_FREE);
        let (label, empty) = (disk.label().to_owned(), disk.size() == 0);
        let packed = |disk| BufReader::with_capacity(PACKED, disk);
        let decoder = match wanted {
            _ if empty => Decoder::Plain(disk),
            Compression::None => Decoder::Plain(disk),
            Compression::Gzip => Decoder::Gzip(Some(Box::new(GzDecoder::new(packed(disk))))),
            Compression::Zstd => {
                let opened = zstd::Decoder::with_buffer(packed(disk)).and_then(|mut d| {
                    d.window_log_max(DICTIONARY_MAX.ilog2())?;
                    Ok(d)
                });
                let no_memory = |e| Failure::transient("unpack", format!("cannot prepare to unpack {label}: {e}"));
                Decoder::Zstd(Box::new(opened.map_err(no_memory)?))
            }
            Compression::Bzip2 => Decoder::Bzip2(Box::new(MultiBzDecoder::new(packed(disk)))),
            Compression::Xz => Decoder::Xz(Box::new(XzReader::new_mem_limit(packed(disk), true, XZ_MEMORY_KIB))),
        };
        Ok(Self {
            decoder,
            how: wanted,
            out: 0,
            out_max: max.unwrap_or(default),
            declared_max: max.is_some(),
            ended: empty,
        })
    }

    /// The file below.
    pub(super) fn disk(&self) -> &Disk {
        match &self.decoder {
            Decoder::Plain(disk) => disk,
            Decoder::Gzip(gzip) => {
                #[expect(clippy::expect_used, reason = "it is put back before `next_member` returns")]
                let gzip = gzip.as_ref().expect("a decoder between two calls");
                gzip.get_ref().get_ref()
            }
            Decoder::Zstd(zstd) => zstd.get_ref().get_ref(),
            Decoder::Bzip2(bzip2) => bzip2.get_ref().get_ref(),
            Decoder::Xz(xz) => xz.inner().get_ref(),
        }
    }

    /// The file itself, if it is not packed.
    pub(super) fn plain_mut(&mut self) -> Option<&mut Disk> {
        match &mut self.decoder {
            Decoder::Plain(disk) => Some(disk),
            _ => None,
        }
    }

    /// Whether it is not packed.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.decoder, Decoder::Plain(_))
    }

    /// Reads on; 0 at the end.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        if let Decoder::Plain(disk) = &mut self.decoder {
            return disk.fetch(out);
        }
        if self.ended || out.is_empty() {
            return Ok(0);
        }
        let read = loop {
            let read = match &mut self.decoder {
                Decoder::Plain(disk) => disk.read(out),
                Decoder::Gzip(gzip) => read_members(gzip, out),
                Decoder::Zstd(zstd) => zstd.read(out),
                Decoder::Bzip2(bzip2) => bzip2.read(out),
                Decoder::Xz(xz) => xz.read(out),
            };
            match read {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match read {
            Ok(n) => {
                self.out += n as u64;
                self.ended = n == 0;
                if self.out > self.out_max { Err(self.expands()) } else { Ok(n) }
            }
            Err(e) => {
                self.ended = true;
                Err(self.broken(&e))
            }
        }
    }

    fn expands(&self) -> Failure {
        let (out, size, max) = (text::count(self.out), text::count(self.disk().size()), text::count(self.out_max));
        let what = format!("{out} bytes came out of {size} bytes of {} and there are more", name(self.how));
        let why = if self.declared_max { "max_expanded is" } else { "set max_expanded to allow it; the limit is" };
        let mut failure = refuse(self.disk().label(), "expands_too_much", format!("{what}: {why} {max}"));
        failure.constant = "a packed file that expands too much".into();
        failure
    }

    /// What an error of a decoder means.
    fn broken(&self, error: &io::Error) -> Failure {
        let disk = self.disk();
        if let Some(failure) = disk.trouble() {
            return failure;
        }
        if let Err(failure) = disk.check_unchanged() {
            return failure;
        }
        let (how, at, out) = (name(self.how), text::count(disk.at()), text::count(self.out));
        let cut_off = error.kind() == io::ErrorKind::UnexpectedEof && disk.ended();
        let (code, constant, what) = if cut_off {
            let what = format!("the {how} file is cut off: it ends at byte {at}, after {out} bytes came out");
            ("truncated", format!("a {how} file that is cut off"), what)
        } else {
            let why = text::escape(&error.to_string()).to_lowercase();
            let what = format!("the {how} file is damaged before byte {at}, after {out} bytes came out: {why}");
            ("damaged", format!("a {how} file that is damaged"), what)
        };
        let mut failure = refuse(disk.label(), &format!("{code}_{how}"), what);
        failure.constant = constant;
        failure
    }
}

/// Reads from one gzip member and those behind it.
fn read_members(slot: &mut Option<Box<GzDecoder<Packed>>>, out: &mut [u8]) -> io::Result<usize> {
    loop {
        let Some(member) = slot.as_mut() else { return Ok(0) };
        let n = member.read(out)?;
        if n > 0 {
            return Ok(n);
        }
        match skip_zeros(member.get_mut())? {
            None => return Ok(0),
            Some(0x1f) => {}
            Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "other data behind its last member")),
        }
        *slot = slot.take().map(|done| Box::new(GzDecoder::new(done.into_inner())));
    }
}

/// The first byte behind any zeros, which is not taken.
fn skip_zeros(packed: &mut Packed) -> io::Result<Option<u8>> {
    loop {
        let bytes = packed.fill_buf()?;
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        let found = bytes.get(zeros).copied();
        let ended = bytes.is_empty();
        packed.consume(zeros);
        if found.is_some() || ended {
            return Ok(found);
        }
    }
}

/// What the first bytes of a file tell.
fn by_content(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90] => Compression::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        _ => Compression::None,
    }
}

/// Its name in codes and messages.
fn name(how: Compression) -> &'static str {
    match how {
        Compression::None => "plain",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
        Compression::Bzip2 => "bzip2",
        Compression::Xz => "xz",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Files, bzip2, gzip, xz, zstd};
    use super::*;
    use proptest::prelude::*;

    type Pack = fn(&[u8]) -> Vec<u8>;
    const WAYS: [(&str, Pack); 4] = [("gzip", gzip), ("zstd", zstd), ("bzip2", bzip2), ("xz", xz)];

    fn unpack(name: &str, packed: &[u8], max: Option<u64>) -> Result<Vec<u8>, Failure> {
        let files = Files::new();
        let mut unpacked = Unpacked::open(&files.add(name, packed), None, max)?;
        let mut all = Vec::new();
        let mut out = [0; 1000];
        loop {
            match unpacked.read(&mut out)? {
                0 => break,
                n => all.extend_from_slice(&out[..n]),
            }
        }
        assert_eq!(unpacked.read(&mut out).unwrap(), 0, "the end stays the end");
        Ok(all)
    }

    fn text() -> Vec<u8> {
        (0..20_000).flat_map(|i| format!("{i},{}\n", i * 7919 % 1000).into_bytes()).collect()
    }

    #[test]
    fn members_behind_each_other_are_one_text() {
        let raw = text();
        for (how, pack) in WAYS {
            assert_eq!(unpack("a.csv", &pack(&raw), None).unwrap(), raw, "{how} by its content");
            let two = [pack(&raw[..777]), pack(b""), pack(&raw[777..])].concat();
            assert_eq!(unpack("a.csv", &two, None).unwrap(), raw, "{how} in three");
        }
        let padded = [gzip(&raw), vec![0; PACKED + 9]].concat();
        assert_eq!(unpack("a.gz", &padded, None).unwrap(), raw);
    }

    #[test]
    fn a_name_that_does_not_tell_the_truth_is_told() {
        for (name, code, message) in [
            ("a.gz", "not_gzip", "not gzip, as its name says: its first bytes are those of another kind of file"),
            ("a.zst", "not_zstd", "not zstd, as its name says: its first bytes are those of another kind of file"),
            ("a.bz2", "not_bzip2", "not bzip2, as its name says: its first bytes are those of another kind of file"),
            ("a.xz", "not_xz", "not xz, as its name says: its first bytes are those of another kind of file"),
        ] {
            let failure = unpack(name, b"id,v\n1,2\n", None).unwrap_err();
            assert_eq!((failure.code.as_str(), failure.message.as_str()), (code, message));
        }
        let failure = unpack("a.gz", &zstd(b"id,v\n1,2\n"), None).unwrap_err();
        assert_eq!(failure.message, "not gzip, as its name says: it is zstd");
        assert_eq!(unpack("a.gz", b"", None).unwrap(), b"", "nothing is not packed");
    }

    #[test]
    fn what_is_cut_off_says_how_far_it_came() {
        let raw = text();
        for (how, pack) in WAYS {
            let packed = pack(&raw);
            for cut in [11, packed.len() / 2, packed.len() - 1] {
                let failure = unpack("a", &packed[..cut], None).unwrap_err();
                assert_eq!(failure.code, format!("truncated_{how}"), "{cut}: {}", failure.message);
                let place = format!("it ends at byte {}, after ", text::count(cut as u64));
                assert!(failure.message.contains(&place), "{}", failure.message);
            }
        }
    }

    #[test]
    fn damage_and_trailing_rubbish_are_told() {
        let raw = text();
        for (how, pack) in WAYS {
            let mut packed = pack(&raw);
            let middle = packed.len() / 2;
            packed[middle..middle + 8].fill(0xa5);
            assert_eq!(unpack("a", &packed, None).unwrap_err().code, format!("damaged_{how}"));
            let rubbish = [pack(&raw), b"rubbish behind the end".to_vec()].concat();
            assert_eq!(unpack("a", &rubbish, None).unwrap_err().code, format!("damaged_{how}"));
        }
    }

    #[test]
    fn a_file_expands_no_further_than_allowed() {
        for (how, pack) in WAYS {
            let bomb = pack(&vec![b'0'; 4 * 1024 * 1024]);
            let failure = unpack("a", &bomb, Some(1_000_000)).unwrap_err();
            assert_eq!(failure.code, "expands_too_much");
            assert!(failure.message.ends_with(&format!("of {how} and there are more: max_expanded is 1,000,000")));
            assert_eq!(unpack("a", &bomb, None).unwrap().len(), 4 * 1024 * 1024, "below a GiB is fine");
        }
    }

    #[test]
    fn a_dictionary_beyond_the_bound_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(DICTIONARY_MAX.ilog2() + 1).unwrap();
        std::io::copy(&mut &text()[..], &mut encoder).unwrap();
        let failure = unpack("a", &encoder.finish().unwrap(), None).unwrap_err();
        assert_eq!(failure.code, "damaged_zstd");
        assert!(failure.message.ends_with("requires too much memory for decoding"), "{}", failure.message);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn no_damage_makes_a_decoder_panic(
            way in 0..4usize, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()
        ) {
            let mut packed = WAYS[way].1(b"id,value\n1,2\n3,4\n1,2\n1,2\n1,2\n1,2\n");
            let at = at.index(packed.len());
            packed[at] = byte;
            packed.truncate(cut.index(packed.len()) + 1);
            drop(unpack("a", &packed, Some(1 << 20)));
        }
    }
}
